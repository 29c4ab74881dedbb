"""
Streams of chat completions, read.

Servers tell calls in many ways: with an ``index`` or without, the id with every piece or only with
the first, all of a call at once, a whole message in place of a delta.  A piece with an id that is
new begins a call; one without belongs to that of its index, else to the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from yallmp.dialects.chat_words import rest_of, stop_of, thoughts_in, tokens_in, tokens_of
from yallmp.dialects.conversation import Opaque
from yallmp.dialects.loose import count, members, objects, text

JSON = Any
_HEAD = ("id", "object", "created", "model", "choices", "usage")


@define
class _Calls:
    """The calls of one choice: their number by the index, and by the id."""

    by_index: dict[int, int] = field(factory=dict)
    by_id: dict[str, int] = field(factory=dict)
    made: int = 0

    def number(self, piece: Mapping[str, JSON]) -> tuple[int, bool]:
        """The number of the call that *piece* is of, and whether it begins it."""
        index, found = count(piece.get("index")), text(piece.get("id"))
        if found and found in self.by_id:
            return self.by_id[found], False
        if not found and index in self.by_index:
            return self.by_index[index], False
        named = bool(_inner(piece).get("name"))
        if not found and index is None and self.made and not named:
            return self.made - 1, False
        return self._begun(index, found), True

    def _begun(self, index: int | None, found: str) -> int:
        number, self.made = self.made, self.made + 1
        if index is not None:
            self.by_index[index] = number
        if found:
            self.by_id[found] = number
        return number


def _inner(piece: Mapping[str, JSON]) -> dict[str, JSON]:
    return members(piece.get("function")) or members(piece.get("custom"))


@define
class ChatReader:
    """Reads one stream."""

    _began: bool = False
    _calls: dict[int, _Calls] = field(factory=dict)
    _shown: set[int] = field(factory=set)
    _signed: dict[int, dict[int, dict[str, JSON]]] = field(factory=dict)

    def read(self, event: ServerEvent) -> Iterator[Delta]:
        """What *event* says."""
        chunk = _value(event.data)
        if not isinstance(chunk.get("choices"), list):
            return
        if not self._began:
            self._began = True
            extra = rest_of(chunk, *_HEAD)
            created = count(chunk.get("created"))
            yield Began(text(chunk.get("id")), text(chunk.get("model")), created, None, extra)
        for choice in objects(chunk["choices"]):
            yield from self._choice(choice, count(choice.get("index")) or 0)
        tokens = tokens_of(chunk.get("usage"))
        if tokens is not None:
            yield Told(tokens)

    def _choice(self, choice: Mapping[str, JSON], number: int) -> Iterator[Delta]:
        said = members(choice.get("delta")) or members(choice.get("message"))
        yield from self._thoughts(said, number)
        words, logprobs = text(said.get("content")), tokens_in(choice.get("logprobs"))
        if words or logprobs:
            yield TextDelta(words, number, logprobs)
        for value in objects(said.get("annotations")):
            yield Annotated(value, number)
        if text(said.get("refusal")):
            yield RefusalDelta(text(said["refusal"]), number)
        if isinstance(said.get("audio"), dict):
            yield OpaquePart(Opaque("chat", {"type": "audio", "audio": said["audio"]}), number)
        yield from self._called(said, number)
        calls = self._calls.get(number)
        stop = stop_of(choice.get("finish_reason"), called=calls is not None and calls.made > 0)
        if stop is not None:
            yield from self._sign(number)
            yield Stopped(stop, number)

    def _thoughts(self, said: Mapping[str, JSON], number: int) -> Iterator[Delta]:
        """What is thought; what has to come back is gathered until something else is said."""
        shown = text(said.get("reasoning_content")) or text(said.get("reasoning"))
        details = objects(said.get("reasoning_details"))
        if shown:
            self._shown.add(number)
        elif number not in self._shown:
            shown = "".join(text(d.get("text")) or text(d.get("summary")) for d in details)
        if shown:
            yield ReasoningDelta(shown, number)
        kept = self._signed.setdefault(number, {})
        for at, detail in enumerate(details):
            place = count(detail.get("index"))
            told = {name: value for name, value in detail.items() if value is not None}
            kept.setdefault(at if place is None else place, {}).update(told)
        if said.get("content") or said.get("tool_calls"):
            yield from self._sign(number)

    def _sign(self, number: int) -> Iterator[Delta]:
        details = self._signed.pop(number, {})
        for part in thoughts_in({"reasoning_details": list(details.values())}):
            if part.signature or part.encrypted:
                yield ReasoningEnd(number, part.signature, part.encrypted, part.id, part.redacted)

    def _called(self, said: Mapping[str, JSON], number: int) -> Iterator[Delta]:
        pieces = objects(said.get("tool_calls"))
        once = said.get("function_call")
        if isinstance(once, dict):
            pieces = [*pieces, {"index": 0, "function": once}]
        for piece in pieces:
            yield from self._piece(piece, number)

    def _piece(self, piece: Mapping[str, JSON], number: int) -> Iterator[Delta]:
        call, begins = self._calls.setdefault(number, _Calls()).number(piece)
        inner, custom = _inner(piece), piece.get("type") == "custom"
        if begins:
            found = text(piece.get("id")) or f"call_{call}"
            yield CallBegan(call, found, text(inner.get("name")), number, custom)
        words = text(inner.get("input" if custom else "arguments"))
        if words:
            yield CallDelta(call, words, number)


def _value(data: bytes | None) -> dict[str, JSON]:
    try:
        return members(loads(data)) if data else {}
    except (ValueError, RecursionError):
        return {}
