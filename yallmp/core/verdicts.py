"""
What is tried next: the decision table of failover, as data and pure functions.

``S`` (same): again, after a pause, on another member of the model's group, or on the
same backend if it is the only one; at most ``num_retries`` times for a group.  ``N``
(next): the next backend of the route.  When nothing is left the client gets the most
useful of the failures.  :func:`next_step` looks only at what was tried, the time left
and a random number, so that every decision can be explained and tested as a table.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    """Nothing more is tried; ``late`` tells that only the deadline was in the way."""

    late: bool = False


def next_step(
    route: Route, tried: Sequence[Tried], router: Router, *, chance: float, left: float
) -> Try | Stop:
    """
    What follows the last of *tried*.

    :param chance: a random number, 0 ≤ chance < 1, for the jitter.
    :param left: seconds left of the deadline.
    """
    last = tried[-1]
    if last.problem.reason is Reason.DEADLINE:
        return Stop(late=True)
    again = _again(route, tried, router, chance) if _may_repeat(last) else None
    if again and left - again.delay >= LEAST_LEFT:
        return again
    candidate = _next(route, tried)
    if left < LEAST_LEFT:
        return Stop(late=bool(again or candidate))
    return Try(candidate) if candidate else Stop()


def _may_repeat(tried: Tried) -> bool:
    """Whether an S may go to the backend of *tried*: a silent or a refusing one is not asked."""
    return TABLE[tried.problem.reason].same


def _again(route: Route, tried: Sequence[Tried], router: Router, chance: float) -> Try | None:
    last = tried[-1]
    group = last.backend.model_name
    used = sum(t.again for t in tried if t.backend.model_name == group)
    if used >= router.num_retries or last.lasted > QUICK:
        return None
    target = _member(route, tried)
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


def _member(route: Route, tried: Sequence[Tried]) -> Backend:
    """
    Another member of the last backend's group: one not tried yet, else the longest ago.

    It is the same backend if there is no other, or none that may be asked again.
    """
    last = tried[-1].backend
    latest = {t.backend.name: (index, t) for index, t in enumerate(tried)}
    others = [
        b
        for b in route.every
        if b.model_name == last.model_name
        and b.name != last.name
        and (b.name not in latest or _may_repeat(latest[b.name][1]))
    ]
    return min(others, key=lambda b: latest[b.name][0] if b.name in latest else -1, default=last)


def _next(route: Route, tried: Sequence[Tried]) -> Backend | None:
    """The first backend, of those that the failures so far leave open, not tried yet."""
    names = {t.backend.name for t in tried}
    return next((b for b in _open(route, tried) if b.name not in names), None)


def _open(route: Route, tried: Sequence[Tried]) -> tuple[Backend, ...]:
    reasons = {t.problem.reason for t in tried}
    if Reason.CONTENT_FILTER in reasons:
        return route.policy
    if tried[-1].problem.reason is Reason.AT_FAULT and _only_one_tried(tried):
        return ()
    return route.context + route.legs if Reason.CONTEXT_LENGTH in reasons else route.legs


def _only_one_tried(tried: Sequence[Tried]) -> bool:
    return all(t.backend == tried[0].backend for t in tried)


def most_useful(route: Route, tried: Sequence[Tried]) -> Problem:
    """
    The failure that the client is told of.

    A 429 with a wait, then a 4xx of the request, then a backend's own answer, then ours;
    of equals the first in the route.  A request that only a later backend finds at
    fault was tried because an earlier one failed: the earlier one's error counts.
    """
    places = {backend.name: index for index, backend in enumerate(route.every)}
    latest = {t.backend.name: t for t in tried}

    def rank(name: str) -> tuple[int, int]:
        problem = latest[name].problem
        return _usefulness(problem, first=name == tried[0].backend.name), places[name]

    return latest[min(latest, key=rank)].problem


def _usefulness(problem: Problem, *, first: bool) -> int:
    if problem.reason is Reason.AT_FAULT:
        return 1 if first else 4
    if problem.status == 429 and problem.reason in (Reason.WAIT, Reason.LONG_WAIT):
        return 0
    if problem.reason in (Reason.CONTEXT_LENGTH, Reason.CONTENT_FILTER):
        return 1
    return 3 if TABLE[problem.reason].status else 2
