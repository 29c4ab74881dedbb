"""
The samples as a picture.  Without matplotlib there is none, and everything else is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from chaos.soak.samples import Sample

try:
    import matplotlib.figure as figures
except ImportError:
    figures = None  # type: ignore[assignment]


@frozen
class Curve:
    """A line in a panel."""

    name: str
    read: Callable[[Sample], float | None]


def _memory(role: str) -> Curve:
    return Curve(role, lambda sample: sample.memory.get(role))


def _descriptors(role: str) -> Curve:
    return Curve(role, lambda sample: sample.descriptors.get(role))


def _ms(value: float | None) -> float | None:
    return None if value is None else value * 1000


#: The panels: the title, the unit, what is drawn, whether the axis is logarithmic.
PANELS: tuple[tuple[str, str, tuple[Curve, ...], bool], ...] = (
    ("Resident memory", "MiB", (_memory("proxy"), _memory("recorder"), _memory("clerk")), False),
    ("Open descriptors", "number", (_descriptors("proxy"), _descriptors("recorder")), False),
    ("Timers and requests", "number", (
        Curve("timers", lambda sample: sample.inside.timers),
        Curve("in flight", lambda sample: sample.inside.in_flight),
    ), False),
    ("Held in memory", "MiB", (
        Curve("bodies, answers, unread", lambda sample: sample.inside.buffered / (1 << 20)),
    ), False),
    ("Connections", "number", (
        Curve("clients", lambda sample: sample.inside.clients),
        Curve("backends, busy", lambda sample: sample.inside.busy),
        Curve("backends, idle", lambda sample: sample.inside.idle),
    ), False),
    ("Answers without a fault in the way, and lateness of the reactor", "ms", (
        Curve("half of the answers", lambda sample: _ms(sample.half)),
        Curve("99 of 100", lambda sample: _ms(sample.most)),
        Curve("mean lateness of a timer", lambda sample: max(0.01, sample.lag * 1000)),
    ), True),
)  # fmt: skip


def draw(samples: Sequence[Sample], title: str, load_ends: float, path: Path) -> bool:
    """Write the picture; whether there could be one."""
    if figures is None or not samples:
        return False
    scale, unit = (60.0, "minutes") if samples[-1].at > 300 else (1.0, "seconds")
    figure = figures.Figure(figsize=(11, 15), layout="constrained")
    figure.suptitle(title)
    for axes, panel in zip(figure.subplots(len(PANELS), 1, sharex=True), PANELS, strict=True):
        _panel(axes, samples, panel, scale)
        axes.axvline(load_ends / scale, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel(f"{unit} since the load began (dotted: the load ends)")
    figure.savefig(path, dpi=100)
    return True


def _panel(axes: Any, samples: Sequence[Sample], panel: Any, scale: float) -> None:
    title, unit, curves, logarithmic = panel
    for curve in curves:
        known = [(each.at / scale, curve.read(each)) for each in samples]
        values = [(at, float("nan") if value is None else value) for at, value in known]
        axes.plot(*zip(*values, strict=True), label=curve.name, linewidth=1.1)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel(unit)
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
