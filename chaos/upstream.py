"""
The backends: listeners on loopback whose connections each play a script.

A connection is a thread with a blocking socket, because a fault is easiest to write, and to
read, as one step after the other: send half a head, wait, reset.  What comes is kept with
its time, so that a check can say how long after the client left a backend was let go.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen

from chaos.item import Backend

#: What a connection that nobody ends is ended after; no item takes longer.
LONGEST = 180.0
READ = 1 << 16
_RESET = struct.pack("ii", 1, 0)


class Over(Exception):
    """The connection is over, so the script is as well."""


@frozen
class Ask:
    """A request as a backend got it; *at* is on the monotonic clock."""

    at: float
    line: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def field(self, name: bytes) -> bytes | None:
        """The first header of that name."""
        return next((value for each, value in self.fields if each == name), None)

    @property
    def value(self) -> dict[str, Any]:
        """The body, which is JSON."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def streams(self) -> bool:
        """Whether a stream is wanted."""
        return bool(self.value.get("stream"))


@define(eq=False)
class Peer:
    """
    One connection, seen from the backend.

    :ivar asks: the requests that came on it.
    :ivar sent: the bytes sent on it.
    :ivar gone: when the proxy was found to have left, on the monotonic clock.
    :ivar go: set when the check lets scripts go on.
    """

    sock: socket.socket
    opened: float
    go: threading.Event
    asks: list[Ask] = field(factory=list)
    raw: bytearray = field(factory=bytearray)
    sent: int = 0
    gone: float | None = None
    how: str = ""
    _buffer: bytearray = field(factory=bytearray)

    def ask(self) -> Ask:
        """
        The next request.

        :raises Over: none comes any more.
        """
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, _ = bytes(self._buffer).partition(b"\r\n\r\n")
        line, *rest = head.split(b"\r\n")
        pairs = (each.partition(b":") for each in rest)
        fields = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        length = len(head) + 4 + int(dict(fields).get(b"content-length", b"0"))
        while len(self._buffer) < length:
            self._more()
        body = bytes(self._buffer[len(head) + 4 : length])
        del self._buffer[:length]
        self.asks.append(Ask(time.monotonic(), line, fields, body))
        return self.asks[-1]

    def _more(self) -> None:
        self._buffer += self.read()

    def read(self) -> bytes:
        """
        What comes next, whatever it is.

        :raises Over: nothing comes any more.
        """
        try:
            data = self.sock.recv(READ)
        except OSError as error:
            self.over(type(error).__name__)
        if not data:
            self.over("end")
        self.raw += data
        return data

    def over(self, how: str) -> None:
        """Note that the proxy has left, and end the script."""
        if self.gone is None:
            self.gone, self.how = time.monotonic(), how
        raise Over

    def send(self, *parts: bytes) -> None:
        """Send; blocks while the proxy does not read."""
        for data in parts:
            try:
                self.sock.sendall(data)
            except OSError as error:
                self.over(type(error).__name__)
            self.sent += len(data)

    def pause(self, seconds: float) -> None:
        """Do nothing for a while, but notice when the proxy leaves."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.go.is_set():
            self.sock.settimeout(min(left, LONGEST))
            try:
                self._buffer += self._received()
            except TimeoutError:
                break
        self.sock.settimeout(LONGEST)

    def _received(self) -> bytes:
        try:
            data = self.sock.recv(READ)
        except TimeoutError:
            raise
        except OSError as error:
            self.over(type(error).__name__)
        if not data:
            self.over("end")
        self.raw += data
        return data

    def hold(self, seconds: float = LONGEST) -> None:
        """Do nothing until the check lets scripts go on, but notice when the proxy leaves."""
        end = time.monotonic() + seconds
        while not self.go.is_set() and time.monotonic() < end:
            self._hold_a_moment()

    def _hold_a_moment(self) -> None:
        self.sock.settimeout(0.02)
        with suppress(TimeoutError):
            self._buffer += self._received()
        self.sock.settimeout(LONGEST)

    def until_gone(self) -> None:
        """Read until the proxy leaves."""
        while True:
            self.read()

    def end_writing(self) -> None:
        """Close our half."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End with FIN, if all that came was read."""
        with suppress(OSError):
            self.sock.close()
        raise Over

    def reset(self) -> None:
        """End with RST."""
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def cut(self) -> None:
        """End it from another thread."""
        for end in (lambda: self.sock.shutdown(socket.SHUT_RDWR), self.sock.close):
            with suppress(OSError):
                end()


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
    _go: threading.Event = field(factory=threading.Event)
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
            threading.Thread(target=self._accept, daemon=True).start()

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
        return spec.script is not None and not spec.deaf and spec.host == "127.0.0.1"

    @property
    def asks(self) -> list[Ask]:
        """All requests, by connection."""
        return [ask for peer in list(self.peers) for ask in list(peer.asks)]

    @property
    def open(self) -> int:
        """Connections that the proxy has not left."""
        return sum(1 for peer in list(self.peers) if peer.gone is None)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        opened = time.monotonic()
        sock.settimeout(LONGEST)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock, opened, self._go)
        self.peers.append(peer)
        try:
            if self.tls is not None:
                peer.sock = self.tls.wrap_socket(sock, server_side=True)
            self._play(peer)
        except (Over, OSError):
            pass
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            self._ended(peer)

    def _play(self, peer: Peer) -> None:
        if self.spec.script is not None:
            self.spec.script(peer)

    def _ended(self, peer: Peer) -> None:
        if peer.gone is None:
            peer.gone = time.monotonic()
        peer.cut()

    def release(self) -> None:
        """Let scripts that wait go on; those of connections that come later wait again."""
        self._go.set()
        self._go = threading.Event()

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
