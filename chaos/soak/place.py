"""
A backend that may die and come back, and that keeps nothing of what it was asked.

It plays scripts as :class:`chaos.upstream.Listener` does, which keeps everything for the
checks of the catalogue: in an hour that would be more than the machine has.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from attrs import define, field

from chaos.item import Script
from chaos.peer import Gate, Peer
from chaos.upstream import accept, play


@define(eq=False)
class Place:
    """
    A port on loopback.

    :ivar port: stays the same over deaths.
    :ivar peers: the connections that are open.
    :ivar trouble: is told when a script fails, which is a fault of the soak.
    """

    script: Script
    trouble: Callable[[str], None]
    port: int = 0
    peers: set[Peer] = field(factory=set)
    _gate: Gate = field(factory=Gate)
    _sock: socket.socket | None = None

    def open(self) -> None:
        """Listen."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        sock.listen(1024)
        self.port, self._sock = sock.getsockname()[1], sock
        threading.Thread(target=accept, args=(sock, self._serve), daemon=True).start()

    def close(self) -> None:
        """Die: listen no more, and reset whatever is open."""
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._sock.close()
            self._sock = None
        for peer in list(self.peers):
            peer.cut()

    def _serve(self, sock: socket.socket) -> None:
        peer = Peer(sock, self._gate)
        self.peers.add(peer)
        play(self.script, peer, lambda why: self.trouble(f"a backend's script failed: {why}"))
        peer.cut()
        self.peers.discard(peer)
