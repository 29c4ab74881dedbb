"""
Many streams on sockets of their own, read or not read as a test says.

The SDK reads whatever comes; these clients can stop, and a thousand of them cost little.
"""

from __future__ import annotations

import json
import selectors
import socket
from collections.abc import Callable, Sequence

from attrs import define, field

from tests.live_proxy import CLIENT_KEY, PATIENCE

_READ = 256 * 1024
#: A small window, so that a client that does not read holds little.
_WINDOW = 64 * 1024
#: How long nothing has come when we look at what came, in seconds.
_PAUSE = 0.05


def request(model: str, tag: str) -> bytes:
    """A request for a stream, on a connection that ends with the answer."""
    messages = [{"role": "user", "content": "Hello."}]
    value = {"model": model, "messages": messages, "stream": True, "user": tag}
    body = json.dumps(value).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        f"Authorization: Bearer {CLIENT_KEY}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


@define(eq=False)
class Stream:
    """One stream: what is still to be sent, and what came."""

    socket: socket.socket = field(init=False)
    outgoing: bytes
    got: bytearray = field(factory=bytearray)
    over: bool = False

    @classmethod
    def opened(cls, port: int, model: str, tag: str) -> Stream:
        """A connection that is being made, its request waiting."""
        stream = cls(request(model, tag))
        stream.socket = socket.socket()
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
        stream.socket.setblocking(False)
        stream.socket.connect_ex(("127.0.0.1", port))
        return stream

    def send(self) -> bool:
        """Send what fits; whether all is sent."""
        self.outgoing = self.outgoing[self.socket.send(self.outgoing) :]
        return not self.outgoing

    def receive(self) -> None:
        """Take what is there; nothing is the end."""
        try:
            data = self.socket.recv(_READ)
        except ConnectionResetError:
            data = b""
        self.got += data
        self.over = not data

    def close(self) -> None:
        """Leave."""
        self.socket.close()

    @property
    def whole(self) -> bool:
        """Whether both the stream and its HTTP end as they should."""
        return self.got.startswith(b"HTTP/1.1 200 ") and self.got.endswith(
            b"data: [DONE]\n\n\r\n0\r\n\r\n"
        )


@define(eq=False)
class Streams:
    """Streams that are followed together."""

    streams: Sequence[Stream]
    _selector: selectors.BaseSelector = field(factory=selectors.DefaultSelector)

    def __attrs_post_init__(self) -> None:
        for stream in self.streams:
            self._selector.register(stream.socket, selectors.EVENT_WRITE, stream)

    def send(self) -> None:
        """Send all requests, and read nothing."""
        for stream in self.streams:
            stream.socket.setblocking(True)
            stream.send()
            stream.socket.setblocking(False)
            self._selector.modify(stream.socket, selectors.EVENT_READ, stream)

    def follow(self, until: Callable[[], bool]) -> None:
        """Send and read until something is so; it is looked at whenever nothing comes."""
        quiet = 0
        while quiet < PATIENCE / _PAUSE:
            ready = self._selector.select(_PAUSE)
            for key, _ in ready:
                self._serve(key.data)
            if not ready:
                quiet += 1
                if until():
                    return
        raise AssertionError("what is waited for does not come")

    def _serve(self, stream: Stream) -> None:
        if not stream.outgoing:
            stream.receive()
        elif stream.send():
            self._selector.modify(stream.socket, selectors.EVENT_READ, stream)
        if stream.over:
            self._selector.unregister(stream.socket)

    def all_over(self) -> bool:
        """Whether no more comes on any."""
        return all(stream.over for stream in self.streams)

    def close(self) -> None:
        """Leave all of them."""
        self._selector.close()
        for stream in self.streams:
            stream.close()
