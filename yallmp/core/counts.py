"""
What requests came to, counted.

A request is counted once, when it is over, by what was told of it
(:mod:`yallmp.core.exchange`).  That costs it a few look-ups and additions; everything that
can be asked for at any time, such as who rests, is not counted but read
(:mod:`yallmp.core.readings`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from yallmp.core.asked import COMPLETIONS, ENDPOINTS
from yallmp.core.exchange import AttemptEnd, Begin, End, Turn, Usage
from yallmp.core.families import (
    ATTEMPT_TIMES,
    ATTEMPTS,
    CACHED_TOKENS,
    DURATION,
    DURATION_BOUNDS,
    FALLBACKS,
    FIRST_TOKEN,
    FIRST_TOKEN_BOUNDS,
    OVERHEAD,
    OVERHEAD_BOUNDS,
    REQUESTS,
    RESCUES,
    RETRIES,
    STREAMS,
    TOKEN_BOUNDS,
    TOKENS,
    Family,
)
from yallmp.core.readings import Labels, Series

#: The attempts of a request.
Tries = Sequence[AttemptEnd]

#: The label of a model that a client asked for and that is not configured.
UNKNOWN = "unknown"
#: What no request has; a backend may tell anything, and sums are for good.
MOST_TOKENS = 10**9
#: Whose conventions requests and answers follow (``gen_ai.provider.name``).
PROVIDER = "openai"
_HEALTH = (
    "/", "/health", "/health/liveliness", "/health/liveness", "/health/readiness", "/livez",
    "/healthz", "/readyz",
)  # fmt: skip
#: What OpenTelemetry calls them (``gen_ai.operation.name``); others have their own name.
_OPERATIONS = {**{each.name: each.name for each in ENDPOINTS}, COMPLETIONS.name: "text_completion"}
_CLASSES = tuple(f"{digit}xx" for digit in range(10))
#: How a stream ended, and what came of a rescue, by the outcome; others are broken, or failed.
_VERDICTS = {"success": "whole", "client_gone": "client_gone", "shutdown": "shutdown"}
_RESULTS = {"success": "rescued", "client_gone": "client_gone", "shutdown": "shutdown"}


class _Paths(dict[str, str]):
    """The endpoint of each path; of one that is not among the usual the kind."""

    def __missing__(self, path: str) -> str:
        if path.startswith("/admin"):
            return "admin"
        return "models" if path.startswith(("/v1/models/", "/models/")) else "other"


PATHS = _Paths({
    **{f"{prefix}{each.path}": each.name for each in ENDPOINTS for prefix in ("/v1", "")},
    **dict.fromkeys(_HEALTH, "health"),
    "/v1/models": "models",
    "/models": "models",
    "/metrics": "metrics",
})  # fmt: skip


class Counts:
    """
    Counts what requests came to.

    A clock that is set back makes no time negative: sums never go down.

    :param known: gives the configured model that a client's word for one means, if there is one.
    """

    def __init__(self, known: Callable[[str], str | None]) -> None:
        self._known = known
        self._requests = Series(REQUESTS)
        self._durations = Series(DURATION)
        self._first_tokens = Series(FIRST_TOKEN)
        self._tokens = Series(TOKENS)
        self._cached = Series(CACHED_TOKENS)
        self._overheads = Series(OVERHEAD)
        self._attempts = Series(ATTEMPTS)
        self._attempt_times = Series(ATTEMPT_TIMES)
        self._turns = {"fallback": Series(FALLBACKS), "retry": Series(RETRIES)}
        self._rescues = Series(RESCUES)
        self._streams = Series(STREAMS)

    def read(self) -> Iterator[tuple[Family, Series]]:
        """See :data:`yallmp.core.readings.Source`."""
        for each in vars(self).values():
            if isinstance(each, Series):
                yield each.family, each
        for series in self._turns.values():
            yield series.family, series

    def count(self, begin: Begin, model: str | None, tries: Tries, end: End) -> None:
        """
        A request is over.

        :param model: the configured model that it led to; ``None`` if it was not forwarded.
        :param tries: its attempts.
        """
        endpoint, outcome = PATHS[begin.path], end.outcome
        if model is None:
            model = self._named(begin.model)
        else:
            self._forwarded(endpoint, model, tries, end)
        labels = (endpoint, model, outcome, _CLASSES[end.status // 100], begin.key_name or "")
        self._requests[labels][0] += 1

    def _named(self, asked: str | None) -> str:
        """The label for what was asked for by a request that was not forwarded."""
        return "" if asked is None else self._known(asked) or UNKNOWN

    def _forwarded(self, endpoint: str, model: str, tries: Tries, end: End) -> None:
        """Times and tokens; written out, since each call would cost every request."""
        operation = _OPERATIONS[endpoint], PROVIDER, model
        labels = (*operation, "" if end.outcome == "success" else end.outcome)
        value, took = self._durations[labels], end.at / 1000 if end.at > 0 else 0.0
        value[bisect_left(DURATION_BOUNDS, took)] += 1
        value[-1] += took
        spent = took - (self._tried(tries) + end.waited / 1000)
        if tries and end.outcome == "success":
            value = self._overheads[endpoint,]
            value[bisect_left(OVERHEAD_BOUNDS, spent)] += 1
            value[-1] += spent if spent > 0 else 0.0
        if tries and (end.turns or tries[-1].first_content is not None):
            self._streamed(operation, tries, end)
        if end.usage is not None:
            self._used(operation, end.backend or "", end.usage)
        for turn in end.turns:
            self._turned(turn, end.outcome)

    def _tried(self, tries: Tries) -> float:
        """Each attempt; the seconds that all of them took."""
        total = 0.0
        for each in tries:
            self._attempts[each.backend, each.error or "ok"][0] += 1
            value = self._attempt_times[each.backend,]
            took = (each.at - each.began) / 1000 if each.at > each.began else 0.0
            value[bisect_left(DURATION_BOUNDS, took)] += 1
            value[-1] += took
            total += took
        return total

    def _streamed(self, operation: Labels, tries: Tries, end: End) -> None:
        """A stream that had begun, if it was one: its first content, and how it ended."""
        begun = [each.first_content for each in tries if each.first_content is not None]
        if not begun:
            return
        value, waited = self._first_tokens[operation], max(0.0, begun[0] / 1000)
        value[bisect_left(FIRST_TOKEN_BOUNDS, waited)] += 1
        value[-1] += waited
        rescued = end.outcome == "success" and len(begun) > 1
        verdict = "rescued" if rescued else _VERDICTS.get(end.outcome, "broken")
        self._streams[operation[2], verdict][0] += 1

    def _used(self, operation: Labels, backend: str, usage: Usage) -> None:
        for kind, tokens in (("input", usage.prompt), ("output", usage.completion)):
            if tokens is not None and 0 <= tokens <= MOST_TOKENS:
                labels = (*operation, kind, backend)
                value = self._tokens[labels]
                value[bisect_left(TOKEN_BOUNDS, tokens)] += 1
                value[-1] += tokens
        if usage.cached is not None and 0 < usage.cached <= MOST_TOKENS:
            self._cached[operation[2], backend][0] += usage.cached

    def _turned(self, turn: Turn, outcome: str) -> None:
        if turn.kind == "rescue":
            self._rescues[turn.backend, _RESULTS.get(outcome, "failed")][0] += 1
        else:
            self._turns[turn.kind][turn.backend, turn.reason][0] += 1
