"""
A reading as text, in Prometheus's format or in OpenMetrics, made by prometheus-client.

Many start without ever being scraped, so this module, and with it the library, is loaded when
somebody first asks (``admin``).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from attrs import frozen
from prometheus_client import exposition as plain
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.utils import floatToGoString

from yallmp.core.families import FAMILIES, Family, Kind
from yallmp.core.readings import Labels, Reading, Value

PLAIN = b"text/plain; version=0.0.4; charset=utf-8"
OPEN = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPEN_TYPE = "application/openmetrics-text"


def exposition(reading: Reading, accept: str) -> tuple[bytes, bytes]:
    """
    The media type and the text of *reading*.

    :param accept: the request's ``Accept``; OpenMetrics is for those who name it.
    """
    named = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
    if _OPEN_TYPE in named:
        return OPEN, openmetrics.generate_latest(Shown(reading))
    return PLAIN, plain.generate_latest(Shown(reading))


@frozen(eq=False)
class Shown:
    """A reading as the library wants it: a collector."""

    reading: Reading

    def collect(self) -> Iterator[Metric]:
        """Each family that has values."""
        for family in FAMILIES:
            values = self.reading.get(family.name)
            if values:
                yield metric(family, values)


def metric(family: Family, values: dict[Labels, Value]) -> Metric:
    """*family* with its values, as the library's own kind of it."""
    if family.kind is Kind.HISTOGRAM:
        return _histogram(family, values)
    kind = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    shown = kind(family.name, family.says, labels=family.labels)
    for labels, value in values.items():
        shown.add_metric(_legible(labels), value[0])
    return shown


def _histogram(family: Family, values: dict[Labels, Value]) -> Metric:
    shown = HistogramMetricFamily(family.name, family.says, labels=family.labels)
    bounds = [*map(floatToGoString, family.bounds), "+Inf"]
    for labels, (*counts, total) in values.items():
        buckets = [*zip(bounds, accumulate(counts), strict=True)]
        shown.add_metric(_legible(labels), buckets, total)
    return shown


def _legible(labels: Labels) -> list[str]:
    """*labels* as they can be sent: a name may have halves of characters in it."""
    return [each.encode("utf-8", "replace").decode() for each in labels]
