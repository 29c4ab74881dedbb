"""
The recorder process: what it reads, says and deletes, without being a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp import recorder_child
from yallmp.core.frames import APPEND, BEGIN_LOG, CHECK_ERROR, CHECK_LOG, FINISH, LIMITS, encoded
from yallmp.record_files import RecordFiles, make_directories
from yallmp.recorder_child import DISTRUSTED, Sweeper, Sweeping, Told, WallClock, record

NOW = 1_800_000_000.0
STEM = "20261019_081502-3f9c2a7b10de_m"


def reading(*parts: bytes) -> Callable[[int], bytes]:
    """An input that brings *parts* and ends."""
    left = [*parts, b""]
    return lambda size: left.pop(0)


class Case(SynchronousTestCase):
    """A directory for records."""

    def setUp(self) -> None:
        """Nothing is there but the directories."""
        self.directory = os.path.abspath(self.mktemp())
        make_directories(self.directory)
        self.files = RecordFiles(self.directory)
        self.said: list[str] = []
        self.sweeper = Sweeper(self.directory, self.files.parts, 3600.0, 10**9)
        self.sweeping = Sweeping(self.sweeper)

    def names(self, folder: str = "requests") -> list[str]:
        """The files that are there."""
        return sorted(os.listdir(os.path.join(self.directory, folder)))


class RecordTests(Case):
    """From standard input to files."""

    def run_on(self, *parts: bytes) -> None:
        """Read the parts to their end."""
        told = Told(self.files, self.said.append)
        record(reading(*parts), self.files, told, self.sweeping)

    def test_other_limits(self) -> None:
        """Records are kept by them from the next sweep on, which comes at once."""
        (Path(self.directory) / "requests" / f"{STEM}.log").write_bytes(b"x" * 100)
        self.run_on(encoded(LIMITS, 0, b"7.5 50"), encoded(BEGIN_LOG, 1, b"a"))
        self.assertTrue(self.sweeping._due.is_set())
        self.sweeper.sweep(time.time() + 5.0)
        self.assertNotIn(f"{STEM}.log", self.names())

    def test_until_the_input_ends(self) -> None:
        """Every whole frame counts, and what is unfinished stays so."""
        data = encoded(BEGIN_LOG, 1, b"a") + encoded(APPEND, 1, b"x") + encoded(FINISH, 1)
        data += encoded(BEGIN_LOG, 2, b"b") + encoded(APPEND, 2, b"known")
        self.run_on(data[:20], data[20:], encoded(APPEND, 2, b"cut")[:-1])
        self.assertEqual(self.names(), ["a.log", "b.log.part"])

    def test_acknowledges(self) -> None:
        """What was taken is told when what it says is done."""
        frame = encoded(APPEND, 1, bytes(87))
        self.run_on(frame, frame + frame[:20], frame[20:])
        self.assertEqual(self.said, ["ack 100", "ack 120", "ack 80"])

    def test_looks_for_what_another_was_to_write(self) -> None:
        """How many of them are not there, in the kind of log that is meant."""
        good = encoded(BEGIN_LOG, 2, b"a") + encoded(FINISH, 2)
        asked = [(CHECK_LOG, b"a"), (CHECK_ERROR, b"a"), (CHECK_LOG, b"b")]
        self.run_on(good, b"".join(encoded(what, 0, name) for what, name in asked))
        self.assertEqual(self.said[1].split("\n")[0], "missing 2")
        self.run_on(encoded(CHECK_LOG, 0, b"a"))
        self.assertIn("missing 0", self.said[2])

    def test_tells_what_was_lost(self) -> None:
        """Records that were given up are told once, and when one is written again, that."""
        bad, good = encoded(BEGIN_LOG, 1, b"/"), encoded(BEGIN_LOG, 2, b"a") + encoded(FINISH, 2)
        self.run_on(good, bad + bad, encoded(FINISH, 1), bad, good, good)
        lost = "is not a record's name"
        told = [line for said in self.said for line in said.split("\n") if line[:3] != "ack"]
        self.assertEqual(told, [f"lost 2 '/' {lost}", f"lost 1 '/' {lost}", "back"])

    def test_the_trouble_is_over_within_a_batch(self) -> None:
        """That is told with it: the next record may come much later."""
        bad, good = encoded(BEGIN_LOG, 1, b"/"), encoded(BEGIN_LOG, 2, b"a") + encoded(FINISH, 2)
        self.run_on(bad + good)
        self.assertEqual(self.said[0].split("\n")[1], "back")

    @given(st.lists(st.integers(1, 200)))
    def test_split_anywhere(self, cuts: list[int]) -> None:
        """Where reads split the input makes no difference."""
        frames = [(BEGIN_LOG, 1, b"a"), *[(APPEND, 1, b"%d" % i) for i in range(9)]]
        data = b"".join(encoded(*frame) for frame in frames) + encoded(FINISH, 1)
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        self.setUp()
        self.run_on(*(data[a:b] for a, b in pairwise(places)))
        with open(os.path.join(self.directory, "requests", "a.log"), "rb") as file:
            self.assertEqual(file.read(), b"012345678")


class SweeperTests(Case):
    """Old records go."""

    def add(self, name: str, age: float = 0.0, size: int = 100, folder: str = "requests") -> str:
        """A file that was last changed some seconds before ``NOW``."""
        path = os.path.join(self.directory, folder, name)
        with open(path, "wb") as file:
            file.write(bytes(size))
        os.utime(path, (NOW - age, NOW - age))
        return path

    def sweep(self, max_age: float = 1e9, max_total: int = 10**9) -> Sweeper:
        """Sweep at ``NOW``."""
        sweeper = Sweeper(self.directory, self.files.parts, max_age, max_total)
        sweeper.sweep(NOW)
        return sweeper

    def test_by_age(self) -> None:
        """What is older than allowed goes, of every kind, and what is left is counted."""
        for end in (".log", "-2.log", ".log.part"):
            self.add(STEM + end, age=9000)
        self.add(STEM + ".err", age=9000, folder="errors")
        self.add(STEM + "-3.log", age=50)
        self.assertEqual(self.sweep(max_age=8000).total, 100)
        self.assertEqual((self.names(), self.names("errors")), ([STEM + "-3.log"], []))

    def test_by_size(self) -> None:
        """Over the size, the oldest of all go until there is some room."""
        for number in range(2, 12):
            self.add(f"{STEM}-{number}.log", age=number)
        self.add(STEM + ".err", age=100, folder="errors")
        self.assertEqual(self.sweep(max_total=800).total, 700)
        self.assertEqual(self.names("errors"), [])
        self.assertEqual(self.names(), sorted(f"{STEM}-{number}.log" for number in range(2, 9)))

    def test_the_clock_has_just_been_set(self) -> None:
        """Nothing is too old then, and no unfinished file goes; what is too much does."""
        sweeper = Sweeper(self.directory, self.files.parts, 3600.0, 250)
        self.add(STEM + ".log.part", age=1)
        for number in (2, 3, 4):
            self.add(f"{STEM}-{number}.log", age=number)
        sweeper.sweep(NOW + 1e9, is_trusted=False)
        self.assertEqual(self.names(), [STEM + "-2.log", STEM + ".log.part"])
        sweeper.sweep(NOW + 1e9)
        self.assertEqual(self.names(), [])

    def test_not_over_the_size(self) -> None:
        """At the size exactly, nothing goes."""
        self.add(STEM + ".log")
        self.assertEqual(self.sweep(max_total=100).total, 100)

    def test_leaves_what_is_written(self) -> None:
        """An open file stays however old it is; so does one that another process may write."""
        self.files.parts.add(self.add(STEM + ".log.part", age=9000))
        self.add(STEM + "-2.log.part", age=60)
        self.sweep(max_age=30, max_total=10)
        self.assertEqual(len(self.names()), 2)

    def test_leaves_what_is_not_ours(self) -> None:
        """Other files, directories and links stay, and what links point to."""
        target = self.add("precious.txt", age=9000)
        os.symlink(target, os.path.join(self.directory, "requests", STEM + ".log"))
        os.mkdir(os.path.join(self.directory, "requests", STEM + "-2.log"))
        self.sweep(max_age=30, max_total=10)
        self.assertEqual(len(self.names()), 3)

    def test_no_directory(self) -> None:
        """A directory that is gone is empty."""
        for folder in ("requests", "errors"):
            os.rmdir(os.path.join(self.directory, folder))
        self.assertEqual(self.sweep().total, 0)

    def test_room(self) -> None:
        """It sweeps again when the rest was written, or, in a full directory, some."""
        self.add(STEM + ".log", size=100)
        self.assertEqual(self.sweep(max_total=1000).room(), 900)
        self.assertEqual(self.sweep(max_total=101).room(), 3)

    def test_sweeps_when_enough_was_written(self) -> None:
        """The thread is woken once for each time that the room is used up."""
        sweeping = Sweeping(self.sweep(max_total=1000))
        woken = []
        self.patch(sweeping._due, "set", lambda: woken.append(True))
        for total in (400, 999, 1000, 1500, 2000):
            sweeping.wrote(total)
        self.assertEqual(len(woken), 2)

    def test_sweeps_for_others(self) -> None:
        """Where four processes write, each writes a quarter of what uses the room up."""
        sweeping = Sweeping(self.sweep(max_total=1000), 4)
        woken: list[int] = []
        for total in (249, 250, 499, 500):
            self.patch(sweeping._due, "set", lambda total=total: woken.append(total))
            sweeping.wrote(total)
        self.assertEqual(woken, [250, 500])

    def test_one_sweeps(self) -> None:
        """Whoever is told that another does it leaves everything where it is."""
        self.add(STEM + ".log", size=100)
        for sweeps_for, started in (("1", 1), ("0", 0)):
            starts: list[Sweeping] = []
            self.patch(Sweeping, "start", lambda it, starts=starts: starts.append(it))
            self.patch(recorder_child, "detach", lambda: None)
            self.patch(recorder_child, "record", lambda *args: None)
            self.patch(recorder_child, "say", lambda line: None)
            recorder_child.main(self.directory, "1", "1", sweeps_for)
            self.assertEqual(len(starts), started)


class WallClockTests(SynchronousTestCase):
    """Whether the time of day is to be trusted."""

    def setUp(self) -> None:
        self.wall, self.steady = NOW, 50.0
        self.clock = WallClock(lambda: self.wall, lambda: self.steady)

    def after(self, seconds: float, set_by: float = 0.0) -> bool:
        """Whether it is trusted some time later."""
        self.steady += seconds
        self.wall += seconds + set_by
        now, is_trusted = self.clock.read()
        self.assertEqual(now, self.wall)
        return is_trusted

    def test_it_goes_on(self) -> None:
        """From the beginning, however long, and with the corrections of every day."""
        self.assertTrue(self.after(0))
        self.assertTrue(self.after(60, 1.5))
        self.assertTrue(self.after(10**6, -30))

    def test_it_jumps(self) -> None:
        """By years in either direction: an hour later it is believed."""
        for jump in (3e8, -3e8):
            self.assertFalse(self.after(60, jump))
            self.assertFalse(self.after(DISTRUSTED - 1))
            self.assertTrue(self.after(1))

    def test_it_jumps_and_is_put_right(self) -> None:
        """The hour begins with the last jump."""
        self.assertFalse(self.after(60, 3e8))
        self.assertFalse(self.after(600, -3e8))
        self.assertFalse(self.after(DISTRUSTED - 1))
        self.assertTrue(self.after(1))


class ProcessTests(SynchronousTestCase):
    """What it is as a process."""

    def test_open_files(self) -> None:
        """As many as a busy proxy has streams, if the system grants them."""
        for granted, most in ((-1, 100), (256, 128), (1024, 512), (10**6, 2000)):
            self.patch(recorder_child.os, "sysconf", {"SC_OPEN_MAX": granted}.__getitem__)
            self.assertEqual(recorder_child.most_open(), most)

    def test_imports_next_to_nothing(self) -> None:
        """No third-party module and nothing large of the standard library is loaded."""
        program = f"""
import sys
sys.path.append({os.path.dirname(os.path.dirname(recorder_child.__file__))!r})
import yallmp.recorder_child
print(*sys.modules)
"""
        command = [sys.executable, "-I", "-S", "-c", program]
        loaded = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
        unwanted = {"attrs", "attr", "twisted", "zope", "typing", "logging", "asyncio", "json"}
        self.assertEqual(unwanted.intersection(loaded), set())
        self.assertLess(len(loaded), 90)
