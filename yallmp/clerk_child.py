"""
The clerk's process: reads work and bodies from its standard input, and writes answers.

It is started as ``python -I -S -B clerk_child.py PATH`` by :mod:`yallmp.clerk` and lives
until its input ends.  It does one piece of work after the other.  What it may take of memory is
bounded, since a body of nothing but tiny lists is twenty times as large once it is read;
work that needs more is answered as not done.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

if __name__ == "__main__":
    # The interpreter was started without a path to anything but its own library.
    sys.path[:0] = sys.argv[1].split(os.pathsep)

from yallmp.core.work import SIZES, done
from yallmp.recorder_child import detach

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: Bytes of memory that work may need, all in all.
MOST_MEMORY = 2 << 30
#: The proxy itself goes first, where there are fewer cores than there is to do.
NICE = 5
_READ = 1 << 20


def bounded() -> None:
    """Let others go first, and bound our memory; garbage is looked for between pieces of work."""
    gc.disable()
    with suppress(OSError, AttributeError):
        os.nice(NICE)
    with suppress(OSError, ValueError, AttributeError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def exactly(read: Callable[[int], bytes], size: int) -> bytes:
    """
    The next *size* bytes, which are nowhere else meanwhile.

    :raises EOFError: there are not as many.
    """
    whole, left = BytesIO(), size
    while left:
        piece = read(min(left, _READ))
        if not piece:
            raise EOFError
        left -= whole.write(piece)
    return whole.getvalue()


def serve(read: Callable[[int], bytes], write: Callable[[bytes], None]) -> None:
    """Say that we are there, and do all the work that comes."""
    with suppress(EOFError, BrokenPipeError):
        write(done(pickle.dumps(len), b""))
        while True:
            told, body = SIZES.unpack(exactly(read, SIZES.size))
            write(done(exactly(read, told), exactly(read, body)))
            gc.collect()


def write(data: bytes) -> None:
    """Write all of *data* to the standard output."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    detach()
    bounded()
    serve(lambda size: os.read(0, size), write)
