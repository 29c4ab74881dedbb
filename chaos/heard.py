"""
What a client makes of an answer: how it ended, what it said, whether it claims to be whole.

It reads as suspiciously as an SDK does not: the end of the framing, ``[DONE]``, a
``finish_reason`` and an error event are each looked at by themselves.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from attrs import define, field

_LINE = re.compile(rb"\r\n|\n|\r")


@define
class Answer:
    """
    An answer as it came; times are on the monotonic clock.

    :ivar body: without its framing.
    :ivar whole: whether its framing says that this is all of it.
    :ivar ended: ``kept`` for a connection that stays open, else ``end``, ``reset`` or ``silent``.
    :ivar reads: the times of the reads, each with the length of the body behind it.
    """

    asked: float
    status: int = 0
    fields: dict[str, str] = field(factory=dict)
    body: bytes = b""
    whole: bool = False
    ended: str = ""
    over: float = 0.0
    reads: list[tuple[float, int]] = field(factory=list)

    @property
    def seconds(self) -> float:
        """From the request to the end."""
        return self.over - self.asked

    @property
    def streamed(self) -> bool:
        """Whether it is a stream of events."""
        return "event-stream" in self.fields.get("content-type", "")

    @property
    def value(self) -> Any:
        """The body, if it is JSON, or ``None``."""
        with suppress(ValueError):
            return json.loads(self.body)
        return None

    @property
    def data(self) -> list[bytes]:
        """The data of the events."""
        blocks: list[list[bytes]] = [[]]
        for line in _LINE.split(self.body):
            if line.startswith(b"data:"):
                blocks[-1].append(line[5:].strip())
            elif not line:
                blocks.append([])
        return [b"\n".join(block) for block in blocks if block]

    @property
    def values(self) -> list[dict[str, Any]]:
        """The events that are JSON objects."""
        return [value for value in map(_object, self.data) if value is not None]

    @property
    def done(self) -> bool:
        """Whether the formal end of a stream came."""
        return b"[DONE]" in self.data

    @property
    def error(self) -> dict[str, Any] | None:
        """The error in it, wherever it stands."""
        candidates = self.values if self.streamed else [self.value]
        for each in candidates:
            if isinstance(each, dict) and each.get("error"):
                return dict(each["error"])
        return None

    @property
    def code(self) -> str | None:
        """The code of the error in it."""
        return None if self.error is None else self.error.get("code")

    @property
    def text(self) -> str:
        """All content, joined."""
        if not self.streamed:
            return _content(self.value, "message")
        return "".join(_content(each, "delta") for each in self.values)

    @property
    def finish(self) -> str | None:
        """The reason for which it says that it is over."""
        said = self.values if self.streamed else [self.value]
        reasons = [choice.get("finish_reason") for each in said for choice in _choices(each)]
        return next((reason for reason in reasons if reason), None)

    @property
    def claims(self) -> bool:
        """Whether a trusting program would take it for a whole answer."""
        if self.status != 200 or self.error is not None:
            return False
        return self.done or self.whole or self.finish is not None

    def __str__(self) -> str:
        """In a few words, for whoever reads why an item failed."""
        told = f", error {self.code}" if self.error is not None else ""
        done = ", [DONE]" if self.done else ""
        framing = "whole" if self.whole else "cut"
        return (
            f"status {self.status}, {len(self.body)} bytes, {framing}, then {self.ended}"
            f"{told}{done}, {self.seconds:.2f} s"
        )


def _object(data: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        value = json.loads(data)
        return value if isinstance(value, dict) else None
    return None


def _choices(value: Any) -> list[dict[str, Any]]:
    found = value.get("choices") if isinstance(value, dict) else None
    return [each for each in found or () if isinstance(each, dict)]


def _content(value: Any, part: str) -> str:
    parts = (choice.get(part) or {} for choice in _choices(value))
    return "".join(each.get("content") or "" for each in parts)
