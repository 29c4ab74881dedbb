"""
A connection as a backend has it: what comes, and all that can be done to it.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Any, NoReturn

from attrs import define, field, frozen

#: What a connection that nobody ends is ended after; no item takes longer.
LONGEST = 180.0
READ = 1 << 16
#: How much of what a connection brought is kept for the search for secrets.
KEPT = 1 << 20
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
class Gate:
    """What scripts wait for beside their socket: it becomes readable when it is opened."""

    waits: socket.socket = field(init=False)
    is_open: bool = False
    _other: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.waits, self._other = socket.socketpair()

    def open(self) -> None:
        """Let all who wait go on."""
        self.is_open = True
        self._other.close()


@define(eq=False)
class Peer:
    """
    One connection, seen from the backend.

    :ivar asks: the requests that came on it.
    :ivar sent: the bytes sent on it.
    :ivar gone: when the proxy was found to have left, on the monotonic clock.
    :ivar gate: opened when the check lets scripts go on.
    """

    sock: socket.socket
    gate: Gate
    asks: list[Ask] = field(factory=list)
    raw: bytearray = field(factory=bytearray)
    sent: int = 0
    gone: float | None = None
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
            return self._received()
        except TimeoutError:
            self.over()

    def over(self) -> NoReturn:
        """Note that the proxy has left, and end the script."""
        if self.gone is None:
            self.gone = time.monotonic()
        raise Over

    def send(self, *parts: bytes) -> None:
        """Send; blocks while the proxy does not read."""
        for data in parts:
            try:
                self.sock.sendall(data)
            except OSError:
                self.over()
            self.sent += len(data)

    def pause(self, seconds: float) -> None:
        """Do nothing for a while, but notice when the proxy leaves."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.gate.is_open:
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
        except OSError:
            self.over()
        if not data:
            self.over()
        self.raw += data[: KEPT - len(self.raw)]
        return data

    def hold(self) -> None:
        """Do nothing until the check lets scripts go on, but notice when the proxy leaves."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self.gate.waits, select.POLLIN)
        while not self.gate.is_open and poll.poll(LONGEST * 1000):
            if not self.gate.is_open:
                self._buffer += self._received()

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
