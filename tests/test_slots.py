"""Places at a backend: who gets one, who waits, and who waited too long."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.problems import AttemptFailed, Reason
from yallmp.core.registry import InFlight
from yallmp.core.settings import Config
from yallmp.core.shares import Share
from yallmp.slots import Slots

ONE = Backend("b", "m", max_in_flight=1, queue_timeout=5.0)


class SlotsCase(SynchronousTestCase):
    """With slots, and a clock for those who wait."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.in_flight = InFlight()
        self.slots = Slots(self.clock, self.in_flight)
        self.served: list[str] = []

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [], "timers are left")
        self.assertEqual(self.slots._queues, {}, "queues are left")

    def take(self, who: str, backend: Backend = ONE) -> Deferred[None]:
        """Ask for a place for *who*."""
        taken = self.slots.take(backend) or succeed(None)
        taken.addCallback(lambda _: self.served.append(who))
        return taken

    def give(self, *backends: Backend) -> None:
        """Give places back."""
        for backend in backends or (ONE,):
            self.slots.give(backend)

    @property
    def count(self) -> int:
        """How many have a place."""
        return self.in_flight.count("b")


class PlacesTests(SlotsCase):
    """Without anybody who waits."""

    def test_a_part_of_the_limit(self) -> None:
        """One of two workers gives out half of the places."""
        four = evolve(ONE, max_in_flight=4)
        self.slots = Slots(self.clock, self.in_flight, Share(1, 2))
        for who in "abc":
            self.take(who, four)
        self.assertEqual(self.served, ["a", "b"])
        self.give(four, four, four)
        self.assertEqual(self.served, ["a", "b", "c"])

    def test_without_a_limit_nobody_waits(self) -> None:
        """Places are only counted."""
        free = evolve(ONE, max_in_flight=None)
        for number in range(50):
            self.take(str(number), free)
        self.assertEqual((len(self.served), self.count), (50, 50))
        self.give(*[free] * 50)
        self.assertEqual(self.count, 0)

    def test_up_to_the_limit_nobody_waits(self) -> None:
        """The place that was given back is there for the next."""
        self.take("a")
        self.give()
        self.take("b")
        self.assertEqual((self.served, self.count), (["a", "b"], 1))
        self.give()

    def test_backends_do_not_share_places(self) -> None:
        """A full one is no reason to wait for another."""
        other = evolve(ONE, name="other")
        self.take("a")
        self.take("b", other)
        self.assertEqual(self.served, ["a", "b"])
        self.give(ONE, other)


class QueueTests(SlotsCase):
    """Those over the limit."""

    def test_first_come_first_served(self) -> None:
        """One place serves them in the order in which they came."""
        for who in "abcd":
            self.take(who)
        for served in ("a", "ab", "abc", "abcd"):
            self.assertEqual((self.served, self.count), (list(served), 1))
            self.give()
        self.assertEqual(self.count, 0)

    def test_whoever_waits_too_long_is_told(self) -> None:
        """After ``queue_timeout`` the attempt fails, and it is the backend that is full."""
        self.take("a")
        late = self.take("b")
        self.clock.advance(4.9)
        self.assertNoResult(late)
        self.clock.advance(0.2)
        failed = self.failureResultOf(late, AttemptFailed)
        self.assertEqual(failed.value.problem.reason, Reason.FULL)
        self.give()
        self.assertEqual((self.served, self.count), (["a"], 0))

    def test_the_next_is_served_after_one_that_was_late(self) -> None:
        """The late one is passed over."""
        self.take("a")
        self.failureResultOf(self.late(self.take("b", evolve(ONE, queue_timeout=1.0))))
        self.take("c")
        self.give()
        self.assertEqual((self.served, self.count), (["a", "c"], 1))
        self.give()

    def late(self, waiting: Deferred[None]) -> Deferred[None]:
        """*waiting*, once its time is over."""
        self.clock.advance(1.5)
        return waiting

    def test_whoever_leaves_the_queue_is_passed_over(self) -> None:
        """A cancelled one gets no place, and keeps none."""
        self.take("a")
        leaves = self.take("b")
        self.take("c")
        leaves.cancel()
        self.failureResultOf(leaves, CancelledError)
        self.give()
        self.assertEqual((self.served, self.count), (["a", "c"], 1))
        self.give()
        self.assertEqual(self.count, 0)

    def test_the_last_one_leaves_the_queue(self) -> None:
        """The place is free then."""
        self.take("a")
        leaves = self.take("b")
        leaves.cancel()
        self.failureResultOf(leaves, CancelledError)
        self.give()
        self.assertEqual(self.count, 0)

    def test_whoever_is_served_may_ask_again_at_once(self) -> None:
        """Somebody who queues while a place is being handed over is not forgotten."""
        self.take("a")
        again = self.take("b")
        again.addCallback(lambda _: self.give())
        again.addCallback(lambda _: self.take("c"))
        waits = []
        again.addCallback(lambda _: waits.append(self.take("d")))
        self.give()
        self.assertNoResult(waits[0])
        self.give()
        self.assertEqual((self.served, self.count), (["a", "b", "c", "d"], 1))
        self.give()


class ReplacedTests(SlotsCase):
    """A backend is replaced by one of the same name with another limit."""

    def setUp(self) -> None:
        super().setUp()
        self.three = evolve(ONE, max_in_flight=3)

    def test_a_lower_limit_is_reached(self) -> None:
        """Places over it are not handed on, so that it is in force in the end."""
        for who in "abc":
            self.take(who, self.three)
        self.take("d")
        self.give(self.three)
        self.give(self.three)
        self.assertEqual((self.served, self.count), (["a", "b", "c"], 1))
        self.give(self.three)
        self.assertEqual((self.served, self.count), (["a", "b", "c", "d"], 1))
        self.give()

    def test_a_higher_limit_lets_more_in_at_once(self) -> None:
        """Whoever comes with the new limit does not queue below it."""
        self.take("a")
        self.take("b")
        for who in "cd":
            self.take(who, self.three)
        self.assertEqual((self.served, self.count), (["a", "c", "d"], 3))
        self.take("e", self.three)
        self.give()  # two are under way, and "b" was told of a limit of one
        self.give(self.three)
        self.give(self.three)
        self.assertEqual(self.served, ["a", "c", "d", "b", "e"])
        self.give()
        self.give()
        self.assertEqual(self.count, 0)


class ChangeTests(SlotsCase):
    """The limit is changed while some wait."""

    def change(self, **settings: Any) -> Backend:
        """What the backend is from now on."""
        backend = evolve(ONE, **settings)
        self.slots.change(Config((backend,)))
        return backend

    def test_growing(self) -> None:
        """Those who wait are let in at once, before those who come later."""
        for who in "abcd":
            self.take(who)
        three = self.change(max_in_flight=3)
        self.assertEqual(self.served, ["a", "b", "c"])
        self.take("e", three)
        self.give(ONE, ONE, ONE, ONE, three)
        self.assertEqual(self.served, ["a", "b", "c", "d", "e"])

    def test_no_limit(self) -> None:
        """All are let in."""
        for who in "abc":
            self.take(who)
        self.change(max_in_flight=None)
        self.assertEqual(self.served, ["a", "b", "c"])
        self.give(ONE, ONE, ONE)

    def test_shrinking(self) -> None:
        """Those who have a place keep it; those who wait do so for the smaller limit."""
        two = evolve(ONE, max_in_flight=2)
        for who in "abc":
            self.take(who, two)
        self.change(max_in_flight=1)
        self.give(two)
        self.assertEqual((self.served, self.count), (["a", "b"], 1))
        self.give(two)
        self.assertEqual(self.served, ["a", "b", "c"])
        self.give(two)

    def test_a_backend_that_goes(self) -> None:
        """Who waits for it keeps what it has, and so does one who leaves afterwards."""
        self.take("a")
        waiting = [self.take(who) for who in "bc"]
        self.slots.change(Config())
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.give(ONE, ONE)
        self.assertEqual(self.served, ["a", "c"])

    def test_a_part_of_the_new_limit(self) -> None:
        """Each worker has its part of it."""
        self.slots = Slots(self.clock, self.in_flight, Share(1, 2))
        for who in "abc":
            self.take(who)
        self.change(max_in_flight=4)
        self.assertEqual(self.served, ["a", "b"])
        self.give(ONE, ONE, ONE)
