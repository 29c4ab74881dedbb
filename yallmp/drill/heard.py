"""
What a caller makes of an answer's bytes.

It reads like a careful program: whole events only, lines that are not JSON skipped, an
error wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from yallmp.core.sse import Parser
from yallmp.core.told import parsed_object
from yallmp.drill.observed import Heard

_LARGEST = 1 << 24


@frozen
class Reply:
    """
    An answer as it came; times are seconds since the cell began.

    ``parts`` are the reads with their times, ``clean`` whether the body ended as HTTP says
    it should; ``failure`` is what ended it otherwise, in words.
    """

    began: float
    ended: float
    stream: bool
    status: int = 0
    headers: Mapping[str, str] = field(factory=dict)
    parts: tuple[tuple[float, bytes], ...] = ()
    clean: bool = False
    failure: str | None = None
    hung: bool = False

    @property
    def body(self) -> bytes:
        """All of the body."""
        return b"".join(data for _, data in self.parts)


def heard(reply: Reply) -> Heard:
    """What *reply* told."""
    found = Heard(
        began=reply.began,
        ended=reply.ended,
        status=reply.status,
        stream=reply.stream,
        clean=reply.clean,
        hung=reply.hung,
        serving=reply.headers.get("x-yallmp-backend"),
        error=reply.failure if reply.status == 0 or not reply.clean else None,
        body=reply.body,
    )
    if not reply.status:
        return found
    if "event-stream" in reply.headers.get("content-type", ""):
        return _streamed(found, reply.parts)
    return _whole(found, reply.body)


def _whole(found: Heard, body: bytes) -> Heard:
    value = parsed_object(body)
    if not 200 <= found.status < 300 or "error" in value:
        return evolve(found, error=_told(value, found.status))
    ear = _Ear()
    ear.take(found.ended, value, "message")
    return ear.onto(evolve(found, done=found.clean))


def _streamed(found: Heard, parts: Iterable[tuple[float, bytes]]) -> Heard:
    parser, ear = Parser(_LARGEST), _Ear()
    for at, data in parts:
        for each in parser.feed(data):
            if each.data is not None:
                ear.hear(at, each.data)
    return ear.onto(found)


@define
class _Ear:
    """What was heard so far."""

    text: list[str] = field(factory=list)
    done: bool = False
    finish: str | None = None
    model: str | None = None
    usage: bool = False
    error: str | None = None
    first: float | None = None
    last: float | None = None

    def hear(self, at: float, data: bytes) -> None:
        """One event."""
        if data.strip() == b"[DONE]":
            self.done = True
            return
        value = parsed_object(data)
        if value.get("error") is not None:
            self.error = _told(value, None)
        else:
            self.take(at, value, "delta")

    def take(self, at: float, value: dict[str, Any], part: str) -> None:
        """The content of a chunk, or of a whole answer."""
        self.model = value.get("model") or self.model
        self.usage = self.usage or isinstance(value.get("usage"), dict)
        for choice in value.get("choices") or ():
            self.finish = choice.get("finish_reason") or self.finish
            said = (choice.get(part) or {}).get("content")
            if said:
                self.text.append(said)
                self.first, self.last = at if self.first is None else self.first, at

    def onto(self, found: Heard) -> Heard:
        """*found*, with what was heard."""
        return evolve(
            found,
            text="".join(self.text),
            done=found.done or self.done,
            finish_reason=self.finish,
            model=self.model,
            usage=self.usage,
            error=self.error or found.error,
            first=self.first,
            last=self.last,
        )


def _told(value: dict[str, Any], status: int | None) -> str:
    """An error in one line: status, code, message."""
    error = value.get("error")
    error = error if isinstance(error, dict) else {"message": str(error or "")}
    words = (status, error.get("code"), error.get("message"))
    return " ".join(str(word) for word in words if word) or "an error without words"
