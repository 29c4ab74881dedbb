"""
The recorder process: reads frames from its standard input and writes records.

It is started as ``python -I -S recorder_child.py DIRECTORY MAX_AGE MAX_TOTAL SWEEPS_FOR``
by :mod:`yallmp.recorder` and lives until its input ends, which is when the
proxy is gone, in whichever way.  It ignores the signals that stop a daemon and has a
session of its own, so that a Ctrl-C or the stop of a service cannot end it before it has
written what the pipe still holds.  Records that are open then stay unfinished.

What it says goes to its standard output, a line each:

``ready``
    it has started.
``ack BYTES``
    so many more bytes of frames were taken; what they said is done.
``lost COUNT REASON``
    so many records were given up.
``back``
    after that: a record was written again.
``missing COUNT``
    so many of the records that it was asked for are not there.

A thread deletes old records (:class:`Sweeper`), so that a directory with a hundred
thousand files does not hold up the writing.  Where several such processes share a
directory, one of them does it, for all ``SWEEPS_FOR``; the others are told 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

if __name__ == "__main__":
    # The interpreter was started without a path to us.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from yallmp.core.frames import LIMITS, Decoder
from yallmp.core.retention import PART, Found, is_expired, is_record, may_be_open, oldest
from yallmp.intake import Intake
from yallmp.record_files import KINDS, RecordFiles

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: A clock that differs by so many seconds from what it should be was set; and for so long after
#: that nothing is deleted because of its age.
_SET, DISTRUSTED = 600.0, 3600.0
#: Of the pipe and of one read: what can wait here while a disk takes its time.
PIPE_BYTES = 1024 * 1024
SWEEP_EVERY = 60.0


class WallClock:
    """
    The time of day, and whether somebody has just set it.

    A clock that jumps ahead by years would make every record too old.  Mostly that is put
    right soon; so for an hour after a jump, in either direction, age is no reason.

    :param wall: the system's clock.
    :param steady: one that nobody sets.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._trusted_from = steady()

    def read(self) -> tuple[float, bool]:
        """The time, and whether it is to be trusted."""
        now, steady = self._wall(), self._steady()
        if abs(now - steady - self._offset) > _SET:
            self._trusted_from = steady + DISTRUSTED
        self._offset = now - steady
        return now, steady >= self._trusted_from


class Sweeper:
    """
    Deletes records by age and by size of all, oldest first.

    Deletes a little more than it must, so that a full directory is not searched again
    for every record.

    :param parts: the files that are being written; they stay.
    :param max_age: seconds.
    :param max_total: bytes.
    """

    def __init__(
        self, directory: str, parts: Collection[str], max_age: float, max_total: int
    ) -> None:
        self.total = 0
        self._is_trusted = True
        self._folders = [os.path.join(directory, folder) for folder, _ in KINDS.values()]
        self._parts = parts
        self.limit(max_age, max_total)

    def limit(self, max_age: float, max_total: int) -> None:
        """What is kept from the next sweep on."""
        self._max_age = max_age
        self._max_total = max_total

    def room(self) -> int:
        """The bytes that may be written before it has to sweep again."""
        return max(self._max_total - self.total, self._max_total // 32)

    def sweep(self, now: float, is_trusted: bool = True) -> None:
        """Delete what is too old, and then what is too much; if *now* may be wrong, the latter."""
        self.total = 0
        self._is_trusted = is_trusted
        for found in self._all():
            if not (self._is_too_old(found, now) and self._delete(found, now)):
                self.total += found[1]
        if self.total > self._max_total:
            self._shrink(now)

    def _is_too_old(self, found: Found, now: float) -> bool:
        return self._is_trusted and is_expired(found, now, self._max_age)

    def _shrink(self, now: float) -> None:
        """Delete the oldest until there is some room."""
        excess = self.total - self._max_total + self._max_total // 8
        candidates = (found for found in self._all() if self._may_go(found, now))
        for found in oldest(candidates, excess, now):
            if self._delete(found, now):
                self.total -= found[1]

    def _all(self) -> Iterator[Found]:
        """Every record there is; a directory that cannot be read has none."""
        for folder in self._folders:
            with suppress(OSError), os.scandir(folder) as entries:
                yield from filter(None, map(_found, entries))

    def _may_go(self, found: Found, now: float) -> bool:
        """Whether nobody is writing it."""
        if found[2].endswith(PART) and not self._is_trusted:
            return False
        return found[2] not in self._parts and not may_be_open(found, now)

    def _delete(self, found: Found, now: float) -> bool:
        """Delete a record; false if it stays."""
        if not self._may_go(found, now):
            return False
        try:
            os.unlink(found[2])
        except OSError:
            return False
        return True


def _found(entry: os.DirEntry[str]) -> Found | None:
    """What is to be known of a file, if it is a record of ours."""
    if not is_record(entry.name):
        return None
    try:
        if not entry.is_file(follow_symlinks=False):
            return None
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return (status.st_mtime, status.st_size, entry.path)


class Sweeping(threading.Thread):
    """
    Sweeps at the start, every minute, and when enough was written.

    :param writers: how many processes write, each about as much as this one.
    """

    def __init__(self, sweeper: Sweeper, writers: int = 1) -> None:
        super().__init__(name="sweeping", daemon=True)
        self._sweeper = sweeper
        self._writers = writers
        self._due = threading.Event()
        self._swept_at = 0

    def run(self) -> None:
        """Sweep for ever; the end of the process ends it."""
        clock = WallClock()
        while True:
            self._sweeper.sweep(*clock.read())
            self._due.wait(SWEEP_EVERY)
            self._due.clear()

    def limit(self, max_age: float, max_total: int) -> None:
        """Sweep by other limits, at once."""
        self._sweeper.limit(max_age, max_total)
        self._due.set()

    def wrote(self, total: int) -> None:
        """*total* bytes were written since the start of the process."""
        if (total - self._swept_at) * self._writers >= self._sweeper.room():
            self._swept_at = total
            self._due.set()


class Told:
    """
    What the proxy is told, and when.

    All that is to be told of a batch is one write, so that a process that is killed has told
    all of it or nothing.

    :param say: writes lines.
    """

    def __init__(self, files: RecordFiles, say: Callable[[str], None]) -> None:
        self._files = files
        self._say = say
        self._is_trouble = False

    def batch(self, size: int) -> None:
        """A batch of *size* bytes was handled."""
        lines = [f"lost {count} {reason}" for reason, count in self._files.lost.items()]
        self._files.lost.clear()
        self._is_trouble = self._is_trouble or bool(lines)
        if self._is_trouble and not self._files.is_refused:
            self._is_trouble = False
            lines.append("back")
        if self._files.missing is not None:
            lines.append(f"missing {self._files.missing}")
            self._files.missing = None
        self._say("\n".join([*lines, f"ack {size}"]))


def say(lines: str) -> None:
    """Tell the proxy something, if it still listens."""
    with suppress(OSError):
        os.write(1, lines.encode("ascii", "backslashreplace") + b"\n")


def record(
    read: Callable[[int], bytes], files: RecordFiles, told: Told, sweeping: Sweeping
) -> None:
    """Do what the frames say until there are no more."""
    decoder = Decoder()
    data = read(PIPE_BYTES)
    while data:
        for what, number, content in decoder.feed(data):
            if what == LIMITS:
                max_age, max_total = content.split()
                sweeping.limit(float(max_age), int(max_total))
            else:
                files.handle(what, number, content)
        files.flush()
        told.batch(len(data))
        sweeping.wrote(files.written)
        data = read(PIPE_BYTES)
    files.close()


def detach() -> None:
    """Be a process that only the end of its input ends, and whose files are private."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.umask(0o077)
    if hasattr(os, "setsid"):
        with suppress(OSError):
            os.setsid()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(0, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def most_open() -> int:
    """How many records may be open at a time: half of what the system grants, within reason."""
    granted = os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 0
    return max(100, min(2000, granted // 2))


def main(directory: str, max_age: str, max_total: str, sweeps_for: str = "1") -> None:
    """Write records to *directory* until standard input ends."""
    detach()
    files = RecordFiles(directory, most_open())
    sweeper = Sweeper(directory, files.parts, float(max_age), int(max_total))
    sweeping = Sweeping(sweeper, int(sweeps_for))
    if sweeps_for != "0":
        sweeping.start()
    say("ready")
    record(Intake(0, PIPE_BYTES).read, files, Told(files, say), sweeping)


if __name__ == "__main__":
    main(*sys.argv[1:])
