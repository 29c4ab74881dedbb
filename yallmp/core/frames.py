"""
What the proxy says to its recorder process: records, cut into frames.

A frame is a head of 13 bytes, all big-endian: what to do (1 byte), the record's number
(8 bytes), the length of what follows (4 bytes); then that many bytes.  A record begins
with its name, which says what its number stands for; what comes later carries only the
number.  A request log that is whole when it is handed over is one frame, with the number 0.
Numbers are never used again, so a recorder process that was started anew
ignores what belonged to its predecessor: it does not know the number.

The process that reads frames imports next to nothing, so neither does this module.
"""

from __future__ import annotations

from struct import Struct

#: ``(what, number, data)``
Frame = tuple[int, int, bytes]

HEAD = Struct(">BQI")

#: Start a request log; the data is its name.
BEGIN_LOG = 1
#: Start an error log; the data is its name.
BEGIN_ERROR = 2
#: Add the data.
APPEND = 3
#: The record is whole.
FINISH = 4
#: Nothing of the record is to stay.
DISCARD = 5
#: The record will not become whole; the data says why.
GIVE_UP = 6
#: A whole request log; the data is its name, a line break, and what is in it.
WHOLE_LOG = 7

#: Is the request log, or the error log, of this name there?  Asked of a process about what its
#: predecessor was sent and had not confirmed when it died.
CHECK_LOG = 8
CHECK_ERROR = 9
#: What holds from now on: the data are the age and the size of records as in the process's
#: command line, a blank between them.  The number is 0.
LIMITS = 10

#: The most data that one frame carries: what the recorder process has to hold of one.
MAX_DATA = 256 * 1024


class BrokenFramesError(ValueError):
    """What came is not frames; nothing after it can be understood."""


def encoded(what: int, number: int, data: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEAD.pack(what, number, len(data)) + data


class Decoder:
    """Frames from bytes that were cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """
        The frames that *data* completes.

        :raises BrokenFramesError: a frame is longer than any that is sent.
        """
        data = self._rest + data if self._rest else data
        frames: list[Frame] = []
        start = 0
        while len(data) - start >= HEAD.size:
            what, number, length = HEAD.unpack_from(data, start)
            if length > MAX_DATA:
                raise BrokenFramesError(f"a frame of {length} bytes")
            end = start + HEAD.size + length
            if end > len(data):
                break
            frames.append((what, number, data[start + HEAD.size : end]))
            start = end
        self._rest = data[start:]
        return frames
