"""
What a client has had of a streamed answer.

A stream that breaks can be told on by another attempt only if it is known what was said.
Inspectors keep it as they look at the events anyway.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

#: More characters than this are not kept: such an answer is not told on.
MOST = 1024 * 1024


@define
class Transcript:
    """
    The text of one answer, by field (``content``, ``refusal``, ``reasoning_content``).

    :ivar plain: whether the answer is nothing but text in one choice, so that another
        attempt can go on with it: no tool call, no logprobs, no audio, no annotations.
    :ivar id: the answer's id as the client has it.
    :ivar place: where the client's stream stands, for whoever writes on in its dialect; what it
        is, only that dialect knows.
    """

    plain: bool = True
    id: str | None = None
    place: Any = None
    _parts: dict[str, list[str]] = field(factory=dict)
    _size: int = 0

    def add(self, name: str, text: str) -> None:
        """So much more was said in the field *name*."""
        self._size += len(text)
        if self._size > MOST:
            self.keep(False)
        elif text:
            self._keep(self._parts.setdefault(name, []), text)

    @staticmethod
    def _keep(parts: list[str], text: str) -> None:
        """Of the pieces each is twice as long as the next, so that they are few."""
        while parts and len(parts[-1]) < 2 * len(text):
            text = parts.pop() + text
        parts.append(text)

    def keep(self, wanted: bool) -> None:
        """Keep nothing, unless it is *wanted*."""
        if not wanted:
            self.plain = False
            self._parts.clear()

    def copy(self) -> Transcript:
        """A transcript of its own that begins with the same."""
        parts = {name: list(texts) for name, texts in self._parts.items()}
        return Transcript(self.plain, self.id, self.place, parts, self._size)

    @property
    def fields(self) -> dict[str, str]:
        """The whole text of each field that has any, the one that spoke first coming first."""
        return {name: "".join(parts) for name, parts in self._parts.items()}
