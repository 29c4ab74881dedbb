"""
Streams of Messages, written.

Blocks go out strictly one after the other, each begun, told in deltas and ended.  A backend may
tell several calls side by side, so what comes is sorted into blocks first
(:mod:`yallmp.dialects.messages_growing`); the first of those that are not over goes out as it
grows, all later ones wait for their turn.  Why the answer ended goes out at the very end only,
for usage may be told behind it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from attrs import define, field

from yallmp.core.sse import event_bytes
from yallmp.core.transcript import Transcript
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
    Stop,
    Stopped,
    TextDelta,
    Tokens,
    Told,
)
from yallmp.dialects.growing import more_known
from yallmp.dialects.messages_answers import citation_of, head_of
from yallmp.dialects.messages_growing import CallBlock, GrowingBlock, ThoughtBlock, WholeBlock
from yallmp.dialects.messages_usage import stop_reason, stop_sequence, usage_of
from yallmp.dialects.messages_words import text_of
from yallmp.interfaces import Occasion

JSON = Any


@define
class MessagesWriter:
    """
    Writes one stream.

    :ivar id: the message's, once it has begun.
    """

    occasion: Occasion
    id: str | None = None
    _tokens: Tokens | None = None
    _stop: Stop | None = None
    _refused: bool = False
    _called: bool = False
    #: How many blocks have ended; the blocks behind them, of which the first is being written.
    _index: int = 0
    _begun: bool = False
    _blocks: list[GrowingBlock] = field(factory=list)
    _calls: dict[int, CallBlock] = field(factory=dict)

    def write(self, delta: Delta) -> bytes:
        """The events that *delta* makes."""
        if isinstance(delta, Began):
            return self._start(delta)
        if isinstance(delta, Told):
            self._tokens = more_known(self._tokens, delta.tokens)
            return b""
        if delta.choice != 0:
            return b""
        start = b"" if self.id is not None else self._start(Began())
        self._take(delta)
        return start + b"".join(self._written())

    def go_on(self, begun: int, kind: str) -> None:
        """Take for written what was passed on: *begun* blocks, the last of which is of *kind*."""
        kinds = {"text": GrowingBlock("text", {}), "thinking": ThoughtBlock()}
        block = kinds.get(kind)
        self._begun = block is not None
        self._index = begun - self._begun
        self._blocks = [] if block is None else [block]

    def end(self) -> bytes:
        """The events that end the message."""
        start = b"" if self.id is not None else self._start(Began())
        blocks = b"".join(self._written(over=True))
        reason = stop_reason(self._stop, called=self._called, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": stop_sequence(self._stop)}
        told = {"type": "message_delta", "delta": delta, "usage": usage_of(self._tokens)}
        return start + blocks + written(told) + written({"type": "message_stop"})

    def _start(self, began: Began) -> bytes:
        self._tokens = more_known(self._tokens, began.tokens)
        if self.id is not None:
            return b""
        head = head_of(began.id, began.model, self.occasion)
        self.id = head["id"]
        empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = usage_of(self._tokens)
        return written({"type": "message_start", "message": {**head, **empty, "usage": usage}})

    def _take(self, delta: Delta) -> None:
        """Sort *delta* into its block."""
        if isinstance(delta, TextDelta | RefusalDelta):
            self._say(delta)
        elif isinstance(delta, ReasoningDelta | ReasoningEnd):
            self._think(delta)
        elif isinstance(delta, CallBegan):
            self._called = True
            self._calls[delta.call] = CallBlock.of(delta)
            self._blocks.append(self._calls[delta.call])
        elif isinstance(delta, CallDelta):
            if delta.call in self._calls:
                self._calls[delta.call].argue(delta.arguments)
        elif isinstance(delta, Annotated):
            self._cite(delta.value)
        elif isinstance(delta, OpaquePart):
            self._whole(delta)
        elif isinstance(delta, Stopped):
            self._stop = delta.stop

    def _say(self, delta: TextDelta | RefusalDelta) -> None:
        kind = "refusal" if isinstance(delta, RefusalDelta) else "text"
        self._refused = self._refused or kind == "refusal"
        if not delta.text:
            return
        last = self._blocks[-1] if self._blocks else None
        fresh = isinstance(delta, TextDelta) and delta.fresh
        if last is None or last.kind != kind or fresh:
            last = GrowingBlock(kind, {"type": "text", "text": ""})
            self._blocks.append(last)
        last.deltas.append({"type": "text_delta", "text": delta.text})

    def _think(self, delta: ReasoningDelta | ReasoningEnd) -> None:
        last = self._blocks[-1] if self._blocks else None
        open_one = last if isinstance(last, ThoughtBlock) and not last.over else None
        if isinstance(delta, ReasoningDelta):
            if open_one is None or delta.fresh:
                open_one = ThoughtBlock()
                self._blocks.append(open_one)
            open_one.think(delta)
            return
        if open_one is None and _says_something(delta) and not delta.redacted:
            open_one = ThoughtBlock()
            self._blocks.append(open_one)
        if open_one is not None:
            open_one.sign(ReasoningEnd() if delta.redacted else delta)
        if delta.redacted and delta.encrypted:
            self._blocks.append(
                WholeBlock("redacted", {"type": "redacted_thinking", "data": delta.encrypted})
            )

    def _cite(self, value: JSON) -> None:
        """A citation for the last text, if that has not ended for the client."""
        citation = citation_of(value)
        texts = [block for block in self._blocks if block.kind == "text"]
        if citation is not None and texts:
            texts[-1].deltas.append({"type": "citations_delta", "citation": citation})

    def _whole(self, delta: OpaquePart) -> None:
        if delta.part.dialect == "messages":
            self._blocks.append(WholeBlock("whole", dict(delta.part.value)))

    def _written(self, over: bool = False) -> Iterator[bytes]:
        """What can go out now; with *over*, all of it."""
        while self._blocks:
            block = self._blocks[0]
            ends = over or block.is_over(last=len(self._blocks) == 1)
            yield from self._deltas(block, ends)
            if not ends:
                return
            yield written({"type": "content_block_stop", "index": self._index})
            del self._blocks[0]
            self._index, self._begun = self._index + 1, False

    def _deltas(self, block: GrowingBlock, ends: bool) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            start = {"index": self._index, "content_block": block.start}
            yield written({"type": "content_block_start", **start})
        for delta in block.taken(ends):
            yield written({"type": "content_block_delta", "index": self._index, "delta": delta})


def written(value: dict[str, Any]) -> bytes:
    """The event that *value* is, with its name."""
    return event_bytes(json.dumps(value).encode(), value["type"].encode())


def resumed(occasion: Occasion, delivered: Transcript) -> MessagesWriter:
    """
    A writer that goes on where *delivered* broke off.

    It is one of its own, for what an attempt says that comes to nothing is never sent.  Where the
    stream was passed on untouched, its place says how many blocks have begun (``next``), and of
    which ``kind`` the open one is.
    """
    place = delivered.place
    if isinstance(place, MessagesWriter):
        return deepcopy(place)
    writer = MessagesWriter(occasion, delivered.id or f"msg_{occasion.id}")
    if isinstance(place, dict):
        writer.go_on(int(place.get("next") or 0), text_of(place.get("kind")))
    return writer


def _says_something(end: ReasoningEnd) -> bool:
    return bool(end.signature or end.encrypted or end.id)
