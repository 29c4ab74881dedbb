"""
Whether we may listen where we are told to, found out before anything else is started.

twistd binds after it has become a daemon, when nobody reads what went wrong.
"""

from __future__ import annotations

import errno
import os
import socket

from yallmp.core.settings import Server


class ListeningError(Exception):
    """We cannot listen there; the message is one line that says what to do."""


_REMEDIES = {
    errno.EADDRINUSE: "another program listens there; stop it, or choose another port (--port)",
    errno.EACCES: "a port below 1024 needs root; choose a higher one (--port)",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own (--host)",
}


def check_listening(server: Server) -> None:
    """
    Bind where *server* says, and let go again.

    :raises ListeningError: it cannot be done.
    """
    if server.listen is not None or server.port == 0:
        return
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.host, server.port))
            probe.listen(1)
        except OSError as error:
            why = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
            raise ListeningError(f"cannot listen on {server.host}:{server.port}: {why}") from None
