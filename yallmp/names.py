"""
Names of backends become addresses, without one slow name holding up another.

Looking a name up blocks, so it happens in a thread.  The reactor's own pool is shared by
everything else, so lookups have threads of their own: one for each lookup, at most
:attr:`Names.limit` at a time.  A name is looked up once at a time: connections that ask
for it meanwhile share the result, so a name whose servers are slow holds one thread
however many requests want it.  Only when it has taken :data:`PATIENCE` is it given up for
those that come from then on, which look anew: the servers may answer again, while a lookup
that began before still waits.  Nothing is remembered: a connection that comes later looks
again.  The threads are daemons, so a lookup that hangs does not hold up the end of the
process either.

:class:`ResolvingReactor` brings this to Twisted's endpoints.  It is also the gate for
registered backends: every connection passes its ``connectTCP`` with the very address that
is connected to, so that is where addresses are refused, whatever a name resolved to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from socket import AF_INET6, SOCK_STREAM, getaddrinfo
from threading import Thread
from typing import Any

from attrs import define, field
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IResolutionReceiver,
)
from zope.interface import implementer

#: Seconds after which nobody joins a lookup any more.
PATIENCE = 5.0
#: What ``getaddrinfo`` gives: family, type, protocol, canonical name, socket address.
Found = Sequence[tuple[Any, ...]]
Kinds = Sequence[type[IAddress]] | None


class AddressRefused(ConnectError):
    """A registered backend may not be at this address; the text says why."""

    MESSAGE = "The address is refused"


def in_thread(work: Callable[[], None]) -> None:
    """Do *work* in a thread that does not hold up the end of the process."""
    Thread(target=work, name="name lookup", daemon=True).start()


@implementer(IHostResolution)
@define(eq=False)
class _Resolution:
    """One who waits for the addresses of a name."""

    name: str
    receiver: IResolutionReceiver
    port: int
    kinds: Kinds
    cancelled: bool = False

    def cancel(self) -> None:
        """Do not tell the receiver anything any more."""
        self.cancelled = True

    def complete(self, found: Found) -> None:
        """Tell the receiver all addresses of the kinds that it wants."""
        if self.cancelled:
            return
        for family, *_, where in found:
            kind = IPv6Address if family == AF_INET6 else IPv4Address
            if self.kinds is None or kind in self.kinds:
                self.receiver.addressResolved(kind("TCP", where[0], self.port, *where[2:]))
        self.receiver.resolutionComplete()


@define(eq=False)
class _Lookup:
    """
    A lookup of a name, and who waits for it.

    :ivar began: when it did, on the reactor's time; never, while it waits for its turn.
    """

    name: str
    began: float = inf
    waiters: list[_Resolution] = field(factory=list)


@implementer(IHostnameResolver)
@define(eq=False)
class Names:
    """
    Resolves names in threads of its own.

    :ivar reactor: its ``callFromThread`` brings results back.
    :ivar limit: how many lookups run at once; others wait for their turn.
    :ivar lookup: ``socket.getaddrinfo``, or what takes its place.
    :ivar spawn: runs a function elsewhere.
    """

    reactor: Any
    limit: int = 64
    lookup: Callable[..., Found] = getaddrinfo
    spawn: Callable[[Callable[[], None]], None] = in_thread
    _lookups: dict[str, _Lookup] = field(factory=dict, init=False)
    _queue: deque[_Lookup] = field(factory=deque, init=False)
    _running: int = field(default=0, init=False)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Kinds = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """Tell *resolutionReceiver* the addresses of *hostName*; none if it has none."""
        waiter = _Resolution(hostName, resolutionReceiver, portNumber, addressTypes)
        resolutionReceiver.resolutionBegan(waiter)
        literal = _literal(hostName)
        if literal is not None:
            waiter.complete([literal])
        else:
            self._lookup_of(hostName.lower()).waiters.append(waiter)
            self._start()
        return waiter

    def _lookup_of(self, name: str) -> _Lookup:
        """The lookup of *name* to wait for: the one that there is, or one that is to begin."""
        lookup = self._lookups.get(name)
        if lookup is None or self.reactor.seconds() - lookup.began > PATIENCE:
            lookup = self._lookups[name] = _Lookup(name)
            self._queue.append(lookup)
        return lookup

    def _start(self) -> None:
        while self._queue and self._running < self.limit:
            self._running += 1
            lookup = self._queue.popleft()
            lookup.began = self.reactor.seconds()
            try:
                self.spawn(partial(self._look_up, lookup))
            except RuntimeError:  # the system has no thread left
                self._done(lookup, ())

    def _look_up(self, lookup: _Lookup) -> None:
        """Runs in the thread; whatever happens, those who wait are told."""
        found: Found = ()
        try:
            found = self.lookup(lookup.name, 0, 0, SOCK_STREAM)
        except (OSError, ValueError):  # not known, or not a name at all
            pass
        finally:
            self.reactor.callFromThread(self._done, lookup, found)

    def _done(self, lookup: _Lookup, found: Found) -> None:
        self._running -= 1
        if self._lookups.get(lookup.name) is lookup:
            del self._lookups[lookup.name]
        self._start()
        for waiter in lookup.waiters:
            waiter.complete(found)


def _literal(host: str) -> tuple[Any, ...] | None:
    """An address in its usual spelling, as ``getaddrinfo`` gives it."""
    if isIPAddress(host):
        return (None, (host, 0))
    return (AF_INET6, (host, 0)) if isIPv6Address(host) else None


def accepts_all(address: str) -> str | None:
    """Refuses no address: for backends that the operator configured."""
    return None


@implementer(IReactorPluggableNameResolver, IReactorTCP, IReactorTime)
class ResolvingReactor:
    """
    What endpoints need of a reactor, with another resolver and a check of addresses.

    :param reactor: does everything else.
    :param refusal: says why an address may not be connected to, or ``None``.
    """

    def __init__(
        self,
        reactor: Any,
        resolver: IHostnameResolver,
        refusal: Callable[[str], str | None] = accepts_all,
    ) -> None:
        self._reactor = reactor
        self._refusal = refusal
        self.nameResolver = resolver
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        self.getDelayedCalls = reactor.getDelayedCalls
        self.listenTCP = reactor.listenTCP

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:  # noqa: N802
        """Use *resolver* from now on; gives back the one used so far."""
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def connectTCP(  # noqa: N802
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,  # noqa: N803
    ) -> Any:
        """
        Connect to *host*, an address.

        :raises AddressRefused: it may not be connected to.
        """
        why = self._refusal(host)
        if why is not None:
            raise AddressRefused(string=why)
        return self._reactor.connectTCP(host, port, factory, timeout, bindAddress)
