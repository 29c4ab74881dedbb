"""
Which of several failures the client is told of.
"""

from __future__ import annotations

from collections.abc import Sequence

from yallmp.core.problems import Problem, Reason
from yallmp.core.routing import Route
from yallmp.core.verdicts import TABLE, Tried


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
