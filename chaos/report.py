"""
What a run tells: a line for each item, the totals, and the worst value of each figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from chaos.figures import GOALS, Worst, worst
from chaos.item import Item
from chaos.run import Outcome, Run


def listed(items: Iterable[Item]) -> str:
    """The catalogue as ``--list`` prints it."""
    return "\n".join(
        f"{item.id}\n    does:  {item.does}\n    sees:  {item.sees}\n    fails: {item.fails}"
        for item in items
    )


def line(outcome: Outcome) -> str:
    """One item."""
    figures = "  ".join(map(str, _shortened(outcome)))
    again = f"  ({outcome.tries} tries)" if outcome.tries > 1 else ""
    notes = "".join(f"\n    {note}" for note in outcome.notes)
    why = f"\n    {outcome.why}" if outcome.why else ""
    start = f"{outcome.item.id:<44} {outcome.word:<7} {outcome.seconds:6.2f} s"
    return f"{start}  {figures}{again}{why}{notes}".rstrip()


def _shortened(outcome: Outcome) -> list[str]:
    """Its figures, each once, as the worst."""
    return [f"[{one.figure}] {_value(one.figure, one.value)}" for one in worst(outcome.measured)]


def _value(figure: str, value: float) -> str:
    return GOALS[figure].shown(value)


def totals(run: Run) -> str:
    """What stands at the end."""
    counts = Counter(outcome.word for outcome in run.outcomes)
    told = ", ".join(f"{counts[word]} {word}" for word in ("passed", "failed", "absent"))
    lines = [f"{len(run.outcomes)} items: {told}", "", *_figures(run.outcomes)]
    lines += [f"a secret in {found}" for found in run.found]
    return "\n".join(lines)


def _figures(outcomes: Sequence[Outcome]) -> list[str]:
    return [_figure(each) for each in worst(m for outcome in outcomes for m in outcome.measured)]


def _figure(one: Worst) -> str:
    goal = GOALS[one.figure]
    where = "" if goal.adds_up else f", worst in {one.item}"
    value, most = goal.shown(one.value), goal.shown(goal.most)
    return (
        f"{one.figure:>3}  {goal.words:<56} {value:>9} (goal {most}, {one.count} measured{where})"
    )


def as_json(run: Run) -> dict[str, Any]:
    """All of it, for programs."""
    measured = [each for outcome in run.outcomes for each in outcome.measured]
    return {
        "items": [_item_as_json(outcome) for outcome in run.outcomes],
        "figures": {each.figure: {"worst": each.value, "count": each.count, "item": each.item,
                                  "goal": GOALS[each.figure].most} for each in worst(measured)},
        "secrets": [str(found) for found in run.found],
    }  # fmt: skip


def _item_as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.item.id,
        "outcome": outcome.word,
        "why": outcome.why,
        "seconds": round(outcome.seconds, 3),
        "tries": outcome.tries,
        "figures": [[each.figure, each.value] for each in outcome.measured],
        "notes": list(outcome.notes),
    }
