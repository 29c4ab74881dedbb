"""
A backend that is down for a minute: simulated, a thousand times, without a reactor.

The decisions are the real ones (:mod:`yallmp.core.verdicts`, :mod:`yallmp.core.breaker`),
put together as forwarding does.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core import breaker as breaker_module
from yallmp.core.backend import Backend
from yallmp.core.breaker import Breakers, Outcome, Permit, outcome_of, rest_of
from yallmp.core.problems import Problem, Reason
from yallmp.core.routing import Route
from yallmp.core.settings import Router
from yallmp.core.verdicts import Tried, Try, next_step

PRIMARY, FALLBACK = Backend("m", "m"), Backend("f", "f")
ROUTE = Route("m", "m", "exact", (PRIMARY, FALLBACK))
DOWN = 60.0
#: What a backend does at a time: its problem, if it fails, and the seconds that it takes.
Does = Callable[[float], tuple[Problem | None, float]]


@define
class Simulation:
    """
    Requests, one after the other, over a clock of its own.

    :ivar asked: when the primary was asked.
    :ivar served: when each request came, and which backend served it.
    """

    primary: Does
    rng: random.Random
    router: Router = field(factory=Router)
    breakers: Breakers = field(factory=Breakers)
    asked: list[float] = field(factory=list)
    served: list[tuple[float, str | None]] = field(factory=list)

    def request(self, came: float) -> float:
        """A request that comes at *came*; when it is over."""
        now, tried, permits = came, [], {}  # type: ignore[var-annotated]
        while True:
            resting = self.breakers.resting(["m", "f"], now)
            step = next_step(
                ROUTE, tried, self.router, chance=self.rng.random(), left=600, resting=resting
            )
            self.leave(tried, step, permits, now)
            if not isinstance(step, Try):
                self.served.append((came, None))
                return now
            now += step.delay
            name = step.backend.name
            permits.setdefault(name, self.breakers.of(name).begin(now))
            problem, lasted = self.ask(name, now)
            now += lasted
            if problem is None:
                self.breakers.of(name).finish(permits.pop(name), Outcome.GOOD, now)
                self.served.append((came, name))
                return now
            tried.append(Tried(step.backend, problem, lasted, step.again))

    def ask(self, name: str, now: float) -> tuple[Problem | None, float]:
        """What the backend *name* does."""
        if name == "f":
            return None, self.rng.uniform(0.001, 0.02)
        self.asked.append(now)
        return self.primary(now)

    def leave(
        self, tried: list[Tried], step: object, permits: dict[str, Permit], now: float
    ) -> None:
        """Tell the breaker of a backend that the request leaves."""
        if not tried or (isinstance(step, Try) and step.backend == tried[-1].backend):
            return
        last = tried[-1]
        permit = permits.pop(last.backend.name, None)
        if permit is not None:
            breaker = self.breakers.of(last.backend.name)
            spent = last.problem.spent or last.lasted
            chance = self.rng.random()
            breaker.finish(permit, outcome_of(last.problem), now, spent=spent, chance=chance)
            rest = rest_of(last.problem)
            if rest is not None:
                breaker.rest(rest, now, "")


def run(seed: int, requests: int = 20) -> Simulation:
    """Row 15: 503 for a minute, a request every four seconds, twenty in all."""
    rng = random.Random(seed)
    down = Problem(Reason.SERVER_ERROR, status=503)

    def primary(now: float) -> tuple[Problem | None, float]:
        return (down if now < DOWN else None), rng.uniform(0.001, 0.02)

    simulation = Simulation(primary, rng)
    for number in range(requests):
        simulation.request(4.0 * number)
    return simulation


def returned(simulation: Simulation) -> float:
    """The seconds from the recovery to the first request that the primary served again."""
    back = [came for came, name in simulation.served if name == "m" and came >= DOWN - 1]
    return back[0] - DOWN if back else float("inf")


class Row15Tests(SynchronousTestCase):
    """A thousand runs, each with another jitter."""

    def test_all_are_served_and_come_back(self) -> None:
        """Within 30 s of its recovery, with at most 12 attempts while it fails."""
        for seed in range(1000):
            simulation = run(seed)
            self.assertNotIn(None, [name for _, name in simulation.served], seed)
            self.assertLessEqual(returned(simulation), 30, seed)
            while_down = [at for at in simulation.asked if at < DOWN]
            self.assertLessEqual(len(while_down), 12, seed)

    def test_a_longer_rest_would_come_back_late(self) -> None:
        """The simulation can fail: with a cap of 40 s, and requests that go on, some runs do."""
        self.patch(breaker_module, "REST_MAX", 40.0)
        times = [returned(run(seed, requests=40)) for seed in range(200)]
        self.assertGreater(sum(time > 30 for time in times), 0)
        self.assertNotIn(float("inf"), times, "late, but back")


class HangingTests(SynchronousTestCase):
    """A primary that takes requests and says nothing."""

    def test_few_pay_for_it(self) -> None:
        """Of twenty requests one after the other at most three wait for the timeout."""
        rng = random.Random(1)
        silence = Problem(Reason.TIMEOUT, spent=10.0)
        simulation = Simulation(lambda now: (silence, 10.0), rng)
        now = 0.0
        for _ in range(20):
            now = simulation.request(now)
        self.assertLessEqual(len(simulation.asked), 3)
        self.assertEqual({name for _, name in simulation.served}, {"f"})
