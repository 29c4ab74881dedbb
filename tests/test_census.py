"""The metrics of several workers: asked, added up, and what becomes of those who say nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.test_changes import fresh
from tests.workforce import PretendedWorker, WorkersReactor
from yallmp.agreement import Agreement
from yallmp.census import PATIENCE
from yallmp.core.errors import Overloaded
from yallmp.core.families import CLIENTS, CLIENTS_CAME, WORKERS, WORKERS_ENDED, WORKERS_TOLD
from yallmp.core.readings import Reading
from yallmp.persistence import Persistence
from yallmp.totals import PATIENCE as LONG_PATIENCE
from yallmp.totals import Sole
from yallmp.worker_process import FIRST_DELAY


class CensusCase(SynchronousTestCase):
    """Three workers, each with a counter and a gauge of its own."""

    def setUp(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """The workers serve."""
        self.reactor = WorkersReactor()
        self.agreement = Agreement(self.reactor, Persistence(fresh()))
        self.reactor.employ(self.agreement, 3)
        self.counts: dict[PretendedWorker, int] = {}
        for pretended in self.reactor.up:
            self.measure(pretended, 0)

    def measure(self, worker: PretendedWorker, count: int) -> None:
        """From now on *worker* has something to tell; its gauge is always 1."""
        self.counts[worker] = count
        assert worker.siblings is not None
        worker.siblings.totals.instruments.add(
            lambda: [(CLIENTS_CAME, {(): [self.counts[worker]]}), (CLIENTS, {(): [1]})]
        )

    def ask(self, worker: PretendedWorker) -> Deferred[Reading]:
        """A scraper has reached *worker*."""
        assert worker.siblings is not None
        return Deferred.fromCoroutine(worker.siblings.totals.read())

    def told(self, asked: Deferred[Reading]) -> tuple[float, float, float, float]:
        """The counter, the gauge, how many workers were heard, and how many have ended."""
        reading = self.successResultOf(asked)
        self.assertEqual(reading[WORKERS.name], {(): [3]})
        families = (CLIENTS_CAME, CLIENTS, WORKERS_TOLD, WORKERS_ENDED)
        counter, gauge, told, ended = [reading[each.name][()][0] for each in families]
        return counter, gauge, told, ended

    def scraped(self, worker: PretendedWorker) -> tuple[float, float, float, float]:
        """What a scraper gets of *worker* when all that can has answered."""
        asked = self.ask(worker)
        self.reactor.pump()
        return self.told(asked)


class AnswerTests(CensusCase):
    """All answer."""

    def test_any_worker_tells_of_all(self) -> None:
        """The sums are the same, whichever is asked."""
        for number, worker in enumerate(self.reactor.up, 1):
            self.counts[worker] = 10**number
        for worker in self.reactor.up:
            self.assertEqual(self.scraped(worker), (1110, 3, 3, 0))

    def test_two_ask_at_once(self) -> None:
        """Both get an answer."""
        one, two = self.ask(self.reactor.up[0]), self.ask(self.reactor.up[1])
        self.reactor.pump()
        self.assertEqual(self.told(one), self.told(two))

    def test_who_serves_alone(self) -> None:
        """It is the whole."""
        worker = self.reactor.up[0]
        assert worker.siblings is not None
        sole = Sole(worker.siblings.totals.instruments)
        reading = self.successResultOf(Deferred.fromCoroutine(sole.read()))
        self.assertEqual((reading[WORKERS.name], reading[CLIENTS.name]), ({(): [1]}, {(): [1]}))


class SilenceTests(CensusCase):
    """Not all answer."""

    def test_a_worker_that_stands_still(self) -> None:
        """Its counts stand as it told them last, its gauge is left out; the wait is bounded."""
        first, second, _ = self.reactor.up
        self.counts[second] = 5
        self.assertEqual(self.scraped(first), (5, 3, 3, 0))
        self.counts[second] = 7
        asked = self.ask(first)
        for _ in range(4):
            for each in self.reactor.up:
                if each is not second:
                    each.receive()
                    each.deliver()
        self.assertNoResult(asked)
        self.reactor.advance(PATIENCE)
        first.receive()
        self.assertEqual(self.told(asked), (5, 2, 2, 0))
        self.assertEqual(self.scraped(first), (7, 3, 3, 0))

    def test_the_supervisor_stands_still(self) -> None:
        """A part is not shown as the whole."""
        asked = self.ask(self.reactor.up[0])
        self.reactor.advance(LONG_PATIENCE)
        self.failureResultOf(asked, Overloaded)
        self.reactor.pump()  # an answer that is too late is nobody's

    def test_a_worker_dies(self) -> None:
        """What it had told stays, whoever follows; it is counted, and its gauge is gone."""
        first, second, third = self.reactor.up
        self.counts[second] = 5
        self.scraped(first)
        second.die()
        self.assertEqual(self.scraped(first), (5, 2, 2, 1))
        self.reactor.advance(FIRST_DELAY)
        self.reactor.pump()
        self.measure(self.reactor.up[-1], 2)
        self.assertEqual(self.scraped(third), (7, 3, 3, 1))

    def test_it_dies_while_it_is_waited_for(self) -> None:
        """Nobody waits for it any longer."""
        first, second, third = self.reactor.up
        asked = self.ask(first)
        for each in (first, third, first):
            each.receive()
            each.deliver()
        third.receive()
        third.deliver()
        self.assertNoResult(asked)
        second.die()
        first.receive()
        self.assertEqual(self.told(asked), (0, 2, 2, 1))

    def test_whoever_asked_dies(self) -> None:
        """Its successor gets no answer to what it did not ask."""
        first, second, _ = self.reactor.up
        self.ask(first)
        first.deliver()
        first.die()
        self.reactor.advance(FIRST_DELAY)
        self.reactor.pump()
        self.assertEqual(self.scraped(second)[2:], (3, 1))
        self.assertEqual(self.agreement.census._inquiries, {})

    @given(st.lists(st.tuples(st.sampled_from(["count", "scrape", "die"]), st.integers(0, 2))))
    def test_sums_never_go_down(self, happened: list[tuple[str, int]]) -> None:
        """Whatever happens in whatever order."""
        self.prepare()
        last = 0.0
        for what, which in happened:
            worker = self.reactor.up[which % len(self.reactor.up)]
            if what == "count":
                self.counts[worker] += 1
            elif what == "die":
                worker.die()
                self.reactor.advance(40.0)
                self.reactor.pump()
                self.measure(self.reactor.up[-1], 0)
            else:
                now = self.scraped(worker)[0]
                self.assertGreaterEqual(now, last)
                last = now
