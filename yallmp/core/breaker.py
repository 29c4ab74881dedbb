"""
Backends that rest: one machine over time for each, fed with how requests ended there.

*Closed*, it lets everything through and counts failures.  *Open*, the backend rests: it is
asked only when nobody else is left.  When its time is over it is *half-open*: one request
at a time may try it, until an answer closes it or a failure opens it again.

A result counts only in the state that it was begun in: each change of state begins a new
*generation*, and a :class:`Permit` knows its own.  So what comes late from before a change
means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from attrs import define, field, frozen

from yallmp.core.problems import Problem, Reason

#: So many failures in a row open it, and so many timeouts.
FAILURES, TIMEOUTS = 3, 2
#: Of at least so many requests within so many seconds, half that fail open it.
LEAST, WITHIN = 10, 30
#: The rest after failures: from … doubling up to …, ± 20 %; seconds.
REST, REST_MAX, JITTER = 5.0, 10.0, 0.2
#: The rest after timeouts: so many times what was spent, within these bounds; seconds.
TIMES_SPENT, LEAST_REST, MOST_REST = 6.0, 5.0, 300.0
#: No backend rests longer than this because it asked for it; seconds.
LONGEST_WAIT = 3600.0

_RESTS = {Reason.AUTH: 60.0, Reason.ACCOUNT: 60.0, Reason.QUOTA: 300.0}
_FAILED = frozenset({
    Reason.UNREACHABLE, Reason.DISCONNECTED, Reason.DNS, Reason.TLS, Reason.PROTOCOL,
    Reason.INVALID, Reason.INCOMPLETE, Reason.ANSWER_ERROR,
})  # fmt: skip
_BY_STATUS = frozenset({Reason.SERVER_ERROR, Reason.UNABLE, Reason.WAIT, Reason.LONG_WAIT})
_OURS = frozenset({Reason.DEADLINE, Reason.FULL, Reason.MEMORY, Reason.DIVERGED})
_NOBODY: frozenset[str] = frozenset()
_OUR_CODES = ("stream_lifetime_exceeded", "proxy_shutdown", "rescue_timeout")


class State(Enum):
    """Whether a backend rests."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Outcome(Enum):
    """
    How a request ended at a backend.

    ``SHARED`` (a 500) counts only in the share of half; ``ANSWERED`` is an answer that says
    nothing of the backend but that it is there (a 4xx), ``NEUTRAL`` says nothing at all.
    """

    GOOD = "good"
    SHARED = "shared"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    ANSWERED = "answered"
    NEUTRAL = "neutral"


def outcome_of(problem: Problem) -> Outcome:
    """What a request that failed with *problem* says of the backend."""
    reason = problem.reason
    if reason in _OURS or problem.code in _OUR_CODES:
        return Outcome.NEUTRAL
    if reason in (Reason.TIMEOUT, Reason.CONNECT_TIMEOUT):
        return Outcome.TIMED_OUT
    if reason in _BY_STATUS and (problem.status or 0) >= 500:
        return Outcome.SHARED if problem.status == 500 else Outcome.FAILED
    return Outcome.FAILED if reason in _FAILED else Outcome.ANSWERED


def rest_of(problem: Problem) -> float | None:
    """The seconds that a backend rests because the decision table says so."""
    if problem.reason is Reason.LONG_WAIT and problem.wait is not None:
        return min(LONGEST_WAIT, problem.wait.seconds)
    return _RESTS.get(problem.reason)


@frozen(eq=False)
class Permit:
    """A request's leave to try a backend, begun in ``generation``; no two are the same."""

    generation: int


@define
class _Share:
    """How many requests finished lately, and how many of them failed, by second."""

    _seconds: dict[int, list[int]] = field(factory=dict)

    def add(self, now: float, failed: bool) -> None:
        """One more."""
        second = int(now)
        counts = self._seconds.get(second)
        if counts is None:
            self._forget(second)
            counts = self._seconds[second] = [0, 0]
        counts[0] += 1
        counts[1] += failed

    def _forget(self, second: int) -> None:
        for old in [each for each in self._seconds if each <= second - WITHIN]:
            del self._seconds[old]

    def is_bad(self) -> bool:
        """Whether there were enough of them, and at least half failed."""
        finished, failed = map(sum, zip(*self._seconds.values(), strict=True))
        return finished >= LEAST and 2 * failed >= finished


@define(eq=False)
class Breaker:
    """
    Whether one backend rests.

    Times are seconds of one monotonic clock.

    :ivar why: why it rests, or did last until it is closed again.
    :ivar unwell: all that are not closed, this one with them.
    """

    why: str = ""
    unwell: set[Breaker] = field(factory=set, repr=False)
    _state: State = State.CLOSED
    _generation: int = 0
    _until: float = 0.0
    _probe: Permit | None = None
    _openings: int = 0
    _failures: int = 0
    _timeouts: int = 0
    _share: _Share = field(factory=_Share)

    @property
    def is_closed(self) -> bool:
        """Whether it lets everything through, whatever the time is."""
        return self._state is State.CLOSED

    def state(self, now: float) -> State:
        """The state at *now*: a rest that is over makes it half-open."""
        if self._state is State.OPEN and now >= self._until:
            self._become(State.HALF_OPEN)
        return self._state

    def rests(self, now: float) -> bool:
        """Whether others are to be asked first."""
        state = self.state(now)
        return state is State.OPEN or (state is State.HALF_OPEN and self._probe is not None)

    def rest_left(self, now: float) -> float:
        """Seconds until a request is let through again; 0 if it does not rest."""
        return self._until - now if self.state(now) is State.OPEN else 0.0

    def begin(self, now: float) -> Permit:
        """A request goes to the backend, be it that it rests and nobody else is left."""
        if self._state is State.CLOSED:
            return Permit(self._generation)
        half_open = self.state(now) is State.HALF_OPEN
        permit = Permit(self._generation)
        if half_open and self._probe is None:
            self._probe = permit
        return permit

    def committed(self, permit: Permit) -> None:
        """Its answer has begun: it no longer keeps others out, though it may take minutes."""
        if self._probe is permit:
            self._probe = None

    def finish(
        self,
        permit: Permit,
        outcome: Outcome,
        now: float,
        *,
        spent: float = 0.0,
        chance: float = 0.5,
    ) -> None:
        """
        The request ended there.

        :param spent: the seconds that a timeout waited in vain.
        :param chance: a random number, 0 ≤ chance < 1, for the jitter.
        """
        state = self.state(now)
        if permit.generation != self._generation:
            return
        if state is State.CLOSED:
            self._count(outcome, now, spent, chance)
        elif state is State.HALF_OPEN:
            self._judge(permit, outcome, now, spent, chance)
        elif outcome is Outcome.GOOD:
            self._close()

    def rest(self, seconds: float, now: float, why: str) -> None:
        """Rest so long, for *why*; a longer rest that is in force stays."""
        if self.rest_left(now) < seconds:
            self._open(now + seconds, why)

    def _count(self, outcome: Outcome, now: float, spent: float, chance: float) -> None:
        if outcome in (Outcome.NEUTRAL, Outcome.ANSWERED):
            return
        good = outcome is Outcome.GOOD
        self._share.add(now, not good)
        if good:
            self._failures = self._timeouts = 0
            return
        self._failures += outcome is not Outcome.SHARED
        self._timeouts = self._timeouts + 1 if outcome is Outcome.TIMED_OUT else 0
        if self._timeouts >= TIMEOUTS:
            self._rest_after(outcome, f"{self._timeouts} timeouts in a row", now, spent, chance)
        elif self._failures >= FAILURES:
            self._rest_after(outcome, f"{self._failures} failures in a row", now, spent, chance)
        elif self._share.is_bad():
            self._rest_after(outcome, "half of its requests fail", now, spent, chance)

    def _judge(
        self, permit: Permit, outcome: Outcome, now: float, spent: float, chance: float
    ) -> None:
        if self._probe is permit:
            self._probe = None
        if outcome in (Outcome.GOOD, Outcome.ANSWERED):
            self._close()
        elif outcome is not Outcome.NEUTRAL:
            self._rest_after(outcome, "it failed again", now, spent, chance)

    def _rest_after(
        self, outcome: Outcome, why: str, now: float, spent: float, chance: float
    ) -> None:
        if outcome is Outcome.TIMED_OUT:
            seconds = min(MOST_REST, max(LEAST_REST, TIMES_SPENT * spent))
        else:
            seconds = min(REST_MAX, REST * 2.0 ** min(self._openings, 8))
            seconds *= 1 + JITTER * (2 * chance - 1)
            self._openings += 1
        self._open(now + seconds, why)

    def _open(self, until: float, why: str) -> None:
        self._become(State.OPEN)
        self._until, self.why = until, why

    def _close(self) -> None:
        self._become(State.CLOSED)
        self.why, self._openings = "", 0

    def _become(self, state: State) -> None:
        """Begin a new generation, in *state*, with nothing counted."""
        self._state = state
        (self.unwell.discard if state is State.CLOSED else self.unwell.add)(self)
        self._generation += 1
        self._probe = None
        self._failures = self._timeouts = 0
        self._share = _Share()


class Breakers:
    """
    The breakers of all backends, by name; one that nothing is known of is closed.

    :ivar unwell: those that are not closed; while there are none, nobody rests.
    """

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}
        self.unwell: set[Breaker] = set()

    def of(self, name: str) -> Breaker:
        """The breaker of the backend *name*."""
        found = self._breakers.get(name)
        if found is None:
            found = self._breakers[name] = Breaker(unwell=self.unwell)
        return found

    def resting(self, names: Iterable[str], now: float) -> frozenset[str]:
        """Those of *names* that rest."""
        if not self.unwell:
            return _NOBODY
        met = [(name, self._breakers[name]) for name in names if name in self._breakers]
        return frozenset(name for name, it in met if it in self.unwell and it.rests(now))

    def forget(self, names: Iterable[str]) -> None:
        """What was known of *names* no longer holds."""
        for name in names:
            gone = self._breakers.pop(name, None)
            if gone is not None:
                self.unwell.discard(gone)
                gone.unwell = set()  # a request may still tell it something
