"""A worker seen from its supervisor: started, started again, told, ended."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import logged
from tests.workforce import PretendedWorker, WorkersReactor
from yallmp.core.control import Confirm, Drain, Go, Here, Message, Order, encoded
from yallmp.core.settings import Config
from yallmp.core.shares import Share
from yallmp.pulse import BEAT, MISSED, MISSED_AT_START
from yallmp.worker_process import (
    FIRST_DELAY,
    LONGEST_DELAY,
    STABLE_AFTER,
    Command,
    Listener,
    WorkerProcess,
    next_delay,
)


class WorkerCase(SynchronousTestCase):
    """One worker."""

    def setUp(self) -> None:
        self.reactor = WorkersReactor()
        self.heard: list[Message] = []
        self.gone: list[int] = []
        self.logged: list[bytes] = []
        listener = Listener(
            order=lambda number: Order(Share(number, 2), Config()),
            heard=lambda number, message: self.heard.append(message),
            gone=self.gone.append,
            logged=self.logged.append,
        )
        command = Command(("python", "-c", "x"), {"A": "b"}, ("r", 2))
        self.worker = WorkerProcess(self.reactor, 1, command, 17, listener)

    @property
    def process(self) -> PretendedWorker:
        """The one that was started last."""
        return self.reactor.workers[-1]


class StartTests(WorkerCase):
    """The beginning."""

    def test_what_it_gets(self) -> None:
        """Its order in its standard input, its socket, a pipe back, its log as it was said."""
        self.worker.start()
        self.assertTrue(self.worker.is_alive)
        self.assertEqual(self.process.command, ["python", "-c", "x"])
        self.assertEqual(self.process.descriptors, {0: "w", 1: "r", 2: 2, 3: "r", 4: 17})
        self.process.receive()
        self.assertEqual(self.process.order, Order(Share(1, 2), Config()))

    def test_messages(self) -> None:
        """Both ways, cut anywhere."""
        self.worker.start()
        self.process.receive()
        self.worker.tell(Go())
        self.assertEqual(self.process.to, encoded(Go()))
        self.process.back += encoded(Confirm(3))
        self.process.deliver(5)
        self.assertEqual(self.heard, [])
        self.process.deliver()
        self.assertEqual(self.heard, [Here(), Confirm(3)])

    def test_nobody_to_tell(self) -> None:
        """A message for a process that is not there is not kept."""
        self.worker.tell(Go())
        self.worker.kill()
        self.assertFalse(self.worker.is_alive)

    def test_its_log(self) -> None:
        """Whole lines are passed on, the last one also if it was never ended."""
        self.worker.start()
        for piece in (b"one\ntw", b"o", b"\nthree"):
            self.process.log(piece)
        self.assertEqual(self.logged, [b"one\n", b"two\n"])
        self.process.die()
        self.assertEqual(self.logged, [b"one\n", b"two\n", b"three\n"])

    def test_a_traceback_within_a_line(self) -> None:
        """A line of its output stays whole, whatever its standard error says meanwhile."""
        self.worker.start()
        self.process.log(b"on")
        self.process.log(b"Traceback\nEr", 2)
        self.process.log(b"e\ntw")
        self.process.die()
        self.assertEqual(self.logged, [b"Traceback\n", b"one\n", b"tw\n", b"Er\n"])


class LifeTests(WorkerCase):
    """One life after the other."""

    def test_it_is_started_again(self) -> None:
        """After a second, with an order of its own; its end is told."""
        self.worker.start()
        self.process.die()
        self.assertEqual((self.gone, self.worker.is_alive), ([1], False))
        self.reactor.advance(FIRST_DELAY - 0.1)
        self.assertEqual(len(self.reactor.workers), 1)
        self.reactor.advance(0.1)
        self.process.receive()
        self.assertEqual((len(self.reactor.workers), self.worker.is_alive), (2, True))

    def test_the_system_refuses(self) -> None:
        """It is tried again, as if the process had died at once."""
        self.reactor.refuses = True
        self.worker.start()
        self.reactor.refuses = False
        self.reactor.advance(FIRST_DELAY)
        self.assertTrue(self.worker.is_alive)

    def test_it_dies_again_and_again(self) -> None:
        """Each pause is twice as long as the one before, up to half a minute."""
        self.worker.start()
        pauses = []
        for _ in range(7):
            self.process.die(1)
            (timer,) = self.reactor.getDelayedCalls()
            pauses.append(timer.getTime() - self.reactor.seconds())
            self.reactor.advance(pauses[-1])
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 30, 30])

    @given(st.sampled_from([0, 1, 16, 30]), st.floats(0, 1e6))
    def test_delays(self, before: float, lived: float) -> None:
        """A life that lasted makes up for those before; no pause is out of bounds."""
        delay = next_delay(before, lived)
        self.assertTrue(FIRST_DELAY <= delay <= LONGEST_DELAY)
        if lived >= STABLE_AFTER:
            self.assertEqual(delay, FIRST_DELAY)


class SilenceTests(WorkerCase):
    """It is there, and does not answer."""

    def answer(self) -> None:
        """The worker reads, and its supervisor too."""
        self.process.receive()
        self.process.deliver()

    def beats(self, count: int) -> None:
        """So many times it is asked."""
        for _ in range(count):
            self.reactor.advance(BEAT)

    def test_it_answers(self) -> None:
        """Nobody else hears of it, and it lives."""
        self.worker.start()
        for _ in range(3 * MISSED_AT_START):
            self.answer()
            self.reactor.advance(BEAT)
        self.assertEqual((self.process.signals, self.heard), ([], [Here()]))

    def test_it_stands_still(self) -> None:
        """It is killed, and another follows."""
        said = logged.texts(self)
        self.worker.start()
        self.answer()
        self.beats(MISSED)
        self.assertEqual(self.process.signals, [])
        self.reactor.advance(BEAT)
        self.assertEqual(self.process.signals, ["KILL"])
        self.assertEqual(said, ["worker 1 does not answer any more and is killed"])
        self.process.die()
        self.reactor.advance(FIRST_DELAY)
        self.assertEqual(len(self.reactor.workers), 2)

    def test_one_that_starts(self) -> None:
        """It has more time before its first word."""
        self.worker.start()
        self.beats(MISSED_AT_START)
        self.assertEqual(self.process.signals, [])
        self.reactor.advance(BEAT)
        self.assertEqual(self.process.signals, ["KILL"])

    def test_the_machine_has_slept(self) -> None:
        """An hour later one question is unanswered, not a thousand."""
        self.worker.start()
        self.answer()
        self.reactor.advance(3600)
        self.answer()
        self.beats(MISSED)
        self.assertEqual(self.process.signals, [])

    def test_one_that_is_to_end(self) -> None:
        """It is not asked any more: it has its time."""
        self.worker.start()
        self.worker.end(Drain())
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class EndTests(WorkerCase):
    """The end."""

    def test_no_other_follows(self) -> None:
        """It is asked to end, and that was it."""
        self.worker.start()
        self.process.receive()
        self.worker.end(Drain())
        self.process.receive()
        self.assertEqual(self.process.told, ["drain"])
        self.process.die(None)
        self.assertEqual((self.gone, self.reactor.getDelayedCalls()), ([1], []))

    def test_between_two_lives(self) -> None:
        """The next one is not started."""
        self.worker.start()
        self.process.die()
        self.worker.end(Drain())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_is_killed(self) -> None:
        """Also if it has just ended by itself, unheard."""
        self.worker.start()
        self.worker.kill()
        self.assertEqual(self.process.signals, ["KILL"])
        self.process.is_dead = True
        self.worker.kill()


class LoggingTests(WorkerCase):
    """What the owner reads."""

    def test_why_it_ended(self) -> None:
        """The number, the signal or the status, and when the next one comes."""
        said = logged.texts(self)
        self.worker.start()
        self.process.die(9)
        self.reactor.advance(1)
        self.process.die(None)
        self.assertEqual(
            said,
            [
                "worker 1 was ended by signal 9; it is started again in 1 s",
                "worker 1 ended with status 0; it is started again in 2 s",
            ],
        )
