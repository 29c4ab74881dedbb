"""
Names are resolved without holding each other up, and refused addresses are not reached.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from yallmp.core.addresses import refusal
from yallmp.names import PATIENCE, AddressRefused, Names, ResolvingReactor, in_thread


class Reactor(MemoryReactorClock):
    """Calls from threads come at once."""

    def callFromThread(self, f: Callable[..., Any], *args: Any, **kwargs: Any) -> None:  # noqa: N802
        """Call it."""
        f(*args, **kwargs)


@implementer(IResolutionReceiver)
class Receiver:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.done = False

    def resolutionBegan(self, resolution: Any) -> None:  # noqa: N802
        """It began."""

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        """An address was found."""
        self.addresses.append(address)

    def resolutionComplete(self) -> None:  # noqa: N802
        """There are no more."""
        self.done = True


class Lookups:
    """Stands in for ``getaddrinfo`` and for the threads that it runs in."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.pending: list[Callable[[], None]] = []

    def lookup(self, name: str, port: int, family: int, kind: int) -> list[tuple[Any, ...]]:
        """The addresses of *name*."""
        self.asked.append(name)
        if name not in self.known:
            raise gaierror(-2, "Name or service not known")
        return [
            (AF_INET6, SOCK_STREAM, 6, "", (each, 0, 0, 0))
            if ":" in each
            else (AF_INET, SOCK_STREAM, 6, "", (each, 0))
            for each in self.known[name]
        ]

    def finish(self) -> None:
        """The oldest thread does its work."""
        self.pending.pop(0)()


class NamesTests(SynchronousTestCase):
    """Lookups run in their own threads, each name once at a time."""

    def setUp(self) -> None:
        self.lookups = Lookups(a=["1.2.3.4", "fd00::1"], b=["5.6.7.8"])
        self.reactor = Reactor()
        self.names = Names(
            self.reactor, limit=2, lookup=self.lookups.lookup, spawn=self.lookups.pending.append
        )

    def resolve(self, name: str, port: int = 80, **kwargs: Any) -> Receiver:
        """Start to resolve *name*."""
        receiver = Receiver()
        self.names.resolveHostName(receiver, name, port, **kwargs)
        return receiver

    def test_interface(self) -> None:
        """It is a resolver as Twisted wants it."""
        verifyObject(IHostnameResolver, self.names)

    def test_addresses(self) -> None:
        """All addresses of a name arrive, with the port, and then the end."""
        receiver = self.resolve("a")
        self.assertFalse(receiver.done)
        self.lookups.finish()
        self.assertTrue(receiver.done)
        self.assertEqual(
            receiver.addresses,
            [IPv4Address("TCP", "1.2.3.4", 80), IPv6Address("TCP", "fd00::1", 80)],
        )

    def test_kinds(self) -> None:
        """Who wants one kind of address gets only that."""
        receiver = self.resolve("a", addressTypes=[IPv4Address])
        self.lookups.finish()
        self.assertEqual(receiver.addresses, [IPv4Address("TCP", "1.2.3.4", 80)])

    def test_literals(self) -> None:
        """An address needs no thread."""
        for literal in ("10.0.0.1", "::1", "fe80::1%lo"):
            receiver = self.resolve(literal)
            self.assertTrue(receiver.done)
            self.assertEqual(receiver.addresses[0].host, literal)
        self.assertEqual(self.lookups.pending, [])

    def test_unknown_names(self) -> None:
        """A name that has no addresses ends without any."""
        receiver = self.resolve("gone")
        self.lookups.finish()
        self.assertEqual((receiver.done, receiver.addresses), (True, []))

    def test_lookups_that_fail_oddly(self) -> None:
        """Whatever happens in the thread, those who wait are told."""
        for error in (UnicodeError("label too long"), OSError(), ZeroDivisionError()):
            self.names.lookup = self.raising(error)
            receiver = self.resolve("a")
            with contextlib.suppress(ZeroDivisionError):
                self.lookups.finish()
            self.assertEqual((receiver.done, receiver.addresses), (True, []))

    def raising(self, error: Exception) -> Callable[..., Any]:
        """A function that fails."""

        def fail(*args: Any) -> Any:
            raise error

        return fail

    def test_one_lookup_for_a_name(self) -> None:
        """Connections that ask for the same name meanwhile share one lookup."""
        receivers = [self.resolve("a", port) for port in (1, 2)] + [self.resolve("A", 3)]
        self.assertEqual(len(self.lookups.pending), 1)
        self.lookups.finish()
        self.assertEqual([each.addresses[0].port for each in receivers], [1, 2, 3])

    def test_looked_up_anew(self) -> None:
        """Nothing is remembered."""
        for address in ("1.1.1.1", "2.2.2.2"):
            self.lookups.known["a"] = [address]
            receiver = self.resolve("a")
            self.lookups.finish()
            self.assertEqual(receiver.addresses[0].host, address)

    def test_a_slow_name(self) -> None:
        """However often a slow name is asked for, another one is looked up at once."""
        slow = [self.resolve("a") for _ in range(100)]
        other = self.resolve("b")
        self.lookups.pending.pop(1)()
        self.assertTrue(other.done)
        self.assertFalse(any(each.done for each in slow))

    def test_a_lookup_that_hangs(self) -> None:
        """Those who come later do not wait for it: the servers may answer again."""
        early = self.resolve("a")
        self.reactor.advance(PATIENCE)
        self.resolve("a")
        self.assertEqual(len(self.lookups.pending), 1)
        self.reactor.advance(0.1)
        late = [self.resolve("a"), self.resolve("a")]
        hanging, quick = self.lookups.pending
        quick()
        self.assertEqual([each.done for each in (early, *late)], [False, True, True])
        self.lookups.pending.clear()
        anew = self.resolve("a")
        hanging()
        self.assertEqual((early.done, anew.done, len(self.lookups.pending)), (True, False, 1))
        self.lookups.finish()
        self.assertTrue(anew.done)

    def test_limit(self) -> None:
        """Only so many lookups run at once; the others have their turn in order."""
        receivers = [self.resolve(name) for name in ("a", "b", "c", "d")]
        self.assertEqual(len(self.lookups.pending), 2)
        for _ in range(4):
            self.lookups.finish()
        self.assertEqual(self.lookups.asked, ["a", "b", "c", "d"])
        self.assertTrue(all(each.done for each in receivers))

    def test_cancelling(self) -> None:
        """Who has cancelled is told nothing; others who wait are."""
        receivers = [Receiver(), Receiver()]
        first, _ = [self.names.resolveHostName(each, "a") for each in receivers]
        first.cancel()
        self.lookups.finish()
        self.assertEqual([each.done for each in receivers], [False, True])

    def test_no_thread_left(self) -> None:
        """Where no thread can be started a name has no addresses, and later it has."""
        self.names.spawn = self.raising(RuntimeError("can't start new thread"))
        self.assertTrue(self.resolve("a").done)
        self.names.spawn = self.lookups.pending.append
        receiver = self.resolve("a")
        self.lookups.finish()
        self.assertEqual(len(receiver.addresses), 2)

    def test_threads(self) -> None:
        """The threads are daemons, so they do not hold up the end of the process."""
        seen: list[threading.Thread] = []
        done = threading.Event()
        in_thread(lambda: (seen.append(threading.current_thread()), done.set())[0])
        self.assertTrue(done.wait(10))
        self.assertTrue(seen[0].daemon)


class ResolvingReactorTests(SynchronousTestCase):
    """Endpoints use our resolver, and refused addresses are never connected to."""

    def connect(self, host: str, *addresses: str, private: bool = True) -> tuple[Any, Any]:
        """Connect to *host* as a registered backend; gives the reactor and the Deferred."""
        lookups = Lookups(name=list(addresses))
        memory = Reactor()
        names = Names(memory, lookup=lookups.lookup, spawn=lambda work: work())
        guarded = ResolvingReactor(memory, names, partial(refusal, private_allowed=private))
        verifyObject(IReactorPluggableNameResolver, guarded)
        d = HostnameEndpoint(guarded, host, 80).connect(Factory.forProtocol(Protocol))
        memory.advance(1)
        return memory, d

    def test_connects(self) -> None:
        """An address that is allowed is connected to."""
        memory, _ = self.connect("name", "1.2.3.4")
        self.assertEqual(memory.tcpClients[0][:2], ("1.2.3.4", 80))

    def test_refuses_what_a_name_resolves_to(self) -> None:
        """A name that leads to a refused address is not connected to, and it is said why."""
        for address in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fd00:ec2::254"):
            memory, d = self.connect("name", address)
            error = self.failureResultOf(d, AddressRefused).value
            self.assertIn(address, str(error))
            self.assertEqual(memory.tcpClients, [])

    def test_refuses_literals(self) -> None:
        """An address as host is refused as well; a private one if the settings say so."""
        self.failureResultOf(self.connect("169.254.169.254")[1], AddressRefused)
        self.failureResultOf(self.connect("127.0.0.1", private=False)[1], AddressRefused)
        self.assertEqual(len(self.connect("127.0.0.1")[0].tcpClients), 1)

    def test_good_addresses_of_a_mixed_name(self) -> None:
        """Of several addresses those that are allowed are tried."""
        memory, d = self.connect("name", "169.254.169.254", "1.2.3.4")
        self.assertEqual([each[0] for each in memory.tcpClients], ["1.2.3.4"])
        d.cancel()
        self.failureResultOf(d)

    def test_unknown_names(self) -> None:
        """A name without addresses is a name that was not found."""
        self.failureResultOf(self.connect("gone")[1], DNSLookupError)
