"""
Where we listen: whether we may, found out before anything else is started, and how.

twistd binds after it has become a daemon, when nobody reads what went wrong.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint

from yallmp.core.settings import Server

#: Connections that may wait to be accepted; the system drops more, and clients lose a second.
BACKLOG = 4096


class ListeningError(Exception):
    """We cannot listen there; the message is one line that says what to do."""


_REMEDIES = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port (--port)",
    errno.EACCES: "a port below 1024 needs root; choose a higher one (--port)",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own (--host)",
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
    where = _place(error.interface, error.port) if isinstance(error, CannotListenError) else ""
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
    if server.listen is not None or server.port == 0:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, server.port))
            probe.listen(1)
        except (OSError, UnicodeError) as error:
            where = _place(host, server.port)
            raise ListeningError(f"cannot listen on {where}: {remedy(error)}") from None


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


def _no_endpoint(listen: str, error: Exception) -> str:
    said = str(error) or type(error).__name__
    if listen.startswith("systemd:") and isinstance(error, LookupError):
        said = "systemd passed no such socket to this process"
    return f"general_settings.server.listen: {listen!r} cannot be used: {said}"


def _host(server: Server) -> str:
    """The address, of an IPv6 one what is between the brackets."""
    return server.host.removeprefix("[").removesuffix("]")
