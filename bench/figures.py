"""
Figures: what was measured, round by round, made into medians, spreads and ratios.

Values are raw as they were measured.  *Added* ones are made here: the contender's value less
that of the direct way in the same round.  A ratio to nginx is the median of the ratios of
the rounds, so that a machine which is slow for a while harms both sides of it alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

DIRECT = "direct"
BASE = "nginx"
CONNECTIONS = (1, 16, 64, 256)

#: What one contender gave in one round: metric → value.
Values = Mapping[str, float]
#: One round: contender → its values.
Round = Mapping[str, Values]


@dataclass(frozen=True)
class Metric:
    """
    Something that is measured: its name in JSON, what a reader calls it, and its unit.

    ``added`` ones are shown less what the direct way takes.  ``measure`` is the measure that
    gives it; where that is void, so is this.
    """

    name: str
    measure: str
    title: str
    unit: str
    added: bool = False


def _by_connections() -> Iterable[Metric]:
    for count in CONNECTIONS:
        many = f"{count} connection{'s' if count > 1 else ''}"
        yield Metric(f"rate.{count}", "requests", f"requests a second, {many}", "/s")
        for share in ("p50", "p99"):
            title = f"added latency {share}, {many}"
            yield Metric(f"latency.{share}.{count}", "requests", title, "ms", added=True)


def _paced() -> Iterable[Metric]:
    yield Metric("paced.cpu", "paced", "CPU an event, paced streams", "µs")
    yield Metric("paced.memory", "paced", "memory for each open stream", "KB")
    for name, what in (("first", "time to first token"), ("late", "delay of an event")):
        for share in ("p50", "p99"):
            title = f"added {what} {share}, paced streams"
            yield Metric(f"paced.{name}.{share}", "paced", title, "ms", added=True)


METRICS = (
    Metric("requests.cpu", "requests", "CPU a request, 64 connections", "ms"),
    *_by_connections(),
    Metric("flat.cpu", "flat", "CPU an event, streams flat out", "µs"),
    *_paced(),
    Metric("start.memory", "start", "memory, idle", "MB"),
    Metric("start.seconds", "start", "start to first answer", "s"),
    Metric("big.request", "big", "CPU a request of 1 MB", "ms"),
    Metric("big.answer", "big", "CPU an answer of 1 MB", "ms"),
)


@dataclass(frozen=True)
class Spread:
    """The median of some values, with the smallest and the largest."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Cell:
    """What is known of one metric for one contender."""

    spread: Spread
    ratio: float | None = None


def spread(values: Sequence[float]) -> Spread:
    """The median, least and most of *values*, of which there is one at least."""
    return Spread(median(values), min(values), max(values))


def value(one: Round, contender: str, metric: Metric) -> float | None:
    """What *contender* gave in this round, less the direct way's where that is asked for."""
    found = one.get(contender, {}).get(metric.name)
    if found is None or not metric.added or contender == DIRECT:
        return found
    direct = one.get(DIRECT, {}).get(metric.name)
    return None if direct is None else found - direct


def base(one: Round, metric: Metric) -> float | None:
    """nginx's value, if it can be divided by: a tiny difference of two large values cannot."""
    found = value(one, BASE, metric)
    floor = one.get(DIRECT, {}).get(metric.name, 0.0) / 4 if metric.added else 0.0
    return found if found is not None and found > floor else None


def ratio(rounds: Sequence[Round], contender: str, metric: Metric) -> float | None:
    """How many times nginx's value, at the median of the rounds that have both."""
    pairs = [(value(one, contender, metric), base(one, metric)) for one in rounds]
    ratios = [a / b for a, b in pairs if a is not None and b is not None]
    return median(ratios) if ratios and contender != DIRECT else None


def cell(rounds: Sequence[Round], contender: str, metric: Metric) -> Cell | None:
    """The figure of *contender*, or ``None`` where no round has one."""
    found = [value(one, contender, metric) for one in rounds]
    known = [v for v in found if v is not None]
    return Cell(spread(known), ratio(rounds, contender, metric)) if known else None
