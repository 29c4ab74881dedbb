"""The decision table as it is in force for a model: what is shown is what is done."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.catalog import Catalog
from yallmp.core.problems import Problem, Reason, Wait, reason_of
from yallmp.core.routing import route_for
from yallmp.core.settings import Config, Fallbacks, Router
from yallmp.core.tableview import Line, cases, table_of
from yallmp.core.told import Told
from yallmp.core.verdicts import Tried, Try, leads_on, next_step

STATUSES = st.none() | st.frozensets(st.integers(400, 599), max_size=20)


def backend(name: str, model: str, order: int = 0) -> Backend:
    """A backend that can fail."""
    return Backend(name, model, api_base="http://h.example/v1", order=order)


MOCK = Backend("mock", "mock", mock_response="hello")
SOME = (backend("a2", "a", 2), backend("a1", "a", 1), backend("b", "b"), backend("c", "c"), MOCK)
LISTS = Fallbacks(
    by_model=(("a", ("b",)), ("virtual", ("c", "b")), ("only-mock", ("mock", "b"))),
    context_window=(("a", ("c",)), ("c", ("b",))),
    content_policy=(("a", ("b", "c")),),
)


def catalog(router: Router = Router(), fallbacks: Fallbacks = LISTS) -> Catalog:  # noqa: B008
    """All the backends, with *fallbacks*."""
    return Catalog(Config(SOME, fallbacks, router))


def table(model: str, router: Router = Router()) -> tuple[Line, ...]:  # noqa: B008
    """What is shown for *model*."""
    return table_of(catalog(router), model, cases(router))


def on(lines: tuple[Line, ...], failure: Reason, status: int | None = None) -> Line:
    """The line for a failure, of one status if that is said."""
    (found,) = (
        line
        for line in lines
        if line.failure == failure.value and (status is None or status in line.statuses)
    )
    return found


class CaseTests(SynchronousTestCase):
    """Which failures are told apart."""

    def test_every_row(self) -> None:
        """Each row of the table is there, in its order, with and without a sample's status."""
        reasons = [case.problem.reason for case in cases(Router())]
        self.assertEqual(list(dict.fromkeys(reasons)), list(Reason))

    @given(STATUSES, STATUSES)
    def test_every_status(
        self, again: frozenset[int] | None, onward: frozenset[int] | None
    ) -> None:
        """Each stands in one case for answers that ask for no wait; lists do not change that."""
        router = Router(retry_statuses=again, failover_statuses=onward)
        found = [s for c in cases(router) if c.problem.wait is None for s in c.statuses]
        self.assertEqual(sorted(found), list(range(400, 600)))

    def test_no_wait_is_kept(self) -> None:
        """With ``retry_after_max: 0`` there is no wait that would be."""
        reasons = [case.problem.reason for case in cases(Router(retry_after_max=0))]
        self.assertNotIn(Reason.WAIT, reasons)
        self.assertIn(Reason.LONG_WAIT, reasons)


class LineTests(SynchronousTestCase):
    """What is said of a failure."""

    def test_a_try_again_and_the_route(self) -> None:
        """Own backends by tier, then the fallbacks."""
        line = on(table("a", Router(num_retries=3)), Reason.RATE_LIMIT)
        self.assertEqual(line.statuses, (429,))
        self.assertEqual((line.again, line.next, line.via), (3, ("a2", "b"), ("route",)))
        self.assertEqual((line.client, line.rests, line.counts), ("as it is", None, "answered"))

    def test_no_retries(self) -> None:
        """There is no other try on the same."""
        self.assertEqual({line.again for line in table("a", Router(num_retries=0))}, {0})

    def test_silence(self) -> None:
        """No other try on a silent backend."""
        line = on(table("a"), Reason.TIMEOUT)
        self.assertEqual((line.again, line.next), (0, ("a2", "b")))
        self.assertEqual((line.client, line.counts), ("504 upstream_timeout", "timed out"))

    def test_nobody_else(self) -> None:
        """Without another backend only the same one can be tried again."""
        line = on(table("b"), Reason.SERVER_ERROR, 503)
        self.assertEqual((line.again, line.next, line.via), (1, (), ()))
        self.assertEqual(on(table("b"), Reason.DNS).next, ())

    def test_the_request_at_fault(self) -> None:
        """It goes on only after another failure, and only where there is somebody."""
        line = on(table("a"), Reason.AT_FAULT)
        self.assertEqual((line.next, line.if_another_failed), ((), True))
        self.assertFalse(on(table("b"), Reason.AT_FAULT).if_another_failed)

    def test_a_context_that_is_too_long(self) -> None:
        """Its own fallbacks come first, then the route; 413 is one of those without a word."""
        line = on(table("a"), Reason.CONTEXT_LENGTH)
        self.assertEqual(line.next, ("c", "a2", "b"))
        self.assertEqual(line.via, ("context_window_fallbacks", "route"))
        self.assertEqual(line.statuses, (413,))
        alone = on(table("c"), Reason.CONTEXT_LENGTH)
        self.assertEqual((alone.next, alone.via), (("b",), ("context_window_fallbacks",)))
        self.assertEqual(on(table("virtual"), Reason.CONTEXT_LENGTH).via, ("route",))

    def test_a_content_filter(self) -> None:
        """Only its own fallbacks."""
        line = on(table("a"), Reason.CONTENT_FILTER)
        self.assertEqual((line.next, line.via), (("b", "c"), ("content_policy_fallbacks",)))
        self.assertEqual(on(table("virtual"), Reason.CONTENT_FILTER).next, ())

    def test_poison(self) -> None:
        """A request that two backends die of goes no further."""
        self.assertEqual(on(table("a"), Reason.DISCONNECTED).next, ("a2",))

    def test_waits(self) -> None:
        """A short one is kept; with a long one the backend rests, at most an hour."""
        short, long = (on(table("a"), r, 429) for r in (Reason.WAIT, Reason.LONG_WAIT))
        self.assertEqual((short.waits, short.again, short.rests), (2.0, 1, None))
        self.assertEqual((long.waits, long.again, long.rests), (None, 0, 3600.0))
        self.assertEqual(on(table("a"), Reason.WAIT, 503).statuses, (503, 529))

    def test_rests(self) -> None:
        """What the table says, and what else counts."""
        self.assertEqual(on(table("a"), Reason.AUTH).rests, 60.0)
        self.assertEqual(on(table("a"), Reason.QUOTA).rests, 300.0)
        self.assertEqual(on(table("a"), Reason.SERVER_ERROR, 500).counts, "shared")
        self.assertEqual(on(table("a"), Reason.SERVER_ERROR, 502).counts, "failed")

    def test_virtual_models(self) -> None:
        """Their first fallback is the first to fail."""
        self.assertEqual(on(table("virtual"), Reason.DNS).next, ("b",))

    def test_what_cannot_fail(self) -> None:
        """What is answered inside the process, first of all, has no table."""
        self.assertEqual((table("mock"), table("only-mock")), ((), ()))

    def test_derived_models(self) -> None:
        """A backend that serves under two names of a route is asked once."""
        config = Config(
            (backend("any", "openai/*"), backend("x", "x")),
            Fallbacks(by_model=(("openai/*", ("openai/gpt", "x")),)),
        )
        lines = table_of(Catalog(config), "openai/*", cases(Router()))
        self.assertEqual(on(lines, Reason.DNS).next, ("x",))


class StatusTests(SynchronousTestCase):
    """``retry_statuses`` and ``failover_statuses``."""

    def test_retry_statuses(self) -> None:
        """They replace what statuses lead to; what has none, or is known by words, stays."""
        lines = table("a", Router(retry_statuses=frozenset({404, 500})))
        again = {s for line in lines if line.again for s in line.statuses}
        self.assertEqual(again, {404, 500})
        self.assertEqual(on(lines, Reason.UNREACHABLE).again, 1)
        self.assertEqual(on(lines, Reason.UNKNOWN_THERE, 404).next, ("a2", "b"))

    def test_failover_statuses(self) -> None:
        """Likewise; one at fault that is listed goes on, one that is not never does."""
        lines = table("a", Router(failover_statuses=frozenset({400, 503})))
        onward = {s for line in lines if line.via for s in line.statuses if s != 413}
        self.assertEqual(onward, {400, 503})
        self.assertFalse(any(line.if_another_failed for line in lines))
        for stays in (Reason.TIMEOUT, Reason.QUOTA, Reason.ACCOUNT, Reason.CONTEXT_LENGTH):
            self.assertTrue(on(lines, stays).next, stays)

    def test_none_of_them(self) -> None:
        """Empty lists are lists."""
        empty: frozenset[int] = frozenset()
        lines = table("a", Router(retry_statuses=empty, failover_statuses=empty))
        self.assertEqual({s for x in lines if x.again or x.next for s in x.statuses}, {413})

    def test_a_long_wait_is_not_kept(self) -> None:
        """Whatever the list says; only another entry of the model may be tried."""
        router = Router(retry_statuses=frozenset({429}))
        again = [on(table(model, router), Reason.LONG_WAIT, 429).again for model in ("a", "b")]
        self.assertEqual(again, [1, 0])


class PropertyTests(SynchronousTestCase):
    """What is shown is what is done."""

    @given(
        status=st.integers(400, 599),
        wait=st.none() | st.sampled_from([Wait(1.5), Wait(30.0)]),
        again=STATUSES,
        onward=STATUSES,
        model=st.sampled_from(["a", "b", "c", "virtual"]),
    )
    def test_any_answer(
        self,
        status: int,
        wait: Wait | None,
        again: frozenset[int] | None,
        onward: frozenset[int] | None,
        model: str,
    ) -> None:
        """The first two steps after any answer of any status are those of its line."""
        router = Router(retry_statuses=again, failover_statuses=onward)
        problem = Problem(reason_of(status, Told(), wait, 2.0), status=status, wait=wait)
        if wait and problem.reason not in (Reason.WAIT, Reason.LONG_WAIT):
            return
        line = on(table(model, router), problem.reason, status)
        route = route_for(catalog(router), model, lambda: 0.0)
        tried = [Tried(route.legs[0], problem)]
        step = next_step(route, tried, router, chance=0.5, left=inf)
        self.assertEqual(bool(line.again), isinstance(step, Try) and step.again)
        other = next_step(route, tried, router, chance=0.5, left=inf, spare=False)
        self.assertEqual(line.next[:1], (other.backend.name,) if isinstance(other, Try) else ())
        self.assertEqual(
            line.if_another_failed, leads_on(problem, router) is None and len(route.legs) > 1
        )
