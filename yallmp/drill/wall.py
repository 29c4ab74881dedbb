"""
The wall: backends that fail in a way that is known beforehand.

A small HTTP/1.1 server of its own, since no well-behaved one sends half a head, resets, or
one byte a second.  It knows time only by the clock that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from yallmp.core.told import parsed_object
from yallmp.drill.faults import Act, Ask, Fault, Steps
from yallmp.drill.observed import Knock


@define(eq=False)
class Wall:
    """
    The backends of one cell.

    :ivar faults: what each does, by its name.
    :ivar began: when the cell began, on the clock's time.
    :ivar knocks: every request that came, in order.
    """

    clock: IReactorTime
    faults: Mapping[str, Fault]
    began: float = 0.0
    knocks: list[Knock] = field(factory=list)
    _open: set[Backend] = field(factory=set)

    def factory(self, backend: str) -> Factory:
        """Serves *backend*."""
        return _BackendFactory(self, backend)

    def asked(self, backend: str, body: bytes) -> Steps:
        """What *backend* does about a request."""
        now = self.clock.seconds() - self.began
        earlier = [knock for knock in self.knocks if knock.backend == backend]
        value = parsed_object(body)
        since = now - earlier[0].at if earlier else 0.0
        ask = Ask(len(earlier), since, str(value.get("model", "")), bool(value.get("stream")),
                  _is_prefilled(value))  # fmt: skip
        self.knocks.append(Knock(backend, now, ask.prefilled))
        return self.faults[backend](ask)

    def opened(self, connection: Backend) -> None:
        """A connection came."""
        self._open.add(connection)

    def closed(self, connection: Backend) -> None:
        """It is gone."""
        self._open.discard(connection)

    def close(self) -> None:
        """Cut what is open."""
        for connection in list(self._open):
            connection.cut()


def _is_prefilled(value: dict[str, Any]) -> bool:
    messages = value.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") == "assistant"


class _BackendFactory(Factory):
    """Makes the connections of one backend."""

    noisy = False

    def __init__(self, wall: Wall, backend: str) -> None:
        self._wall = wall
        self._backend = backend

    def buildProtocol(self, addr: object) -> Backend:
        """One connection."""
        return Backend(self._wall, self._backend)


class Backend(Protocol):
    """A connection to a backend: reads a request, plays its fault, reads the next."""

    def __init__(self, wall: Wall, name: str) -> None:
        self._wall = wall
        self._name = name
        self._buffer = b""
        self._steps: Steps | None = None
        self._waiting: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Known to the wall."""
        self._wall.opened(self)

    def dataReceived(self, data: bytes) -> None:
        """Gather a request; one at a time."""
        self._buffer += data
        self._read()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """No more steps."""
        self._wall.closed(self)
        self._steps = None
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()

    def cut(self) -> None:
        """End the connection at once."""
        ITCPTransport(self.transport).abortConnection()

    def _read(self) -> None:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        length = _length(head) if separator else 0
        if self._steps is None and separator and len(rest) >= length:
            self._buffer = rest[length:]
            self._steps = self._wall.asked(self._name, rest[:length])
            self._play()

    def _play(self) -> None:
        self._waiting = None
        while self._steps is not None:
            step = next(self._steps, None)
            if isinstance(step, bytes):
                ITCPTransport(self.transport).write(step)
            elif isinstance(step, float):
                self._waiting = self._wall.clock.callLater(step, self._play)
                return
            else:
                self._steps = None
                self._end(step)

    def _end(self, act: Act | None) -> None:
        if act is Act.RESET:
            self.cut()
        elif act is Act.CLOSE:
            ITCPTransport(self.transport).loseConnection()
        else:
            self._read()


def _length(head: bytes) -> int:
    """The length of the body behind *head*."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
