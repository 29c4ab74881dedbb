"""
What can wait a moment is done for many at once.
"""

from __future__ import annotations

from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from yallmp.gathering import MOST_ROUNDS, ROUND, Gathering


class GatheringTests(SynchronousTestCase):
    """Rounds of a clock."""

    def setUp(self) -> None:
        """Nothing waits."""
        self.clock = Clock()
        self.gathering = Gathering(self.clock)
        self.called: list[str] = []

    def later(self, name: str, rounds: int) -> None:
        """Remember *name* in so many rounds."""
        self.gathering.later(partial(self.called.append, name), rounds)

    def test_in_order(self) -> None:
        """Each is called at the end of its round, whenever it came."""
        self.later("third", 3)
        self.later("first", 1)
        self.clock.advance(ROUND)
        self.assertEqual(self.called, ["first"])
        self.later("second", 1)
        self.later("last", MOST_ROUNDS)
        self.clock.advance(ROUND)
        self.assertEqual(self.called, ["first", "second"])
        self.clock.pump([ROUND] * MOST_ROUNDS)
        self.assertEqual(self.called, ["first", "second", "third", "last"])

    def test_one_timer_for_all(self) -> None:
        """And none where nothing waits."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for rounds in (1, 2, 2):
            self.later("x", rounds)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([ROUND] * 2)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.called)), ([], 3))

    def test_again_from_within(self) -> None:
        """What is called may put something off."""
        self.gathering.later(partial(self.later, "x", 1), 1)
        self.clock.pump([ROUND] * 2)
        self.assertEqual(self.called, ["x"])

    def test_failures(self) -> None:
        """One that fails is logged, and the others have their turn."""
        self.gathering.later(partial(int, "x"), 1)
        self.later("x", 1)
        self.clock.advance(ROUND)
        self.assertEqual((self.called, len(self.flushLoggedErrors(ValueError))), (["x"], 1))
