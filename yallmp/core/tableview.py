"""
The decision table as it is in force for one model, to be read.

Nothing is decided here.  Each kind of failure is put to
:func:`yallmp.core.verdicts.next_step` as if the model's first backend had just met it and
every other backend met it too; what is tried then is written down.  So what is shown is what
will be done, with the configured statuses and fallbacks.

A :class:`Line` is one row of it, for programs; :mod:`yallmp.core.tablewords` says it to people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf

from attrs import evolve, frozen

from yallmp.core.backend import Backend
from yallmp.core.breaker import outcome_of, rest_of
from yallmp.core.catalog import Catalog
from yallmp.core.problems import Problem, Reason, Wait, reason_of
from yallmp.core.routing import Route, arranged
from yallmp.core.settings import Router
from yallmp.core.told import Told
from yallmp.core.verdicts import (
    BY_STATUS,
    TABLE,
    Stop,
    Tried,
    Try,
    leads_on,
    next_step,
    repeats,
)  # fmt: skip

#: What leads on is named after the setting, or ``route``: own backends, then ``fallbacks``.
ROUTE, CONTEXT, POLICY = "route", "context_window_fallbacks", "content_policy_fallbacks"
#: Longer than any wait that is kept.
_VERY_LONG = Wait(1_000_000.0)


@frozen
class Line:
    """
    What follows one kind of failure of a model's first backend.

    :ivar failure: the word in logs (docs/failover.md).
    :ivar statuses: those that lead here by themselves, whatever else the answer says.
    :ivar waits: a wait of up to so many seconds, named by the backend, comes before ``again``.
    :ivar again: how often at most the same model's backends are tried again first.
    :ivar next: the names of the backends that are asked then, in order.
    :ivar via: where these come from: ``route``, or the setting that names them.
    :ivar if_another_failed: the route goes on only after another failure (at fault).
    :ivar rests: for how many seconds, at most, the backend rests at once.
    :ivar counts: what it says of the backend otherwise (:class:`yallmp.core.breaker.Outcome`).
    :ivar client: what the client gets if this is the last word.
    """

    failure: str
    statuses: tuple[int, ...]
    waits: float | None
    again: int
    next: tuple[str, ...]
    via: tuple[str, ...]
    if_another_failed: bool
    rests: float | None
    counts: str
    client: str


@frozen
class Case:
    """A kind of failure: a sample, and the statuses that are treated like it."""

    problem: Problem
    statuses: tuple[int, ...] = ()


def cases(router: Router) -> tuple[Case, ...]:
    """Every kind of failure that *router* tells from others, in the table's order."""
    order = list(Reason)
    found = [*_without_status(), *_with_status(router)]
    return tuple(sorted(found, key=lambda case: order.index(case.problem.reason)))


def _without_status() -> Iterator[Case]:
    return (Case(Problem(reason)) for reason in Reason if reason not in BY_STATUS)


def _with_status(router: Router) -> Iterator[Case]:
    """Answers with an error status, those of one fate together."""
    fates: dict[object, list[Problem]] = {}
    for problem in _answers(router.retry_after_max):
        said = outcome_of(problem)
        fate = (problem.reason, repeats(problem, router), leads_on(problem, router), said)
        fates.setdefault(fate, []).append(problem)
    for problems in fates.values():
        yield Case(problems[0], tuple(p.status for p in problems if p.status))


def _answers(retry_after_max: float) -> Iterator[Problem]:
    """An answer of every status, also one that asks to wait where that makes a difference."""
    for status in range(400, 600):
        plain = reason_of(status, Told(), None, retry_after_max)
        yield Problem(plain, status=status)
        for wait in (Wait(retry_after_max), _VERY_LONG):
            reason = reason_of(status, Told(), wait, retry_after_max)
            if reason is not plain and wait.seconds:
                yield Problem(reason, status=status, wait=wait)


def table_of(catalog: Catalog, model_name: str, known: Sequence[Case]) -> tuple[Line, ...]:
    """
    The table for *model_name*; empty if it is answered in the process and cannot fail.

    :param known: the :func:`cases` of the catalog's configuration.
    """
    route = _route(catalog, model_name)
    first = _first_to_fail(route)
    if first is None:
        return ()
    router = catalog.config.router
    return _merged(_line(route, first, case, router) for case in known)


def _first_to_fail(route: Route) -> Backend | None:
    """The first of those that are asked first; what is answered in the process cannot fail."""
    groups = {backend.model_name for backend in route.legs[:1]}
    own = (backend for backend in route.legs if backend.model_name in groups)
    return next((backend for backend in own if backend.mock_response is None), None)


def _route(catalog: Catalog, model_name: str) -> Route:
    """The route of *model_name* with nothing drawn: backends of one tier as they stand."""
    return Route(
        model=model_name,
        asked=model_name,
        reason="",
        legs=_backends(catalog, (model_name, *catalog.fallbacks(model_name))),
        context=_backends(catalog, catalog.context_window_fallbacks(model_name)),
        policy=_backends(catalog, catalog.content_policy_fallbacks(model_name)),
    )


def _backends(catalog: Catalog, names: Iterable[str]) -> tuple[Backend, ...]:
    found: dict[str, Backend] = {}
    for name in names:
        for backend in arranged(catalog.group(name), lambda: 0.0):
            found.setdefault(backend.name, backend)
    return tuple(found.values())


def _line(route: Route, first: Backend, case: Case, router: Router) -> Line:
    problem = case.problem
    row, tried = TABLE[problem.reason], [Tried(first, problem)]
    step = next_step(route, tried, router, chance=0.5, left=inf)
    onward = _onward(route, tried, router)
    return Line(
        failure=problem.reason.value,
        statuses=case.statuses,
        waits=problem.wait.seconds if problem.wait and problem.reason is Reason.WAIT else None,
        again=router.num_retries if isinstance(step, Try) and step.again else 0,
        next=onward,
        via=_via(route, problem.reason, onward),
        if_another_failed=leads_on(problem, router) is None and len(route.legs) > 1,
        rests=rest_of(problem),
        counts=outcome_of(problem).value,
        client=f"{row.status} {row.code}" if row.status else "as it is",
    )


def _onward(route: Route, tried: Sequence[Tried], router: Router) -> tuple[str, ...]:
    """The backends that are asked after *tried*, were each to fail in the same way."""
    names: list[str] = []
    while True:
        step = next_step(route, tried, router, chance=0.5, left=inf, spare=False)
        if isinstance(step, Stop):
            return tuple(names)
        names.append(step.backend.name)
        tried = [*tried, Tried(step.backend, tried[0].problem)]


def _via(route: Route, reason: Reason, onward: Sequence[str]) -> tuple[str, ...]:
    if not onward:
        return ()
    if reason is Reason.CONTENT_FILTER:
        return (POLICY,)
    if reason is not Reason.CONTEXT_LENGTH or not route.context:
        return (ROUTE,)
    special = {backend.name for backend in route.context}
    return (CONTEXT, ROUTE) if set(onward) - special else (CONTEXT,)


def _merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """*lines*, those that differ only in their statuses as one."""
    statuses: dict[Line, list[int]] = {}
    for line in lines:
        statuses.setdefault(evolve(line, statuses=()), []).extend(line.statuses)
    return tuple(evolve(line, statuses=tuple(found)) for line, found in statuses.items())
