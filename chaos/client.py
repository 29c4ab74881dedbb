"""
The clients: blocking sockets that may stop reading, leave, or write what is no HTTP.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from contextlib import suppress
from typing import Any

from attrs import define, field

from chaos.heard import Answer

READ = 1 << 16
_RESET = struct.pack("ii", 1, 0)
HELLO = ({"role": "user", "content": "Hello."},)


def chat(model: str, **more: Any) -> bytes:
    """The body of a chat request."""
    return json.dumps({"model": model, "messages": HELLO, **more}).encode()


def head(
    length: int | None,
    *fields: str,
    key: str | None = None,
    path: str = "/v1/chat/completions",
    method: str = "POST",
) -> bytes:
    """The head of a request; without a *length*, nothing says how long its body is."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


@define(eq=False)
class Caller:
    """A connection to the proxy, seen from the client."""

    port: int
    patience: float = 30.0
    sock: socket.socket = field(init=False)
    asked: float = 0.0
    _buffer: bytearray = field(factory=bytearray)

    def __attrs_post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), self.patience)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send all of *data*; the answer's time counts from here."""
        self.asked = time.monotonic()
        self.sock.sendall(data)

    def post(self, body: bytes, *fields: str, **how: Any) -> None:
        """Send a whole request."""
        self.send(head(len(body), *fields, **how) + body)

    def end_writing(self) -> None:
        """Close our half."""
        self.sock.shutdown(socket.SHUT_WR)

    def leave(self, *, reset: bool = False) -> float:
        """Close the connection; the time at which that was."""
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        left = time.monotonic()
        self.sock.close()
        return left

    def close(self) -> None:
        """The same, whatever state it is in, also from another thread."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self.sock.close()

    def read_some(self) -> bytes:
        """What comes next; nothing at its end."""
        data = self.sock.recv(READ)
        self._buffer += data
        return data

    @property
    def seen(self) -> bytes:
        """What has come and was not read as an answer."""
        return bytes(self._buffer)

    def until(self, mark: bytes) -> bool:
        """Read until *mark* was there; whether it came."""
        while mark not in self._buffer:
            if not self.read_some():
                return False
        return True

    def answer(self, until: float | None = None) -> Answer:
        """The next answer, as far as it comes; *until* is a time on the monotonic clock."""
        reading = Reading(Answer(self.asked), bytes(self._buffer))
        while not reading.over:
            reading.take(*self._next(until))
        self._buffer[:] = reading.rest
        reading.answer.over = time.monotonic()
        return reading.answer

    def _next(self, until: float | None) -> tuple[bytes, str]:
        """A read and, if there was none, why."""
        left = self.patience if until is None else max(0.001, until - time.monotonic())
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(READ)
        except TimeoutError:
            return b"", "silent"
        except OSError:
            return b"", "reset"
        return data, "" if data else "end"


@define
class Reading:
    """An answer that is being read; ``rest`` is what came behind it."""

    answer: Answer
    rest: bytes = b""
    over: bool = False
    _chunked: bool = False
    _left: int | None = None
    _headed: bool = False
    _parts: list[bytes] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._look()

    def take(self, data: bytes, ended: str) -> None:
        """One more read, or the end."""
        self.rest += data
        self._look()
        if ended and not self.over:
            self._end(ended)

    def _look(self) -> None:
        if not self._headed:
            self._read_head()
        if self._headed and not self.over:
            self._read_chunks() if self._chunked else self._read_plain()
            self.answer.reads.append((time.monotonic(), sum(map(len, self._parts))))

    def _read_head(self) -> None:
        head, mark, behind = self.rest.partition(b"\r\n\r\n")
        if not mark:
            return
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        status = int(lines[0].split()[1])
        self.rest = behind
        if status == 100:
            self._read_head()
            return
        self.answer.status, self.answer.fields = status, fields
        self._headed = True
        self._chunked = "chunked" in fields.get("transfer-encoding", "")
        self._left = int(fields["content-length"]) if "content-length" in fields else None

    def _read_plain(self) -> None:
        if self._left is None:
            self._parts.append(self.rest)
            self.rest = b""
            return
        self._parts.append(self.rest[: self._left])
        self.rest, self._left = self.rest[self._left :], self._left - len(self._parts[-1])
        if not self._left:
            self._end("kept", whole=True)

    def _read_chunks(self) -> None:
        while not self.over:
            line, mark, behind = self.rest.partition(b"\r\n")
            if not mark:
                return
            size = int(line.split(b";")[0], 16)
            if len(behind) < size + 2:
                return
            self._parts.append(behind[:size])
            self.rest = behind[size + 2 :]
            if not size:
                self._end("kept", whole=True)

    def _end(self, ended: str, *, whole: bool = False) -> None:
        self.over = True
        self.answer.ended = ended
        self.answer.body = b"".join(self._parts)
        self.answer.whole = whole or (
            self._headed and not self._chunked and self._left is None and ended == "end"
        )
