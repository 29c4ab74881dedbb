"""
What a request means to the backends that it goes to.

A request counts once for a backend, however often it was tried there: as what it came to
when it left it.  The breakers (:mod:`yallmp.core.breaker`) decide what follows; here it is
told to the daemon's log, once, when it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from yallmp.core.breaker import Breaker, Breakers, Outcome, Permit, State, outcome_of, rest_of
from yallmp.core.problems import Problem, Reason

_log = Logger()
#: What only the operator can mend, in words for the log.
_MISCONFIGURED = {
    Reason.AUTH: "{backend} refuses the proxy's own key ({status}): check its api_key",
    Reason.ACCOUNT: "{backend} refuses the proxy's own account ({status}): key, credit or quota",
    Reason.UNKNOWN_THERE: "{backend} knows no such model or path ({status}): check api_base, model",
}


@define(eq=False)
class Tally:
    """
    One request's account with the breakers.

    :ivar draw: gives random numbers, 0 ≤ x < 1.
    """

    breakers: Breakers
    clock: IReactorTime
    draw: Callable[[], float]
    _permits: dict[str, tuple[Breaker, Permit]] = field(factory=dict)
    _counted: set[str] = field(factory=set)

    def resting(self, names: Iterable[str]) -> frozenset[str]:
        """Those of the backends called *names* that rest."""
        return self.breakers.resting(names, self.clock.seconds())

    def begin(self, name: str) -> None:
        """The request goes to the backend *name*; once more, if it is there already."""
        if name not in self._permits:
            breaker = self.breakers.of(name)
            self._permits[name] = breaker, breaker.begin(self.clock.seconds())

    def committed(self, name: str) -> None:
        """The backend's answer has begun."""
        breaker, permit = self._permits[name]
        breaker.committed(permit)

    def good(self, name: str) -> None:
        """The backend served it."""
        breaker = self._breaker(name)
        was_closed = breaker.is_closed
        self._finish(name, Outcome.GOOD)
        if not was_closed and breaker.is_closed:
            _log.info("{backend} is back", backend=name)

    def failed(self, name: str, problem: Problem, lasted: float) -> None:
        """The request leaves the backend for *problem*, after an attempt of *lasted* seconds."""
        if problem.reason in _MISCONFIGURED:
            _log.error(_MISCONFIGURED[problem.reason], backend=name, status=problem.status)
        breaker, now = self._breaker(name), self.clock.seconds()
        before = breaker.state(now)
        self._finish(name, outcome_of(problem), problem.spent or lasted)
        seconds = rest_of(problem)
        if seconds is not None:
            breaker.rest(seconds, now, problem.reason.value)
        if breaker.state(now) is State.OPEN and before is not State.OPEN:
            left = round(breaker.rest_left(now), 1)
            _log.warn(
                "{backend} rests for {left} s: {why}", backend=name, left=left, why=breaker.why
            )

    def _breaker(self, name: str) -> Breaker:
        """The breaker that the request began with: it may have been replaced since."""
        held = self._permits.get(name)
        return self.breakers.of(name) if held is None else held[0]

    def leave(self) -> None:
        """The request is over; whatever is still open says nothing of its backend."""
        for name in list(self._permits) if self._permits else ():
            self._finish(name, Outcome.NEUTRAL)

    def _finish(self, name: str, outcome: Outcome, spent: float = 0.0) -> None:
        held = self._permits.pop(name, None)
        if held is None:
            return
        if name in self._counted and outcome is not Outcome.GOOD:
            outcome = Outcome.NEUTRAL
        self._counted.add(name)
        breaker, permit = held
        breaker.finish(permit, outcome, self.clock.seconds(), spent=spent, chance=self.draw())
