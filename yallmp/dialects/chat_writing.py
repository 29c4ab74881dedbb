"""
Streams of chat completions, written.

Each delta is a chunk.  The first of a choice says whose words they are; the last why they end; then
comes the usage, for clients that want it, and ``[DONE]``.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field

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
    Stopped,
    TextDelta,
    Tokens,
    Told,
)
from yallmp.dialects.chat_answers import answer_id
from yallmp.dialects.chat_words import citation_of, details_of, finish_reason, usage_of
from yallmp.dialects.conversation import Reasoning
from yallmp.dialects.growing import more_known
from yallmp.interfaces import Occasion

JSON = Any
_DONE = event_bytes(b"[DONE]")


@define
class _Said:
    """
    What one choice has said.

    :ivar thought: the thoughts since the last that were signed.
    :ivar customs: the calls whose arguments are free text.
    """

    calls: int = 0
    thought: str = ""
    details: int = 0
    customs: set[int] = field(factory=set)


@define
class ChatWriter:
    """
    Writes one stream.

    :ivar id: the answer's id, once it is known.
    """

    occasion: Occasion
    id: str | None = None
    _model: str = ""
    _created: int | None = None
    _tokens: Tokens | None = None
    _choices: dict[int, _Said] = field(factory=dict)

    def write(self, delta: Delta) -> bytes:
        """The chunk that *delta* makes."""
        if isinstance(delta, Began):
            return self._begin(delta)
        if isinstance(delta, Told):
            self._tokens = more_known(self._tokens, delta.tokens)
            return b""
        if isinstance(delta, Stopped):
            return self._stop(delta)
        said = self._said(delta, self._choices.get(delta.choice) or _Said())
        return self._chunk(delta.choice, said, getattr(delta, "logprobs", None)) if said else b""

    def write_on(self) -> None:
        """The client has the beginning of the first choice already."""
        self._choices[0] = _Said()

    def end(self) -> bytes:
        """The usage, if it is wanted, and the formal end."""
        if not self.occasion.wants_usage or self._tokens is None:
            return _DONE
        usage = {**self._head(), "choices": [], "usage": usage_of(self._tokens)}
        return event_bytes(json.dumps(usage).encode()) + _DONE

    def _begin(self, began: Began) -> bytes:
        self.id = self.id or answer_id(began.id, self.occasion)
        self._model, self._created = began.model, began.created
        self._tokens = more_known(self._tokens, began.tokens)
        return self._chunk(0, {"content": ""})

    def _head(self) -> dict[str, JSON]:
        self.id = self.id or answer_id("", self.occasion)
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.occasion.time if self._created is None else self._created,
            "model": self._model or self.occasion.model,
        }

    def _chunk(
        self, number: int, said: dict[str, JSON], logprobs: JSON = None, reason: str | None = None
    ) -> bytes:
        choice: dict[str, JSON] = {"index": number, "delta": said, "finish_reason": reason}
        if number not in self._choices:
            self._choices[number] = _Said()
            choice["delta"] = {"role": "assistant", **said}
        if logprobs:
            choice["logprobs"] = {"content": logprobs, "refusal": None}
        return event_bytes(json.dumps({**self._head(), "choices": [choice]}).encode())

    def _stop(self, stopped: Stopped) -> bytes:
        called = self._choices.get(stopped.choice, _Said()).calls > 0
        return self._chunk(stopped.choice, {}, None, finish_reason(stopped.stop, called=called))

    def _said(self, delta: Delta, choice: _Said) -> dict[str, JSON]:
        """What *delta* adds to the message; often nothing."""
        if isinstance(delta, TextDelta):
            return {"content": delta.text}
        if isinstance(delta, ReasoningDelta):
            choice.thought += delta.text
            return {"reasoning_content": delta.text}
        if isinstance(delta, ReasoningEnd):
            return self._signed(delta, choice)
        if isinstance(delta, RefusalDelta):
            return {"refusal": delta.text}
        return self._rare(delta, choice)

    def _rare(self, delta: Delta, choice: _Said) -> dict[str, JSON]:
        if isinstance(delta, CallBegan):
            choice.calls += 1
            choice.customs |= {delta.call} if delta.custom else set()
            return {"tool_calls": [_called(delta)]}
        if isinstance(delta, CallDelta):
            return {"tool_calls": [_argued(delta, custom=delta.call in choice.customs)]}
        if isinstance(delta, Annotated):
            cited = citation_of(delta.value)
            return {"annotations": [cited]} if cited else {}
        if isinstance(delta, OpaquePart) and delta.part.dialect == "chat":
            return {"audio": delta.part.value.get("audio")}
        return {}

    @staticmethod
    def _signed(end: ReasoningEnd, choice: _Said) -> dict[str, JSON]:
        """What has to come back of the thoughts that ended."""
        text, choice.thought = choice.thought, ""
        part = Reasoning(text, (), end.signature, end.encrypted, end.id, end.redacted)
        details = details_of([part])
        for detail in details:
            detail["index"] += choice.details
        choice.details += len(details)
        return {"reasoning_details": details} if details else {}


def _called(began: CallBegan) -> dict[str, JSON]:
    head = {"index": began.call, "id": began.id}
    if began.custom:
        return {**head, "type": "custom", "custom": {"name": began.name, "input": ""}}
    return {**head, "type": "function", "function": {"name": began.name, "arguments": ""}}


def _argued(delta: CallDelta, *, custom: bool) -> dict[str, JSON]:
    if custom:
        return {"index": delta.call, "custom": {"input": delta.arguments}}
    return {"index": delta.call, "function": {"arguments": delta.arguments}}
