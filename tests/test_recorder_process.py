"""
The recorder process is kept running, with patience, and ended in bounded time.
"""

from __future__ import annotations

from twisted.logger import LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.fake_process import PretendedProcess, ProcessReactor
from yallmp.recorder_process import LAST_BREATH, Command, Listener, RecorderProcess

PATIENCE = 5.0


class Case(SynchronousTestCase):
    """A process that is started."""

    def setUp(self) -> None:
        """All that is told is kept."""
        self.reactor = ProcessReactor()
        self.told: list[str] = []
        self.events: list[LogEvent] = []
        self.process = RecorderProcess(
            self.reactor,
            Command("python", ["python", "child"], {}),
            Listener(lambda: self.told.append("up"), lambda: self.told.append("down"), self.hear),
            Logger(observer=self.events.append),
            lambda: PATIENCE,
        )
        self.process.start()

    def hear(self, line: str) -> None:
        """A line of the process."""
        self.told.append(line)

    @property
    def current(self) -> PretendedProcess:
        """The process that was started last."""
        return self.reactor.processes[-1]

    def lines(self) -> list[str]:
        """What was logged."""
        return [formatEvent(event) for event in self.events]


class LifeTests(Case):
    """While it runs."""

    def test_up_and_heard(self) -> None:
        """Its lines are heard whole, however they are cut."""
        for part in (b"ac", b"k 1\nack 2\nlo", b"st\n"):
            self.current.protocol.outReceived(part)
        self.assertEqual(self.told, ["up", "ack 1", "ack 2", "lost"])

    def test_complaints_are_logged(self) -> None:
        """A traceback of the process is not lost."""
        self.current.protocol.errReceived(b"Traceback: oops\n")
        self.assertIn("Traceback: oops", self.lines()[0])

    def test_down_when_all_is_heard(self) -> None:
        """To a dying process nothing is written; what it had said still counts, then it is down."""
        self.current.protocol.inConnectionLost()
        self.assertEqual((self.process.is_up, self.told), (False, ["up"]))
        self.current.say("ack 1")
        self.current.die()
        self.assertEqual(self.told, ["up", "ack 1", "down"])


class AgainTests(Case):
    """When it dies."""

    def test_back_off(self) -> None:
        """It is started again after half a second, then twice as long, up to ten."""
        for delay in (0.5, 1, 2, 4, 8, 10, 10):
            self.current.die()
            count = len(self.reactor.processes)
            self.reactor.advance(delay - 0.01)
            self.assertEqual(len(self.reactor.processes), count)
            self.reactor.advance(0.01)
            self.assertEqual(len(self.reactor.processes), count + 1)
            self.assertTrue(self.process.is_up)

    def test_one_that_lasted(self) -> None:
        """A process that ran for a while starts the delays anew."""
        for delay in (0.5, 1, 2):
            self.current.die()
            self.reactor.advance(delay)
        self.reactor.advance(10)
        self.current.die()
        self.reactor.advance(0.5)
        self.assertEqual(len(self.reactor.processes), 5)

    def test_the_system_refuses(self) -> None:
        """A system that has no room for a process is asked again in the same way."""
        self.reactor.refuses = True
        self.current.die()
        self.reactor.pump([0.5, 1])
        self.reactor.refuses = False
        self.reactor.advance(2)
        self.assertEqual(len(self.reactor.processes), 2)

    def test_says_why_but_not_for_ever(self) -> None:
        """Each longer delay is told with its cause; the longest once."""
        for _ in range(20):
            self.current.die(signal=9)
            self.reactor.advance(10)
            self.reactor.processes[-1].is_dead = False
            self.process._born = self.reactor.seconds()
        lines = self.lines()
        self.assertEqual(len(lines), 6)
        self.assertIn("signal 9", lines[0])
        self.assertIn("0.5 s", lines[0])


class StopTests(Case):
    """The end."""

    def test_properly(self) -> None:
        """Its input is closed, and the stop is over when it is gone; no timer is left."""
        stopped = self.process.stop(more=False)
        self.assertTrue(self.current.input_closed)
        self.assertNoResult(stopped)
        self.current.die(signal=None)
        self.successResultOf(stopped)
        self.assertEqual((self.reactor.getDelayedCalls(), self.lines()), ([], []))

    def test_one_that_does_not_end(self) -> None:
        """A process that hangs is killed when its time is up."""
        stopped = self.process.stop(more=False)
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.current.signals, ["KILL"])
        self.current.die()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_one_that_works(self) -> None:
        """As long as it says something, it may go on; a word in its last breath is heard too."""
        self.process.stop(more=False)
        for _ in range(3):
            self.reactor.advance(PATIENCE - 0.1)
            self.current.say("ack 1")
        self.assertEqual(self.current.signals, [])
        self.reactor.advance(PATIENCE)
        self.current.say("ack 1")
        self.assertEqual(self.current.signals, ["KILL"])
        self.reactor.advance(LAST_BREATH)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_one_that_cannot_die(self) -> None:
        """A process that not even a kill ends is left behind a second later."""
        stopped = self.process.stop(more=False)
        self.reactor.pump([PATIENCE, LAST_BREATH])
        self.successResultOf(stopped)
        self.current.die()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_killed_in_the_same_moment(self) -> None:
        """A process that is dead when it is to be killed is only waited for."""
        stopped = self.process.stop(more=False)
        self.current.is_dead = True
        self.reactor.advance(PATIENCE)
        self.current.die()
        self.successResultOf(stopped)

    def test_while_it_waits_to_start_again(self) -> None:
        """With nothing to write, no process is started for the end."""
        self.current.die()
        self.successResultOf(self.process.stop(more=False))
        self.assertEqual((self.reactor.getDelayedCalls(), len(self.reactor.processes)), ([], 1))

    def test_with_something_left_to_write(self) -> None:
        """With something to write, one more process is started, now, to write it."""
        self.current.die()
        stopped = self.process.stop(more=True)
        self.assertEqual(self.told, ["up", "down", "up"])
        self.assertTrue(self.current.input_closed)
        self.current.die(signal=None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_with_something_left_and_no_process_to_be_had(self) -> None:
        """If that process cannot be started, the stop is over all the same."""
        self.current.die()
        self.reactor.refuses = True
        self.successResultOf(self.process.stop(more=True))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_dies_while_stopping(self) -> None:
        """A process that dies before it has written everything is told of, not started again."""
        stopped = self.process.stop(more=False)
        self.current.die(signal=9)
        self.successResultOf(stopped)
        self.assertIn("signal 9", self.lines()[0])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
