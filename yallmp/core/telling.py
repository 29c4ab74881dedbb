"""
What an answer says of its own way through the proxy: ``x-yallmp-…``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from yallmp.core.exchange import HeaderPairs
from yallmp.core.sse import comment_bytes
from yallmp.core.verdicts import Tried

_SAFE = " ._-/:@+#"
#: A backend's name and what came of it, in a word.
Word = tuple[str, str]


def words(tried: Sequence[Tried], *last: Word) -> tuple[Word, ...]:
    """What was *tried*, in a word each, and behind it *last*."""
    return (*((t.backend.name, t.problem.word) for t in tried), *last)


def headers_for(told: Sequence[Word], made: int) -> HeaderPairs:
    """The headers of an answer behind *made* attempts; the last of *told* is whose it is."""
    return (
        (b"x-yallmp-backend", _quoted(told[-1][0]) if told else b""),
        (b"x-yallmp-attempts", b"%d" % made),
        (b"x-yallmp-route", _route(told)),
    )


def comment_for(told: Sequence[Word]) -> bytes:
    """The same, for the end of a stream whose headers have long been sent."""
    return comment_bytes(b"x-yallmp-route: " + _route(told))


def _route(told: Sequence[Word]) -> bytes:
    return b",".join([b"%b:%b" % (_quoted(name), word.encode()) for name, word in told])


@lru_cache(1024)
def _quoted(name: str) -> bytes:
    return quote(name, _SAFE).encode()
