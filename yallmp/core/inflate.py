"""
Compressed answers, undone a little at a time.

We ask for ``identity``; a backend that compresses all the same is read, but never
faster than the caller's limit allows: a few bytes can stand for gigabytes.  And what becomes
more than fifty times as long is refused before much of it was made: no answer of a model
does, and undoing it would hold up all others.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from yallmp.core.exchange import HeaderPairs
from yallmp.core.problems import AttemptFailed, Problem, Reason

#: Both zlib's and gzip's framing, told apart by their first bytes (zlib manual, inflateInit2).
_EITHER = 47
#: How a further member of gzip begins (RFC 1952, 2.3.1).
_MAGIC = b"\x1f\x8b"
#: So many times as long as it came may an answer become, and so long in any case; bytes.
MOST_TIMES, HARMLESS = 50, 1024 * 1024
#: So much is looked at before that is asked.
_SLICE = 16 * 1024
#: So many members it may have: each costs more than what may be in it.
MOST_MEMBERS = 1000
_BOMB = Problem(Reason.INVALID, "the answer is compressed as no answer is")


class Inflater:
    """
    Undoes ``gzip`` (also several members, one after the other) or ``deflate``.

    :param limit: bytes of output in all, above which the answer is refused.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._allowed = HARMLESS
        self._members = 1
        self._stream = zlib.decompressobj(_EITHER)
        self._behind = b""

    def __call__(self, data: bytes) -> bytes:
        """
        What *data* adds.

        :raises AttemptFailed: not such data, or more of it than the limit.
        """
        if len(data) <= _SLICE:
            return self._slice(data)
        starts = range(0, len(data), _SLICE)
        return b"".join([self._slice(data[at : at + _SLICE]) for at in starts])

    def _slice(self, data: bytes) -> bytes:
        parts = []
        self._allowed += MOST_TIMES * len(data)
        rest = self._next_member(data) if self._stream.eof else data
        while rest:
            parts.append(self._some(rest))
            rest = self._next_member(self._stream.unused_data) if self._stream.eof else b""
        return b"".join(parts)

    def _next_member(self, data: bytes) -> bytes:
        """What of *data*, behind an end, is to be undone: a further member, or nothing."""
        self._behind += data
        if self._behind.startswith(_MAGIC):
            self._members += 1
            if self._members > MOST_MEMBERS:
                raise AttemptFailed(_BOMB)
            self._stream = zlib.decompressobj(_EITHER)
            data, self._behind = self._behind, b""
            return data
        self._behind = self._behind[: len(_MAGIC)]
        return b""

    def _some(self, data: bytes) -> bytes:
        try:
            out = self._stream.decompress(data, min(self._left, self._allowed) + 1)
        except zlib.error as error:
            raise AttemptFailed(Problem(Reason.INVALID, f"bad compression: {error}")) from None
        self._left -= len(out)
        self._allowed -= len(out)
        if self._left < 0:
            raise AttemptFailed(Problem(Reason.INVALID, "the answer is over the limit"))
        if self._allowed < 0:
            raise AttemptFailed(_BOMB)
        return out


_PLAIN = (b"", b"identity")


def _as_it_is(data: bytes) -> bytes:
    return data


def decoder(headers: HeaderPairs, limit: int) -> Callable[[bytes], bytes]:
    """
    What undoes the ``content-encoding`` of an answer.

    :raises AttemptFailed: an encoding that is not known here.
    """
    encodings: list[bytes] = []
    for name, value in headers:
        if name.lower() == b"content-encoding" and value.strip().lower() not in _PLAIN:
            encodings.append(value.strip().lower())
    if not encodings:
        return _as_it_is
    if encodings in ([b"gzip"], [b"x-gzip"], [b"deflate"]):
        return Inflater(limit)
    told = b", ".join(encodings).decode("latin-1")
    raise AttemptFailed(Problem(Reason.INVALID, f"the answer has the content-encoding {told}"))
