"""
Streams of Responses, read.

Every event names its item by ``output_index``.  What a server tells only at the end of an item
(or of the whole response), because it does not stream that, is said then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from yallmp.core.digits import loads
from yallmp.core.sse import ServerEvent
from yallmp.dialects.answer import (
    Annotated,
    Began,
    CallBegan,
    CallDelta,
    Delta,
    OpaquePart,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    Stopped,
    TextDelta,
    Told,
)
from yallmp.dialects.conversation import Opaque, Reasoning, Refusal, Text, ToolCall
from yallmp.dialects.loose import count, members, objects, text
from yallmp.dialects.responses_answers import (
    CALLS,
    call_in,
    created_in,
    extra_of,
    parts_of_item,
    stop_of,
    thoughts_in,
    tokens_of,
)
from yallmp.dialects.responses_parts import NAME

JSON = Any
_ENDINGS = ("response.completed", "response.incomplete", "response.failed")
_TEXTS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "summary",
}
_ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")


@define
class _Open:
    """
    An item that is being told.

    :ivar call: its number, if it is a call.
    :ivar said: the parts of it of which something was told.
    """

    call: int | None = None
    said: set[tuple[str, int]] = field(factory=set)


@define
class ResponsesReader:
    """Reads one stream."""

    _began: bool = False
    _calls: int = 0
    _open: dict[int, _Open] = field(factory=dict)
    _done: set[int] = field(factory=set)

    def read(self, event: ServerEvent) -> list[Delta]:
        """What *event* says."""
        try:
            value = loads(event.data or b"")
        except (ValueError, RecursionError):
            return []
        return list(self._typed(value)) if isinstance(value, dict) else []

    def _typed(self, value: dict[str, JSON]) -> Iterator[Delta]:
        kind = text(value.get("type"))
        if kind in _TEXTS:
            yield from self._words(_TEXTS[kind], value)
        elif kind in _ARGUMENTS:
            yield from self._argued(value)
        elif kind == "response.output_item.added":
            yield from self._added(value)
        elif kind == "response.output_item.done":
            yield from self._item_done(_index(value), members(value.get("item")))
        elif kind == "response.output_text.annotation.added":
            yield from [Annotated(value["annotation"])] if value.get("annotation") else []
        elif kind.startswith("response.") and isinstance(value.get("response"), dict):
            yield from self._lifecycle(kind, value["response"])

    def _lifecycle(self, kind: str, response: dict[str, JSON]) -> Iterator[Delta]:
        if not self._began:
            self._began = True
            about = text(response.get("id")), text(response.get("model")), created_in(response)
            yield Began(*about, extra=extra_of(response))
        if kind not in _ENDINGS:
            return
        for at, item in enumerate(objects(response.get("output"))):
            yield from self._item_done(at, item)
        tokens = tokens_of(response.get("usage"))
        yield Stopped(stop_of(response, called=self._calls > 0))
        if tokens is not None:
            yield Told(tokens)

    def _added(self, value: dict[str, JSON]) -> Iterator[Delta]:
        at, item = _index(value), members(value.get("item"))
        if at in self._open or at in self._done:
            return
        opened = self._open[at] = _Open()
        if text(item.get("type")) in CALLS:
            yield from self._call(opened, call_in(item))

    def _call(self, opened: _Open, call: ToolCall) -> Iterator[Delta]:
        opened.call, self._calls = self._calls, self._calls + 1
        yield CallBegan(opened.call, call.id, call.name, custom=call.custom, item=call.item)
        if call.arguments:
            opened.said.add(("call", 0))
            yield CallDelta(opened.call, call.arguments)

    def _argued(self, value: dict[str, JSON]) -> Iterator[Delta]:
        opened = self._open.get(_index(value))
        if opened is not None and opened.call is not None and text(value.get("delta")):
            opened.said.add(("call", 0))
            yield CallDelta(opened.call, value["delta"])

    def _words(self, what: str, value: dict[str, JSON]) -> Iterator[Delta]:
        opened = self._open.setdefault(_index(value), _Open())
        said, more = text(value.get("delta")), value.get("logprobs")
        if not said:
            return
        number = count(value.get("summary_index" if what == "summary" else "content_index")) or 0
        number = max(0, min(number, 1000))
        fresh = (what, number) not in opened.said
        first = not opened.said
        opened.said.add((what, number))
        if what == "text":
            yield TextDelta(said, logprobs=objects(more) or None, fresh=fresh)
        elif what == "refusal":
            yield RefusalDelta(said)
        elif what == "summary":
            yield ReasoningDelta(said, summary=number, fresh=first)
        else:
            yield ReasoningDelta(said, fresh=first)

    def _item_done(self, at: int, item: dict[str, JSON]) -> Iterator[Delta]:
        """The end of an item, with what was not told of it."""
        if at in self._done:
            return
        self._done.add(at)
        opened, kind = self._open.get(at) or _Open(), text(item.get("type"))
        if kind == "reasoning":
            yield from _thought(thoughts_in(item), opened)
        elif kind in CALLS:
            yield from self._called(call_in(item), opened)
        elif kind == "message":
            yield from _said(item, opened)
        elif kind:
            yield OpaquePart(Opaque(NAME, item))

    def _called(self, call: ToolCall, opened: _Open) -> Iterator[Delta]:
        if opened.call is None:
            yield from self._call(opened, call)
        elif not opened.said and call.arguments:
            yield CallDelta(opened.call, call.arguments)


def _index(value: dict[str, JSON]) -> int:
    return count(value.get("output_index")) or 0


def _thought(found: Reasoning, opened: _Open) -> Iterator[Delta]:
    if not opened.said:
        if found.text:
            yield ReasoningDelta(found.text, fresh=True)
        for at, words in enumerate(found.summary):
            yield ReasoningDelta(words, summary=at, fresh=at == 0 and not found.text)
    yield ReasoningEnd(encrypted=found.encrypted, id=found.id)


def _said(item: dict[str, JSON], opened: _Open) -> Iterator[Delta]:
    if opened.said:
        return
    for part in parts_of_item(item):
        if isinstance(part, Text):
            yield TextDelta(part.text, fresh=True)
            yield from map(Annotated, part.annotations)
        elif isinstance(part, Refusal):
            yield RefusalDelta(part.text)
