"""
Backends that are answered inside the process (``mock_response``, as in LiteLLM).

For first steps, tests and demonstrations.  The seam is the agent's: to everything above,
a mock is a backend like any other, streamed or not, only without a network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from yallmp.core.backend import Backend
from yallmp.core.digits import loads
from yallmp.core.sse import event_bytes
from yallmp.upstream import AgentFor
from yallmp.wire import Wire
from yallmp.wires import Wires

#: Between two words of a streamed answer, in seconds: slow enough to be seen as a stream.
PACE = 0.02
_ANSWERS = ((b"/chat/completions", "chat"), (b"/completions", "text"))


def agents(wires: Wires, wall: Callable[[], float]) -> AgentFor:
    """Agents for attempts: a mock's own, or one over the network."""

    def agent_for(backend: Backend, wire: Wire, *, fresh: bool) -> Any:
        if backend.mock_response is not None:
            return MockAgent(backend.mock_response, wire, wall)
        return wires.agent(backend, wire, fresh=fresh)

    return agent_for


@implementer(IAgent)
@define
class MockAgent:
    """
    Answers every request with one text.

    :ivar wall: gives POSIX seconds, for ``created``.
    """

    text: str
    wire: Wire
    wall: Any

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """Answer at once."""
        self.wire.reused = False
        sink = _Sink()
        if bodyProducer is not None:
            bodyProducer.startProducing(sink)
        kind = _kind(uri)
        if kind is None:
            return succeed(self._refusal())
        asked = loads(bytes(sink.body))
        made = self._stream if asked.get("stream") else self._whole
        return succeed(made(kind, asked))

    def _common(self, kind: str, asked: dict[str, Any], part: str = "") -> dict[str, Any]:
        name = f"chat.completion{part}" if kind == "chat" else "text_completion"
        return {
            "id": "mock-answer",
            "object": name,
            "created": int(self.wall()),
            "model": asked.get("model"),
        }

    def _whole(self, kind: str, asked: dict[str, Any]) -> IResponse:
        said = (
            {"message": {"role": "assistant", "content": self.text}}
            if kind == "chat"
            else {"text": self.text}
        )
        answer = {
            **self._common(kind, asked),
            "choices": [{"index": 0, **said, "finish_reason": "stop"}],
            "usage": self._usage(),
        }
        return MockResponse(self.wire, 200, "application/json", [json.dumps(answer).encode()])

    def _usage(self) -> dict[str, int]:
        words = len(self.text.split())
        return {"prompt_tokens": 0, "completion_tokens": words, "total_tokens": words}

    def _stream(self, kind: str, asked: dict[str, Any]) -> IResponse:
        options = asked.get("stream_options")
        wants_usage = isinstance(options, dict) and options.get("include_usage")
        parts = [event_bytes(json.dumps(chunk).encode()) for chunk in self._chunks(kind, asked)]
        if wants_usage:
            usage = {**self._common(kind, asked, ".chunk"), "choices": [], "usage": self._usage()}
            parts.append(event_bytes(json.dumps(usage).encode()))
        parts.append(event_bytes(b"[DONE]"))
        return MockResponse(self.wire, 200, "text/event-stream", parts)

    def _chunks(self, kind: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        common = self._common(kind, asked, ".chunk")
        first: dict[str, Any] = {"role": "assistant"}
        for piece in _pieces(self.text):
            said = {"delta": {**first, "content": piece}} if kind == "chat" else {"text": piece}
            yield {**common, "choices": [{"index": 0, **said, "finish_reason": None}]}
            first = {}
        empty: dict[str, Any] = {"delta": {}} if kind == "chat" else {"text": ""}
        yield {**common, "choices": [{"index": 0, **empty, "finish_reason": "stop"}]}

    def _refusal(self) -> IResponse:
        message = "A mock_response answers chat completions and completions only."
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        body = json.dumps({"error": error}).encode()
        return MockResponse(self.wire, 404, "application/json", [body])


def _kind(uri: bytes) -> str | None:
    """What is asked for at *uri*, which may begin with the ``api_base`` of a real backend."""
    path = uri.partition(b"?")[0]
    return next((kind for end, kind in _ANSWERS if path.endswith(end)), None)


def _pieces(text: str) -> list[str]:
    """The words of *text*, each with the blank before it."""
    words = text.split(" ")
    return [words[0], *(f" {word}" for word in words[1:])]


@implementer(IConsumer)
@define
class _Sink:
    """Takes the request's body."""

    body: bytearray = field(factory=bytearray)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Nobody paces a mock."""

    def unregisterProducer(self) -> None:
        """Nobody paces a mock."""

    def write(self, data: bytes) -> None:
        """A part of the body."""
        self.body += data


@implementer(IResponse)
class MockResponse:
    """An answer whose body comes in *parts*, one every :data:`PACE` seconds after the first."""

    version = (b"HTTP", 1, 1)
    phrase = b"OK"
    request = None
    previousResponse = None  # noqa: N815

    def __init__(self, wire: Wire, code: int, content_type: str, parts: list[bytes]) -> None:
        self.code = code
        self.headers = Headers({b"content-type": [content_type.encode()]})
        self.length = sum(map(len, parts))
        self._wire = wire
        self._parts = parts

    def deliverBody(self, protocol: IProtocol) -> None:
        """Start to deliver."""
        delivery = self._wire.took(_Delivery(self._wire.clock, protocol, self._parts))
        protocol.makeConnection(delivery)

    def setPreviousResponse(self, response: IResponse) -> None:  # noqa: N802
        """Mocks do not redirect."""


@implementer(IPushProducer)
class _Delivery:
    """The transport of a mock's body: it can be paused, resumed and cut."""

    def __init__(self, clock: IReactorTime, protocol: Any, parts: list[bytes]) -> None:
        self._clock = clock
        self._protocol = protocol
        self._parts = list(parts)
        self._paused = False
        self._over = False
        self._next: IDelayedCall | None = None
        self._go_on(0)

    @property
    def transport(self) -> _Delivery:
        """To the attempt's wire, this is a connection with itself as the transport."""
        return self

    def _deliver(self) -> None:
        self._next = None
        if not self._parts:
            self._end(ResponseDone())
            return
        self._protocol.dataReceived(self._parts.pop(0))
        self._go_on(PACE if self._parts else 0)

    def _go_on(self, pause: float) -> None:
        if self._next is None and not self._paused and not self._over:
            self._next = self._clock.callLater(pause, self._deliver)

    def _end(self, reason: Exception) -> None:
        if not self._over:
            self.stopProducing()
            self._protocol.connectionLost(Failure(reason))

    def pauseProducing(self) -> None:
        """Wait."""
        self._paused = True
        call, self._next = self._next, None
        if call is not None:
            call.cancel()

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        self._go_on(0)

    def stopProducing(self) -> None:
        """Stop for good."""
        self._over = True
        self.pauseProducing()

    def abortConnection(self) -> None:  # noqa: N802
        """Stop for good, as a connection that is cut."""
        self._end(ConnectionAborted())
