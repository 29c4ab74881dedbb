"""
What became of a request.

A pure function of the answer and of what was wished for.  What is *wrong* breaks a figure.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from chaos.heard import Answer
from chaos.soak.wish import Wish

#: Stands in the message of errors that a backend means, and that are passed on.
MEANT = "soak: this is meant"


class Word(Enum):
    """How it ended, and the figure that it breaks, if any."""

    SERVED = "served", None
    REFUSED = "refused, as it should", None
    TOLD = "broken, and told so", None
    FAILED = "failed, nobody was there", None
    LEFT = "left by the client", None
    LOST = "LOST", "1"
    FALSE = "TRUNCATED, BUT LOOKS WHOLE", "2"
    SILENT = "CUT WITHOUT A WORD", "2"
    FOREIGN = "NOT ITS OWN ANSWER", "2"
    ADMITTED = "BAD, BUT ADMITTED", "7"
    CRASHED = "BAD, AND A 5XX", "7"

    @property
    def figure(self) -> str | None:
        """The figure of reliability that it breaks."""
        return self.value[1]

    @property
    def says(self) -> str:
        """In words."""
        return str(self.value[0])


@frozen
class Judged:
    """What became of a request, and what was seen."""

    word: Word
    seen: str


def judged(answer: Answer, wish: Wish, *, stream: bool, helped: bool) -> Judged:
    """What became of a chat request; *helped* says that its route has a healthy backend."""
    return Judged(_word(answer, wish, stream, helped), str(answer))


def _word(answer: Answer, wish: Wish, stream: bool, helped: bool) -> Word:
    if answer.status != 200:
        return _failed(answer, helped)
    text, error = answer.text, answer.error
    if not wish.text.startswith(text):
        return Word.FOREIGN
    if error is not None:
        return _broken(answer, text, helped)
    if text == wish.text and answer.whole and (answer.done or not stream):
        return Word.SERVED
    return Word.FALSE if answer.claims else Word.SILENT


def _failed(answer: Answer, helped: bool) -> Word:
    error = answer.error
    if error is not None and MEANT in str(error.get("message")):
        return Word.REFUSED
    return Word.LOST if helped or error is None else Word.FAILED


def _broken(answer: Answer, text: str, helped: bool) -> Word:
    """A stream with an error in it; without text it had not been committed."""
    if answer.done or answer.whole or answer.finish is not None:
        return Word.FALSE if text else Word.LOST
    return Word.LOST if helped and not text else Word.TOLD


def embedded(answer: Answer, wish: Wish) -> Judged:
    """What became of a request for an embedding that a healthy backend has."""
    if answer.status != 200 or not answer.whole:
        return Judged(Word.LOST, str(answer))
    try:
        number = answer.value["data"][0]["embedding"][0]
    except (LookupError, TypeError):
        return Judged(Word.FALSE, str(answer))
    return Judged(Word.SERVED if number == wish.number else Word.FOREIGN, str(answer))


def turned_away(answer: Answer) -> Judged:
    """What became of a request that is bad."""
    if 400 <= answer.status < 500 and answer.whole and answer.error is not None:
        return Judged(Word.REFUSED, str(answer))
    return Judged(Word.ADMITTED if answer.status < 500 else Word.CRASHED, str(answer))
