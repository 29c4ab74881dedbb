"""
An answer, made of the deltas of its stream; and the deltas, made of an answer.

Both ways lose nothing: ``Growing`` fed with ``deltas_of(answer)`` comes to the same answer, but
for annotations (which stand at the end of their text then) and logprobs (which are told with the
first text).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, evolve, field

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
    Stop,
    Stopped,
    TextDelta,
    Tokens,
    Told,
)
from yallmp.dialects.conversation import Opaque, Part, Reasoning, Refusal, Text, ToolCall


def more_known(before: Tokens | None, told: Tokens | None) -> Tokens | None:
    """What *told* says, and what was known *before* where it says nothing."""
    if before is None or told is None:
        return told or before
    known = {name: getattr(told, name) for name in ("input", "output", "cached", "written")}
    known["reasoning"] = told.reasoning
    changes = {name: value for name, value in known.items() if value is not None}
    return evolve(before, **changes, extra={**before.extra, **told.extra})


@define
class _GrowingChoice:
    """One choice; the last of ``parts`` is open, calls are found by their number."""

    parts: list[Part] = field(factory=list)
    calls: dict[int, int] = field(factory=dict)
    stop: Stop | None = None
    logprobs: list[Any] | None = None
    _closed: bool = False

    def text(self, delta: TextDelta) -> None:
        """Words."""
        if delta.logprobs:
            self.logprobs = [*(self.logprobs or ()), *delta.logprobs]
        last = self._open(Text, fresh=delta.fresh)
        if isinstance(last, Text):
            self.parts[-1] = evolve(last, text=last.text + delta.text)
        elif delta.text:
            self.parts.append(Text(delta.text))

    def think(self, delta: ReasoningDelta) -> None:
        """Thoughts."""
        last = self._open(Reasoning, fresh=delta.fresh)
        if not isinstance(last, Reasoning):
            last = Reasoning()
            self.parts.append(last)
        self.parts[-1] = _thought(last, delta)

    def sign(self, end: ReasoningEnd) -> None:
        """What goes back with the thoughts; without any before, they are only that."""
        last = self._open(Reasoning, fresh=False)
        if not isinstance(last, Reasoning):
            last = Reasoning()
            self.parts.append(last)
        self.parts[-1] = evolve(
            last,
            signature=end.signature or last.signature,
            encrypted=end.encrypted or last.encrypted,
            id=end.id or last.id,
            redacted=end.redacted,
        )
        self._closed = True

    def refuse(self, delta: RefusalDelta) -> None:
        """A refusal."""
        last = self._open(Refusal, fresh=False)
        if isinstance(last, Refusal):
            self.parts[-1] = Refusal(last.text + delta.text)
        else:
            self.parts.append(Refusal(delta.text))

    def call(self, began: CallBegan) -> None:
        """A call begins."""
        self.calls[began.call] = len(self.parts)
        self.parts.append(ToolCall(began.id, began.name, "", began.custom, began.item))

    def argue(self, delta: CallDelta) -> None:
        """More of its arguments; of a call that never began nothing is kept."""
        at = self.calls.get(delta.call)
        call = None if at is None else self.parts[at]
        if at is not None and isinstance(call, ToolCall):
            self.parts[at] = evolve(call, arguments=call.arguments + delta.arguments)

    def annotate(self, delta: Annotated) -> None:
        """A citation for the text that is open, or that was."""
        for at in reversed(range(len(self.parts))):
            part = self.parts[at]
            if isinstance(part, Text):
                self.parts[at] = evolve(part, annotations=(*part.annotations, delta.value))
                return

    def whole(self, part: Opaque) -> None:
        """A part that comes whole."""
        self.parts.append(part)

    def _open(self, kind: type, *, fresh: bool) -> Part | None:
        """The part that goes on, if it is of *kind*."""
        closed, self._closed = self._closed or fresh, False
        last = self.parts[-1] if self.parts else None
        return last if isinstance(last, kind) and not closed else None


def _thought(before: Reasoning, delta: ReasoningDelta) -> Reasoning:
    if delta.summary is None:
        return evolve(before, text=before.text + delta.text)
    parts = [*before.summary, *[""] * (delta.summary + 1 - len(before.summary))]
    parts[delta.summary] += delta.text
    return evolve(before, summary=tuple(parts))


@define
class Growing:
    """
    An answer as it grows.

    :ivar dialect: of the backend that gives it.
    """

    dialect: str
    began: Began = field(factory=Began)
    tokens: Tokens | None = None
    _choices: dict[int, _GrowingChoice] = field(factory=dict)

    def add(self, delta: Delta) -> None:
        """Take in *delta*."""
        if isinstance(delta, Began):
            self.began = delta
            self.tokens = more_known(self.tokens, delta.tokens)
        elif isinstance(delta, Told):
            self.tokens = more_known(self.tokens, delta.tokens)
        else:
            self._add(self._choices.setdefault(delta.choice, _GrowingChoice()), delta)

    @staticmethod
    def _add(choice: _GrowingChoice, delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            choice.text(delta)
        elif isinstance(delta, ReasoningDelta):
            choice.think(delta)
        elif isinstance(delta, ReasoningEnd):
            choice.sign(delta)
        elif isinstance(delta, RefusalDelta):
            choice.refuse(delta)
        elif isinstance(delta, CallBegan):
            choice.call(delta)
        elif isinstance(delta, CallDelta):
            choice.argue(delta)
        elif isinstance(delta, Annotated):
            choice.annotate(delta)
        elif isinstance(delta, OpaquePart):
            choice.whole(delta.part)
        elif isinstance(delta, Stopped):
            choice.stop = delta.stop

    def answer(self) -> Answer:
        """What it has become."""
        began = self.began
        choices = tuple(
            Choice(tuple(each.parts), each.stop, each.logprobs)
            for _, each in sorted(self._choices.items())
        )
        return Answer(
            self.dialect, began.id, began.model, began.created, choices, self.tokens, began.extra
        )


def deltas_of(answer: Answer) -> Iterator[Delta]:
    """The stream that *answer* would have been."""
    yield Began(answer.id, answer.model, answer.created, None, answer.extra)
    for number, choice in enumerate(answer.choices):
        yield from _of_choice(choice, number)
    if answer.tokens is not None:
        yield Told(answer.tokens)


def _of_choice(choice: Choice, number: int) -> Iterator[Delta]:
    calls, logprobs = 0, choice.logprobs
    for part in choice.parts:
        if isinstance(part, ToolCall):
            yield CallBegan(calls, part.id, part.name, number, part.custom, part.item)
            if part.arguments:
                yield CallDelta(calls, part.arguments, number)
            calls += 1
        elif isinstance(part, Text):
            yield from _of_text(part, number, logprobs)
            logprobs = None
        else:
            yield from _of_part(part, number)
    if choice.stop is not None:
        yield Stopped(choice.stop, number)


def _of_text(part: Text, number: int, logprobs: Any) -> Iterator[Delta]:
    yield TextDelta(part.text, number, logprobs, fresh=True)
    for value in part.annotations:
        yield Annotated(value, number)


def _of_part(part: Part, number: int) -> Iterator[Delta]:
    if isinstance(part, Reasoning):
        if part.text:
            yield ReasoningDelta(part.text, number, fresh=True)
        for at, text in enumerate(part.summary):
            yield ReasoningDelta(text, number, at, fresh=at == 0 and not part.text)
        yield ReasoningEnd(number, part.signature, part.encrypted, part.id, part.redacted)
    elif isinstance(part, Refusal):
        yield RefusalDelta(part.text, number)
    elif isinstance(part, Opaque):
        yield OpaquePart(part, number)
