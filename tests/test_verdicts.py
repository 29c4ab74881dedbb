"""
What is tried next, as a table: every reason in every position of a route.
"""

from __future__ import annotations

from itertools import product

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.lastword import most_useful
from yallmp.core.problems import Problem, Reason, Wait
from yallmp.core.routing import Route
from yallmp.core.settings import Router
from yallmp.core.verdicts import (
    TABLE,
    Row,
    Stop,
    Tried,
    Try,
    backoff,
    is_poison,
    may_spare,
    next_step,
)

A, A2, A3 = Backend("a", "m"), Backend("a2", "m"), Backend("a3", "m")
F, F2, G = Backend("f", "f"), Backend("f2", "f"), Backend("g", "g")
C, P = Backend("c", "long"), Backend("p", "lenient")

#: The table of docs/failover: S, N; then status and code where the answer is ours (the
#: status of the others is what the backend said).
ROWS: dict[Reason, tuple[str, int | None, str]] = {
    Reason.UNREACHABLE: ("S, N", 502, "upstream_unreachable"),
    Reason.DNS: ("N", 502, "upstream_dns"),
    Reason.CONNECT_TIMEOUT: ("N", 504, "upstream_connect_timeout"),
    Reason.TLS: ("N", 502, "upstream_tls"),
    Reason.DISCONNECTED: ("S, N", 502, "upstream_disconnected"),
    Reason.PROTOCOL: ("N", 502, "upstream_protocol"),
    Reason.TIMEOUT: ("N", 504, "upstream_timeout"),
    Reason.DEADLINE: ("", 504, "deadline_exceeded"),
    Reason.CONTEXT_LENGTH: ("N", None, ""),
    Reason.CONTENT_FILTER: ("", None, ""),
    Reason.ACCOUNT: ("N", 502, "upstream_auth"),
    Reason.AUTH: ("N", 502, "upstream_auth"),
    Reason.UNKNOWN_THERE: ("N", None, ""),
    Reason.AT_FAULT: ("at fault", None, ""),
    Reason.BUSY: ("S, N", None, ""),
    Reason.WAIT: ("S, N", None, ""),
    Reason.LONG_WAIT: ("N", None, ""),
    Reason.RATE_LIMIT: ("S, N", None, ""),
    Reason.QUOTA: ("N", None, ""),
    Reason.SERVER_ERROR: ("S, N", None, ""),
    Reason.UNABLE: ("N", None, ""),
    Reason.REDIRECT: ("N", 502, "upstream_redirect"),
    Reason.ANSWER_ERROR: ("N", 502, "upstream_error"),
    Reason.INVALID: ("N", 502, "upstream_invalid_response"),
    Reason.INCOMPLETE: ("N", 502, "upstream_incomplete"),
    Reason.FULL: ("N", 503, "overloaded"),
    Reason.MEMORY: ("", 503, "proxy_overloaded"),
    Reason.DIVERGED: ("N", 502, "upstream_invalid_response"),
}
REPEATED = [r for r, (letters, _, _) in ROWS.items() if "S" in letters]
NEXT_ONLY = [r for r, (letters, _, _) in ROWS.items() if letters == "N"]
STATUS = {
    Reason.CONTEXT_LENGTH: 400, Reason.CONTENT_FILTER: 400, Reason.UNKNOWN_THERE: 404,
    Reason.AT_FAULT: 422, Reason.BUSY: 409, Reason.WAIT: 429, Reason.LONG_WAIT: 429,
    Reason.RATE_LIMIT: 429, Reason.QUOTA: 429, Reason.SERVER_ERROR: 503, Reason.UNABLE: 501,
    Reason.AUTH: 401, Reason.ACCOUNT: 400, Reason.REDIRECT: 302,
}  # fmt: skip
WAITS = {Reason.WAIT: Wait(1.0), Reason.LONG_WAIT: Wait(60.0)}


def problem(reason: Reason) -> Problem:
    """A problem as it would come for *reason*."""
    return Problem(reason, reason.value, STATUS.get(reason), WAITS.get(reason))


def failed(
    backend: Backend, reason: Reason | Problem, lasted: float = 0.1, again: bool = False
) -> Tried:
    """An attempt that failed."""
    found = reason if isinstance(reason, Problem) else problem(reason)
    return Tried(backend, found, lasted, again)


def route(
    *legs: Backend, context: tuple[Backend, ...] = (), policy: tuple[Backend, ...] = ()
) -> Route:
    """A route for the model of its first backend."""
    return Route(legs[0].model_name, legs[0].model_name, "by name", legs, context, policy)


def step(
    route: Route, *tried: Tried, chance: float = 0.5, left: float = 600.0, retries: int = 1
) -> Try | Stop:
    """What follows."""
    return next_step(route, tried, Router(num_retries=retries), chance=chance, left=left)


def said(step: Try | Stop) -> str:
    """A step in short: ``a again``, ``f``, ``stop``, ``late``."""
    if isinstance(step, Stop):
        return "late" if step.late else "stop"
    return f"{step.backend.name} again" if step.again else step.backend.name


class TableTests(SynchronousTestCase):
    """The rows as failover.md has them."""

    def test_rows(self) -> None:
        """S, N, and what the client gets of a last failure."""
        self.assertEqual(set(TABLE), set(Reason))
        for reason, (letters, status, code) in ROWS.items():
            row = TABLE[reason]
            self.assertEqual(row.same, "S" in letters, reason)
            self.assertEqual(row.status, status, reason)
            self.assertEqual(row.code, code or Row(False, False).code, reason)

    def test_pointless_repetition(self) -> None:
        """A client is told not to try again where that would only get the same."""
        pointless = {reason for reason, row in TABLE.items() if not row.retry}
        self.assertEqual(pointless, {
            Reason.TLS, Reason.DEADLINE, Reason.CONTEXT_LENGTH, Reason.CONTENT_FILTER,
            Reason.ACCOUNT, Reason.AUTH, Reason.UNKNOWN_THERE, Reason.AT_FAULT, Reason.QUOTA,
            Reason.UNABLE, Reason.REDIRECT,
        })  # fmt: skip


class SpareTests(SynchronousTestCase):
    """How many S there may be."""

    def test_a_fifth(self) -> None:
        """Three always, then at most 20 % of the active requests."""
        for active, most in ((1, 3), (15, 3), (16, 3), (19, 3), (20, 4), (21, 4), (40, 8)):
            allowed = [n for n in range(20) if may_spare(n, active)]
            self.assertEqual(len(allowed), most, active)


class PoisonTests(SynchronousTestCase):
    """Requests that backends die of."""

    def test_what_is_a_death(self) -> None:
        """The connection ended before the answer did; an answer that is bad is none."""
        cut = Problem(Reason.INCOMPLETE, code="upstream_disconnected")
        early = Problem(Reason.INCOMPLETE, code="upstream_incomplete")
        reset = Problem(Reason.DISCONNECTED)
        for one, other, poison in (
            (cut, reset, True), (reset, reset, True), (early, early, False), (cut, early, False),
            (Problem(Reason.TIMEOUT), reset, False), (Problem(Reason.UNREACHABLE), cut, False),
        ):  # fmt: skip
            tried = [failed(A, one), failed(F, other)]
            self.assertIs(is_poison(tried), poison, (one, other))
        self.assertFalse(is_poison([failed(A, reset), failed(A, reset)]), "one backend is no proof")

    def test_it_stops(self) -> None:
        """Nobody else is asked."""
        reset = Problem(Reason.DISCONNECTED)
        stopped = step(route(A, F, G), failed(A, reset, again=True), failed(F, reset, again=True))
        self.assertEqual(stopped, Stop(poison=True))


class PositionTests(SynchronousTestCase):
    """Every reason, wherever in a route it happens."""

    def test_the_only_backend(self) -> None:
        """S comes back to it once, everything else ends."""
        for reason in Reason:
            first = said(step(route(A), failed(A, reason)))
            last = said(step(route(A), failed(A, reason), failed(A, reason, again=True)))
            end = "late" if reason is Reason.DEADLINE else "stop"
            self.assertEqual(first, "a again" if reason in REPEATED else end, reason)
            self.assertEqual(last, end, reason)

    def test_the_first_of_two(self) -> None:
        """S first, then N; what is N alone goes on at once; the rest ends."""
        for reason in Reason:
            first = said(step(route(A, F), failed(A, reason)))
            expected = "f" if reason in NEXT_ONLY else "stop"
            expected = "late" if reason is Reason.DEADLINE else expected
            self.assertEqual(first, "a again" if reason in REPEATED else expected, reason)
        for reason in REPEATED:
            tried = failed(A, reason), failed(A, reason, again=True)
            self.assertEqual(step(route(A, F), *tried), Try(F), reason)

    def test_the_last_of_two(self) -> None:
        """After another failure S is its own group's; then nothing is left."""
        for before, reason in product([Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.AUTH], Reason):
            last = said(step(route(A, F), failed(A, before), failed(F, reason)))
            end = "late" if reason is Reason.DEADLINE else "stop"
            self.assertEqual(last, "f again" if reason in REPEATED else end, (before, reason))

    def test_the_middle_of_three(self) -> None:
        """The request at fault goes on if a backend before failed."""
        ending = {
            Reason.CONTENT_FILTER: "stop", Reason.MEMORY: "stop", Reason.DEADLINE: "late",
        }  # fmt: skip
        for reason in Reason:
            found = said(step(route(A, F, G), failed(A, Reason.INVALID), failed(F, reason)))
            expected = "f again" if reason in REPEATED else ending.get(reason, "g")
            self.assertEqual(found, expected, reason)

    def test_in_a_group_of_two(self) -> None:
        """S and N both go to the other member, S after a pause."""
        for reason in REPEATED:
            found = step(route(A, A2, F), failed(A, reason))
            assert isinstance(found, Try)
            self.assertEqual(said(found), "a2 again", reason)
            self.assertTrue(0.125 <= found.delay <= 0.375, reason)
        for reason in NEXT_ONLY:
            self.assertEqual(step(route(A, A2, F), failed(A, reason)), Try(A2), reason)
        for reason in (Reason.AT_FAULT, Reason.CONTENT_FILTER):
            self.assertEqual(step(route(A, A2, F), failed(A, reason)), Stop(), reason)

    def test_a_group_of_three_is_gone_through(self) -> None:
        """One S for the group, then N through what is left of it, then the fallback."""
        tried: list[Tried] = []
        names = ["a"]
        backends = {b.name: b for b in (A, A2, A3, F)}
        found: Try | Stop = Try(A)
        while isinstance(found, Try):
            tried.append(failed(found.backend, Reason.SERVER_ERROR, again=found.again))
            found = step(route(*backends.values()), *tried)
            names.append(said(found))
        self.assertEqual(names, ["a", "a2 again", "a3", "f", "f again", "stop"])

    @given(
        st.lists(st.sampled_from([r for r in Reason if r is not Reason.DEADLINE]), min_size=20,
                 max_size=20),
        st.integers(0, 3), st.floats(0, 0.999), st.floats(0, 20),
    )  # fmt: skip
    def test_any_course(
        self, reasons: list[Reason], retries: int, chance: float, lasted: float
    ) -> None:
        """N never repeats, S stays within its group's number, and there is an end."""
        where = route(A, A2, F, F2, G, context=(C,), policy=(P,))
        tried: list[Tried] = []
        found: Try | Stop = Try(A)
        for reason in reasons:
            assert isinstance(found, Try)
            if not found.again:
                self.assertNotIn(found.backend, [t.backend for t in tried])
            tried.append(failed(found.backend, reason, lasted, found.again))
            found = step(where, *tried, chance=chance, retries=retries)
            if isinstance(found, Stop):
                break
        self.assertIsInstance(found, Stop)
        for group in ("m", "f", "g", "long", "lenient"):
            again = [t for t in tried if t.again and t.backend.model_name == group]
            self.assertLessEqual(len(again), retries)
        self.assertIn(most_useful(where, tried), [t.problem for t in tried])


class SameTests(SynchronousTestCase):
    """When, where and after which pause something is asked again."""

    def test_number(self) -> None:
        """num_retries counts further tries, for each group anew; 0 is none."""
        for retries in range(4):
            tried = [failed(A, Reason.SERVER_ERROR)]
            tried += [failed(A, Reason.SERVER_ERROR, again=True)] * retries
            self.assertEqual(step(route(A, F), *tried, retries=retries), Try(F))
            if retries:
                before = said(step(route(A, F), *tried[:-1], retries=retries))
                self.assertEqual(before, "a again")
            tried.append(failed(F, Reason.SERVER_ERROR))
            last = said(step(route(A, F), *tried, retries=retries))
            self.assertEqual(last, "f again" if retries else "stop")

    def test_only_after_a_quick_failure(self) -> None:
        """A failure that took more than ten seconds is not paid for twice."""
        self.assertEqual(said(step(route(A, F), failed(A, Reason.SERVER_ERROR, 10.0))), "a again")
        self.assertEqual(said(step(route(A, F), failed(A, Reason.SERVER_ERROR, 10.01))), "f")

    def test_backoff(self) -> None:
        """0.25 s × 2^k, half more or less, at most 2 s."""
        self.assertEqual([backoff(k, 0.5) for k in range(5)], [0.25, 0.5, 1.0, 2.0, 2.0])
        self.assertEqual((backoff(0, 0.0), backoff(1, 0.0)), (0.125, 0.25))
        self.assertAlmostEqual(backoff(0, 0.9999999), 0.375, places=5)
        self.assertLessEqual(backoff(100_000, 0.999), 2.0)

    @given(st.floats(0.001, 2.0), st.floats(0, 0.999999))
    def test_a_named_wait_is_kept(self, seconds: float, chance: float) -> None:
        """Never shorter, at most a tenth longer."""
        told = Problem(Reason.WAIT, status=429, wait=Wait(seconds))
        found = step(route(A, F), failed(A, told), chance=chance)
        assert isinstance(found, Try)
        self.assertTrue(found.again)
        self.assertGreaterEqual(found.delay, seconds)
        self.assertLessEqual(found.delay, seconds * 1.1)

    def test_a_date_is_given_its_second(self) -> None:
        """A date says nothing of fractions, so a second more is waited."""
        told = Problem(Reason.WAIT, status=429, wait=Wait(1.2, slack=1.0))
        found = step(route(A), failed(A, told), chance=0.0)
        self.assertEqual(found, Try(A, 2.2, again=True))

    def test_the_longest_wait_is_inclusive(self) -> None:
        """Exactly retry_after_max is still waited for, more is not, whatever the status."""
        for status, reason in ((429, Reason.WAIT), (500, Reason.SERVER_ERROR), (409, Reason.BUSY)):
            for seconds, expected in ((2.0, "a again"), (2.01, "f"), (3600.0, "f")):
                told = Problem(reason, status=status, wait=Wait(seconds))
                self.assertEqual(said(step(route(A, F), failed(A, told))), expected, seconds)

    def test_a_wait_is_its_backends(self) -> None:
        """Another member of the group did not ask for it."""
        found = step(route(A, A2), failed(A, Reason.WAIT))
        self.assertEqual(found, Try(A2, 0.25, again=True))

    def test_a_wait_lasts_while_others_are_asked(self) -> None:
        """Back at the member that asked for it, what is left of the wait is kept."""
        told = Problem(Reason.WAIT, status=429, wait=Wait(2.0))
        tried = failed(A, told), failed(A2, Reason.SERVER_ERROR, 0.5, again=True)
        found = step(route(A, A2), *tried, chance=0.0, retries=2)
        self.assertEqual(found, Try(A, 1.5, again=True))
        long = failed(A, told), failed(A2, Reason.SERVER_ERROR, 3.0, again=True)
        found = step(route(A, A2), *long, chance=0.5, retries=2)
        self.assertEqual(found, Try(A, 0.5, again=True))

    def test_members_take_turns(self) -> None:
        """A member that was not asked comes before one that was; then the longest ago."""
        first = failed(A, Reason.SERVER_ERROR)
        second = failed(A2, Reason.SERVER_ERROR, again=True)
        third = failed(A3, Reason.SERVER_ERROR, again=True)
        where = route(A, A2, A3)
        self.assertEqual(said(step(where, first, retries=9)), "a2 again")
        self.assertEqual(said(step(where, first, second, retries=9)), "a3 again")
        self.assertEqual(said(step(where, first, second, third, retries=9)), "a again")

    def test_a_member_that_may_not_be_asked_again_is_not(self) -> None:
        """One that was silent, or refuses us, gets no second try by way of the other's S."""
        for reason in NEXT_ONLY:
            tried = failed(A, reason), failed(A2, Reason.SERVER_ERROR)
            self.assertEqual(said(step(route(A, A2, F), *tried)), "a2 again", reason)


class TimeTests(SynchronousTestCase):
    """The deadline."""

    def test_no_attempt_with_less_than_a_second(self) -> None:
        """Neither S nor N; it is late if something was left to try."""
        self.assertEqual(step(route(A, F), failed(A, Reason.TIMEOUT), left=1.0), Try(F))
        self.assertEqual(step(route(A, F), failed(A, Reason.TIMEOUT), left=0.99), Stop(late=True))
        self.assertEqual(step(route(A), failed(A, Reason.BUSY), left=0.5), Stop(late=True))
        self.assertEqual(step(route(A), failed(A, Reason.TIMEOUT), left=0.5), Stop())
        self.assertEqual(step(route(A), failed(A, Reason.AT_FAULT), left=0.5), Stop())

    def test_pauses_count(self) -> None:
        """An S whose pause leaves less than a second is none: N is at once."""
        tried = failed(A, Problem(Reason.WAIT, status=429, wait=Wait(2.0)))
        self.assertEqual(said(step(route(A, F), tried, chance=0.0, left=3.0)), "a again")
        self.assertEqual(said(step(route(A, F), tried, chance=0.0, left=2.9)), "f")

    def test_a_wait_that_does_not_fit_is_told(self) -> None:
        """With time left but not for the wait, the backend's 429 is the answer, not a 504."""
        tried = failed(A, Problem(Reason.WAIT, status=429, wait=Wait(2.0)))
        self.assertEqual(step(route(A), tried, left=2.5), Stop())

    def test_a_spent_deadline_ends_it(self) -> None:
        """Whatever is left of the route."""
        for left in (0.0, -1.0, 600.0):
            found = step(route(A, F), failed(A, Reason.DEADLINE), left=left)
            self.assertEqual(found, Stop(late=True))


class SpecialFallbackTests(SynchronousTestCase):
    """context_window_fallbacks and content_policy_fallbacks."""

    where = route(A, F, context=(C,), policy=(P,))

    def test_context_window(self) -> None:
        """Those with more room come first, then what is left of the route."""
        tried = [failed(A, Reason.CONTEXT_LENGTH)]
        self.assertEqual(step(self.where, *tried), Try(C))
        tried.append(failed(C, Reason.TIMEOUT))
        self.assertEqual(step(self.where, *tried), Try(F))
        tried.append(failed(F, Reason.CONTEXT_LENGTH))
        self.assertEqual(step(self.where, *tried), Stop())

    def test_context_window_only_after_that(self) -> None:
        """Other failures do not lead there."""
        tried = [failed(A, Reason.TIMEOUT)]
        self.assertEqual(step(self.where, *tried), Try(F))
        tried.append(failed(F, Reason.TIMEOUT))
        self.assertEqual(step(self.where, *tried), Stop())
        tried[-1] = failed(F, Reason.CONTEXT_LENGTH)
        self.assertEqual(step(self.where, *tried), Try(C))

    def test_content_policy(self) -> None:
        """A filtered request goes only where the configuration says so."""
        tried = [failed(A, Reason.CONTENT_FILTER)]
        self.assertEqual(step(self.where, *tried), Try(P))
        for reason in (Reason.TIMEOUT, Reason.CONTENT_FILTER, Reason.AT_FAULT):
            self.assertEqual(step(self.where, *tried, failed(P, reason)), Stop(), reason)
        again = step(self.where, *tried, failed(P, Reason.SERVER_ERROR))
        self.assertEqual(said(again), "p again")

    def test_content_policy_after_another_failure(self) -> None:
        """It is as final on the fallback as on the first."""
        tried = [failed(A, Reason.TIMEOUT), failed(F, Reason.CONTENT_FILTER)]
        self.assertEqual(step(route(A, F, G), *tried), Stop())
        self.assertEqual(step(self.where, *tried), Try(P))

    def test_a_backend_of_two_lists_is_asked_once(self) -> None:
        """The longer context may be the fallback too."""
        where = route(A, F, context=(F, C))
        tried = [failed(A, Reason.CONTEXT_LENGTH), failed(F, Reason.CONTEXT_LENGTH)]
        self.assertEqual(step(where, tried[0]), Try(F))
        self.assertEqual(step(where, *tried), Try(C))


class AtFaultTests(SynchronousTestCase):
    """A 400 and its like mean another thing after a failure."""

    def test_first(self) -> None:
        """The first backend's word is final, also on its second try."""
        self.assertEqual(step(route(A, F), failed(A, Reason.AT_FAULT)), Stop())
        tried = failed(A, Reason.BUSY), failed(A, Reason.AT_FAULT, again=True)
        self.assertEqual(step(route(A, F), *tried), Stop())
        self.assertEqual(most_useful(route(A, F), tried).reason, Reason.AT_FAULT)

    def test_after_another_failure(self) -> None:
        """The fallback may only dislike its own dialect: on, and the earliest error counts."""
        for reason in Reason:
            if reason in (Reason.AT_FAULT, Reason.CONTENT_FILTER, Reason.DEADLINE):
                continue
            tried = failed(A, reason, 11.0), failed(F, Reason.AT_FAULT)
            self.assertEqual(step(route(A, F, G), *tried), Try(G), reason)
            self.assertEqual(most_useful(route(A, F), tried).reason, reason)


@frozen
class Rank:
    """Reasons that are equally useful to the client."""

    reasons: tuple[Reason, ...]


class MostUsefulTests(SynchronousTestCase):
    """What the client is told of several failures."""

    #: 429 with a wait, then a 4xx of the request, then a backend's own, then ours.
    ranks = (
        Rank((Reason.WAIT, Reason.LONG_WAIT)),
        Rank((Reason.CONTEXT_LENGTH, Reason.CONTENT_FILTER)),
        Rank((Reason.SERVER_ERROR, Reason.UNABLE, Reason.RATE_LIMIT, Reason.QUOTA,
              Reason.BUSY, Reason.UNKNOWN_THERE)),
        Rank(tuple(reason for reason, (_, status, _) in ROWS.items() if status)),
    )  # fmt: skip

    def told(self, *tried: Tried) -> Problem:
        """What the client is told."""
        return most_useful(route(A, F, G), tried)

    def test_every_pair(self) -> None:
        """The more useful one counts, in either order; of equals the first in the route."""
        order = [reason for rank in self.ranks for reason in rank.reasons]
        self.assertEqual({*order, Reason.AT_FAULT}, set(Reason))
        rank_of = {r: index for index, rank in enumerate(self.ranks) for r in rank.reasons}
        for first, second in product(order, order):
            expected = second if rank_of[second] < rank_of[first] else first
            found = self.told(failed(A, first), failed(F, second))
            self.assertEqual(found.reason, expected, (first, second))

    def test_ties_go_to_the_first_in_the_route(self) -> None:
        """Whatever was tried first in time."""
        bad, worse = (Problem(Reason.SERVER_ERROR, text, 500) for text in ("bad", "worse"))
        self.assertEqual(self.told(failed(F, worse), failed(A, bad)).message, "bad")

    def test_of_one_backend_the_latest(self) -> None:
        """After an S its second answer counts."""
        tried = failed(A, Reason.UNREACHABLE), failed(A, Reason.SERVER_ERROR, again=True)
        self.assertEqual(self.told(*tried).reason, Reason.SERVER_ERROR)

    def test_a_429_without_hope_is_no_429_with_a_wait(self) -> None:
        """Quota with a retry-after header is not what the client should wait for."""
        quota = Problem(Reason.QUOTA, status=429, wait=Wait(1.0))
        found = self.told(failed(A, quota), failed(F, Reason.CONTEXT_LENGTH))
        self.assertEqual(found.reason, Reason.CONTEXT_LENGTH)

    def test_a_503_with_a_wait_is_a_5xx(self) -> None:
        """Only 429 with a wait comes before the request's own faults."""
        waiting = Problem(Reason.WAIT, status=503, wait=Wait(1.0))
        found = self.told(failed(A, waiting), failed(F, Reason.CONTEXT_LENGTH))
        self.assertEqual(found.reason, Reason.CONTEXT_LENGTH)

    def test_the_only_one(self) -> None:
        """One failure is the answer, whatever it is."""
        for reason in Reason:
            self.assertEqual(self.told(failed(A, reason)).reason, reason)
