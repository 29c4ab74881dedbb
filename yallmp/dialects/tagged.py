"""
Text with tags in it, taken apart while it flows.

A :class:`Tagged` is given text in pieces of any size and says what it is: words, thoughts, or
calls.  What it says does not depend on where the text was cut.  It holds back as little as it can:
the end of a text that may be the beginning of a tag, white space that may stand beside one, and a
call until it is whole.  It loses nothing: what turns out to be no call, or no tag, is said as the
words that it was.

- ``<think>`` counts at the beginning of a line; elsewhere somebody speaks of it.  Thoughts end
  with ``</think>`` or with the answer.  Where the *template* opens them, the answer begins inside.
- ``<tool_call>`` counts wherever a call that the request allows follows.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field, frozen

from yallmp.dialects.callblocks import (
    CLOSING,
    KIMI_CLOSING,
    KIMI_OPENING,
    OPENING,
    Call,
    Offered,
    Unfinished,
    calls_in,
)

THINK, UNTHINK = "<think>", "</think>"
#: The longest call, in characters; and how many tags may stand in the texts of its arguments.
MAX_BLOCK = 1024 * 1024
_MAX_TRIES = 16
_CLOSING = {OPENING: CLOSING, KIMI_OPENING: KIMI_CLOSING}


@frozen
class Words:
    """Something said."""

    text: str


@frozen
class Thought:
    """Something thought; ``first`` of a thought that begins."""

    text: str
    first: bool = False


@frozen
class ThoughtOver:
    """The thought ends."""


Piece = Words | Thought | ThoughtOver | Call


@frozen
class Tags:
    """
    Which tags count.

    :ivar thinks: whether thoughts stand in tags.
    :ivar opened: whether an answer begins inside of them.
    :ivar form: how calls are written (:mod:`yallmp.dialects.callblocks`); ``off`` for none.
    """

    thinks: bool = False
    opened: bool = False
    form: str = "off"
    offered: Offered = field(factory=Offered)

    @property
    def openings(self) -> tuple[str, ...]:
        """The tags that end a text."""
        thinks = (THINK,) if self.thinks else ()
        if self.form == "off" or not self.offered.schemas:
            return thinks
        plain = (OPENING,) if self.form != "kimi" else ()
        return (*thinks, *plain, *((KIMI_OPENING,) if self.form in ("auto", "kimi") else ()))


@define
class Tagged:
    """
    One text.

    ``_held`` is what is not decided; ``_space`` white space behind what was said; ``_opening`` the
    tag of the call that is being read, which is looked for its end from ``_at``.
    """

    tags: Tags
    _openings: tuple[str, ...] = field(init=False)
    _held: str = ""
    _space: str = ""
    _thinks: bool = field(init=False)
    _thought: bool = False
    _said: bool = False
    _line: bool = True
    _tagged: bool = False
    _opening: str = ""
    _at: int = 0
    _tries: int = 0

    def __attrs_post_init__(self) -> None:
        self._openings = self.tags.openings
        self._thinks = self.tags.thinks and self.tags.opened

    def feed(self, text: str) -> list[Piece]:
        """What is certain, now that *text* came."""
        self._held += text
        return list(self._pieces(final=False))

    def end(self) -> list[Piece]:
        """What is left: no more text comes, or something else comes between."""
        return [*self._pieces(final=True), *self._rest()]

    def thought_elsewhere(self) -> None:
        """The thoughts come in a field of their own, so that the answer does not begin in them."""
        if self._thinks and not self._thought:
            self._thinks = False

    def _pieces(self, *, final: bool) -> Iterator[Piece]:
        more = True
        while more:
            if self._opening:
                found = self._in_block(final=final)
            elif self._thinks:
                found = self._in_thought(final=final)
            else:
                found = self._in_text(final=final)
            more = found is not None and bool(self._held)
            yield from found or ()

    def _in_text(self, *, final: bool) -> list[Piece] | None:
        """Up to the next tag; ``None`` if nothing more can be said before more comes."""
        at, tag = _first(self._held, self._openings)
        if not tag:
            kept = 0 if final else _begun(self._held, self._openings)
            words = self._say(self._take(len(self._held) - kept))
            return words if final and self._held else (words or None)
        words = self._say(self._take(at))
        if tag == THINK and not self._line:
            return [*words, *self._say(self._take(len(tag)))]
        self._take(len(tag))
        if tag == THINK:
            self._thinks, self._thought, self._space = True, False, ""
        else:
            self._opening, self._at, self._tries = tag, 0, 0
            if final and not self._held:
                words += self._no_block()
        return words

    def _in_thought(self, *, final: bool) -> list[Piece] | None:
        if not self._thought:
            bare = self._held.lstrip()
            if bare.startswith(THINK):
                self._held = bare[len(THINK) :]
                return []
            if not final and THINK.startswith(bare):
                return None
        at = self._held.find(UNTHINK)
        if at < 0:
            kept = 0 if final else _begun(self._held, (UNTHINK,))
            return self._think(self._take(len(self._held) - kept)) or None
        thoughts = self._think(self._take(at))
        self._take(len(UNTHINK))
        over: list[Piece] = [ThoughtOver()] if self._thought else []
        self._thinks, self._thought = False, False
        self._after_tag()
        return [*thoughts, *over]

    def _in_block(self, *, final: bool) -> list[Piece] | None:
        closing = _CLOSING[self._opening]
        at, tag = _first(self._held, (closing, self._opening), self._at)
        ends = len(self._held) if final and not tag else at
        if (tag and at > MAX_BLOCK) or (not tag and len(self._held) > MAX_BLOCK + len(closing)):
            return self._no_block()
        if not tag and not final:
            self._at = max(0, len(self._held) - len(KIMI_OPENING))
            return None
        try:
            calls = calls_in(self._held[:ends], self._opening, self.tags.form, self.tags.offered)
        except Unfinished:
            return self._more_of_block(at + len(tag), final=not tag)
        if not calls:
            return self._no_block()
        self._take(ends + (len(tag) if tag == closing else 0))
        self._opening = ""
        self._after_tag()
        return list(calls)

    def _more_of_block(self, at: int, *, final: bool) -> list[Piece]:
        """The tag stood in a text, so that the call goes on behind it."""
        self._at, self._tries = at, self._tries + 1
        return self._no_block() if final or self._tries > _MAX_TRIES else []

    def _no_block(self) -> list[Piece]:
        """The tag was none: it is said, and what is behind it is text."""
        opening, self._opening = self._opening, ""
        return self._say(opening)

    def _after_tag(self) -> None:
        self._space, self._tagged, self._line = "", True, True

    def _take(self, count: int) -> str:
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def _say(self, text: str) -> list[Piece]:
        """Words, but for the white space at their end; and at their beginning behind a tag."""
        text = self._space + text
        words = text.rstrip()
        self._space = text[len(words) :]
        if not words:
            self._line = self._line or "\n" in self._space
            return []
        if self._tagged and not self._said:
            words = words.lstrip()
        self._said, self._tagged, self._line = True, False, "\n" in self._space
        return [Words(words)]

    def _think(self, text: str) -> list[Piece]:
        text = self._space + text
        words = text.rstrip()
        self._space = text[len(words) :]
        if not words:
            return []
        first, self._thought = not self._thought, True
        return [Thought(words.lstrip() if first else words, first)]

    def _rest(self) -> Iterator[Piece]:
        """The white space at the end, and the end of a thought that was not closed."""
        space, self._space = self._space, ""
        if self._thinks:
            yield from [Thought(space)] if space and self._thought else ()
            yield from [ThoughtOver()] if self._thought else ()
            self._thinks, self._thought, self._tagged = False, False, True
        elif space and not self._tagged:
            yield Words(space)


def _first(text: str, tags: tuple[str, ...], at: int = 0) -> tuple[int, str]:
    """Where the first of *tags* stands in *text*, and which it is; an empty one for none."""
    found = [(place, tag) for tag in tags if (place := text.find(tag, at)) >= 0]
    return min(found, default=(-1, ""))


def _begun(text: str, tags: tuple[str, ...]) -> int:
    """How many characters at the end of *text* may be the beginning of one of *tags*."""
    at = text.rfind("<", -max(map(len, tags), default=1))
    if at < 0:
        return 0
    end = text[at:]
    return len(end) if any(tag.startswith(end) for tag in tags) else 0
