"""What part of a limit a worker has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.shares import WHOLE, Share


class ShareTests(SynchronousTestCase):
    """Parts of a limit."""

    @given(st.integers(1, 1000), st.integers(1, 128))
    def test_together_they_are_the_limit(self, limit: int, count: int) -> None:
        """All parts make up the limit, unless somebody would have nothing; they differ by one."""
        parts = [Share(number, count).of(limit) for number in range(1, count + 1)]
        self.assertEqual(sum(parts), max(limit, count))
        self.assertLessEqual(max(parts) - min(parts), 1)

    def test_alone(self) -> None:
        """One process has the whole, and sweeps for itself."""
        self.assertEqual((WHOLE.of(7), WHOLE.sweeps_for), (7, 1))

    def test_one_sweeps(self) -> None:
        """The first does it for all."""
        self.assertEqual([Share(n, 3).sweeps_for for n in (1, 2, 3)], [3, 0, 0])
