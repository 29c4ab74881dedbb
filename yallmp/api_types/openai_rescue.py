"""
A stream of chunks that goes on with another stream.

Both inspectors look at the events as :class:`yallmp.api_types.openai_streams.ChoiceStream`
does, and say what is to be passed on in place of each: nothing while it only repeats what
the client has, then what is new, with the id that the client knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from yallmp.api_types.openai_streams import ChoiceStream, said_in, value_of
from yallmp.core.asked import Asked
from yallmp.core.backend import Backend
from yallmp.core.exchange import Splice, Usage
from yallmp.core.inspector import Kind, Seen
from yallmp.core.rescue import Agreement, Repetition, Said
from yallmp.core.sse import ServerEvent, event_bytes
from yallmp.core.transcript import Transcript

_VLLM = {"add_generation_prompt": "false", "continue_final_message": "true"}
_DIFFERENT = Seen(Kind.DIFFERENT)
_NOTHING = Seen(Kind.EMPTY, instead=b"")
#: It is known already: a sign of a backend at work, with nothing to pass on.
_KNOWN = Seen(Kind.CONTENT, instead=b"")


@define
class _Following:
    """What both have in common: a stream of its own behind what was delivered."""

    delivered: Transcript
    inner: ChoiceStream = field(factory=ChoiceStream)
    transcript: Transcript = field(init=False)
    _flows: bool = False

    def __attrs_post_init__(self) -> None:
        self.transcript = self.delivered.copy()

    @property
    def finish_reason(self) -> str | None:
        """The last finish reason that was seen."""
        return self.inner.finish_reason

    @property
    def usage(self) -> Usage | None:
        """The token usage that was told."""
        return self.inner.usage

    @property
    def closing(self) -> bytes:
        """The formal end."""
        return self.inner.closing

    def follow(self, lines: bytes, count: int) -> bool:
        """No event is usual: each is compared, or written anew."""
        return False

    def _passed(self, chunk: dict[str, Any]) -> bytes:
        """*chunk* as the client gets it."""
        if self.transcript.id is not None and "id" in chunk:
            chunk["id"] = self.transcript.id
        return event_bytes(json.dumps(chunk, allow_nan=False).encode())

    def _flow(self, seen: Seen, chunk: dict[str, Any], texts: Mapping[str, str]) -> Seen:
        """Pass *chunk* on, with *texts* in place of its own, if it can be written again."""
        try:
            passed = self._passed(chunk)
        except ValueError:  # a number that JSON does not have, such as 1e400
            return _DIFFERENT
        said, inner = self.transcript, self.inner.transcript
        for name, text in texts.items():
            said.add(name, text)
        said.plain = said.plain and inner.plain
        said.id = inner.id if said.id is None else said.id
        self._flows = True
        return Seen(seen.kind, instead=passed)

    def _without_content(self, seen: Seen, chunk: dict[str, Any] | None) -> Seen:
        """What is not of the answer: a comment is passed on once text flows."""
        return seen if chunk is None and self._flows else _NOTHING


@define
class Comparison(_Following):
    """
    An answer that is given anew, and compared with what the client has.

    :ivar delivered: that.
    """

    _agreement: Agreement = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._agreement = Agreement(self.delivered.fields)

    @property
    def finished(self) -> bool:
        """All that the client has was said again, and every choice is finished."""
        return self._agreement.covered and self.inner.finished

    @property
    def expects_no_more(self) -> bool:
        """The same, of all choices that were asked for."""
        return self._agreement.covered and self.inner.expects_no_more

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is, and what of it is new."""
        seen = self.inner.see(event)
        if seen.kind not in (Kind.EMPTY, Kind.CONTENT):
            return seen
        chunk = _chunk(event)
        if chunk is None or seen.kind is Kind.EMPTY:
            return self._without_content(seen, chunk)
        if self._agreement.covered:
            return self._flow(seen, chunk, said_in(chunk))
        return self._compared(seen, chunk)

    def _compared(self, seen: Seen, chunk: dict[str, Any]) -> Seen:
        texts = said_in(chunk)
        if chunk.get("choices") == []:
            return _NOTHING  # usage, for whoever is at the beginning
        if not texts or not self.inner.transcript.plain:
            return _DIFFERENT
        said, new = self._agreement.hear(texts)
        if said is Said.DIFFERENT or (self.inner.finish_reason and not self._agreement.covered):
            return _DIFFERENT
        if said is Said.KNOWN and not self.inner.finish_reason:
            return _KNOWN
        return self._flow(seen, with_texts(chunk, new), new)


@define
class Continuation(_Following):
    """
    A text that goes on with what the client has.

    :ivar delivered: that.
    """

    _repetition: Repetition = field(init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._repetition = Repetition(self.delivered.fields.get("content", ""))

    @property
    def finished(self) -> bool:
        """Something went on, and every choice is finished."""
        return self._flows and self.inner.finished

    @property
    def expects_no_more(self) -> bool:
        """The same, of all choices that were asked for."""
        return self._flows and self.inner.expects_no_more

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is, and what of it may go on."""
        seen = self.inner.see(event)
        if seen.kind not in (Kind.EMPTY, Kind.CONTENT):
            return seen
        chunk = _chunk(event)
        if chunk is None or not chunk.get("choices") or seen.kind is Kind.EMPTY:
            return self._without_content(seen, chunk)
        chunk.pop("usage", None)
        return self._looked_at(seen, chunk)

    def _looked_at(self, seen: Seen, chunk: dict[str, Any]) -> Seen:
        if self._repetition.passed:
            return self._flow(seen, chunk, said_in(chunk))
        texts = said_in(chunk)
        if not self.inner.transcript.plain or not set(texts) <= {"content"}:
            return _DIFFERENT
        over = self.inner.finish_reason is not None
        said, text = self._repetition.hear(texts.get("content", ""), over=over)
        if said is Said.DIFFERENT:
            return _DIFFERENT
        if said is Said.KNOWN:
            return _KNOWN
        return self._flow(seen, with_texts(chunk, {"content": text}), {"content": text})


def _chunk(event: ServerEvent) -> dict[str, Any] | None:
    value = value_of(event)
    return value if isinstance(value, dict) else None


def with_texts(chunk: dict[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """*chunk* with *texts* in place of what its only choice says."""
    said = {name: text for name, text in texts.items() if name != "text"}
    for choice in chunk["choices"]:
        if "text" in choice:
            choice["text"] = texts.get("text", "")
        if said or choice.get("delta"):
            choice["delta"] = {**_unspoken(choice.get("delta") or {}), **said}
    return chunk


def _unspoken(delta: dict[str, Any]) -> dict[str, Any]:
    """*delta* without its texts; its role is none."""
    return {k: v for k, v in delta.items() if k == "role" or not isinstance(v, str)}


def prefilled(
    asked: Asked, splices: tuple[Splice, ...], text: str, backend: Backend
) -> tuple[Splice, ...]:
    """*splices* and what makes *text* the assistant's last message, as *backend* wants it."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if backend.prefill == "prefix":
        message["prefix"] = True
    document = asked.document
    at = document.places["messages"][1] - 1
    added = [Splice(at, b"", b", " + json.dumps(message).encode())]
    if backend.prefill == "vllm":
        added += document.splices({k: v for k, v in _VLLM.items() if k not in backend.drop_params})
    return tuple(sorted((*splices, *added), key=lambda splice: splice.offset))
