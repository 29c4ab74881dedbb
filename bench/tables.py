"""
Tables: results as people read them, on a terminal or in a page of the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import BASE, Cell, Metric, cell
from bench.rounds import Results


def number(value: float) -> str:
    """Three digits that mean something."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"


def times(ratio: float | None) -> str:
    """A ratio as a factor, or nothing."""
    return "" if ratio is None else f"× {number(ratio)}"


def text(results: Results) -> str:
    """A block for each metric, a line for each contender; then what is void, and notes."""
    blocks = ["\n".join(_block(results, metric)) for metric in results.metrics()]
    remarks = [*_reasons(results), *results.notes]
    return "\n\n".join([*blocks, "\n".join(remarks)]).strip() + "\n"


def _block(results: Results, metric: Metric) -> Iterator[str]:
    yield f"{metric.title} ({metric.unit})"
    yield f"  {'':16}{'median':>10}{'least':>10}{'most':>10}   × {BASE}"
    for name in results.contenders:
        if results.reason(name, metric):
            yield f"  {name:16}{'void':>10}"
        elif found := cell(results.rounds, name, metric):
            yield _line(name, found)


def _line(name: str, found: Cell) -> str:
    s = found.spread
    figures = "".join(f"{number(value):>10}" for value in (s.median, s.least, s.most))
    return f"  {name:16}{figures}   {times(found.ratio)}".rstrip()


def _reasons(results: Results) -> Iterator[str]:
    for name, reasons in results.void.items():
        for measure, reason in reasons.items():
            yield f"void: {name}, {measure}: {reason}"


def markdown(results: Results) -> str:
    """One table: a line for each metric, a column for each contender."""
    names = results.contenders
    lines = [_row(["", *names]), _row(["---"] * (len(names) + 1))]
    for metric in results.metrics():
        cells = [_entry(results, name, metric) for name in names]
        lines.append(_row([f"{metric.title}, {metric.unit}", *cells]))
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _entry(results: Results, name: str, metric: Metric) -> str:
    if results.reason(name, metric):
        return "void"
    found = cell(results.rounds, name, metric)
    if found is None:
        return "–"
    s = found.spread
    ratio = f", {times(found.ratio)}" if found.ratio is not None and name != BASE else ""
    return f"**{number(s.median)}** ({number(s.least)} … {number(s.most)}){ratio}"
