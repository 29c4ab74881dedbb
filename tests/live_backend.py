"""
A backend in a process of its own, for the live suite.

The name of the model says how it behaves (:data:`CHAT`, or ``error-503``); the field
``user`` of a request is its *tag*, under which a test finds what became of it:

``GET /seen/TAG``
    the requests with that tag: how many there were, how many connections of theirs are
    still open, the bytes of events sent, the ``Authorization`` that came.
``POST /release/TAG``
    lets those that wait go on.

``python -m tests.live_backend`` prints the port that it listens on, on 127.0.0.1.
"""

from __future__ import annotations

import base64
import json
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field
from twisted.internet import reactor as real_reactor  # noqa: TID251 - this is a program
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from tests.fakes import DONE, ROLE, chunk, completion

#: Half of this is sent before a gated answer waits.
WORDS = ("All ", "of ", "it ", "came.")
TEXT = "".join(WORDS)
ARGUMENTS = '{"city": "Zürich", "days": 3}'
VECTOR = [0.5, -0.25, 2.0]
USAGE = {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}
#: What a flood amounts to, in bytes, and what one of its events holds.
FLOOD = 32 * 1024 * 1024
FLOOD_EVENT = chunk("x" * 32 * 1024)
BACKLOG = 2048


@define(eq=False)
class Seen:
    """What became of the requests with one tag."""

    requests: int = 0
    open: int = 0
    sent: int = 0
    authorization: list[str] = field(factory=list)
    waiting: list[Deferred[None]] = field(factory=list)

    def arrived(self, request: Request) -> None:
        """A request came; it is open until its answer, or its connection, is over."""
        self.requests += 1
        self.open += 1
        self.authorization.append(request.getHeader("authorization") or "")
        request.notifyFinish().addBoth(self._over)

    def _over(self, _: object) -> None:
        self.open -= 1

    def released(self) -> Deferred[None]:
        """Fires when a test lets the requests go on."""
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def release(self) -> None:
        """Let those that wait go on."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)

    def told(self) -> dict[str, Any]:
        """As a test gets it."""
        return {"requests": self.requests, "open": self.open, "sent": self.sent,
                "authorization": self.authorization}  # fmt: skip


@define(eq=False)
class Asked:
    """One request to a model."""

    request: Any
    body: dict[str, Any]
    seen: Seen
    gone: bool = False

    def __attrs_post_init__(self) -> None:
        self.seen.arrived(self.request)
        self.request.notifyFinish().addErrback(self._left)

    def _left(self, _: object) -> None:
        self.gone = True

    @property
    def streams(self) -> bool:
        """Whether a stream is wanted."""
        return bool(self.body.get("stream"))

    @property
    def usage(self) -> tuple[bytes, ...]:
        """The event about usage, if the request asks for one."""
        wanted = (self.body.get("stream_options") or {}).get("include_usage")
        last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
                "choices": [], "usage": USAGE}  # fmt: skip
        return (event(last),) if wanted else ()

    def send(self, value: Any, status: int = 200, **headers: str) -> None:
        """A whole answer."""
        self.request.setResponseCode(status)
        self.request.setHeader("content-type", "application/json")
        for name, each in headers.items():
            self.request.setHeader(name.replace("_", "-"), each)
        self.request.write(json.dumps(value).encode())
        self.request.finish()

    def events(self, *events: bytes) -> None:
        """A part of a stream."""
        if not self.gone:
            self.request.setHeader("content-type", "text/event-stream")
            self.request.write(b"".join(events))
            self.seen.sent += sum(map(len, events))

    def finish(self, *events: bytes) -> None:
        """The rest of a stream, and its end."""
        self.events(*events)
        if not self.gone:
            self.request.finish()


def event(value: Any) -> bytes:
    """An event of a stream."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def words(some: tuple[str, ...]) -> Iterator[bytes]:
    """Events for *some* words."""
    return (chunk(word) for word in some)


def chat(asked: Asked) -> None:
    """Answers at once."""
    if asked.streams:
        asked.finish(ROLE, *words(WORDS), chunk(finish="stop"), *asked.usage, DONE)
    else:
        asked.send(completion(TEXT, usage=USAGE))


def gated(asked: Asked) -> None:
    """Streams half of its words, and the rest when it is released."""
    asked.events(ROLE, *words(WORDS[:2]))
    rest = (*words(WORDS[2:]), chunk(finish="stop"), *asked.usage, DONE)
    asked.seen.released().addCallback(lambda _: asked.finish(*rest))


def tools(asked: Asked) -> None:
    """Calls a function; streamed, its arguments come a few characters at a time."""
    function = {"name": "forecast", "arguments": ARGUMENTS}
    call = {"id": "call_1", "type": "function", "function": function}
    if asked.streams:
        parts = (ARGUMENTS[at : at + 4] for at in range(0, len(ARGUMENTS), 4))
        first = {**call, "index": 0, "function": {**function, "arguments": ""}}
        asked.finish(*map(tool_event, [first, *map(fragment, parts)]),
                     chunk(finish="tool_calls"), DONE)  # fmt: skip
    else:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        asked.send(completion(choices=[choice]))


def fragment(arguments: str) -> dict[str, Any]:
    """A further part of a tool call."""
    return {"index": 0, "function": {"arguments": arguments}}


def tool_event(call: dict[str, Any]) -> bytes:
    """An event with a part of a tool call."""
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
                  "choices": [choice]})  # fmt: skip


def structured(asked: Asked) -> None:
    """Fills in the schema that it was given, which it must have been."""
    schema = asked.body["response_format"]["json_schema"]["schema"]
    known = json.loads(ARGUMENTS)
    asked.send(completion(json.dumps({name: known[name] for name in schema["properties"]})))


def breaks_with_event(asked: Asked) -> None:
    """Streams a little, then an error event."""
    error = {"message": "the GPU is on fire", "type": "server_error", "code": "gpu_on_fire"}
    asked.finish(ROLE, *words(WORDS[:2]), event({"error": error}))


def breaks_off(asked: Asked) -> None:
    """Streams a little, then resets the connection."""
    asked.events(ROLE, *words(WORDS[:2]))
    asked.request.channel.callLater(0.05, asked.request.transport.abortConnection)


def ends_early(asked: Asked) -> None:
    """Streams a little, then ends as if that were all."""
    asked.finish(ROLE, *words(WORDS[:2]))


def silent(asked: Asked) -> None:
    """Says nothing."""


def resets(asked: Asked) -> None:
    """Resets the connection instead of an answer."""
    asked.request.transport.abortConnection()


def garbage(asked: Asked) -> None:
    """Answers with something that is no chat completion."""
    asked.send({"hello": "world"})


@implementer(IPullProducer)
@define(eq=False)
class Flood:
    """A stream of :data:`FLOOD` bytes, as fast as it is taken."""

    asked: Asked

    def start(self) -> None:
        """Begin."""
        self.asked.events(ROLE)
        self.asked.request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """One more event, or the end."""
        if self.asked.seen.sent < FLOOD:
            self.asked.events(FLOOD_EVENT)
        else:
            self.asked.request.unregisterProducer()
            self.asked.finish(chunk(finish="stop"), DONE)

    def stopProducing(self) -> None:
        """The proxy is gone."""


def flood(asked: Asked) -> None:
    """Streams more than anybody's buffers hold."""
    Flood(asked).start()


def completions(asked: Asked) -> None:
    """Text completions."""
    asked.send({"id": "t", "object": "text_completion", "created": 1, "model": "up",
                "choices": [{"index": 0, "text": TEXT, "finish_reason": "stop", "logprobs": None}],
                "usage": USAGE})  # fmt: skip


def embeddings(asked: Asked) -> None:
    """One vector for each input; the SDK asks for base64 unless it is told otherwise."""
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if asked.body.get("encoding_format") == "base64" else VECTOR
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, _ in enumerate(asked.body["input"])
    ]
    asked.send({"object": "list", "model": "up", "data": data, "usage": USAGE})


def moderations(asked: Asked) -> None:
    """Finds nothing to object to."""
    result = {"flagged": False, "categories": {}, "category_scores": {}}
    asked.send({"id": "m", "model": "up", "results": [result]})


def responses(asked: Asked) -> None:
    """The Responses API, whole or as the few events that matter."""
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"id": "i", "type": "message", "role": "assistant", "status": "completed",
            "content": [part]}  # fmt: skip
    whole = {"id": "r", "object": "response", "created_at": 1, "model": "up",
             "status": "completed", "output": [item], "tools": [], "tool_choice": "auto",
             "parallel_tool_calls": True}  # fmt: skip
    if not asked.streams:
        asked.send(whole)
        return
    begun: dict[str, Any] = {**whole, "status": "in_progress", "output": []}
    deltas = ({"type": "response.output_text.delta", "item_id": "i", "output_index": 0,
               "content_index": 0, "delta": word, "logprobs": []} for word in WORDS)  # fmt: skip
    told: list[dict[str, Any]] = [{"type": "response.created", "response": begun}, *deltas,
            {"type": "response.completed", "response": whole}]  # fmt: skip
    asked.finish(*(named_event({**each, "sequence_number": n}) for n, each in enumerate(told)))


def named_event(value: dict[str, Any]) -> bytes:
    """An event with its name, as the Responses API has them."""
    return b"event: " + str(value["type"]).encode() + b"\n" + event(value)


Behaviour = Callable[[Asked], None]
#: How a model of that name answers chat requests.
CHAT: dict[str, Behaviour] = {
    "chat": chat,
    "gated": gated,
    "tools": tools,
    "structured": structured,
    "breaks-with-event": breaks_with_event,
    "breaks-off": breaks_off,
    "ends-early": ends_early,
    "silent": silent,
    "resets": resets,
    "garbage": garbage,
    "flood": flood,
}
OTHERS: dict[str, Behaviour] = {
    "/v1/completions": completions,
    "/v1/embeddings": embeddings,
    "/v1/moderations": moderations,
    "/v1/responses": responses,
}
#: Codes and further headers of error answers.
CODES = {400: "context_length_exceeded", 429: "rate_limit_exceeded"}
HEADERS = {429: {"retry_after": "7"}}


def error(status: int) -> Behaviour:
    """Refuses every request with *status*."""
    value = {"message": f"refused with {status}", "type": "t", "param": None}
    body = {"error": {**value, "code": CODES.get(status)}}
    return lambda asked: asked.send(body, status, **HEADERS.get(status, {}))


class Scripted(Resource):
    """The backend; ``seen`` is by tag."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Seen] = defaultdict(Seen)

    def render_GET(self, request: Request) -> bytes:
        """What was seen."""
        return json.dumps(self._named(request).told()).encode()

    def render_POST(self, request: Any) -> int | bytes:
        """A request to a model, or a test's word."""
        if request.path.startswith(b"/release/"):
            self._named(request).release()
            return b""
        body = json.loads(request.content.read())
        asked = Asked(request, body, self.seen[body.get("user", "")])
        self._behaviour(request.path.decode(), str(body["model"]))(asked)
        return NOT_DONE_YET

    def _named(self, request: Request) -> Seen:
        return self.seen[request.path.decode().rpartition("/")[2]]

    def _behaviour(self, path: str, model: str) -> Behaviour:
        kind, _, status = model.partition("-")
        if kind == "error":
            return error(int(status))
        return OTHERS.get(path) or CHAT[model]


def main() -> None:
    """Serve until the process is ended."""
    reactor: Any = real_reactor
    port = reactor.listenTCP(0, Site(Scripted()), backlog=BACKLOG, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
