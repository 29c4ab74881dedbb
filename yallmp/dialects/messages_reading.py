"""
Streams of Messages, read.

An answer is blocks, one after the other, each begun, told in deltas and ended; then a
``message_delta`` says why it ended.  Usage is told at the beginning and at the end, and what is
left out at the end still holds.  Blocks that only this API has are gathered and told whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from yallmp.dialects.conversation import Opaque
from yallmp.dialects.messages_usage import refusal_of, stop_of, tokens_of
from yallmp.dialects.messages_words import (
    arguments_of,
    decoded_name,
    maybe_text,
    object_of,
    rest_of,
    text_of,
)

Body = Mapping[str, Any]
_DELTAS = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
}
_HEAD = (
    "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details",
    "usage",
)  # fmt: skip


@define
class _Block:
    """
    A block that is open.

    :ivar start: as it began.
    :ivar call: the number of the call that it is.
    :ivar said: whether a delta of it said something.
    :ivar json: the pieces of the input of a tool of the provider's own.
    """

    start: Body
    call: int | None = None
    said: bool = False
    signature: str | None = None
    json: list[str] = field(factory=list)

    @property
    def kind(self) -> str:
        """The type that it began with."""
        return text_of(self.start.get("type"))


@define
class MessagesReader:
    """Reads one stream."""

    _blocks: dict[int, _Block] = field(factory=dict)
    _calls: int = 0
    _usage: dict[str, Any] = field(factory=dict)

    def read(self, event: ServerEvent) -> Iterator[Delta]:
        """What *event* says."""
        value = _value(event.data)
        read = _EVENTS.get(text_of(value.get("type")))
        if read is not None:
            yield from read(self, value)

    def began(self, value: Body) -> Iterator[Delta]:
        """The message began."""
        message = object_of(value.get("message"))
        self._usage.update(object_of(message.get("usage")))
        yield Began(
            text_of(message.get("id")),
            text_of(message.get("model")),
            None,
            tokens_of(self._usage),
            rest_of(message, *_HEAD),
        )

    def opened(self, value: Body) -> Iterator[Delta]:
        """A block began; what it holds already is told."""
        index = _index(value)
        yield from self._ended(index)
        block = _Block(object_of(value.get("content_block")))
        self._blocks[index] = block
        if block.kind == "tool_use":
            block.call, self._calls = self._calls, self._calls + 1
            name = decoded_name(text_of(block.start.get("name")))
            yield CallBegan(block.call, text_of(block.start.get("id")), name)
        elif block.kind == "text":
            yield from _more(block, text_of(block.start.get("text")))
        elif block.kind == "thinking":
            block.signature = maybe_text(block.start.get("signature"))
            yield from _more(block, text_of(block.start.get("thinking")))

    def told(self, value: Body) -> Iterator[Delta]:
        """More of a block; of one that never began, or is of another kind, nothing."""
        block, delta = self._blocks.get(_index(value)), object_of(value.get("delta"))
        if block is None:
            return
        kind = text_of(delta.get("type"))
        if kind == "signature_delta":
            block.signature = text_of(delta.get("signature")) or block.signature
        elif kind == "citations_delta" and isinstance(delta.get("citation"), dict):
            yield Annotated(delta["citation"])
        elif kind in _DELTAS:
            yield from _more(block, text_of(delta.get(_DELTAS[kind])))

    def closed(self, value: Body) -> Iterator[Delta]:
        """A block ended."""
        yield from self._ended(_index(value))

    def ending(self, value: Body) -> Iterator[Delta]:
        """Why the answer ended, and what was used."""
        told = rest_of(object_of(value.get("usage")))
        self._usage.update(told)
        tokens = tokens_of(self._usage) if told else None
        if tokens is not None:
            yield Told(tokens)
        delta = object_of(value.get("delta"))
        stop, refusal = stop_of(delta), refusal_of(delta)
        for index in list(self._blocks) if stop is not None else ():
            yield from self._ended(index)
        if refusal is not None:
            yield RefusalDelta(refusal.text)
        if stop is not None:
            yield Stopped(stop)

    def _ended(self, index: int) -> Iterator[Delta]:
        block = self._blocks.pop(index, None)
        if block is None or block.kind == "text":
            return
        if block.call is not None:
            yield from () if block.said else _untold(block)
        elif block.kind == "thinking":
            yield ReasoningEnd(signature=block.signature or None)
        elif block.kind == "redacted_thinking":
            yield ReasoningEnd(encrypted=text_of(block.start.get("data")), redacted=True)
        elif block.kind:
            yield OpaquePart(Opaque("messages", _whole(block)))


def _value(data: bytes | None) -> Body:
    try:
        return object_of(loads(data)) if data else {}
    except (ValueError, RecursionError):
        return {}


def _index(value: Body) -> int:
    index = value.get("index")
    return index if isinstance(index, int) else 0


def _more(block: _Block, text: str) -> Iterator[Delta]:
    """More of what *block* says."""
    if not text:
        return
    fresh, block.said = not block.said, True
    if block.call is not None:
        yield CallDelta(block.call, text)
    elif block.kind == "text":
        yield TextDelta(text, fresh=fresh)
    elif block.kind == "thinking":
        yield ReasoningDelta(text, fresh=fresh)
    else:
        block.json.append(text)


def _untold(block: _Block) -> Iterator[Delta]:
    """The arguments of a call that no delta told: those of its beginning, or none."""
    yield CallDelta(block.call or 0, arguments_of(object_of(block.start.get("input"))))


def _whole(block: _Block) -> dict[str, Any]:
    """A block of this API's own, with the input that its deltas told."""
    value = dict(block.start)
    if block.json:
        value["input"] = _value("".join(block.json).encode("utf-8", "surrogatepass"))
    return value


_EVENTS: Mapping[str, Callable[[MessagesReader, Body], Iterator[Delta]]] = {
    "message_start": MessagesReader.began,
    "content_block_start": MessagesReader.opened,
    "content_block_delta": MessagesReader.told,
    "content_block_stop": MessagesReader.closed,
    "message_delta": MessagesReader.ending,
}
