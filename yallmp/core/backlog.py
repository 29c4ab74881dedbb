"""
Records on their way to the recorder process, and which of them still fit.

Frames gather here (*waiting*) until they are handed over (*sent*); the recorder process
confirms in coarse steps how much it has taken.  What waits or is sent and unconfirmed
may be ``limit`` bytes.  The first record that does not fit makes the backlog *full*:
from then on every record that wants to begin or to grow is given up whole, until half
of the limit is free again, so that what is written are whole records and not the
beginnings of many.  The few bytes that say that a record ended, in whichever way, always
fit: there are never more of them than there are open records.

If the process dies, what it had not confirmed may be written or not.  So the names of
records that became whole are kept until they are confirmed, and the next process is asked
which of them are there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from yallmp.core.frames import (
    APPEND,
    BEGIN_ERROR,
    BEGIN_LOG,
    CHECK_ERROR,
    CHECK_LOG,
    DISCARD,
    FINISH,
    GIVE_UP,
    HEAD,
    LIMITS,
    MAX_DATA,
    WHOLE_LOG,
)

_FULL = b"the queue of records was full"
_HEAD_SIZE = HEAD.size

#: A record that is to be there: which check asks for it, and its name.
Whole = tuple[int, str]


class Backlog:
    """
    The frames that the recorder process has yet to confirm.

    ``held`` is the bytes that wait or are sent and unconfirmed.

    :param limit: bytes (``logging.queue_bytes``).
    """

    def __init__(self, limit: int) -> None:
        self.is_full = False
        self.held = 0
        self._closed = False
        self._limit = limit
        self._frames: list[bytes | memoryview] = []
        self._sent = 0
        self._open: dict[str, int] = {}
        self._next = 1
        self._first_waiting = 1
        self._whole: list[Whole] = []
        self._handed_over: deque[tuple[int, list[Whole]]] = deque()
        self._taken = 0

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to hand over."""
        return bool(self._frames)

    @property
    def waiting(self) -> int:
        """How many bytes wait to be handed over."""
        return self.held - self._sent

    @property
    def unconfirmed(self) -> int:
        """How many records became whole and are not confirmed."""
        return len(self._whole) + sum(len(whole) for _, whole in self._handed_over)

    def begin(self, name: str) -> bool:
        """Start the request log *name*; false if it is given up."""
        if self._closed or name in self._open:
            return True
        if not self._admits(len(name)):
            return False
        self._open[name] = self._start(BEGIN_LOG, name)
        return True

    def append(self, name: str, data: bytes) -> bool:
        """Add to *name*, if it is open; false if it is given up now."""
        number = self._open.get(name)
        if number is None:
            return True
        if self._admits(len(data)):
            self._add(number, data)
            return True
        del self._open[name]
        self._put(GIVE_UP, number, _FULL)
        return False

    def finish(self, name: str) -> None:
        """*name*, if it is open, is whole."""
        if self._end(FINISH, name):
            self._whole.append((CHECK_LOG, name))

    def discard(self, name: str) -> None:
        """Nothing of *name*, if it is open, is to stay."""
        self._end(DISCARD, name)

    def whole(self, name: str, data: bytes) -> bool:
        """The whole request log *name*, in one frame if it is not large; false if given up."""
        if self._closed or len(name) + 1 + len(data) > MAX_DATA:
            return self._at_once(BEGIN_LOG, name, data)
        if not self._admits(len(name) + len(data)):
            return False
        titled = name.encode("ascii", "replace") + b"\n"
        size = len(titled) + len(data)
        self._frames += (HEAD.pack(WHOLE_LOG, 0, size), titled, data)
        self.held += _HEAD_SIZE + size
        self._whole.append((CHECK_LOG, name))
        return True

    def error(self, name: str, data: bytes) -> bool:
        """The whole error log *name*; false if it is given up."""
        return self._at_once(BEGIN_ERROR, name, data)

    def limit(self, limit: int, told: bytes) -> None:
        """*limit* bytes are held from now on; the process is *told* what holds for it."""
        self._limit = limit
        if not self._closed:
            self._put(LIMITS, 0, told)
        self._relieve()

    def take(self) -> bytes:
        """All that waits; it counts as sent from now on."""
        data = b"".join(self._frames)
        self._frames = []
        self._sent += len(data)
        self._first_waiting = self._next
        self._handed_over.append((len(data), self._whole))
        self._whole = []
        return data

    def confirm(self, size: int) -> None:
        """*size* more bytes were taken."""
        self._sent -= size
        self.held -= size
        self._taken += size
        while self._handed_over and self._handed_over[0][0] <= self._taken:
            self._taken -= self._handed_over.popleft()[0]
        self._relieve()

    def lose_sent(self) -> tuple[int, int]:
        """
        Whoever was sent frames is gone; how many records are given up, and how many in doubt.

        Those that were open are given up.  Of those that became whole the next one is asked.
        Records that were begun since the last :meth:`take` are still whole here and stay.
        What waits for the others will be ignored: its reader never saw them begin.
        """
        gone = [name for name, number in self._open.items() if number < self._first_waiting]
        for name in gone:
            del self._open[name]
        self.held -= self._sent
        self._sent = self._taken = 0
        doubtful = [each for _, whole in self._handed_over for each in whole]
        self._handed_over.clear()
        self._ask(doubtful)
        self._relieve()
        return len(gone), len(doubtful)

    def _ask(self, doubtful: Iterable[Whole]) -> None:
        """Ask whether these records are there; it may have to be asked again."""
        for what, name in doubtful:
            self._put(what, 0, name.encode("ascii", "replace"))
            self._whole.append((what, name))

    def close(self) -> None:
        """Take no notice of anything from now on."""
        self._closed = True
        self._open.clear()

    def _at_once(self, what: int, name: str, data: bytes) -> bool:
        """A record from its beginning to its end; false if it is given up."""
        if self._closed:
            return True
        if not self._admits(len(name) + len(data)):
            return False
        number = self._start(what, name)
        self._add(number, data)
        self._put(FINISH, number, b"")
        self._whole.append((CHECK_LOG if what == BEGIN_LOG else CHECK_ERROR, name))
        return True

    def _start(self, what: int, name: str) -> int:
        """A new number, told together with its name."""
        number = self._next
        self._next += 1
        self._put(what, number, name.encode("ascii", "replace"))
        return number

    def _add(self, number: int, data: bytes) -> None:
        """Data, in as many frames as it takes."""
        if len(data) <= MAX_DATA:
            self._put(APPEND, number, data)
            return
        view = memoryview(data)
        for start in range(0, len(data), MAX_DATA):
            self._put(APPEND, number, view[start : start + MAX_DATA])

    def _end(self, what: int, name: str) -> bool:
        """The last frame of an open record; false if there is none of this name."""
        number = self._open.pop(name, None)
        if number is None:
            return False
        self._put(what, number, b"")
        return True

    def _put(self, what: int, number: int, data: bytes | memoryview) -> None:
        """One more frame waits."""
        size = len(data)
        self._frames += (HEAD.pack(what, number, size), data)
        self.held += _HEAD_SIZE + size

    def _admits(self, size: int) -> bool:
        """
        Whether *size* bytes fit.

        Only a backlog that holds something becomes full: one that is nearly empty would
        never be told that it no longer is.
        """
        if not self.is_full and self.held + size <= self._limit:
            return True
        self.is_full = self.is_full or self.held > self._limit // 2
        return False

    def _relieve(self) -> None:
        """There may be room again."""
        if self.held <= self._limit // 2:
            self.is_full = False
