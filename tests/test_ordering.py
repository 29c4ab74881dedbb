"""The order of changes: when one is settled, and who is told."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.ordering import Ordering, Settlement


class OrderingTests(SynchronousTestCase):
    """Three workers; the first asks."""

    def setUp(self) -> None:
        self.ordering = Ordering()
        for worker in (1, 2, 3):
            self.ordering.join(worker)

    def settled(self, *expected: Settlement) -> None:
        """These are settled now, and are told once."""
        self.assertEqual(self.ordering.settled(), list(expected))
        self.assertEqual(self.ordering.settled(), [])

    def test_numbers(self) -> None:
        """Each change has the next, whoever asks."""
        self.assertEqual([self.ordering.order(worker, 9) for worker in (1, 2, 1)], [1, 2, 3])

    def test_all_others_confirm(self) -> None:
        """Whoever asked does not have to: it reads what it is told in order."""
        number = self.ordering.order(1, 7)
        self.ordering.kept(number, "disk full")
        self.ordering.confirm(2, number)
        self.settled()
        self.ordering.confirm(3, number)
        self.settled(Settlement(1, 1, 7, "disk full", 0))

    def test_alone(self) -> None:
        """A change that nobody else has to make is settled at once."""
        ordering = Ordering()
        ordering.join(1)
        ordering.order(1, 7)
        self.assertEqual(ordering.settled(), [Settlement(1, 1, 7, None, 0)])

    def test_one_that_does_not_confirm(self) -> None:
        """It is counted."""
        number = self.ordering.order(1, 7)
        self.ordering.confirm(2, number)
        self.ordering.give_up(number)
        self.settled(Settlement(1, 1, 7, None, 1))

    def test_too_late(self) -> None:
        """A change that is settled can be confirmed and given up all the same."""
        number = self.ordering.order(1, 7)
        self.ordering.give_up(number)
        self.settled(Settlement(1, 1, 7, None, 2))
        self.ordering.confirm(2, number)
        self.ordering.give_up(number)
        self.settled()

    def test_one_that_dies(self) -> None:
        """Nobody waits for it: it begins with what is served when it comes back."""
        number = self.ordering.order(1, 7)
        self.ordering.confirm(2, number)
        self.ordering.leave(3)
        self.settled(Settlement(1, 1, 7, None, 0))

    def test_the_one_that_asked_dies(self) -> None:
        """Nobody is told: its successor has not asked."""
        number = self.ordering.order(1, 7)
        self.ordering.leave(1)
        self.ordering.confirm(2, number)
        self.ordering.confirm(3, number)
        self.settled()

    def test_one_that_joins_meanwhile(self) -> None:
        """It has begun with the change, and is not waited for."""
        self.ordering.leave(3)
        number = self.ordering.order(1, 7)
        self.ordering.join(3)
        self.ordering.confirm(2, number)
        self.settled(Settlement(1, 1, 7, None, 0))
