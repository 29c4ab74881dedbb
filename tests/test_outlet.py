"""Standard output waits for nobody, and loses what nobody reads in the end."""

from __future__ import annotations

import errno
import io
import os
import socket
from collections.abc import Callable
from typing import Any, cast
from unittest import skipIf

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from yallmp import gaps, outlet
from yallmp.outlet import MOST_WAITING, Outlet, hold_standard_streams

LINE = "x" * 99 + "\n"


@define
class Reader:
    """
    Who reads, or does not.

    ``room`` is how much it would take now, ``error`` what its end is like.
    """

    room: int = 10**9
    error: int = 0
    read: bytearray = field(factory=bytearray)

    def send(self, content: bytes) -> int:
        """Takes what fits."""
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if not self.room:
            raise BlockingIOError
        piece = content[: self.room]
        self.room -= len(piece)
        self.read += piece
        return len(piece)


class Threads:
    """Threads that run when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def __call__(self, target: Callable[[], None], **about: Any) -> Any:
        """A thread; ``start`` and ``join`` are those of this one."""
        self.waiting.append(target)
        return self

    def start(self) -> None:
        """It runs later."""

    def join(self, patience: float) -> None:
        """The end of the process waits for it, a little."""
        self.run()

    def run(self) -> None:
        """Let them run."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


class OutletCase(SynchronousTestCase):
    """An outlet to a reader."""

    def setUp(self) -> None:
        self.threads = Threads()
        self.patch(outlet, "Thread", self.threads)
        self.patch(outlet, "_poll", lambda *args: True)
        self.patch(gaps, "_log", Logger(observer=self.note))
        self.reader = Reader()
        self.outlet = Outlet(self.reader.send, -1)

    def note(self, event: Any) -> None:
        """What is missing is told in the log itself."""
        self.outlet.write(f"{event['count']} missing: {event['reason']}\n")

    @property
    def text(self) -> str:
        """What was read."""
        return self.reader.read.decode()


class WaitingTests(OutletCase):
    """Nobody reads for a while."""

    def test_all_is_well(self) -> None:
        """Text and bytes go out at once, without a thread."""
        self.outlet.write("one ü\udcff\n")
        self.outlet.write(b"two\n")
        self.assertEqual(self.text, "one ü\\udcff\ntwo\n")
        self.assertEqual(self.threads.waiting, [])

    def test_it_is_read_later(self) -> None:
        """Nothing is lost, nothing is cut, and one thread is enough."""
        self.reader.room = 5
        for number in range(4):
            self.outlet.write(f"{number} {LINE}")
        self.assertEqual(len(self.threads.waiting), 1)
        self.reader.room = 10**9
        self.threads.run()
        self.outlet.write("end\n")
        self.assertEqual(self.text, "".join(f"{n} {LINE}" for n in range(4)) + "end\n")
        self.assertEqual(self.threads.waiting, [])

    def test_only_so_much_waits(self) -> None:
        """The rest is counted and told after the first line that goes out again."""
        self.reader.room = 0
        fits = MOST_WAITING // 100
        for _ in range(fits + 7):
            self.outlet.write(LINE)
        self.reader.room = 10**9
        self.threads.run()
        self.outlet.write("end\n")
        self.assertEqual(self.text.count(LINE), fits)
        self.assertTrue(self.text.endswith("end\n7 missing: nobody reads standard output\n"))

    def test_at_the_end_of_the_process(self) -> None:
        """What waits gets a moment."""
        self.reader.room = 0
        self.outlet.write(LINE)
        self.reader.room = 1000
        self.outlet.close()
        self.assertEqual(self.text, LINE)

    def test_no_thread_to_be_had(self) -> None:
        """What would have waited is lost, and the next line is tried anew, on a line of its own."""

        def refuse() -> None:
            raise RuntimeError("can't start new thread")

        self.patch(self.threads, "start", refuse)
        self.reader.room = 3
        self.outlet.write(LINE)
        self.reader.room = 1000
        self.outlet.write("next\n")
        self.assertEqual(self.text, "xxx\nnext\n1 missing: can't start new thread\n")

    @given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 150)), max_size=20))
    def test_whatever_it_takes(self, steps: list[tuple[int, int]]) -> None:
        """In any pieces: all lines come, whole and in order."""
        self.setUp()
        for number, (room, size) in enumerate(steps):
            self.reader.room = room
            self.outlet.write(f"{number}{'y' * size}\n")
        self.reader.room = 10**9
        self.threads.run()
        expected = [f"{number}{'y' * size}" for number, (_, size) in enumerate(steps)]
        self.assertEqual(self.text.splitlines(), expected)


class RefusedTests(OutletCase):
    """Whoever reads is gone, or the disk is full."""

    def test_lines_are_lost_and_told(self) -> None:
        """Nothing is raised."""
        self.reader.error = errno.EPIPE
        self.outlet.write(LINE)
        self.outlet.write(LINE)
        self.reader.error = 0
        self.outlet.write("there\n")
        self.assertEqual(self.text, "there\n2 missing: Broken pipe\n")

    def test_while_something_waits(self) -> None:
        """That is lost as well; the part of a line that went out gets an end."""
        self.reader.room = 3
        self.outlet.write(LINE)
        self.outlet.write(LINE)
        self.reader.error = errno.ENOSPC
        self.threads.run()
        self.reader.error, self.reader.room = 0, 1000
        self.outlet.write("there\n")
        self.assertEqual(self.text, "xxx\nthere\n2 missing: No space left on device\n")


class StreamTests(SynchronousTestCase):
    """What standard output may be."""

    def writer(self, descriptor: int) -> Any:
        """An outlet to *descriptor*."""
        file = os.fdopen(os.dup(descriptor), "w")
        self.addCleanup(file.close)
        return outlet.outlet(file)

    def test_nothing(self) -> None:
        """It was closed: what is written goes nowhere."""
        nowhere = outlet.outlet(None)
        nowhere.write("x\n")
        nowhere.flush()
        nowhere.close()

    def test_no_file_of_the_systems(self) -> None:
        """It is used as it is."""
        text = io.StringIO()
        self.assertIs(outlet.outlet(text), text)

    def full_pipe(self) -> tuple[int, int]:
        """A pipe with no room; its two ends."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        os.set_blocking(ends[1], False)
        try:
            while True:
                os.write(ends[1], bytes(1000))
        except BlockingIOError:
            os.set_blocking(ends[1], True)
        return ends

    @skipIf(os.name != "posix", "Windows has no such pipes")
    def test_a_pipe_that_nobody_reads(self) -> None:
        """It returns, and the pipe itself still waits for others who write into it."""
        reading, writing = self.full_pipe()
        writer = self.writer(writing)
        writer.write(LINE)
        self.assertTrue(os.get_blocking(writing))
        read = b""
        while LINE.encode() not in read:
            read = read[-200:] + os.read(reading, 65536)

    @skipIf(os.name != "posix", "Windows has no such pipes")
    def test_a_pipe_that_cannot_be_opened_again(self) -> None:
        """It is asked for room instead, and given no more than surely fits."""

        def refuse(descriptor: int) -> int:
            raise OSError(errno.EACCES, "refused")

        self.patch(outlet, "_opened_again", refuse)
        reading, writing = self.full_pipe()
        writer = cast("Outlet", self.writer(writing))
        self.assertRaises(BlockingIOError, writer._send, b"x")
        os.read(reading, 60_000)
        self.assertEqual(writer._send(bytes(70_000)), 4096)

    @skipIf(os.name != "posix", "there are no such sockets")
    def test_a_socket_that_nobody_reads(self) -> None:
        """journald's, say."""
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        writer = cast("Outlet", self.writer(one.fileno()))
        sent = 0
        try:
            while sent < 10**8:
                sent += writer._send(bytes(10_000))
        except BlockingIOError:
            pass
        self.assertTrue(0 < sent < 10**8)

    @skipIf(not os.path.exists("/dev/full"), "it takes a device that is always full")
    def test_a_full_disk(self) -> None:
        """The line is lost."""
        with open("/dev/full", "w") as full:
            writer = cast("Outlet", self.writer(full.fileno()))
            writer.write("lost\n")
        self.assertEqual(writer.gap.lines, 1)


class HoldTests(SynchronousTestCase):
    """The first three descriptors."""

    def test_a_closed_one(self) -> None:
        """It is opened on nothing; others stay as they are."""
        opened: list[str] = []
        closed = {1}

        def state(descriptor: int) -> None:
            if descriptor in closed:
                raise OSError(errno.EBADF, "closed")

        self.patch(outlet.os, "fstat", state)
        self.patch(outlet.os, "open", lambda path, flags: opened.append(path))
        hold_standard_streams()
        self.assertEqual(opened, [os.devnull])
