"""
The relay's time, where the order of things within a turn of the reactor matters.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types.openai_streams import ChoiceStream
from yallmp.core.account import Account
from yallmp.core.backend import Patience
from yallmp.core.gate import Gate
from yallmp.core.problems import Problem, Reason
from yallmp.relay import Relay, Watchdog

IDLE = Problem(Reason.TIMEOUT, "silent")
LATE = Problem(Reason.TIMEOUT, "late")
SAID = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'


class WatchdogTests(SynchronousTestCase):
    """When time is up, with one timer that is rarely touched."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.bites: list[float] = []
        self.dog = Watchdog(self.clock, lambda: self.bites.append(self.clock.seconds()))

    def pass_time(self, until: float) -> None:
        """Eighths of a second go by."""
        while self.clock.seconds() < until:
            self.clock.advance(0.125)

    def test_an_end_that_moves_away(self) -> None:
        """The timer stays as it is, and time is up when the last word said so."""
        self.dog.watch(5.0, LATE, 0.0)
        (timer,) = self.clock.getDelayedCalls()
        self.dog.watch(7.0, IDLE, 1.0)
        self.assertEqual(self.clock.getDelayedCalls(), [timer])
        self.pass_time(9.0)
        (bite,) = self.bites
        self.assertAlmostEqual(bite, 7.0)
        expired = self.dog.expired
        assert expired is not None
        self.assertEqual(expired.message, IDLE.message)
        self.assertAlmostEqual(expired.spent, 6.0)

    def test_an_end_that_comes_nearer(self) -> None:
        """There is one timer all the same."""
        self.dog.watch(5.0, LATE, 0.0)
        self.dog.watch(3.0, IDLE, 0.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.pass_time(9.0)
        self.assertEqual(self.bites, [3.0])

    def test_never(self) -> None:
        """An infinite time needs no timer, and takes the one that there is."""
        for stop in (lambda: self.dog.watch(math.inf, IDLE, 0.0), self.dog.stop):
            self.dog.watch(5.0, LATE, 0.0)
            stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_end_that_is_asked_for(self) -> None:
        """It is asked for when it may have come, and not before."""
        ends, asked = [4.0, 4.5, 6.25], list[float]()

        def due() -> tuple[float, Problem, float]:
            asked.append(self.clock.seconds())
            return ends[min(len(asked) - 1, 2)], IDLE, 0.0

        self.dog.attend(due)
        self.pass_time(9.0)
        self.assertEqual(asked, [0.0, 4.0, 4.5, 6.25])
        self.assertEqual(self.bites, [6.25])

    def test_after_the_watch(self) -> None:
        """Who asked before is asked no more."""
        self.dog.attend(lambda: (4.0, IDLE, 0.0))
        self.dog.watch(6.0, LATE, 0.0)
        self.pass_time(9.0)
        self.assertEqual(self.bites, [6.0])


class PauseTests(SynchronousTestCase):
    """A client that does not read for a while."""

    def test_its_pause_is_not_the_backends_silence(self) -> None:
        """When it reads again, the backend has its whole idle time once more."""
        clock = Clock()
        dog = Watchdog(clock, lambda: None)
        unfinished = SimpleNamespace(expects_no_more=False)
        whatever: Any = SimpleNamespace(
            committed=True, begun=True, over=False, inspector=unfinished, pause=bool, resume=bool
        )
        relay = Relay(
            whatever, whatever, whatever, dog, clock, Patience(idle_timeout=5), 0.0,
            0.0, bytes, bool, bool, False, Account(),
        )  # fmt: skip
        relay._body = whatever
        relay.pauseProducing()
        clock.advance(100)
        relay.resumeProducing()
        clock.advance(4.9)
        self.assertIsNone(dog.expired)
        clock.advance(0.2)
        self.assertIsNotNone(dog.expired)


class ReadTests(SynchronousTestCase):
    """A stream that flows."""

    def test_reads_do_not_touch_the_timer(self) -> None:
        """From the first content on it stays as it is, and silence counts from the last read."""
        clock = Clock()
        dog = Watchdog(clock, lambda: None)
        client: Any = SimpleNamespace(write=len, pace=bool)
        gate = Gate(ChoiceStream(), 1 << 20, lambda _: IDLE)
        relay = Relay(
            gate, client, client, dog, clock, Patience(idle_timeout=8), 0.0,
            0.0, bytes, bool, len, False, Account(),
        )  # fmt: skip
        dog.watch(30.0, LATE, 0.0)
        relay._take(b": ping\n\n")
        self.assertEqual([call.getTime() for call in clock.getDelayedCalls()], [30.0])
        relay._take(SAID)
        (timer,) = clock.getDelayedCalls()
        self.assertEqual(timer.getTime(), 8.0)
        for _ in range(3):
            clock.advance(2)
            relay._take(SAID)
            self.assertEqual(clock.getDelayedCalls(), [timer])
        clock.advance(7.9)
        self.assertIsNone(dog.expired)
        clock.advance(0.2)
        assert dog.expired is not None
        self.assertAlmostEqual(dog.expired.spent, 8.1)
