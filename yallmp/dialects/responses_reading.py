"""
Answers of Responses, read: whole ones, and streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field

from yallmp.core.digits import loads
from yallmp.core.sse import ServerEvent
from yallmp.dialects.answer import (
    Annotated,
    Answer,
    Began,
    CallBegan,
    CallDelta,
    Choice,
    Delta,
    OpaquePart,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    Stopped,
    TextDelta,
    Told,
)
from yallmp.dialects.conversation import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from yallmp.dialects.loose import count, members, objects, text, text_or_none
from yallmp.dialects.responses_parts import NAME
from yallmp.dialects.responses_shapes import stop_of, tokens_of

JSON = Any
Body = Mapping[str, JSON]
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_TOLD = ("message", "reasoning", *_CALLS)


def answer_of(body: Body) -> Answer:
    """The answer that *body* is."""
    parts = tuple(part for item in objects(body.get("output")) for part in _parts(item))
    stop = stop_of(body, called=any(isinstance(part, ToolCall) for part in parts))
    created = body.get("created_at")
    at = int(created) if isinstance(created, int | float) else None
    tokens = tokens_of(body.get("usage"))
    choice = Choice(parts, stop)
    return Answer(NAME, text(body.get("id")), text(body.get("model")), at, (choice,), tokens)


def _parts(item: Body) -> Iterator[Part]:
    kind = text(item.get("type"))
    if kind == "message":
        for part in objects(item.get("content")):
            yield _said(part)
    elif kind == "reasoning":
        yield _thoughts(item)
    elif kind in _CALLS:
        words, custom = text(item.get(_CALLS[kind])), kind == "custom_tool_call"
        found, name = text(item.get("call_id")), text(item.get("name"))
        yield ToolCall(found, name, words, custom, text_or_none(item.get("id")))
    else:
        yield Opaque(NAME, dict(item))


def _said(part: Body) -> Part:
    if part.get("type") == "refusal":
        return Refusal(text(part.get("refusal")))
    return Text(text(part.get("text")), annotations=tuple(objects(part.get("annotations"))))


def _thoughts(item: Body) -> Reasoning:
    said = "".join(text(part.get("text")) for part in objects(item.get("content")))
    summary = tuple(text(part.get("text")) for part in objects(item.get("summary")))
    hidden, name = text_or_none(item.get("encrypted_content")), text_or_none(item.get("id"))
    return Reasoning(said, summary, encrypted=hidden, id=name)


@define
class ResponsesReader:
    """Reads one stream."""

    _calls: dict[int, int] = field(factory=dict)
    _told: set[int] = field(factory=set)
    _fresh: bool = False

    def read(self, event: ServerEvent) -> Iterator[Delta]:
        """What *event* says."""
        value = _value(event.data)
        read = _EVENTS.get(text(value.get("type")))
        if read is not None:
            yield from read(self, value)

    def began(self, value: Body) -> Iterator[Delta]:
        """The response was made."""
        response = members(value.get("response"))
        created = response.get("created_at")
        at = int(created) if isinstance(created, int | float) else None
        yield Began(text(response.get("id")), text(response.get("model")), at)

    def added(self, value: Body) -> Iterator[Delta]:
        """An item begins."""
        item = members(value.get("item"))
        kind = text(item.get("type"))
        if kind in _CALLS:
            call = self._calls[_index(value)] = len(self._calls)
            found, name = text(item.get("call_id")), text(item.get("name"))
            custom, id_ = kind == "custom_tool_call", text_or_none(item.get("id"))
            yield CallBegan(call, found, name, 0, custom, id_)

    def part_added(self, value: Body) -> Iterator[Delta]:
        """A part of a message begins."""
        self._fresh = True
        yield from ()

    def said(self, value: Body) -> Iterator[Delta]:
        """More words."""
        fresh, self._fresh = self._fresh, False
        if text(value.get("delta")):
            yield TextDelta(text(value["delta"]), fresh=fresh)

    def refused(self, value: Body) -> Iterator[Delta]:
        """More of a refusal."""
        if text(value.get("delta")):
            yield RefusalDelta(text(value["delta"]))

    def thought(self, value: Body) -> Iterator[Delta]:
        """More thoughts, or of their summary."""
        if text(value.get("delta")):
            yield ReasoningDelta(text(value["delta"]), summary=count(value.get("summary_index")))

    def argued(self, value: Body) -> Iterator[Delta]:
        """More of a call's arguments."""
        call = self._calls.get(_index(value))
        if call is not None and text(value.get("delta")):
            self._told.add(call)
            yield CallDelta(call, text(value["delta"]))

    def cited(self, value: Body) -> Iterator[Delta]:
        """A citation."""
        if isinstance(value.get("annotation"), dict):
            yield Annotated(value["annotation"])

    def done(self, value: Body) -> Iterator[Delta]:
        """An item is whole; what its deltas did not tell is told."""
        item = members(value.get("item"))
        kind, call = text(item.get("type")), self._calls.get(_index(value))
        if kind == "reasoning":
            end = _thoughts(item)
            yield ReasoningEnd(encrypted=end.encrypted, id=end.id)
        elif kind in _CALLS and call is not None and call not in self._told:
            yield CallDelta(call, text(item.get(_CALLS[kind])))
        elif kind not in _TOLD and item:
            yield OpaquePart(Opaque(NAME, item))

    def over(self, value: Body) -> Iterator[Delta]:
        """The response is whole."""
        response = members(value.get("response"))
        tokens = tokens_of(response.get("usage"))
        if tokens is not None:
            yield Told(tokens)
        yield Stopped(stop_of(response, called=bool(self._calls)))


def _value(data: bytes | None) -> dict[str, JSON]:
    try:
        return members(loads(data)) if data else {}
    except (ValueError, RecursionError):
        return {}


def _index(value: Body) -> int:
    return count(value.get("output_index")) or 0


_EVENTS: Mapping[str, Callable[[ResponsesReader, Body], Iterator[Delta]]] = {
    "response.created": ResponsesReader.began,
    "response.output_item.added": ResponsesReader.added,
    "response.output_item.done": ResponsesReader.done,
    "response.content_part.added": ResponsesReader.part_added,
    "response.output_text.delta": ResponsesReader.said,
    "response.output_text.annotation.added": ResponsesReader.cited,
    "response.refusal.delta": ResponsesReader.refused,
    "response.reasoning_text.delta": ResponsesReader.thought,
    "response.reasoning_summary_text.delta": ResponsesReader.thought,
    "response.function_call_arguments.delta": ResponsesReader.argued,
    "response.custom_tool_call_input.delta": ResponsesReader.argued,
    "response.completed": ResponsesReader.over,
    "response.incomplete": ResponsesReader.over,
}
