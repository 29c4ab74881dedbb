"""
Backends that do what a test says, and a proxy between them and a real client.

A :class:`FakeBackend` answers from its script, one entry for each request, the last one
for all that follow.  :class:`ProxyCase` wires the real proxy, with its own wiring, to a
:class:`~tests.network.MemoryNetwork`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.network import End, MemoryNetwork
from yallmp.clerk import AT_ONCE
from yallmp.core.backend import Backend, Patience
from yallmp.core.exchange import Event
from yallmp.core.registry import Registry
from yallmp.core.settings import Config, Fallbacks, Server
from yallmp.core.sse import Parser
from yallmp.metrics import Metrics
from yallmp.tap import Parts, wired
from yallmp.upstream import WholeBody

Answer = Callable[[Request], None]
CHAT_BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def chunk(content: str | None = None, finish: str | None = None, **extra: Any) -> bytes:
    """An event of a chat stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
             "choices": [choice], **extra}  # fmt: skip
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
ROLE = (
    b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": null}]}\n\n'
)
GOOD_STREAM = (ROLE, chunk("Hel"), chunk("lo"), chunk(finish="stop"), DONE)


def completion(text: str = "hello", **extra: Any) -> dict[str, Any]:
    """A whole chat answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "up",
            "choices": [choice], "usage": usage, **extra}  # fmt: skip


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A whole answer; *value* is JSON unless it is bytes."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()

    def render(request: Request) -> None:
        request.setResponseCode(status)
        request.setHeader("content-type", "application/json")
        for name, each in (headers or {}).items():
            request.setHeader(name, each)
        request.write(body)
        request.finish()

    return render


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    """An error in OpenAI's shape; header names are written with underscores."""
    value = {"error": {"message": message, "type": "t", "param": None, "code": code}}
    return answer(value, status, {k.replace("_", "-"): v for k, v in headers.items()})


def stream(
    parts: Iterable[bytes], end: str = "finish", content_type: str = "text/event-stream"
) -> Answer:
    """A stream; it ends by ``finish``, ``cut`` (a reset), ``close`` or ``hang``."""

    def render(request: Request) -> None:
        request.setHeader("content-type", content_type)
        for part in parts:
            request.write(part)
        request.notifyFinish().addErrback(lambda _: None)
        if end == "finish":
            request.finish()
        elif end == "cut":
            request.channel.factory.network.callLater(0.01, request.transport.abortConnection)
        elif end == "close":
            request.channel.loseConnection()

    return render


def silent(request: Request) -> None:
    """Takes the request and says nothing."""
    request.notifyFinish().addErrback(lambda _: None)


def reset(request: Request) -> None:
    """Resets the connection instead of an answer."""
    request.notifyFinish().addErrback(lambda _: None)
    request.transport.abortConnection()


def raw(data: bytes) -> Answer:
    """Bytes in place of HTTP, then the end of the connection."""

    def render(request: Request) -> None:
        request.notifyFinish().addErrback(lambda _: None)
        request.channel.transport.write(data)
        request.channel.loseConnection()

    return render


good = answer(completion())


def good_either(request: Request) -> None:
    """Whole or streamed, as the request asks."""
    asked = json.loads(request.fake_body)
    (stream(GOOD_STREAM) if asked.get("stream") else good)(request)


class FakeBackend(Resource):
    """A backend; ``requests`` are those it had, as (time, path, headers, body)."""

    isLeaf = True

    def __init__(self, network: MemoryNetwork, script: list[Answer]) -> None:
        super().__init__()
        self.network = network
        self.script = script
        self.requests: list[tuple[float, bytes, Headers, bytes]] = []
        self.left: list[float] = []

    def render(self, request: Request) -> int:
        """The next entry of the script."""
        request.fake_body = request.content.read()
        entry = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(
            (self.network.seconds(), request.uri, request.requestHeaders, request.fake_body)
        )
        request.notifyFinish().addErrback(lambda _: self.left.append(self.network.seconds()))
        entry(request)
        return NOT_DONE_YET

    @property
    def bodies(self) -> list[Any]:
        """What the requests' bodies say."""
        return [json.loads(body) for _, _, _, body in self.requests]


class Got(Protocol):
    """An answer as a client gets it."""

    def __init__(self, network: MemoryNetwork, reading: bool) -> None:
        self.network = network
        self.reading = reading
        self.status = 0
        self.headers = Headers()
        self.parts: list[tuple[float, bytes]] = []
        self.end: Any = None
        self.failure: Any = None
        self.response: Any = None
        self.request: Deferred[Any]

    def take(self, response: Any) -> None:
        """The head came."""
        self.response = response
        self.status, self.headers = response.code, response.headers
        response.deliverBody(self)

    def connectionMade(self) -> None:
        if not self.reading:
            self.network.callLater(0, self.transport.pauseProducing)

    def fail(self, failure: Any) -> None:
        """No head came."""
        self.failure = failure

    def dataReceived(self, data: bytes) -> None:
        self.parts.append((self.network.seconds(), data))

    def connectionLost(self, reason: Any = None) -> None:
        self.end = reason

    def leave(self) -> None:
        """The client goes."""
        if self.response is None:
            self.request.cancel()
        else:
            self.transport.loseConnection()

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self.end is not None or self.failure is not None

    @property
    def clean(self) -> bool:
        """Whether the body ended as HTTP says it should."""
        return self.end is not None and self.end.check(ResponseDone) is not None

    @property
    def body(self) -> bytes:
        """All of the body so far."""
        return b"".join(data for _, data in self.parts)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The stream's events, ``[DONE]`` as text, comments left out."""
        parser = Parser(1 << 20)
        data = [e.data for e in parser.feed(self.body) + parser.close() if e.data is not None]
        return [d.decode() if d == b"[DONE]" else json.loads(d) for d in data]

    @property
    def text(self) -> str:
        """The content that the stream's deltas make."""
        deltas = [
            choice.get("delta", {}).get("content") or ""
            for event in self.events
            if isinstance(event, dict)
            for choice in event.get("choices", ())
        ]
        return "".join(deltas)

    def header(self, name: str) -> str | None:
        """A header's value."""
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None


class _RawClient(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.lost: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class ProxyCase(SynchronousTestCase):
    """A proxy on a network in memory; after each test nothing may be left of it."""

    http_client = "llhttp"

    def setUp(self) -> None:
        self.net = MemoryNetwork()
        self.told: list[Event] = []
        self.metrics = Metrics.alone()
        self.chance = 0.5
        self.fakes: dict[str, FakeBackend] = {}
        self._pool = HTTPConnectionPool(self.net, persistent=True)
        self._pool.retryAutomatically = False
        self.client = Agent(self.net, pool=self._pool)
        self.parts: Parts | None = None
        self._raw: list[End] = []
        self.clerk: Any = AT_ONCE

    def tearDown(self) -> None:
        if self.parts is not None:
            self.parts.wires.close()
        for end in self._raw:
            end.loseConnection()
        self._pool.closeCachedConnections()
        self.net.pump()
        self.net.pass_time(15, step=1)
        self.net.close()
        left = list(self.net.getDelayedCalls())
        self.assertEqual([str(call) for call in left], [], "timers are left")
        if self.parts is not None:
            self.assertEqual(self.parts.site.account.held, 0, "memory is held for what is over")

    def fake(self, name: str, *script: Answer, **settings: Any) -> Backend:
        """A backend that answers from *script*; as the configuration has it."""
        address = f"10.0.0.{len(self.fakes) + 1}"
        self.fakes[name] = FakeBackend(self.net, list(script) or [good_either])
        site = Site(self.fakes[name], reactor=self.net, timeout=None)
        site.network = self.net
        self.net.listen(address, 80, site)
        return self.backend(name, f"http://{address}/v1", **settings)

    def backend(self, name: str, api_base: str, **settings: Any) -> Backend:
        """A backend at *api_base*, for the model of its own name unless told otherwise."""
        patience = {
            k: settings.pop(k)
            for k in list(settings)
            if k.endswith("timeout") and k != "queue_timeout"
        }
        if "stream_lifetime" in settings:
            patience["stream_lifetime"] = settings.pop("stream_lifetime")
        values = {"model_name": name, "sends": "up", "api_key": f"sk-secret-of-{name}"}
        return Backend(
            name=name, api_base=api_base, patience=Patience(**patience), **{**values, **settings}
        )

    def serve(self, *backends: Backend, fallbacks: Any = (), **settings: Any) -> Registry:
        """Start the proxy with *backends*; ``fallbacks`` are pairs or a :class:`Fallbacks`."""
        if not isinstance(fallbacks, Fallbacks):
            fallbacks = Fallbacks(by_model=tuple(fallbacks))
        server = Server(http_client=self.http_client)
        config = Config(backends=backends, fallbacks=fallbacks, server=server)
        config = evolve(config, **settings)
        self.parts = wired(
            config,
            self.net,
            resolver=self.net.nameResolver,
            wall=lambda: 1_800_000_000.0 + self.net.seconds(),
            draw=lambda: self.chance,
            new_id=lambda: f"{len(self.told):012x}",
            tell=self.tell,
            metrics=self.metrics,
            clerk=self.clerk,
        )
        self.net.listen("127.0.0.1", 8000, self.parts.site)
        return self.parts.registry

    def ask(
        self,
        body: Any = None,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        headers: dict[str, str] | None = None,
        reading: bool = True,
        **fields: Any,
    ) -> Got:
        """
        Send a request; *fields* are added to a small chat body.

        A client that is not *reading* gets the head, and then leaves what comes where it is.
        """
        got = Got(self.net, reading)
        data = b"" if method == "GET" else self._encoded(body, fields)
        sent = Headers({"content-type": ["application/json"]})
        for name, value in (headers or {}).items():
            sent.setRawHeaders(name, [value])
        producer = WholeBody(data) if data or method == "POST" else None
        url = f"http://127.0.0.1:8000{path}".encode()
        got.request = self.client.request(method.encode(), url, sent, producer)
        got.request.addCallbacks(got.take, got.fail)
        self.net.pump()
        return got

    def _encoded(self, body: Any, fields: dict[str, Any]) -> bytes:
        if isinstance(body, bytes):
            return body
        return json.dumps({**(CHAT_BODY if body is None else body), **fields}).encode()

    def finish(self, got: Got, at_most: float = 2000.0) -> Got:
        """Let time pass until *got* is over."""
        self.net.until(lambda: got.over, at_most)
        self.assertTrue(got.over, "no end came")
        return got

    def raw(self, data: bytes) -> _RawClient:
        """Send *data* on a connection of its own; what comes back."""
        factory = Factory.forProtocol(_RawClient)
        factory.noisy = False
        server = self.net.servers["127.0.0.1", 8000]
        peer = IPv4Address("TCP", "127.0.0.1", 39999)
        end = self.net.join(factory, server, peer, ("127.0.0.1", 8000))
        self._raw.append(end)
        end.write(data)
        self.net.pump()
        return end.protocol

    def tell(self, event: Event) -> None:
        """An event of an exchange happens."""
        self.told.append(event)

    def events_told(self, kind: type) -> list[Any]:
        """The events of one *kind* that were told."""
        return [event for event in self.told if isinstance(event, kind)]
