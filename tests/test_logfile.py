"""The file of the daemon's log: it is bounded, and a disk that refuses costs lines only."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import skipIf

from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from yallmp import gaps
from yallmp.logfile import KEPT, LATER, BoundedLog


class Disk:
    """The raw file below a log, with room for so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file = file
        self.room = room
        self.closed = False

    def write(self, data: bytes) -> int:
        """Takes what fits; the next one learns that it is full."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        piece = bytes(data)[: self.room]
        self.room -= len(piece)
        return int(self.file.write(piece))


class LogFileCase(SynchronousTestCase):
    """A log that is begun, and what is said of it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "d.log"
        self.patch(gaps, "_log", Logger(observer=self.note))
        self.log = BoundedLog.fromFullPath(str(self.path), rotateLength=100)

    def note(self, event: Any) -> None:
        """What is missing is told in the log itself."""
        self.log.write(f"{event['count']} missing: {event['reason']}\n")

    def fill(self, room: int) -> Disk:
        """From now on there is room for so many bytes."""
        disk = Disk(self.log._file, room)
        self.log._file = disk  # type: ignore[assignment]
        return disk

    def names(self) -> list[str]:
        """The files that are there."""
        return sorted(path.name for path in self.folder.iterdir())


class FullTests(LogFileCase):
    """A disk without room."""

    def test_lines_are_lost_and_counted(self) -> None:
        """Nothing is raised; the first line that fits again is followed by what is missing."""
        disk = self.fill(0)
        for _ in range(3):
            self.log.write("lost\n")
        disk.room = 1000
        self.log.write("there\n")
        self.log.write(b"and there\n")
        expected = "there\n3 missing: No space left on device\nand there\n"
        self.assertEqual(self.path.read_text(), expected)

    def test_a_part_of_a_line(self) -> None:
        """It stays, and what comes next begins on a line of its own."""
        disk = self.fill(4)
        self.log.write("0123456\n")
        disk.room = 1000
        self.log.write("next\n")
        self.assertEqual(self.path.read_text().splitlines()[:2], ["0123", "next"])

    def test_it_stays_full(self) -> None:
        """Room for the line but not for telling what is missing: that is told later."""
        disk = self.fill(0)
        self.log.write("lost\n")
        disk.room = 6
        self.log.write("there\n")
        disk.room = 1000
        self.log.write("again\n")
        self.assertIn("again\n1 missing", self.path.read_text())

    @skipIf(not os.path.exists("/dev/full"), "it takes a device that is always full")
    def test_a_real_one(self) -> None:
        """A device that refuses every byte, and is not renamed at any size."""
        log = BoundedLog.fromFullPath("/dev/full", rotateLength=1)
        log.write("lost\n")
        self.assertEqual((log.gap.lines, log.shouldRotate()), (1, None))


class RotationTests(LogFileCase):
    """One file after the other."""

    def lines(self, count: int) -> Iterator[str]:
        """Lines of 50 bytes, which are written."""
        for number in range(count):
            line = f"{number:049}\n"
            self.log.write(line)
            yield line

    def test_so_many_are_kept(self) -> None:
        """The newest, without a gap between them."""
        written = list(self.lines(100))
        self.assertEqual(len(self.names()), 1 + KEPT)
        files = [self.folder / f"d.log.{number}" for number in range(KEPT, 0, -1)]
        kept = "".join(file.read_text() for file in [*files, self.path])
        self.assertTrue("".join(written).endswith(kept))
        self.assertEqual(kept.count("\n"), 2 * (1 + KEPT))

    def refusing(self, times: int) -> Any:
        """``os.rename`` that fails at first."""
        rename, left = os.rename, [errno.EACCES] * times

        def renamed(*names: str) -> None:
            if left:
                raise OSError(left.pop(), "refused")
            rename(*names)

        return renamed

    def test_it_fails_in_the_middle(self) -> None:
        """The file that was closed for it is written on, and it is tried again later."""
        self.patch(os, "rename", self.refusing(1))
        written = list(self.lines(4))
        self.assertEqual(self.names(), ["d.log"])
        self.assertEqual(self.path.read_text(), "".join(written))
        self.log.size = self.log.rotateLength
        list(self.lines(1))
        self.assertEqual(self.names(), ["d.log", "d.log.1"])

    def test_it_is_not_tried_with_every_line(self) -> None:
        """Another 64 KiB are written before."""
        self.log.rotateLength = 2 * LATER
        self.log.write("x" * 2 * LATER)
        self.patch(os, "rename", self.refusing(100))
        list(self.lines(2))
        self.assertEqual(self.log.size, LATER + 100)

    def test_the_folder_is_gone(self) -> None:
        """Lines are lost until it is there again; then there is a new file."""
        self.log.size = 100
        shutil.rmtree(self.folder)
        list(self.lines(3))
        self.folder.mkdir()
        self.log.write("there\n")
        self.assertIn("there\n", self.path.read_text())
        self.assertIn("missing: No such file", self.path.read_text())

    def test_the_file_is_gone(self) -> None:
        """Its space is given back when the next one is due, though nobody can rename it."""
        list(self.lines(2))
        self.path.unlink()
        (line,) = self.lines(1)
        self.assertEqual(self.path.read_text(), line)
