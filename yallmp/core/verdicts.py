"""
What is tried next: the decision table of failover, as data and pure functions.

``S`` (same): again, after a pause, on another member of the model's group, or on the
same backend if it is the only one; at most ``num_retries`` times for a group, and never on
a backend that rests.  ``N`` (next): the next backend of the route; those that rest come
last, since one that may fail is better than none.  When nothing is left the client gets the
most useful of the failures.  :func:`next_step` looks only at what was tried, who rests, the
time left and a random number, so that every decision can be explained and tested as a table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import evolve, frozen

from yallmp.core.backend import Backend
from yallmp.core.problems import Problem, Reason, Wait
from yallmp.core.routing import Route
from yallmp.core.settings import Router

#: S only if the failure came within this time of sending, in seconds.
QUICK = 10.0
#: No attempt is made with less than this left of the deadline, in seconds.
LEAST_LEFT = 1.0
BACKOFF, BACKOFF_MAX = 0.25, 2.0
#: Of the active requests so many may be on an S, and so many in any case.
SHARE, LEAST_SHARE = 0.2, 3
#: A request that kills so many backends goes no further.
KILLED = 2
#: Rows that a status leads to, which ``retry_statuses`` and ``failover_statuses`` change.
BY_STATUS = frozenset({
    Reason.AUTH, Reason.UNKNOWN_THERE, Reason.AT_FAULT, Reason.BUSY, Reason.WAIT,
    Reason.LONG_WAIT, Reason.RATE_LIMIT, Reason.SERVER_ERROR, Reason.UNABLE,
})  # fmt: skip


@frozen
class Row:
    """
    A row of the table.

    ``same`` and ``next`` are S and N.  Where the failure is the last word, the client
    gets ``status`` and ``code`` from us, or the backend's answer as it is where
    ``status`` is ``None``.  ``retry`` is false where a client that tries again at once
    would only get the same.
    """

    same: bool
    next: bool
    status: int | None = None
    code: str = "upstream_error"
    retry: bool = True


TABLE: dict[Reason, Row] = {
    Reason.UNREACHABLE: Row(True, True, 502, "upstream_unreachable"),
    Reason.DNS: Row(False, True, 502, "upstream_dns"),
    Reason.CONNECT_TIMEOUT: Row(False, True, 504, "upstream_connect_timeout"),
    Reason.TLS: Row(False, True, 502, "upstream_tls", retry=False),
    Reason.DISCONNECTED: Row(True, True, 502, "upstream_disconnected"),
    Reason.PROTOCOL: Row(False, True, 502, "upstream_protocol"),
    Reason.TIMEOUT: Row(False, True, 504, "upstream_timeout"),
    Reason.DEADLINE: Row(False, False, 504, "deadline_exceeded", retry=False),
    Reason.CONTEXT_LENGTH: Row(False, True, retry=False),
    Reason.CONTENT_FILTER: Row(False, False, retry=False),
    Reason.ACCOUNT: Row(False, True, 502, "upstream_auth", retry=False),
    Reason.AUTH: Row(False, True, 502, "upstream_auth", retry=False),
    Reason.UNKNOWN_THERE: Row(False, True, retry=False),
    Reason.AT_FAULT: Row(False, True, retry=False),
    Reason.BUSY: Row(True, True),
    Reason.WAIT: Row(True, True),
    Reason.LONG_WAIT: Row(False, True),
    Reason.RATE_LIMIT: Row(True, True),
    Reason.QUOTA: Row(False, True, retry=False),
    Reason.SERVER_ERROR: Row(True, True),
    Reason.UNABLE: Row(False, True, retry=False),
    Reason.REDIRECT: Row(False, True, 502, "upstream_redirect", retry=False),
    Reason.ANSWER_ERROR: Row(False, True, 502, "upstream_error"),
    Reason.INVALID: Row(False, True, 502, "upstream_invalid_response"),
    Reason.INCOMPLETE: Row(False, True, 502, "upstream_incomplete"),
    Reason.FULL: Row(False, True, 503, "overloaded"),
    Reason.MEMORY: Row(False, False, 503, "proxy_overloaded"),
    Reason.DIVERGED: Row(False, True, 502, "upstream_invalid_response"),
}


@frozen
class Tried:
    """
    An attempt that failed.

    ``lasted`` is the seconds from sending to the failure; ``again`` tells that it was an S.
    """

    backend: Backend
    problem: Problem
    lasted: float = 0.0
    again: bool = False


@frozen
class Try:
    """Ask *backend* after *delay* seconds; ``again`` tells an S from an N."""

    backend: Backend
    delay: float = 0.0
    again: bool = False


@frozen
class Stop:
    """
    Nothing more is tried.

    ``late`` tells that only the deadline was in the way, ``poison`` that the request may be
    what kills the backends.
    """

    late: bool = False
    poison: bool = False


def first_step(route: Route, resting: Collection[str] = ()) -> Try | Stop:
    """What comes first on *route*, of whose backends *resting* rest."""
    first = _first_of(route.legs, resting)
    return Try(first) if first else Stop()


def next_step(
    route: Route,
    tried: Sequence[Tried],
    router: Router,
    *,
    chance: float,
    left: float,
    resting: Collection[str] = (),
    spare: bool = True,
) -> Try | Stop:
    """
    What follows the last of *tried*; the first step if there is none.

    :param chance: a random number, 0 ≤ chance < 1, for the jitter.
    :param left: seconds left of the deadline.
    :param resting: the names of backends that rest.
    :param spare: whether the proxy as a whole may make another S (:func:`may_spare`).
    """
    if not tried:
        return first_step(route, resting)
    last = tried[-1]
    if last.problem.reason is Reason.DEADLINE:
        return Stop(late=True)
    if is_poison(tried):
        return Stop(poison=True)
    again = _again(route, tried, router, chance, resting) if spare else None
    if again and left - again.delay >= LEAST_LEFT:
        return again
    candidate = _next(route, tried, router, resting)
    if left < LEAST_LEFT:
        return Stop(late=bool(again or candidate))
    return Try(candidate) if candidate else Stop()


def may_spare(under_way: int, active: int) -> bool:
    """Whether one more S may be made while *under_way* are, of *active* requests: no storms."""
    return under_way + 1 <= max(LEAST_SHARE, SHARE * active)


def is_poison(tried: Sequence[Tried]) -> bool:
    """Whether so many backends died of the request that it may be its fault."""
    return len({t.backend.name for t in tried if _died(t.problem)}) >= KILLED


def _died(problem: Problem) -> bool:
    """Whether a backend may have died: its connection ended before its answer did."""
    cut = problem.reason is Reason.INCOMPLETE and problem.code == "upstream_disconnected"
    return cut or problem.reason is Reason.DISCONNECTED


def repeats(problem: Problem, router: Router) -> bool:
    """Whether an S may follow *problem*, by the table as *router* changes it."""
    listed = router.retry_statuses
    if listed is None or problem.reason not in BY_STATUS or problem.status is None:
        return TABLE[problem.reason].same
    return problem.status in listed


def leads_on(problem: Problem, router: Router) -> bool | None:
    """
    Whether an N may follow *problem*.

    ``None``: only if another backend failed before (the request is at fault).
    """
    listed = router.failover_statuses
    if listed is None or problem.reason not in BY_STATUS or problem.status is None:
        return None if problem.reason is Reason.AT_FAULT else TABLE[problem.reason].next
    return problem.status in listed


def _again(
    route: Route, tried: Sequence[Tried], router: Router, chance: float, resting: Collection[str]
) -> Try | None:
    last = tried[-1]
    group = last.backend.model_name
    used = sum(t.again for t in tried if t.backend.model_name == group)
    if used >= router.num_retries or last.lasted > QUICK or not _may_repeat(route, last, router):
        return None
    target = _member(route, tried, router, resting)
    return None if target is None else _after_pause(target, tried, router, used, chance)


def _may_repeat(route: Route, tried: Tried, router: Router) -> bool:
    """
    Whether an S may follow *tried*: a silent or a refusing backend is not asked again.

    Neither is one whose state the request changes, once the request was sent.
    """
    if route.bound and tried.problem.reason is not Reason.UNREACHABLE:
        return False
    return repeats(tried.problem, router)


def _after_pause(
    target: Backend, tried: Sequence[Tried], router: Router, used: int, chance: float
) -> Try | None:
    wait = _wait_left(target, tried)
    if wait is None:
        return Try(target, backoff(used, chance), again=True)
    if wait.seconds > router.retry_after_max + wait.slack:
        return None
    return Try(target, (wait.seconds + wait.slack) * (1 + chance / 10), again=True)


def backoff(used: int, chance: float) -> float:
    """The pause before the S after *used* others: 0.25 s × 2^used, ± 50 %, at most 2 s."""
    return min(BACKOFF_MAX, BACKOFF * 2.0 ** min(used, 8) * (0.5 + chance))


def _wait_left(target: Backend, tried: Sequence[Tried]) -> Wait | None:
    """What is left, for all we know, of the wait that *target* asked for when it last failed."""
    places = [index for index, t in enumerate(tried) if t.backend.name == target.name]
    wait = tried[places[-1]].problem.wait if places else None
    if wait is None:
        return None
    since = sum(t.lasted for t in tried[places[-1] + 1 :])
    return evolve(wait, seconds=wait.seconds - since) if wait.seconds > since else None


def _member(
    route: Route, tried: Sequence[Tried], router: Router, resting: Collection[str]
) -> Backend | None:
    """
    Another member of the last backend's group: one not tried yet, else the longest ago.

    It is the same backend if there is no other, or none that may be asked again; and
    ``None`` if that one rests.
    """
    last = tried[-1].backend
    latest = {t.backend.name: (index, t) for index, t in enumerate(tried)}
    others = [
        b
        for b in route.every
        if b.model_name == last.model_name
        and b.name not in (last.name, *resting)
        and (b.name not in latest or repeats(latest[b.name][1].problem, router))
    ]
    itself = None if last.name in resting else last
    return min(others, key=lambda b: latest[b.name][0] if b.name in latest else -1, default=itself)


def _next(
    route: Route, tried: Sequence[Tried], router: Router, resting: Collection[str]
) -> Backend | None:
    """The first backend, of those that the failures so far leave open, not tried yet."""
    names = {t.backend.name for t in tried}
    return _first_of([b for b in _open(route, tried, router) if b.name not in names], resting)


def _first_of(backends: Sequence[Backend], resting: Collection[str]) -> Backend | None:
    """The first that does not rest, else the first."""
    if not backends or not resting:
        return backends[0] if backends else None
    return next((b for b in backends if b.name not in resting), backends[0])


def _open(route: Route, tried: Sequence[Tried], router: Router) -> tuple[Backend, ...]:
    reasons = {t.problem.reason for t in tried}
    if Reason.CONTENT_FILTER in reasons:
        return route.policy
    onward = leads_on(tried[-1].problem, router)
    if onward is False or (onward is None and _only_one_tried(tried)):
        return ()
    return route.context + route.legs if Reason.CONTEXT_LENGTH in reasons else route.legs


def _only_one_tried(tried: Sequence[Tried]) -> bool:
    return all(t.backend == tried[0].backend for t in tried)
