"""
Rounds: all contenders in turn, several times over, so that a slow minute of the machine meets
all of them; each round begins with another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contenders import Contender
from bench.figures import METRICS, Metric
from bench.measures import MEASURES, Sizes, warm_up
from bench.running import Broken, Running, Stand, launched

Tell = Callable[[str], None]


@dataclass
class Results:
    """
    All that was measured.

    ``void`` says for contender and measure why a figure does not count; ``notes`` is what a
    reader of the figures should know; ``about`` is the machine, the versions, the settings.
    ``complete`` is false where the user interrupted the rounds.
    """

    about: dict[str, str]
    contenders: list[str]
    rounds: list[dict[str, dict[str, float]]] = field(default_factory=list)
    void: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    complete: bool = True

    def as_json(self) -> dict[str, Any]:
        """The same for ``--json``."""
        return dict(vars(self))

    def reason(self, contender: str, metric: Metric) -> str:
        """Why the figure is void, or nothing."""
        return self.void.get(contender, {}).get(metric.measure, "")

    def metrics(self) -> list[Metric]:
        """Those of which something is known, in the order of the tables."""
        known = {name for one in self.rounds for values in one.values() for name in values}
        voided = {measure for reasons in self.void.values() for measure in reasons}
        return [m for m in METRICS if m.name in known or m.measure in voided]

    def strike(self, contender: str, measure: str, reason: str) -> None:
        """Make void what a contender gives in a measure, in all rounds."""
        self.void.setdefault(contender, {})[measure] = reason


@dataclass(frozen=True)
class Plan:
    """Who is measured, in what, how often and how long."""

    stand: Stand
    contenders: Sequence[Contender]
    measures: Sequence[str]
    sizes: Sizes
    rounds: int


def turned(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """The same contenders, with another one first in each round."""
    first = number % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def run(plan: Plan, results: Results, tell: Tell) -> None:
    """All rounds; *results* has each as soon as it is over."""
    for number in range(plan.rounds):
        values: dict[str, dict[str, float]] = {}
        for contender in turned(plan.contenders, number):
            tell(f"round {number + 1} of {plan.rounds}: {contender.name}")
            values[contender.name] = visit(plan, contender, results, tell)
        results.rounds.append(values)


def visit(plan: Plan, contender: Contender, results: Results, tell: Tell) -> dict[str, float]:
    """What one contender gives in one round."""
    struck = results.void.get(contender.name, {})
    due = [name for name in plan.measures if name not in struck]
    if not due:
        return {}
    values: dict[str, float] = {}
    try:
        with launched(plan.stand, contender) as one:
            for name in due:
                values.update(_measured(plan, one, name, results, tell))
            results.notes += [f"{contender.name}: {note}" for note in one.notes]
    except Broken as error:
        tell(f"  {contender.name} does not work: {error}")
        for name in due:
            results.strike(contender.name, name, str(error))
    return values


def _measured(
    plan: Plan, one: Running, name: str, results: Results, tell: Tell
) -> dict[str, float]:
    """The values of one measure; none where it is void.  The start alone is not warmed up."""
    try:
        if name != "start":
            warm_up(one, plan.sizes)
        return MEASURES[name](one, plan.sizes)
    except Broken as error:
        tell(f"  {name}: void: {error}")
        results.strike(one.contender.name, name, str(error))
        return {}
