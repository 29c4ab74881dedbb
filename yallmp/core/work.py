"""
Work on bodies that are too large to be read on the reactor's thread.

JSON is read some hundred megabytes a second at best, and far slower where somebody means
harm; nothing else goes on meanwhile.  So whatever is read of a body of more than
:data:`LARGE` bytes is *work*: a value that can be sent to another process
(:mod:`yallmp.clerk`), called there with the body, and answered with a value that can be sent
back.  Pieces of work are pure, so it does not matter where they are done.

Here are the frames in which both processes talk.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from attrs import define, field, frozen

#: Bodies of more bytes are read elsewhere.
LARGE = 256 * 1024
_Answer = TypeVar("_Answer")
Work = Callable[[bytes], _Answer]
#: How long the work, or the answer, is; and the body behind it.
SIZES = struct.Struct(">QQ")


@frozen
class Undone:
    """Work that could not be done, and why."""

    why: str


def packed(work: Work[Any], body: bytes) -> bytes:
    """What goes before *body* on its way to whoever does *work* on it."""
    told = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
    return SIZES.pack(len(told), len(body)) + told


def done(told: bytes, body: bytes) -> bytes:
    """Do the work that was *told*; the answer as it goes back."""
    try:
        answer = pickle.loads(told)(body)
    except Exception as error:
        answer = Undone(type(error).__name__)  # its text may hold what the body does
    answered = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    return SIZES.pack(len(answered), 0) + answered


@define
class Answers:
    """The answers in what comes back, cut anywhere."""

    _parts: list[bytes] = field(factory=list)
    _size: int = 0

    def feed(self, data: bytes) -> Iterator[Any]:
        """The answers that *data* completes; long ones are put together only once."""
        self._parts.append(data)
        self._size += len(data)
        while self._size >= self._wanted():
            joined = b"".join(self._parts)
            end = SIZES.size + SIZES.unpack_from(joined)[0]
            self._parts, self._size = [joined[end:]], len(joined) - end
            yield pickle.loads(joined[SIZES.size : end])

    def _wanted(self) -> int:
        """How many bytes there must be for an answer."""
        if self._size < SIZES.size:
            return SIZES.size
        if len(self._parts[0]) < SIZES.size:
            self._parts = [b"".join(self._parts)]
        length: int = SIZES.unpack_from(self._parts[0])[0]
        return SIZES.size + length
