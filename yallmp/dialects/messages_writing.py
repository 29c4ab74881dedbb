"""
Streams of Messages, written.

Blocks come strictly one after the other, and clients count on that.  Where a backend tells several
calls side by side, the first flows and the others are kept until no more of it can come.  Usage is
told at the end, behind which nothing follows, so the reason for the end waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field

from yallmp.core.sse import event_bytes
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
from yallmp.dialects.conversation import Opaque, Reasoning
from yallmp.dialects.growing import more_known
from yallmp.dialects.messages_answers import call_block, citation_of, head_of
from yallmp.dialects.messages_usage import stop_reason, stop_sequence, usage_of
from yallmp.dialects.messages_words import BETWEEN, input_of, signature_of
from yallmp.interfaces import Occasion

JSON = Any


def event(kind: str, **members: JSON) -> bytes:
    """One event."""
    return event_bytes(json.dumps({"type": kind, **members}).encode(), kind.encode())


@define
class _Call:
    """
    A call whose arguments are not all there.

    :ivar flows: whether they go on as they come: they are to be an object, and begin like one.
    """

    began: CallBegan
    arguments: str = ""
    flows: bool = False


@define
class MessagesWriter:
    """
    Writes one stream.

    :ivar id: the message's id, once it is known.
    """

    occasion: Occasion
    id: str | None = None
    _next: int = 0
    _open: str = ""
    _thought: Reasoning = field(factory=Reasoning)
    _calls: dict[int, _Call] = field(factory=dict)
    _called: bool = False
    _refused: bool = False
    _stop: Stop | None = None
    _tokens: Tokens | None = None

    @classmethod
    def resuming(cls, occasion: Occasion, id_: str | None, place: JSON) -> MessagesWriter:
        """
        One for a stream that was passed on untouched so far.

        :param place: which block is ``open`` there, of which ``kind``, and which is ``next``.
        """
        told: Mapping[str, JSON] = place if isinstance(place, dict) else {}
        kind = told.get("kind") or ""
        return cls(occasion, id_ or f"msg_{occasion.id}", int(told.get("next") or 0), kind)

    def write(self, delta: Delta) -> bytes:
        """The events that *delta* makes."""
        if isinstance(delta, Told):
            self._tokens = more_known(self._tokens, delta.tokens)
            return b""
        if isinstance(delta, Began):
            self._tokens = more_known(self._tokens, delta.tokens)
            return self._begin(delta)
        if delta.choice != 0:
            return b""
        if isinstance(delta, Stopped):
            self._stop = delta.stop
            return b""
        return self._begin(Began()) + self._said(delta)

    def end(self) -> bytes:
        """What is still kept, why the answer ended, what was used, and the end."""
        rest = self._begin(Began()) + self._close() + self._flush()
        reason = stop_reason(self._stop, called=self._called, refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": stop_sequence(self._stop)}
        usage = usage_of(self._tokens)
        return rest + event("message_delta", delta=delta, usage=usage) + event("message_stop")

    def _begin(self, began: Began) -> bytes:
        if self.id is not None:
            return b""
        head = head_of(began.id, began.model, self.occasion)
        self.id = head["id"]
        ending = {"stop_reason": None, "stop_sequence": None}
        message = {**head, "content": [], **ending, "usage": usage_of(self._tokens)}
        return event("message_start", message=message)

    def _said(self, delta: Delta) -> bytes:
        if isinstance(delta, TextDelta):
            return self._text("text", delta.text, fresh=delta.fresh)
        if isinstance(delta, RefusalDelta):
            self._refused = True
            return self._text("refusal", delta.text, fresh=False)
        if isinstance(delta, ReasoningDelta):
            return self._think(delta)
        if isinstance(delta, ReasoningEnd):
            return self._sign(delta)
        return self._rare(delta)

    def _rare(self, delta: Delta) -> bytes:
        if isinstance(delta, CallBegan):
            return self._call(delta)
        if isinstance(delta, CallDelta):
            return self._argue(delta)
        if isinstance(delta, Annotated):
            return self._cite(delta.value)
        return self._whole(delta.part) if isinstance(delta, OpaquePart) else b""

    def _text(self, kind: str, text: str, *, fresh: bool) -> bytes:
        if not text:
            return b""
        opened = b""
        if self._open != kind or fresh:
            opened = self._opened(kind, {"type": "text", "text": ""})
        return opened + self._delta("text_delta", text=text)

    def _opened(self, kind: str, block: dict[str, JSON]) -> bytes:
        """Begin a block, behind all that has to come before it."""
        before = self._close() + self._flush()
        self._open, self._next = kind, self._next + 1
        return before + event("content_block_start", index=self._next - 1, content_block=block)

    def _delta(self, kind: str, **members: JSON) -> bytes:
        delta = {"type": kind, **members}
        return event("content_block_delta", index=self._next - 1, delta=delta)

    def _close(self) -> bytes:
        """End the block that is open, if one is that need not wait for more."""
        kind = self._open
        if not kind or kind == "call":
            return b""
        signed = b""
        if kind == "thinking":
            signed = self._delta("signature_delta", signature=signature_of(self._thought))
        return signed + self._stopped()

    def _stopped(self) -> bytes:
        self._open, self._thought = "", Reasoning()
        return event("content_block_stop", index=self._next - 1)

    def _think(self, delta: ReasoningDelta) -> bytes:
        if not delta.text:
            return b""
        opened = b""
        if self._open != "thinking" or delta.fresh:
            opened = self._opened("thinking", _empty_thoughts())
        before = self._thought
        self._thought = _more(before, delta)
        apart = _part(before) != _part(self._thought) and (before.text or before.summary)
        text = BETWEEN + delta.text if apart else delta.text
        return opened + self._delta("thinking_delta", thinking=text)

    def _sign(self, end: ReasoningEnd) -> bytes:
        """The thoughts are over; hidden ones are a block of their own."""
        if end.redacted and end.encrypted:
            block = {"type": "redacted_thinking", "data": end.encrypted}
            return self._opened("redacted", block) + self._stopped()
        told = evolve(self._thought, signature=end.signature, encrypted=end.encrypted, id=end.id)
        if self._open != "thinking":
            if not (end.signature or end.encrypted or end.id):
                return b""
            opened = self._opened("thinking", _empty_thoughts())
        else:
            opened = b""
        self._thought = told
        return opened + self._close()

    def _call(self, began: CallBegan) -> bytes:
        """The first call that is open flows, others wait."""
        self._called = True
        waits = self._open == "call"
        call = _Call(began)
        if waits:
            self._calls[began.call] = call
            return b""
        opened = self._opened("call", call_block(began.id, began.name))
        self._calls[began.call] = call
        return opened

    def _argue(self, delta: CallDelta) -> bytes:
        call = self._calls.get(delta.call)
        if call is None:
            return b""
        call.arguments += delta.arguments
        if call is not next(iter(self._calls.values())) or call.began.custom:
            return b""
        if call.flows:
            return self._delta("input_json_delta", partial_json=delta.arguments)
        call.flows = call.arguments.lstrip().startswith("{")
        return self._delta("input_json_delta", partial_json=call.arguments) if call.flows else b""

    def _flush(self) -> bytes:
        """The calls that are open, one after the other, as whole as they are."""
        calls, self._calls = list(self._calls.values()), {}
        data = b""
        for call in calls:
            if self._open != "call":
                self._open, self._next = "call", self._next + 1
                block = call_block(call.began.id, call.began.name)
                data += event("content_block_start", index=self._next - 1, content_block=block)
            if not call.flows:
                whole = json.dumps(input_of(call.arguments, call.began.custom))
                data += self._delta("input_json_delta", partial_json=whole)
            data += self._stopped()
        return data

    def _cite(self, value: JSON) -> bytes:
        citation = citation_of(value)
        if citation is None or self._open != "text":
            return b""
        return self._delta("citations_delta", citation=citation)

    def _whole(self, part: Opaque) -> bytes:
        if part.dialect != "messages":
            return b""
        return self._opened("own", dict(part.value)) + self._stopped()


def _empty_thoughts() -> dict[str, JSON]:
    return {"type": "thinking", "thinking": "", "signature": ""}


def _part(thoughts: Reasoning) -> int:
    """In which part of its thoughts a model is."""
    return len(thoughts.summary)


def _more(before: Reasoning, delta: ReasoningDelta) -> Reasoning:
    if delta.summary is None:
        return evolve(before, text=before.text + delta.text)
    parts = [*before.summary, *[""] * (delta.summary + 1 - len(before.summary))]
    parts[delta.summary] += delta.text
    return evolve(before, summary=tuple(parts))
