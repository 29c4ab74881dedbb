"""Whether we may listen somewhere, and the line that is said if not."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any
from unittest import skipUnless

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from yallmp import listening
from yallmp.core.settings import Server
from yallmp.listening import (
    ListeningError,
    SharedPort,
    check_listening,
    endpoint_for,
    inherited_endpoint,
    refusal,
    remedy,
)


class Refused:
    """A socket that may not be bound, as for a port below 1024."""

    def __init__(self, number: int) -> None:
        self.error = OSError(number, os.strerror(number))

    def __call__(self, *args: Any) -> Refused:
        return self

    def __enter__(self) -> Refused:
        return self

    def __exit__(self, *args: Any) -> None:
        pass

    def setsockopt(self, *args: Any) -> None:
        pass

    def bind(self, address: Any) -> None:
        raise self.error


def taken(case: SynchronousTestCase, family: int = socket.AF_INET, host: str = "127.0.0.1") -> int:
    """A port on which somebody listens until the test is over."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    case.addCleanup(listener.close)
    listener.bind((host, 0))
    listener.listen(1)
    port: int = listener.getsockname()[1]
    return port


class RefusalTests(SynchronousTestCase):
    """What is said of an endpoint that cannot be had."""

    def test_a_unix_socket_without_a_folder(self) -> None:
        """Its path, which is not that of the lock beside it, and the remedy."""
        error = OSError(errno.ENOENT, "No such file", "123", None, b"/run/none/y.sock.lock")
        said = refusal(error)
        self.assertTrue(said.startswith("unix:/run/none/y.sock: there is no such folder"), said)


class CheckTests(SynchronousTestCase):
    """Asking the system."""

    def refusal(self, server: Server) -> str:
        """What is said of *server*, which cannot be had; one line."""
        said = str(self.assertRaises(ListeningError, check_listening, server))
        self.assertNotIn("\n", said)
        return said

    def test_a_free_port(self) -> None:
        """Nothing is said, and the port is free afterwards."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        check_listening(Server(port=port))
        check_listening(Server(port=port))
        check_listening(Server("localhost", port))

    def test_a_port_in_use(self) -> None:
        """The address, and both ways out."""
        port = taken(self)
        said = self.refusal(Server(port=port))
        self.assertIn(f"127.0.0.1:{port}", said)
        self.assertIn("another program", said)
        self.assertIn("--port", said)

    def test_a_port_in_use_on_ipv6(self) -> None:
        """With and without brackets, which stand around it in what is said."""
        try:
            port = taken(self, socket.AF_INET6, "::1")
        except OSError as error:
            self.skipTest(f"this machine has no IPv6: {error}")
        for host in ("::1", "[::1]"):
            self.assertIn(f"on [::1]:{port}: another program", self.refusal(Server(host, port)))

    def test_a_port_that_needs_root(self) -> None:
        """The remedy is a higher one."""
        self.patch(socket, "socket", Refused(errno.EACCES))
        self.assertIn("127.0.0.1:80: a port below 1024 needs root", self.refusal(Server(port=80)))

    def test_other_reasons(self) -> None:
        """In the system's words."""
        self.patch(socket, "socket", Refused(errno.ENOBUFS))
        self.assertIn(os.strerror(errno.ENOBUFS), self.refusal(Server()))

    def test_an_address_of_another_machine(self) -> None:
        """The remedy is one of this machine's own."""
        self.assertIn("--host", self.refusal(Server("192.0.2.1", 8000)))

    def test_names_that_are_none(self) -> None:
        """Unknown, or not even possible."""
        for host in ("host.invalid", "a..b", "x" * 70 + ".example"):
            self.assertIn(f"cannot listen on {host}:8000: ", self.refusal(Server(host)))

    def test_what_is_not_asked(self) -> None:
        """Any port, and what only Twisted understands."""
        self.patch(socket, "socket", Refused(errno.EACCES))
        check_listening(Server(port=0))
        check_listening(Server(listen="unix:/run/yallmp.sock"))


class EndpointTests(SynchronousTestCase):
    """What listens."""

    def listened(self, server: Server) -> tuple[str, int]:
        """Where a reactor is asked to listen."""
        reactor = MemoryReactorClock()
        endpoint_for(server, reactor).listen(None)
        ((port, _, backlog, interface),) = reactor.tcpServers
        self.assertGreater(backlog, 1000)
        return (interface, port)

    def test_host_and_port(self) -> None:
        """IPv4, a name, IPv6 with and without brackets."""
        for host, kind in (
            ("127.0.0.1", TCP4ServerEndpoint),
            ("localhost", TCP4ServerEndpoint),
            ("::1", TCP6ServerEndpoint),
            ("[::1]", TCP6ServerEndpoint),
        ):
            self.assertIsInstance(endpoint_for(Server(host), None), kind)
            self.assertEqual(self.listened(Server(host)), (host.strip("[]"), 8000))

    def test_an_endpoint_of_twisted(self) -> None:
        """It wins over host and port."""
        found = endpoint_for(Server(listen="unix:/run/yallmp.sock"), MemoryReactorClock())
        self.assertIsInstance(found, UNIXServerEndpoint)

    def test_endpoints_that_are_none(self) -> None:
        """A line that names the setting and what is wrong, whatever Twisted raised."""
        for listen in ("bogus:80", "tcp:port", "tcp:80:nonsense=1", "8000", "tcp", ":", "unix"):
            server = Server(listen=listen)
            said = str(
                self.assertRaises(ListeningError, endpoint_for, server, MemoryReactorClock())
            )
            self.assertIn(f"general_settings.server.listen: {listen!r} cannot be used", said)
            self.assertNotIn("\n", said)

    def test_a_socket_that_systemd_did_not_pass(self) -> None:
        """What to look for."""
        server = Server(listen="systemd:domain=INET:index=0")
        said = str(self.assertRaises(ListeningError, endpoint_for, server, MemoryReactorClock()))
        self.assertIn("systemd passed no such socket", said)


class RemedyTests(SynchronousTestCase):
    """What an error means."""

    def test_twisteds_error(self) -> None:
        """What the system said is inside."""
        inside = OSError(errno.EADDRINUSE, "Address already in use")
        self.assertIn("another program", remedy(CannotListenError("127.0.0.1", 80, inside)))

    def test_the_address_comes_first(self) -> None:
        """What an endpoint was to listen on, also where it is all addresses, or a path."""
        inside = OSError(errno.EADDRINUSE, "Address already in use")
        for host, port, where in (
            ("127.0.0.1", 80, "127.0.0.1:80"),
            ("", 80, "0.0.0.0:80"),
            ("::1", 80, "[::1]:80"),
            (None, "/run/y.sock", "unix:/run/y.sock"),
            (None, b"/run/y.sock", "unix:/run/y.sock"),
        ):
            said = refusal(CannotListenError(host, port, inside))
            self.assertTrue(said.startswith(f"{where}: another program"), said)

    def test_no_address(self) -> None:
        """An error that does not know where it came about is told without."""
        self.assertEqual(refusal(ValueError("no")), "no")

    def test_any_other(self) -> None:
        """Its own words."""
        self.assertEqual(remedy(ValueError("no")), "no")


@skipUnless(sys.platform.startswith("linux"), "only Linux shares out connections")
class SharedPortTests(SynchronousTestCase):
    """One port for several processes."""

    def opened(self, server: Server, count: int = 2) -> tuple[SharedPort, list[int]]:
        """A port with *count* sockets."""
        port = SharedPort.of(server)
        self.addCleanup(port.close)
        return port, port.open(count)

    def test_any_port(self) -> None:
        """The system chooses once; all listen there, and all can be connected to."""
        port, descriptors = self.opened(Server(port=0), 3)
        self.assertEqual(len(set(descriptors)), 3)
        self.assertNotEqual(port.port, 0)
        self.assertEqual(port.where, f"127.0.0.1:{port.port}")
        for _ in range(20):
            socket.create_connection(("127.0.0.1", port.port), 5).close()

    def test_connections_are_spread(self) -> None:
        """Each socket gets some of many."""
        port, _ = self.opened(Server(port=0), 2)
        for each in port._sockets:
            each.setblocking(False)
        for _ in range(64):
            client = socket.create_connection(("127.0.0.1", port.port), 5)
            self.addCleanup(client.close)
        counts = [len(list(accepted(self, each))) for each in port._sockets]
        self.assertEqual(sum(counts), 64)
        self.assertGreater(min(counts), 5)

    def test_plain_endpoints(self) -> None:
        """TCP in Twisted's notation is as good as host and port."""
        for listen, host in (
            ("tcp:0:interface=127.0.0.1", "127.0.0.1"),
            ("tcp:port=0", "0.0.0.0"),
            (r"tcp6:0:interface=\:\:1", "::1"),
            ("tcp6:0", "::"),
        ):
            port, _ = self.opened(Server(listen=listen))
            self.assertEqual(port.host, host)

    def test_other_endpoints(self) -> None:
        """They cannot be shared, and the line says what can."""
        for listen in ("unix:/run/y.sock", "systemd:domain=INET:index=0", "ssl:0"):
            error = self.assertRaises(ListeningError, SharedPort.of, Server(listen=listen))
            self.assertIn("several workers need host and port", str(error))
            self.assertNotIn("\n", str(error))

    def test_a_port_in_use(self) -> None:
        """Also by one that would share it: two proxies on one port are a mistake."""
        port, _ = self.opened(Server(port=0))
        for server in (Server(port=port.port), Server(port=taken(self))):
            error = self.assertRaises(ListeningError, SharedPort.of, server)
            self.assertIn("another program listens there", str(error))

    def test_taken_meanwhile(self) -> None:
        """It is said in the same way when it is bound."""
        port = SharedPort("127.0.0.1", taken(self))
        self.addCleanup(port.close)
        error = self.assertRaises(ListeningError, port.open, 2)
        self.assertIn(f"cannot listen on {port.where}: another program", str(error))

    def test_two_at_the_same_moment(self) -> None:
        """Of two that both found the port free one listens, until it ends."""
        server = Server("127.0.0.2", taken(self))
        one, two = SharedPort.of(server), SharedPort.of(server)
        for port in (one, two):
            self.addCleanup(port.close)
        one.open(2)
        error = self.assertRaises(ListeningError, two.open, 2)
        self.assertIn(f"cannot listen on {one.where}: another program", str(error))
        one.close()
        two.open(2)

    def test_a_system_without_such_names(self) -> None:
        """It listens all the same."""
        port = SharedPort.of(Server("127.0.0.2", taken(self)))
        self.addCleanup(port.close)
        self.patch(listening, "_guard_name", lambda *_: "/nowhere/at/all")
        self.assertEqual(len(port.open(2)), 2)

    def test_other_systems(self) -> None:
        """Elsewhere one process is what there can be."""
        self.patch(sys, "platform", "darwin")
        error = self.assertRaises(ListeningError, SharedPort.of, Server())
        self.assertIn("need Linux", str(error))

    def test_an_inherited_socket(self) -> None:
        """A worker accepts from it, of whichever family it is."""
        reactor = MemoryReactorClock()
        for host in ("127.0.0.1", "::1"):
            _, (descriptor, _) = self.opened(Server(host, 0))
            endpoint = inherited_endpoint(os.dup(descriptor), reactor)
            self.successResultOf(endpoint.listen(Factory()))
        families = [family for _, family, _ in reactor.adoptedPorts]
        self.assertEqual(families, [socket.AF_INET, socket.AF_INET6])


def accepted(case: SynchronousTestCase, listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait at *listener*."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            case.addCleanup(connection.close)
            yield connection
