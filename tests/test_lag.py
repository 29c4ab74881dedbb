"""How late the reactor is."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.families import LAG_BOUNDS
from yallmp.lag import INTERVAL, Lag


class LagTests(SynchronousTestCase):
    """A timer that is late, or not."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lag = Lag(self.clock)
        self.lag.startService()

    def test_what_is_counted(self) -> None:
        """A look in time is in the first bucket, a late one by how late it is."""
        self.clock.advance(INTERVAL)
        self.clock.advance(INTERVAL + 0.3)
        ((_, values),) = self.lag.read()
        counts, total = values[()][:-1], values[()][-1]
        late = LAG_BOUNDS.index(0.5)
        self.assertEqual([counts[0], counts[late], sum(counts)], [1, 1, 2])
        self.assertAlmostEqual(total, 0.3)

    def test_the_end(self) -> None:
        """No timer is left."""
        self.clock.advance(INTERVAL)
        self.lag.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
