"""
Where we listen: whether we may, found out before anything else is started, and how.

twistd binds after it has become a daemon, when nobody reads what went wrong.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Any

from attrs import define, field
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint

from yallmp.core.config.listenkinds import NOT_SHAREABLE, tcp_address
from yallmp.core.settings import Server

#: Connections that may wait to be accepted; the system drops more, and clients lose a second.
BACKLOG = 4096


class ListeningError(Exception):
    """We cannot listen there; the message is one line that says what to do."""


class CannotListen(SystemExit, Exception):
    """
    Ends the process at its start, with status 1; the message says why.

    It is an ``Exception`` so that twistd tells the process that waits for the daemon, and
    removes the PID file; it is a ``SystemExit`` so that nobody gets a traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 1


_REMEDIES = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port (--port)",
    errno.EACCES: "a port below 1024 needs root; choose a higher one (--port)",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own (--host)",
    errno.ENOENT: "there is no such folder; make it, or choose another place",
}


def remedy(error: BaseException | None) -> str:
    """What *error*, raised on listening, means and what to do."""
    known = getattr(error, "socketError", error)  # Twisted wraps the system's error
    number = getattr(known, "errno", None)
    return _REMEDIES.get(number or 0, getattr(known, "strerror", None) or str(known))


def refusal(error: BaseException | None) -> str:
    """
    What to say of *error*, raised on listening: where, and then what to do.

    The address comes first, as twistd passes on only so much of what ends a daemon.
    """
    where = ""
    if isinstance(error, CannotListenError):
        where = _place(error.interface, error.port)
    elif isinstance(error, OSError) and (error.filename2 or error.filename):
        where = f"unix:{os.fsdecode(error.filename2 or error.filename).removesuffix('.lock')}"
    return f"{where}: {remedy(error)}" if where else remedy(error)


def _place(host: str | None, port: int | str | bytes) -> str:
    """An address as one writes it; the port of a UNIX socket is its path."""
    if not isinstance(port, int):
        return f"unix:{os.fsdecode(port)}"
    return f"[{host}]:{port}" if host and ":" in host else f"{host or '0.0.0.0'}:{port}"


def check_listening(server: Server) -> None:
    """
    Bind where *server* says, and let go again.

    :raises ListeningError: it cannot be done.
    """
    host = _host(server)
    if server.listen is None and server.port != 0:
        _check_address(host, server.port)


def _check_address(host: str, port: int) -> None:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except (OSError, UnicodeError) as error:
            raise _cannot(host, port, error) from None


def endpoint_for(server: Server, reactor: Any) -> IStreamServerEndpoint:
    """
    What listens where *server* says.

    :raises ListeningError: ``listen`` is not an endpoint that Twisted can make here.
    """
    host = _host(server)
    if server.listen is None:
        kind = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
        return kind(reactor, server.port, BACKLOG, interface=host)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, server.listen)
    except Exception as error:
        raise ListeningError(_no_endpoint(server.listen, error)) from None
    return endpoint


def inherited_endpoint(descriptor: int, reactor: Any) -> IStreamServerEndpoint:
    """What accepts connections from a socket that another process has made, and gave us."""
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        family = listener.family
    endpoint: IStreamServerEndpoint = AdoptedStreamServerEndpoint(reactor, descriptor, family)
    return endpoint


@define(eq=False)
class SharedPort:
    """
    One port on which several processes accept connections, each from a socket of its own.

    The system gives each new connection to one of the sockets, and all get about as many
    (``SO_REUSEPORT``).  One socket that all share would give most to whoever is first.

    Two proxies that start at the same moment would share the port as well, since neither
    finds it taken.  So each holds a name while it listens, which only one can have: that of
    an abstract UNIX socket, which the system takes back however its holder ends.

    :ivar port: 0 until the system has chosen.
    """

    host: str
    port: int
    _sockets: list[socket.socket] = field(factory=list)
    _guard: socket.socket | None = None

    @classmethod
    def of(cls, server: Server) -> SharedPort:
        """
        Where *server* says.

        :raises ListeningError: several processes cannot listen there, or nobody can.
        """
        if not sys.platform.startswith("linux"):
            raise ListeningError("several workers need Linux; set workers to 1")
        found = (_host(server), server.port)
        if server.listen is not None:
            address = tcp_address(server.listen)
            if address is None:
                raise ListeningError(f"{NOT_SHAREABLE}, not {server.listen!r}")
            found = address
        if found[1]:
            _check_address(*found)
        return cls(*found)

    @property
    def where(self) -> str:
        """The address, as one writes it."""
        return _place(self.host, self.port)

    def open(self, count: int) -> list[int]:
        """
        Listen with *count* sockets; their descriptors.

        :raises ListeningError: that is not possible.
        """
        try:
            self._hold()
            for _ in range(count):
                self._add()
        except (OSError, UnicodeError) as error:
            raise _cannot(self.host, self.port, error) from None
        return [each.fileno() for each in self._sockets]

    def _hold(self) -> None:
        """Be the only one; a system that has no such names (a sandbox) goes without."""
        if self.port == 0:
            return
        try:
            self._guard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._guard.bind(_guard_name(self.host, self.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise

    def _add(self) -> None:
        one = socket.socket(_family(self.host), socket.SOCK_STREAM)
        self._sockets.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((self.host, self.port))
        one.listen(BACKLOG)
        self.port = one.getsockname()[1]

    def close(self) -> None:
        """Take no more connections, as soon as the other processes do not either."""
        for each in self._sockets:
            each.close()
        if self._guard is not None:
            self._guard.close()


def _no_endpoint(listen: str, error: Exception) -> str:
    said = str(error) or type(error).__name__
    if listen.startswith("systemd:") and isinstance(error, LookupError):
        said = "systemd passed no such socket to this process"
    return f"general_settings.server.listen: {listen!r} cannot be used: {said}"


def _cannot(host: str, port: int, error: Exception) -> ListeningError:
    return ListeningError(f"cannot listen on {_place(host, port)}: {remedy(error)}")


def _guard_name(host: str, port: int) -> bytes:
    """What only one can bind; such a name has room for 108 bytes."""
    return f"\0yallmp {port} {host}".encode("utf-8", "backslashreplace")[:108]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _host(server: Server) -> str:
    """The address, of an IPv6 one what is between the brackets."""
    return server.host.removeprefix("[").removesuffix("]")
