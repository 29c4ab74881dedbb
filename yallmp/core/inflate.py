"""
Compressed answers, undone a little at a time.

We ask for ``identity``; a backend that compresses all the same is read, but never
faster than the caller's limit allows: a few bytes can stand for gigabytes.
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


class Inflater:
    """
    Undoes ``gzip`` (also several members, one after the other) or ``deflate``.

    :param limit: bytes of output in all, above which the answer is refused.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._stream = zlib.decompressobj(_EITHER)
        self._behind = b""

    def __call__(self, data: bytes) -> bytes:
        """
        What *data* adds.

        :raises AttemptFailed: not such data, or more of it than the limit.
        """
        parts = []
        rest = self._next_member(data) if self._stream.eof else data
        while rest:
            parts.append(self._some(rest))
            rest = self._next_member(self._stream.unused_data) if self._stream.eof else b""
        return b"".join(parts)

    def _next_member(self, data: bytes) -> bytes:
        """What of *data*, behind an end, is to be undone: a further member, or nothing."""
        self._behind += data
        if self._behind.startswith(_MAGIC):
            self._stream = zlib.decompressobj(_EITHER)
            data, self._behind = self._behind, b""
            return data
        self._behind = self._behind[: len(_MAGIC)]
        return b""

    def _some(self, data: bytes) -> bytes:
        try:
            out = self._stream.decompress(data, self._left + 1)
        except zlib.error as error:
            raise AttemptFailed(Problem(Reason.INVALID, f"bad compression: {error}")) from None
        self._left -= len(out)
        if self._left < 0:
            raise AttemptFailed(Problem(Reason.INVALID, "the answer is over the limit"))
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
