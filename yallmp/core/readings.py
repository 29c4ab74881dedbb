"""
What the metrics say at one moment, and how several processes' become one.

A :class:`Reading` is values by family, and in each by labels.  A value is a list of numbers,
as many as its family says, so that two of them are joined number by number.

Counts of a process that is gone are still counts of the service: sums of counters and
histograms never go down (:func:`counted`), while its gauges go with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field

from yallmp.core.families import BY_NAME, Family, Kind

#: So many different labels are kept apart in a family; what comes later is counted as others.
MOST_SERIES = 1000
#: The value of each label of what is not kept apart.
OTHERS = "other"

Labels = tuple[str, ...]
Value = list[float]
Reading = dict[str, dict[Labels, Value]]
#: What tells a part of a reading.
Source = Callable[[], Iterable[tuple[Family, Mapping[Labels, Value]]]]


class Series(dict[Labels, Value]):
    """
    The values of one family, by labels; each begins at nothing when it is first asked for.

    A dictionary whose look-up always finds something, so that counting is ``series[labels][0]
    += 1`` and no call.
    """

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family

    def __missing__(self, labels: Labels) -> Value:
        if len(self) >= MOST_SERIES:
            labels = (OTHERS,) * len(labels)
        value = self.get(labels)
        if value is None:
            value = self[labels] = [0] * self.family.size
        return value


@define(eq=False)
class Instruments:
    """
    All that can be read in this process; whoever has something to tell adds itself.

    The one seam for a new metric: a :class:`yallmp.core.families.Family`, and a source of
    its values that is asked when somebody wants to know.
    """

    _sources: list[Source] = field(factory=list)

    def add(self, source: Source) -> None:
        """Ask *source* as well from now on."""
        self._sources.append(source)

    def read(self) -> Reading:
        """What all of them say now, as a copy."""
        reading: Reading = {}
        for source in self._sources:
            for family, values in source():
                _add(reading.setdefault(family.name, {}), family, values)
        return reading


def joined(readings: Iterable[Reading]) -> Reading:
    """*readings* of several processes as one."""
    whole: Reading = {}
    for reading in readings:
        for name, values in reading.items():
            _add(whole.setdefault(name, {}), BY_NAME[name], values)
    return whole


def _add(whole: dict[Labels, Value], family: Family, values: Mapping[Labels, Value]) -> None:
    join = max if family.greatest else _sum
    for labels, value in values.items():
        before = whole.get(labels)
        whole[labels] = list(value) if before is None else [*map(join, before, value)]


def _sum(one: float, other: float) -> float:
    return one + other


def counted(reading: Reading) -> Reading:
    """What of *reading* stays true when its process is gone."""
    return {name: each for name, each in reading.items() if BY_NAME[name].kind is not Kind.GAUGE}


def written(reading: Reading) -> dict[str, Any]:
    """*reading* as JSON."""
    return {name: [[list(k), v] for k, v in values.items()] for name, values in reading.items()}


def read(told: Mapping[str, Any]) -> Reading:
    """What was :func:`written`."""
    return {name: {tuple(k): v for k, v in values} for name, values in told.items()}
