"""
Backends that rest: every sentence of the design, and a naive model beside the machine.
"""

from __future__ import annotations

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.breaker import Breaker, Breakers, Outcome, Permit, State, outcome_of, rest_of
from yallmp.core.problems import Problem, Reason, Wait

GOOD, FAILED, TIMED_OUT = Outcome.GOOD, Outcome.FAILED, Outcome.TIMED_OUT
SHARED, ANSWERED, NEUTRAL = Outcome.SHARED, Outcome.ANSWERED, Outcome.NEUTRAL


def one(breaker: Breaker, outcome: Outcome, now: float, spent: float = 0.0) -> None:
    """A request that begins and ends at *now*."""
    breaker.finish(breaker.begin(now), outcome, now, spent=spent)


class OpeningTests(SynchronousTestCase):
    """When a backend begins to rest."""

    def setUp(self) -> None:
        self.breaker = Breaker()

    def state(self, *outcomes: Outcome, now: float = 0.0, spent: float = 0.0) -> State:
        """The state after *outcomes*."""
        for outcome in outcomes:
            one(self.breaker, outcome, now, spent)
        return self.breaker.state(now)

    def test_three_failures_in_a_row(self) -> None:
        """Not two, and not three with an answer between."""
        self.assertIs(self.state(FAILED, FAILED, GOOD, FAILED, FAILED), State.CLOSED)
        self.assertIs(self.state(FAILED), State.OPEN)
        self.assertEqual(self.breaker.why, "3 failures in a row")

    def test_two_timeouts_in_a_row(self) -> None:
        """A failure between them begins a new row of timeouts."""
        self.assertIs(self.state(TIMED_OUT, GOOD, TIMED_OUT), State.CLOSED)
        self.assertIs(self.state(TIMED_OUT), State.OPEN)

    def test_half_of_ten(self) -> None:
        """Half of at least ten within 30 s, however they alternate."""
        self.assertIs(self.state(*[SHARED, GOOD] * 4), State.CLOSED)
        self.assertIs(self.state(GOOD, SHARED), State.OPEN)

    def test_ten_within_half_a_minute(self) -> None:
        """What is older does not count."""
        self.state(*[SHARED] * 5)
        self.assertIs(self.state(*[GOOD] * 4, now=31.0), State.CLOSED)
        self.assertIs(self.state(*[SHARED] * 4, now=31.0), State.CLOSED)
        self.assertIs(self.state(GOOD, SHARED, now=32.0), State.OPEN)

    def test_a_500_makes_no_row(self) -> None:
        """Nine of them alone open nothing; the tenth is half of ten."""
        self.assertIs(self.state(*[SHARED] * 9), State.CLOSED)
        self.assertIs(self.state(SHARED), State.OPEN)

    def test_what_does_not_count(self) -> None:
        """Answers of the request's fault, and requests that say nothing, break no row either."""
        self.assertIs(self.state(*[ANSWERED, NEUTRAL] * 50), State.CLOSED)
        self.assertIs(self.state(FAILED, FAILED, ANSWERED, NEUTRAL, FAILED), State.OPEN)


class RestTests(SynchronousTestCase):
    """How long it rests, and how it comes back."""

    def opened(self, outcome: Outcome = FAILED, spent: float = 0.0, chance: float = 0.5) -> Breaker:
        """A breaker that has just opened, at 0."""
        breaker = Breaker()
        for _ in range(3):
            permit = breaker.begin(0.0)
            breaker.finish(permit, outcome, 0.0, spent=spent, chance=chance)
        self.assertIs(breaker.state(0.0), State.OPEN)
        return breaker

    def test_five_then_ten_seconds(self) -> None:
        """Each opening in a row doubles it, up to ten."""
        breaker, now, rests = self.opened(), 0.0, []
        for _ in range(4):
            rests.append(round(breaker.rest_left(now), 6))
            now += rests[-1]
            one(breaker, FAILED, now)
        self.assertEqual(rests, [5, 10, 10, 10])

    def test_a_close_begins_anew(self) -> None:
        """Behind an answer the first rest is five seconds again."""
        breaker = self.opened()
        one(breaker, FAILED, 5.0)
        one(breaker, GOOD, 15.0)
        for _ in range(3):
            one(breaker, FAILED, 20.0)
        self.assertAlmostEqual(breaker.rest_left(20.0), 5)

    def test_jitter(self) -> None:
        """A fifth more or less."""
        self.assertAlmostEqual(self.opened(chance=0.0).rest_left(0.0), 4)
        self.assertAlmostEqual(self.opened(chance=1.0).rest_left(0.0), 6)

    def test_timeouts(self) -> None:
        """Six times what was spent, from 5 s to 5 min."""
        for spent, rest in ((0.1, 5), (10, 60), (120, 300)):
            self.assertAlmostEqual(self.opened(TIMED_OUT, spent).rest_left(0.0), rest)

    def test_one_probe(self) -> None:
        """When the rest is over one request is let through; the others are to go elsewhere."""
        breaker = self.opened()
        self.assertTrue(breaker.rests(4.9))
        self.assertFalse(breaker.rests(5.0))
        breaker.begin(5.0)
        self.assertIs(breaker.state(5.0), State.HALF_OPEN)
        self.assertTrue(breaker.rests(5.0))
        self.assertEqual(breaker.rest_left(5.0), 0)

    def test_an_answer_closes_it(self) -> None:
        """A good one, and one that shows that it is there."""
        for outcome in (GOOD, ANSWERED):
            breaker = self.opened()
            one(breaker, outcome, 6.0)
            self.assertIs(breaker.state(6.0), State.CLOSED)
            self.assertEqual(breaker.why, "")

    def test_the_first_failure_opens_it_again(self) -> None:
        """A 500 and a timeout, too."""
        for outcome in (FAILED, SHARED, TIMED_OUT):
            breaker = self.opened()
            one(breaker, outcome, 6.0)
            self.assertIs(breaker.state(6.0), State.OPEN)

    def test_a_probe_that_says_nothing(self) -> None:
        """Its place is free again."""
        breaker = self.opened()
        one(breaker, NEUTRAL, 6.0)
        self.assertIs(breaker.state(6.0), State.HALF_OPEN)
        self.assertFalse(breaker.rests(6.0))

    def test_a_probe_whose_answer_has_begun(self) -> None:
        """A stream that takes minutes keeps nobody out; it closes nothing before its end."""
        breaker = self.opened()
        permit = breaker.begin(6.0)
        breaker.committed(permit)
        self.assertFalse(breaker.rests(6.0))
        self.assertIs(breaker.state(6.0), State.HALF_OPEN)
        breaker.finish(permit, GOOD, 90.0)
        self.assertIs(breaker.state(90.0), State.CLOSED)

    def test_a_probe_keeps_its_place(self) -> None:
        """It is its own: the end of the one before, whose answer had begun, does not free it."""
        for late in (Breaker.committed, lambda b, permit: b.finish(permit, NEUTRAL, 7.0)):
            breaker = self.opened()
            before = breaker.begin(6.0)
            breaker.committed(before)
            breaker.begin(6.5)
            late(breaker, before)
            self.assertTrue(breaker.rests(7.0))

    def test_late_results_mean_nothing(self) -> None:
        """What was begun before it opened counts no more, good or bad, whatever the state is."""
        for outcome in (FAILED, GOOD, NEUTRAL):
            breaker = Breaker()
            late = [breaker.begin(0.0) for _ in range(3)]
            for _ in range(3):
                one(breaker, FAILED, 0.0)
            breaker.finish(late.pop(), outcome, 1.0)
            self.assertAlmostEqual(breaker.rest_left(1.0), 4)
            breaker.begin(5.0)
            breaker.finish(late.pop(), outcome, 6.0)
            breaker.committed(late.pop())
            self.assertIs(breaker.state(6.0), State.HALF_OPEN)
            self.assertTrue(breaker.rests(6.0), "the probe keeps others out")

    def test_tried_anyway(self) -> None:
        """An answer while it rests closes it; a failure changes nothing."""
        breaker = self.opened()
        one(breaker, FAILED, 1.0)
        self.assertAlmostEqual(breaker.rest_left(1.0), 4)
        one(breaker, GOOD, 2.0)
        self.assertIs(breaker.state(2.0), State.CLOSED)

    def test_a_rest_by_the_table(self) -> None:
        """Exactly so long, and it never shortens one that is in force."""
        breaker = Breaker()
        breaker.rest(60, 0.0, "auth")
        self.assertEqual((breaker.rest_left(0.0), breaker.why), (60, "auth"))
        breaker.rest(10, 1.0, "long_wait")
        self.assertEqual((breaker.rest_left(1.0), breaker.why), (59, "auth"))
        self.assertFalse(breaker.rests(60.0))
        self.assertIs(breaker.state(60.0), State.HALF_OPEN)


class ReasonTests(SynchronousTestCase):
    """What each failure says of the backend."""

    def test_every_reason(self) -> None:
        """Outcomes by reason; those of statuses by 503, 500 and 429."""
        failed = {
            Reason.UNREACHABLE, Reason.DISCONNECTED, Reason.DNS, Reason.TLS, Reason.PROTOCOL,
            Reason.INVALID, Reason.INCOMPLETE, Reason.ANSWER_ERROR,
        }  # fmt: skip
        timed_out = {Reason.TIMEOUT, Reason.CONNECT_TIMEOUT}
        neutral = {Reason.DEADLINE, Reason.FULL, Reason.MEMORY, Reason.DIVERGED}
        for reason in Reason:
            expected = ANSWERED
            if reason in failed:
                expected = FAILED
            elif reason in timed_out:
                expected = TIMED_OUT
            elif reason in neutral:
                expected = NEUTRAL
            self.assertIs(outcome_of(Problem(reason)), expected, reason)

    def test_statuses(self) -> None:
        """All 5xx but 500 are failures, with a wait or without."""
        for reason in (Reason.SERVER_ERROR, Reason.UNABLE, Reason.WAIT, Reason.LONG_WAIT):
            self.assertIs(outcome_of(Problem(reason, status=503)), FAILED)
            self.assertIs(outcome_of(Problem(reason, status=500)), SHARED)
            self.assertIs(outcome_of(Problem(reason, status=429)), ANSWERED)
        self.assertIs(outcome_of(Problem(Reason.CONTEXT_LENGTH, status=500)), ANSWERED)

    def test_our_own_limits(self) -> None:
        """A stream that was too long, or that our shutdown ended, is not its fault."""
        for code in ("stream_lifetime_exceeded", "proxy_shutdown"):
            self.assertIs(outcome_of(Problem(Reason.TIMEOUT, code=code)), NEUTRAL)

    def test_rests(self) -> None:
        """A minute, five minutes, or as long as it asked for, up to an hour."""
        self.assertEqual(rest_of(Problem(Reason.AUTH)), 60)
        self.assertEqual(rest_of(Problem(Reason.ACCOUNT)), 60)
        self.assertEqual(rest_of(Problem(Reason.QUOTA)), 300)
        self.assertEqual(rest_of(Problem(Reason.LONG_WAIT, wait=Wait(90))), 90)
        self.assertEqual(rest_of(Problem(Reason.LONG_WAIT, wait=Wait(90000))), 3600)
        self.assertIsNone(rest_of(Problem(Reason.WAIT, wait=Wait(1))))
        self.assertIsNone(rest_of(Problem(Reason.SERVER_ERROR)))


class BreakersTests(SynchronousTestCase):
    """All of them."""

    def test_by_name(self) -> None:
        """Who rests, and what is forgotten."""
        breakers = Breakers()
        breakers.of("a").rest(60, 0.0, "auth")
        self.assertEqual(breakers.resting(["a", "b"], 1.0), {"a"})
        breakers.forget(["a", "never heard of"])
        self.assertEqual(breakers.resting(["a", "b"], 1.0), set())

    def test_late_news_of_one_that_is_forgotten(self) -> None:
        """A request that began before tells nobody."""
        breakers = Breakers()
        old = breakers.of("a")
        breakers.forget(["a"])
        old.rest(60, 0.0, "auth")
        self.assertEqual((breakers.unwell, breakers.resting(["a"], 1.0)), (set(), set()))


@define
class Naive:
    """The same by brute force: every result with its time, everything looked up anew."""

    state: State = State.CLOSED
    until: float = 0.0
    openings: int = 0
    results: list[tuple[float, Outcome]] = field(factory=list)
    probe: int | None = None
    era: int = 0

    def pass_to(self, now: float) -> None:
        """Time has passed."""
        if self.state is State.OPEN and now >= self.until:
            self.become(State.HALF_OPEN)

    def become(self, state: State) -> None:
        """Change the state."""
        self.state, self.results, self.probe = state, [], None
        self.era += 1

    def rest(self, outcome: Outcome, now: float, spent: float) -> None:
        """Open."""
        if outcome is TIMED_OUT:
            seconds = min(300.0, max(5.0, 6 * spent))
        else:
            seconds = min(10.0, 5.0 * 2**self.openings)
            self.openings += 1
        self.become(State.OPEN)
        self.until = now + seconds

    def is_bad(self, now: float) -> bool:
        """Whether the results so far are enough."""
        told = [outcome for _, outcome in self.results]
        row = []
        for outcome in reversed(told):
            if outcome is GOOD:
                break
            row.append(outcome)
        if row[:2] == [TIMED_OUT, TIMED_OUT]:
            return True
        if sum(outcome is not SHARED for outcome in row) >= 3:
            return True
        lately = [o for at, o in self.results if int(at) > int(now) - 30]
        return len(lately) >= 10 and 2 * sum(o is not GOOD for o in lately) >= len(lately)

    def finish(self, number: int, era: int, outcome: Outcome, now: float, spent: float) -> None:
        """A request ended."""
        if era != self.era:
            return
        if self.state is State.OPEN:
            if outcome is GOOD:
                self.close()
        elif self.state is State.HALF_OPEN:
            self.probe = None if self.probe == number else self.probe
            if outcome in (GOOD, ANSWERED):
                self.close()
            elif outcome is not NEUTRAL:
                self.rest(outcome, now, spent)
        elif outcome not in (NEUTRAL, ANSWERED):
            self.results.append((now, outcome))
            if outcome is not GOOD and self.is_bad(now):
                self.rest(outcome, now, spent)

    def close(self) -> None:
        """Back."""
        self.openings = 0
        self.become(State.CLOSED)


class Machine(RuleBasedStateMachine):
    """Anything that can happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.model, self.now = Breaker(), Naive(), 0.0
        self.open: list[tuple[Permit, int, int]] = []
        self.count = 0

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.0, 4.0, 5.0, 10.0, 29.0, 60.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.model.pass_to(self.now)

    @rule()
    def begin(self) -> None:
        """A request goes to the backend."""
        self.count += 1
        permit = self.breaker.begin(self.now)
        if self.model.state is State.HALF_OPEN and self.model.probe is None:
            self.model.probe = self.count
        self.open.append((permit, self.count, self.model.era))

    @rule(which=st.integers(0, 9), outcome=st.sampled_from(Outcome), spent=st.floats(0, 90))
    def finish(self, which: int, outcome: Outcome, spent: float) -> None:
        """One of those under way ends."""
        if self.open:
            permit, number, era = self.open.pop(which % len(self.open))
            self.breaker.finish(permit, outcome, self.now, spent=spent)
            self.model.finish(number, era, outcome, self.now, spent)

    @rule(outcome=st.sampled_from([GOOD, FAILED, TIMED_OUT, SHARED]), times=st.integers(1, 4))
    def several(self, outcome: Outcome, times: int) -> None:
        """Some short requests."""
        for _ in range(times):
            self.begin()
            self.finish(len(self.open) - 1, outcome, 3.0)

    @rule(which=st.integers(0, 9))
    def commit(self, which: int) -> None:
        """The answer of one of those under way begins."""
        if self.open:
            permit, number, era = self.open[which % len(self.open)]
            self.breaker.committed(permit)
            if era == self.model.era and self.model.probe == number:
                self.model.probe = None

    @rule(seconds=st.sampled_from([1.0, 60.0, 300.0]))
    def rest(self, seconds: float) -> None:
        """The table says that it rests."""
        self.breaker.rest(seconds, self.now, "auth")
        resting = self.model.state is State.OPEN
        if not resting or self.model.until - self.now < seconds:
            self.model.become(State.OPEN)
            self.model.until = self.now + seconds

    @invariant()
    def they_agree(self) -> None:
        """State, rest and who is kept out are the same."""
        assert self.breaker.state(self.now) is self.model.state
        left = self.model.until - self.now if self.model.state is State.OPEN else 0.0
        assert abs(self.breaker.rest_left(self.now) - left) < 1e-6
        out = self.model.state is State.OPEN or self.model.probe is not None
        assert self.breaker.rests(self.now) is out


class ModelTests(SynchronousTestCase):
    """The machine beside the naive one."""

    def test_they_agree(self) -> None:
        """Whatever happens."""
        often = settings(max_examples=150, stateful_step_count=40, deadline=None)
        run_state_machine_as_test(Machine, settings=often)
