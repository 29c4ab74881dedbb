"""
One line when records begin to be lost, one when it is over.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from yallmp.losses import PAUSE, Losses


class LossesTests(SynchronousTestCase):
    """What the log says."""

    def setUp(self) -> None:
        """A clock, and a log that is kept."""
        self.clock = Clock()
        self.events: list[LogEvent] = []
        self.losses = Losses(self.clock, Logger(observer=self.events.append))

    def lines(self) -> list[str]:
        """What was logged since the last time."""
        self.clock.advance(0)
        lines = [formatEvent(event) for event in self.events]
        self.events.clear()
        return lines

    def test_one_line_at_the_start(self) -> None:
        """However many are lost, the trouble is told once, with its reason, at once."""
        for _ in range(1000):
            self.losses.lost(1, "disk full")
        (line,) = self.lines()
        self.assertIn("disk full", line)
        self.clock.advance(3600)
        self.losses.lost(1, "disk full")
        self.assertEqual(self.lines(), [])

    def test_the_count_at_the_end(self) -> None:
        """When records are written again, it is told how many were lost."""
        self.losses.lost(2, "disk full")
        self.lines()
        self.losses.lost(3, "disk full")
        self.clock.advance(PAUSE)
        self.losses.over()
        (line,) = self.lines()
        self.assertIn("written again; 5 were lost", line)
        self.assertEqual(self.losses.total, 5)

    def test_each_trouble_has_its_own_count(self) -> None:
        """The next trouble counts anew; the total goes on."""
        for count in (2, 3):
            self.losses.lost(count, "disk full")
            self.lines()
            self.losses.over()
            self.clock.advance(PAUSE)
            self.assertIn(f"{count} were lost", "".join(self.lines()))
            self.clock.advance(PAUSE)
        self.assertEqual(self.losses.total, 5)

    def test_comes_and_goes(self) -> None:
        """A trouble that comes and goes is told once in a while, with all that it cost."""
        self.losses.lost(1, "slow")
        self.lines()
        for _ in range(50):
            self.losses.over()
            self.losses.lost(1, "slow")
        self.losses.over()
        self.assertEqual(self.lines(), [])
        self.clock.advance(PAUSE)
        (line,) = self.lines()
        self.assertIn("51 were lost", line)

    def test_nothing_is_left(self) -> None:
        """At the end what is untold is told, and no timer stays."""
        self.losses.lost(4, "slow")
        self.losses.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn("4 records were lost", self.lines()[0])

    def test_no_trouble(self) -> None:
        """Where nothing is lost, nothing is said."""
        self.losses.over()
        self.losses.close()
        self.assertEqual((self.lines(), self.clock.getDelayedCalls()), ([], []))
