"""
Records get to the disk by way of another process, and its troubles stay its own.

:class:`RealTests` is the one place with real processes.
"""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any

from twisted.internet import reactor  # noqa: TID251 - the subject is a process
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from tests.fake_process import PretendedProcess, ProcessReactor
from yallmp.core.frames import (
    APPEND,
    BEGIN_ERROR,
    BEGIN_LOG,
    CHECK_ERROR,
    CHECK_LOG,
    FINISH,
    GIVE_UP,
    LIMITS,
)
from yallmp.interfaces import IRecorder
from yallmp.losses import PAUSE
from yallmp.recorder import GATHER, SILENCE, Recorder, RecorderError, check_directory
from yallmp.recorder_process import FIRST_DELAY


def make_recorder(
    any_reactor: Any, directory: str, events: list[LogEvent], queue_bytes: int = 1000
) -> Recorder:
    """A recorder whose log is kept."""
    return Recorder(
        any_reactor,
        directory,
        max_age=3600.0,
        max_total_bytes=10**9,
        queue_bytes=queue_bytes,
        log=Logger(observer=events.append),
    )


class Case(SynchronousTestCase):
    """A recorder with a pretended process."""

    def setUp(self) -> None:
        """It is started."""
        self.reactor = ProcessReactor()
        self.events: list[LogEvent] = []
        self.directory = os.path.abspath(self.mktemp())
        self.recorder = make_recorder(self.reactor, self.directory, self.events)
        self.recorder.startService()

    @property
    def child(self) -> PretendedProcess:
        """The process that was started last."""
        return self.reactor.processes[-1]

    def kinds(self) -> list[tuple[int, int]]:
        """What the process was sent, without data."""
        self.reactor.advance(GATHER)
        return [(what, number) for what, number, _ in self.child.frames]

    def lines(self) -> str:
        """What was logged."""
        self.reactor.advance(0)
        return "\n".join(formatEvent(event) for event in self.events)


class StartTests(Case):
    """The beginning."""

    def test_interface(self) -> None:
        """It is what log observers expect."""
        verifyObject(IRecorder, self.recorder)

    def test_directories_are_there(self) -> None:
        """The directories exist after the check, and hold nothing."""
        check_directory(self.directory)
        for folder in ("requests", "errors"):
            self.assertEqual(os.listdir(os.path.join(self.directory, folder)), [])

    def test_the_command(self) -> None:
        """The process is told all that it needs, with an absolute path."""
        _, *options, program, directory, age, total, sweeps = self.child.command
        self.assertEqual(options, ["-I", "-S", "-B"])
        self.assertTrue(os.path.isabs(program))
        self.assertEqual(directory, os.fsencode(self.directory))
        self.assertEqual((age, total, sweeps), ("3600.0", "1000000000", "1"))

    def test_a_directory_that_cannot_be_made(self) -> None:
        """The check fails with one line that says what to do."""
        path = self.mktemp()
        with open(path, "w"):
            pass
        error = self.assertRaises(RecorderError, check_directory, os.path.join(path, "logs"))
        self.assertIn("logging.directory", str(error))
        self.assertIn("Not a directory", str(error))
        self.assertNotIn("\n", str(error))

    def test_a_path_that_is_none(self) -> None:
        """The check fails with a line as well."""
        error = self.assertRaises(RecorderError, check_directory, "a\0b")
        self.assertIn("null byte", str(error))

    def test_an_unusable_directory_is_no_reason_to_stay_down(self) -> None:
        """A worker that is started again serves, whatever became of the disk."""
        path = self.mktemp()
        with open(path, "w"):
            pass
        recorder = make_recorder(self.reactor, os.path.join(path, "logs"), self.events)
        recorder.startService()
        self.assertTrue(recorder.running)
        self.assertEqual(len(self.reactor.processes), 2)

    def test_a_directory_that_cannot_be_written(self) -> None:
        """Directories that exist are tried out."""
        directory = self.mktemp()
        os.makedirs(directory)
        with open(os.path.join(directory, "errors"), "w"):
            pass
        self.assertRaises(RecorderError, check_directory, directory)

    def test_no_process_to_be_had(self) -> None:
        """The service starts without one, and what is recorded waits for a later one."""
        self.reactor.refuses = True
        recorder = make_recorder(self.reactor, self.directory, self.events)
        recorder.startService()
        self.assertTrue(recorder.running)
        self.assertIn("Resource temporarily unavailable", self.lines())
        self.reactor.refuses = False
        recorder.begin("a")
        self.reactor.advance(FIRST_DELAY)
        self.assertEqual(self.kinds(), [(BEGIN_LOG, 1)])

    def test_records_before_the_start(self) -> None:
        """What is recorded before the start is written after it."""
        recorder = make_recorder(self.reactor, self.directory, self.events)
        recorder.begin("a")
        recorder.finish("a")
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        recorder.startService()
        self.assertEqual(self.kinds(), [(BEGIN_LOG, 1), (FINISH, 1)])


class BatchTests(Case):
    """Records on their way."""

    def test_together(self) -> None:
        """What comes within a moment goes in one write, without waiting longer."""
        writes: list[bytes] = []
        self.patch(self.child, "write", writes.append)
        for name in ("a", "b"):
            self.recorder.begin(name)
            self.recorder.append(name, b"x")
            self.recorder.finish(name)
        self.assertEqual(writes, [])
        self.reactor.advance(GATHER)
        self.assertEqual(len(writes), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_full(self) -> None:
        """With a process that takes nothing, records are given up, told once, and resumed."""
        self.recorder.begin("a")
        for _ in range(20):
            self.recorder.append("a", bytes(100))
        for number in range(10):
            self.recorder.begin(f"b{number}")
            self.recorder.error(f"b{number}", b"x")
        self.assertEqual(self.recorder.lost, 21)
        self.assertEqual(self.kinds()[-1], (GIVE_UP, 1))
        self.assertEqual(self.lines().count("records are being lost"), 1)
        self.child.say(f"ack {len(self.child.written)}")
        self.recorder.begin("c")
        self.assertEqual(self.kinds()[-1], (BEGIN_LOG, 2))
        self.reactor.advance(PAUSE)
        self.assertIn("written again; 21 were lost", self.lines())

    def test_one_record_is_too_large(self) -> None:
        """A record that can never fit costs itself only."""
        self.recorder.error("a", bytes(2000))
        self.recorder.begin("b")
        self.assertEqual(self.kinds(), [(BEGIN_LOG, 1)])
        self.assertEqual(self.recorder.lost, 1)

    def test_the_disk_refuses(self) -> None:
        """What the process lost is told with its reason, and when it is over."""
        for _ in range(3):
            self.child.say("lost 2 No space left on device: /logs/requests")
        self.assertIn("No space left on device: /logs/requests", self.lines())
        self.child.say("back")
        self.reactor.advance(PAUSE)
        self.assertIn("6 were lost", self.lines())


class LimitTests(Case):
    """Other limits while it runs."""

    def limit(self, queue_bytes: int) -> None:
        """Change all of them."""
        self.recorder.limit(max_age=7.5, max_total_bytes=50, queue_bytes=queue_bytes)

    def test_the_process_is_told(self) -> None:
        """At once, in the order of what is recorded, and the next one begins with them."""
        self.recorder.begin("a")
        self.limit(queue_bytes=80)
        self.reactor.advance(GATHER)
        self.assertEqual(self.child.frames[-1], (LIMITS, 0, b"7.5 50"))
        self.child.die()
        self.reactor.advance(FIRST_DELAY)
        self.assertEqual(self.child.command[-3:], ["7.5", "50", "1"])

    def test_a_larger_queue(self) -> None:
        """Records fit again at once; in a smaller one those under way are given up."""
        self.recorder.begin("a")
        for _ in range(20):
            self.recorder.append("a", bytes(100))
        self.recorder.error("b", b"x")
        lost = self.recorder.lost
        self.limit(queue_bytes=10_000)
        self.recorder.error("c", b"x")
        self.assertEqual(self.recorder.lost, lost)
        self.limit(queue_bytes=100)
        self.recorder.error("d", bytes(100))
        self.assertEqual(self.recorder.lost, lost + 1)

    def test_nobody_runs(self) -> None:
        """It is no trouble before the start, nor after the end."""
        recorder = make_recorder(self.reactor, self.directory, self.events)
        recorder.limit(max_age=7.5, max_total_bytes=50, queue_bytes=80)
        self.recorder.stopService()
        self.limit(queue_bytes=80)


class DeathTests(Case):
    """The process dies."""

    def test_open_records_are_given_up(self) -> None:
        """A record that was begun is not continued with the next process."""
        self.recorder.begin("a")
        self.kinds()
        self.child.die()
        self.recorder.append("a", b"x")
        self.reactor.advance(0.5)
        self.recorder.finish("a")
        self.assertEqual((len(self.reactor.processes), self.kinds()), (2, []))
        self.assertEqual(self.recorder.lost, 1)

    def test_new_records_wait_for_the_next(self) -> None:
        """What is recorded in between goes to the next process, at once when it is there."""
        self.child.die()
        self.recorder.begin("a")
        self.recorder.append("a", b"x")
        self.reactor.advance(0.5)
        self.recorder.finish("a")
        self.assertEqual(self.kinds(), [(BEGIN_LOG, 1), (APPEND, 1), (FINISH, 1)])

    def test_only_so_much_waits(self) -> None:
        """Without a process no more gathers than the queue may hold."""
        self.child.die()
        for number in range(50):
            self.recorder.error(f"e{number}", bytes(100))
        self.reactor.advance(0.5)
        self.assertLessEqual(len(self.child.written), 1000)
        self.assertEqual(self.recorder.lost, 50 - len(self.child.frames) // 3)

    def test_a_full_queue_is_written_off(self) -> None:
        """What the dead process had not confirmed makes room."""
        self.recorder.error("a", bytes(900))
        self.reactor.advance(GATHER)
        self.recorder.error("b", bytes(900))
        self.child.die()
        self.recorder.begin("c")
        self.reactor.advance(0.5)
        self.assertEqual(self.kinds(), [(CHECK_ERROR, 0), (BEGIN_LOG, 2)])

    def test_late_acknowledgement(self) -> None:
        """An acknowledgement that was still in the pipe counts, and once."""
        self.recorder.error("a", bytes(900))
        self.reactor.advance(GATHER)
        self.child.protocol.inConnectionLost()
        self.child.say(f"ack {len(self.child.written)}")
        self.recorder.error("b", bytes(900))
        self.recorder.error("c", bytes(900))
        self.assertEqual(self.recorder.lost, 1)
        self.child.die()
        self.reactor.advance(FIRST_DELAY)
        self.assertEqual(self.kinds(), [(BEGIN_ERROR, 2), (APPEND, 2), (FINISH, 2)])

    def test_how_many_are_missing(self) -> None:
        """The next process is asked; one line tells the number, also of those that were open."""
        self.recorder.begin("open")
        for number in range(3):
            self.recorder.whole(f"w{number}", b"x")
        self.kinds()
        self.child.die()
        self.reactor.advance(FIRST_DELAY)
        self.child.say("ready")
        self.assertEqual(self.kinds(), [(CHECK_LOG, 0)] * 3)
        self.reactor.advance(PAUSE)
        self.assertNotIn("written again", self.lines())
        self.child.say("missing 2")
        self.reactor.advance(PAUSE)
        self.assertIn("written again; 3 were lost: the recorder process ended", self.lines())
        self.assertEqual(self.recorder.lost, 3)

    def test_none_is_missing(self) -> None:
        """Then there is nothing to be told of them."""
        self.recorder.whole("a", b"x")
        self.kinds()
        self.child.die()
        self.reactor.advance(FIRST_DELAY)
        self.child.say("ready")
        self.child.say("missing 0")
        self.reactor.advance(PAUSE)
        self.assertNotIn("lost", self.lines())


class StopTests(Case):
    """The end."""

    def test_flushes(self) -> None:
        """What waits is handed over, then the process's input ends."""
        self.recorder.begin("a")
        self.recorder.finish("a")
        stopped = self.recorder.stopService()
        self.assertEqual(self.kinds(), [(BEGIN_LOG, 1), (FINISH, 1)])
        self.assertTrue(self.child.input_closed)
        self.child.die(signal=None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_records_after_it(self) -> None:
        """What comes later is dropped; no timer is started and nothing is said."""
        stopped = self.recorder.stopService()
        self.recorder.begin("a")
        self.recorder.append("a", b"x")
        self.recorder.error("b", b"x")
        self.child.die(signal=None)
        self.successResultOf(stopped)
        self.recorder.begin("c")
        self.assertEqual((self.reactor.getDelayedCalls(), self.child.frames), ([], []))

    def test_flushes_without_a_process(self) -> None:
        """What waits for a new process gets one for the purpose."""
        self.child.die()
        self.recorder.error("a", b"x")
        stopped = self.recorder.stopService()
        self.assertEqual(len(self.child.frames), 3)
        self.child.die(signal=None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_tells_what_was_lost(self) -> None:
        """Losses that are not yet told are told now."""
        self.child.say("lost 2 disk full")
        stopped = self.recorder.stopService()
        self.child.die(signal=None)
        self.successResultOf(stopped)
        self.assertIn("2 records were lost: disk full", self.lines())

    def test_killed_at_the_end(self) -> None:
        """What nobody has confirmed then is told as lost."""
        for number in range(3):
            self.recorder.whole(f"w{number}", b"x")
            self.kinds()
        self.child.say(f"ack {len(self.child.written) // 3}")
        stopped = self.recorder.stopService()
        self.reactor.advance(SILENCE)
        self.assertEqual(self.child.signals, ["KILL"])
        self.child.die()
        self.successResultOf(stopped)
        self.assertIn("2 records were lost: the recorder process ended", self.lines())

    def test_how_long_it_may_take(self) -> None:
        """No longer than the process has left; a moment at least."""
        for left, patience in ((2.0, 1.8), (-1.0, 0.1), (60.0, SILENCE)):
            self.setUp()
            recorder = Recorder(
                self.reactor, self.directory, max_age=1.0, max_total_bytes=1, queue_bytes=1000,
                log=Logger(observer=self.events.append), stop_timeout=lambda left=left: left,
            )  # fmt: skip
            recorder.startService()
            recorder.stopService()
            self.reactor.advance(patience - 0.01)
            self.assertEqual(self.child.signals, [])
            self.reactor.advance(0.02)
            self.assertEqual(self.child.signals, ["KILL"])

    def test_never_started(self) -> None:
        """What was not started has nothing to stop."""
        recorder = make_recorder(self.reactor, self.directory, self.events)
        self.successResultOf(recorder.stopService())


class RealTests(TestCase):
    """With a real process."""

    timeout = 20

    def setUp(self) -> None:
        """It is started."""
        self.events: list[LogEvent] = []
        self.directory = os.path.abspath(self.mktemp())
        self.recorder = make_recorder(reactor, self.directory, self.events, 10_000_000)
        self.recorder.startService()
        self.addCleanup(self.recorder.stopService)

    @property
    def pid(self) -> int:
        """The process's number."""
        pid: int = self.recorder._process._transport.pid
        return pid

    def names(self, folder: str = "requests") -> list[str]:
        """The files that are there."""
        path = os.path.join(self.directory, folder)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    async def until_there(self, name: str) -> None:
        """Wait for a request log."""
        while name not in self.names():
            await pause(0.01)

    async def test_round_trip(self) -> None:
        """Records of all kinds are on disk, byte for byte, when the stop is over."""
        data = bytes(range(256)) * 4000
        for name in ("whole", "open", "unwanted"):
            self.recorder.begin(name)
            self.recorder.append(name, data)
        self.recorder.finish("whole")
        self.recorder.discard("unwanted")
        self.recorder.error("whole", b"why")
        await self.recorder.stopService()
        self.assertEqual(self.names(), ["open.log.part", "whole.log"])
        self.assertEqual(self.names("errors"), ["whole.err"])
        with open(os.path.join(self.directory, "requests", "whole.log"), "rb") as file:
            self.assertEqual(file.read(), data)
        self.assertEqual(self.events, [])

    async def test_a_thousand_at_the_end(self) -> None:
        """A stop right after many records loses none of them."""
        for number in range(1000):
            self.recorder.begin(f"r{number}")
            self.recorder.append(f"r{number}", b"x" * 3000)
            self.recorder.finish(f"r{number}")
        await self.recorder.stopService()
        self.assertEqual(len([name for name in self.names() if name.endswith(".log")]), 1000)

    async def test_killed(self) -> None:
        """A process that is killed is followed by another; finished records are safe."""
        for name in ("before", "open"):
            self.recorder.begin(name)
            self.recorder.append(name, b"x")
        self.recorder.finish("before")
        await self.until_there("before.log")
        await self.until_there("open.log.part")
        os.kill(self.pid, signal.SIGKILL)
        while self.recorder._process.is_up:
            await pause(0.01)
        self.recorder.begin("after")
        self.recorder.finish("after")
        await self.until_there("after.log")
        self.recorder.finish("open")
        await self.recorder.stopService()
        self.assertEqual(self.names(), ["after.log", "before.log", "open.log.part"])

    async def test_is_not_stopped_by_signals(self) -> None:
        """Ctrl-C and the stop of a service do not reach it before it has written all."""
        self.recorder.begin("a")
        await self.until_there("a.log.part")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(self.pid, number)
        self.assertEqual(os.getsid(self.pid), self.pid)
        self.recorder.finish("a")
        await self.recorder.stopService()
        self.assertEqual((self.names(), self.events), (["a.log"], []))

    async def test_the_directory_is_unusable_at_the_start(self) -> None:
        """Records are lost and told until it can be made."""
        path = os.path.abspath(self.mktemp())
        with open(path, "w"):
            pass
        self.directory = os.path.join(path, "logs")
        self.recorder = make_recorder(reactor, self.directory, self.events, 10_000_000)
        self.recorder.startService()
        self.addCleanup(self.recorder.stopService)
        self.recorder.error("a", b"x")
        while not self.recorder.lost:
            await pause(0.01)
        os.unlink(path)
        self.recorder.begin("b")
        self.recorder.finish("b")
        await self.until_there("b.log")
        await self.recorder.stopService()

    async def test_the_directory_is_gone_for_a_while(self) -> None:
        """With a file in its place records are lost and told; then they are written again."""
        check_directory(self.directory)
        shutil.rmtree(self.directory)
        with open(self.directory, "w"):
            pass
        self.recorder.error("a", b"x")
        while not self.recorder.lost:
            await pause(0.01)
        os.unlink(self.directory)
        self.recorder.begin("b")
        self.recorder.finish("b")
        await self.until_there("b.log")
        await self.recorder.stopService()
        logged = "\n".join(formatEvent(event) for event in self.events)
        self.assertIn("Not a directory", logged)
        self.assertEqual(self.recorder.lost, 1)


def pause(seconds: float) -> Deferred[None]:
    """Let the process work."""
    return deferLater(reactor, seconds)  # type: ignore[arg-type]
