"""
The backends: listeners on loopback whose connections each play a script.

A connection is a thread with a blocking socket, because a fault is easiest to write, and to
read, as one step after the other: send half a head, wait, reset.  What comes is kept with
its time, so that a check can say how long after the client left a backend was let go.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import define, field

from chaos.item import Backend, Script
from chaos.peer import LONGEST, Ask, Gate, Over, Peer


def accept(listening: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Serve each connection in a thread of its own, until *listening* is closed."""
    while True:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


def play(script: Script, peer: Peer, complain: Callable[[str], None]) -> None:
    """Have *script* played to its end; *complain* is told what is wrong with it."""
    try:
        peer.sock.settimeout(LONGEST)
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        script(peer)
    except (Over, OSError):
        return
    except Exception as error:
        complain(f"{type(error).__name__}: {error}")


@define(eq=False)
class Listener:
    """
    A backend that is there: its port, and the connections to it so far.

    :ivar key: the credential that the proxy has for it.
    :ivar failures: what went wrong in its scripts, which is a fault of the catalogue.
    """

    spec: Backend
    key: str
    tls: ssl.SSLContext | None = None
    peers: list[Peer] = field(factory=list)
    failures: list[str] = field(factory=list)
    _gate: Gate = field(factory=Gate)
    _sock: socket.socket = field(init=False)
    _filling: list[socket.socket] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sock.bind(("127.0.0.1", 0))
        if self.spec.deaf:
            self._fill()
        elif self.spec.script is not None:
            self._sock.listen(1024)
            threading.Thread(target=accept, args=(self._sock, self._serve), daemon=True).start()

    def _fill(self) -> None:
        """A queue of connections that is full, so that the next one is not completed."""
        self._sock.listen(0)
        for _ in range(4):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(self._sock.getsockname())
            self._filling.append(filling)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._sock.getsockname()[1])

    @property
    def expected(self) -> bool:
        """Whether a connection to it can come about."""
        spec = self.spec
        there = spec.script is not None and spec.host == "127.0.0.1"
        return there and not spec.deaf and not spec.unasked

    @property
    def asks(self) -> list[Ask]:
        """All requests, by connection."""
        return [ask for peer in list(self.peers) for ask in list(peer.asks)]

    @property
    def open(self) -> int:
        """Connections that the proxy has not left."""
        return sum(1 for peer in list(self.peers) if peer.gone is None)

    def _serve(self, sock: socket.socket) -> None:
        peer = Peer(sock, self._gate)
        self.peers.append(peer)
        play(self._script, peer, self.failures.append)
        if peer.gone is None:
            peer.gone = time.monotonic()
        peer.cut()

    def _script(self, peer: Peer) -> None:
        if self.tls is not None:
            peer.sock = self.tls.wrap_socket(peer.sock, server_side=True)
        if self.spec.script is not None:
            self.spec.script(peer)

    def release(self) -> None:
        """Let scripts that wait go on; those of connections that come later wait again."""
        self._gate.open()
        self._gate = Gate()

    def close(self) -> None:
        """Listen no more, and end all connections."""
        self.release()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        for filling in self._filling:
            filling.close()
        for peer in list(self.peers):
            peer.cut()


def eventually(condition: Callable[[], Any], seconds: float = 10.0, grain: float = 0.002) -> Any:
    """What *condition* gives once it is true, or at the end of its time."""
    end = time.monotonic() + seconds
    found = condition()
    while not found and time.monotonic() < end:
        time.sleep(grain)  # noqa: TID251 - there is no reactor here
        found = condition()
    return found
