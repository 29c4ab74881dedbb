"""
Who asks: one request over a connection of its own, every read with its time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from yallmp.drill.heard import Reply
from yallmp.upstream import WholeBody

PROMPT = "Count to sixty."


@define(eq=False)
class Caller:
    """
    Asks the proxy at *url* for *model*.

    :ivar reactor: connects and tells the time.
    :ivar since: when the cell began, on the clock's time.
    """

    reactor: Any
    url: str
    model: str
    since: float

    def ask(self, stream: bool, limit: float) -> Deferred[Reply]:
        """One request; after *limit* seconds it counts as hung."""
        agent = Agent(self.reactor, pool=HTTPConnectionPool(self.reactor, persistent=False))
        conversation = _Conversation(self.reactor, self.since, stream)
        headers = Headers({"content-type": ["application/json"]})
        body = WholeBody(request_body(self.model, stream=stream))
        conversation.start(
            agent.request(b"POST", f"{self.url}/chat/completions".encode(), headers, body), limit
        )
        return conversation.over


def request_body(model: str, *, stream: bool) -> bytes:
    """The body of a small chat request."""
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(asked).encode()


@define(eq=False)
class _Conversation:
    """One request and what came back; ``over`` fires with it, and leaves if it is cancelled."""

    clock: IReactorTime
    since: float
    stream: bool
    over: Deferred[Reply] = field(init=False)
    _live: bool = True
    _began: float = 0.0
    _parts: list[tuple[float, bytes]] = field(factory=list)
    _status: int = 0
    _headers: dict[str, str] = field(factory=dict)
    _request: Deferred[Any] | None = None
    _cut: Callable[[], object] | None = None
    _patience: IDelayedCall | None = None

    @over.default
    def _cancellable(self) -> Deferred[Reply]:
        return Deferred(self._abandon)

    def start(self, request: Deferred[Any], limit: float) -> None:
        """Wait for *request*, no longer than *limit* seconds."""
        self._began = self.now()
        self._patience = self.clock.callLater(limit, self._hang)
        self._request = request
        request.addCallbacks(self._head, self._fail)

    def now(self) -> float:
        """Seconds since the cell began."""
        return self.clock.seconds() - self.since

    def took(self, data: bytes) -> None:
        """A read."""
        self._parts.append((self.now(), data))

    def ended(self, reason: Failure) -> None:
        """The body is over."""
        clean = bool(reason.check(ResponseDone, PotentialDataLoss))
        self._finish(clean=clean, failure=None if clean else "the connection broke off")

    def _head(self, response: Any) -> None:
        self._status = response.code
        self._headers = {
            name.decode("latin-1").lower(): values[0].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        listener = _Listener(self)
        self._cut = listener.cut
        response.deliverBody(listener)

    def _fail(self, failure: Failure) -> None:
        self._finish(failure=f"no answer: {failure.getErrorMessage()}")

    def _hang(self) -> None:
        self._finish(hung=True)
        self._leave()

    def _abandon(self, _: object) -> None:
        self._settle()
        self._leave()

    def _leave(self) -> None:
        """Close the connection, at whatever it is."""
        if self._cut is not None:
            self._cut()
        elif self._request is not None:
            self._request.cancel()

    def _settle(self) -> None:
        """What comes from now on does not count."""
        self._live = False
        if self._patience is not None and self._patience.active():
            self._patience.cancel()

    def _finish(
        self, *, clean: bool = False, failure: str | None = None, hung: bool = False
    ) -> None:
        if not self._live:
            return
        self._settle()
        reply = Reply(self._began, self.now(), self.stream, self._status, self._headers,
                      tuple(self._parts), clean, failure, hung)  # fmt: skip
        self.over.callback(reply)


class _Listener(Protocol):
    """Takes the body of an answer."""

    def __init__(self, conversation: _Conversation) -> None:
        self._conversation = conversation

    def dataReceived(self, data: bytes) -> None:
        """A read."""
        self._conversation.took(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        self._conversation.ended(reason)

    def cut(self) -> None:
        """Read no further."""
        transport: Any = self.transport
        transport.loseConnection()
