"""
The decision table in words, for people.

They ask what happens on a 429, not what each row is called: lines of
:mod:`yallmp.core.tableview` with the same consequence are folded into one.  Backends are not
named, so that models with the same rules have the same words, which are said once.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from yallmp.core.breaker import (
    FAILURES,
    LEAST,
    LEAST_REST,
    MOST_REST,
    REST,
    REST_MAX,
    TIMEOUTS,
    TIMES_SPENT,
    WITHIN,
    Outcome,
)
from yallmp.core.problems import Reason
from yallmp.core.tableview import ROUTE, Line
from yallmp.core.verdicts import BY_STATUS, KILLED, QUICK

#: So many columns a line may have; so many models are always named.
WIDTH, FEW = 100, 3
#: An answer that asks to wait is told apart from another of its status.
_WAITS = (Reason.WAIT.value, Reason.LONG_WAIT.value)
_LISTS: Mapping[str, str] = {ROUTE: "the next"}


def duration(seconds: float) -> str:
    """
    *seconds* in the largest unit that leaves no rest.

    >>> duration(300), duration(2.5)
    ('5 min', '2.5 s')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if (seconds >= 2 * size or seconds == 3600) and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


_BRIEFLY, _HALF = f"{duration(REST)} to {duration(REST_MAX)}", f"half of at least {LEAST}"
#: What makes a backend rest when it is met several times.
_COUNTED: Mapping[str, str] = {
    Outcome.FAILED.value: (
        f"{_BRIEFLY}, after {FAILURES} requests in a row, or {_HALF} within {duration(WITHIN)}"
    ),
    Outcome.SHARED.value: f"{_BRIEFLY}, after {_HALF} within {duration(WITHIN)} only",
    Outcome.TIMED_OUT.value: (
        f"{TIMES_SPENT:g} times what was spent, {duration(LEAST_REST)} to {duration(MOST_REST)}, "
        f"after {TIMEOUTS} requests in a row"
    ),
}


def told(tables: Iterable[tuple[str, Sequence[Line]]]) -> Iterator[str]:
    """*tables*, each with its model's name, in lines: said once for all that are the same."""
    groups: dict[tuple[str, ...], list[str]] = {}
    rests: tuple[str, ...] = ()
    for name, table in tables:
        if table:
            groups.setdefault(consequences(table), []).append(name)
            rests = resting(table)
    ordered = sorted(groups.items(), key=lambda group: len(group[1]))
    for number, (lines, names) in enumerate(ordered, 1):
        heading = _heading(names, first=number == 1, last=number == len(ordered))
        yield from _block(heading, lines)
    if groups:
        yield from _block("A backend rests:", rests)
        yield ""
        for sentence in _legend("\n".join(map("\n".join, groups))):
            yield from _wrapped(sentence)


def _block(heading: str, texts: Iterable[str]) -> Iterator[str]:
    yield from ("", *_wrapped(heading))
    for text in texts:
        yield from _wrapped(text, "  ")


def _heading(names: Sequence[str], *, first: bool, last: bool) -> str:
    """Which models a table is for; the last of several is for all others, if they are many."""
    if first and last:
        return "When a backend fails:"
    if last and len(names) > FEW:
        return "When a backend fails, for every other model:"
    return f"When a backend fails, for {', '.join(names)}:"


def _wrapped(text: str, indent: str = "") -> list[str]:
    """*text* in lines of a terminal, no name or range torn apart."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def consequences(table: Iterable[Line]) -> tuple[str, ...]:
    """What follows, each with the failures after which it does."""
    groups: dict[str, list[Line]] = {}
    for line in sorted(table, key=lambda line: (not line.again, not line.next)):
        groups.setdefault(consequence(line), []).append(line)
    return tuple(f"{what}: {', '.join(failures(lines))}" for what, lines in groups.items())


def consequence(line: Line) -> str:
    """What follows, in words."""
    again = "again once" if line.again == 1 else f"again up to {line.again} times"
    onward = [_LISTS.get(name, name) for name in line.via] or ["the client is told"]
    steps = ", then ".join([again, *onward] if line.again else onward)
    return f"{steps} (the next only if another failed before)" if line.if_another_failed else steps


def resting(table: Sequence[Line]) -> tuple[str, ...]:
    """How long a backend rests, each with the failures after which it does."""
    groups: dict[str, list[Line]] = {}
    for line in sorted(table, key=lambda line: line.rests or 0):
        if line.rests:
            groups.setdefault(_rest(line), []).append(line)
    for counts, what in _COUNTED.items():  # waits count as others of their status do
        groups[what] = [x for x in table if x.counts == counts and x.failure not in _WAITS]
    return tuple(f"{what}: {', '.join(failures(lines))}" for what, lines in groups.items())


def _rest(line: Line) -> str:
    most = duration(line.rests or 0)
    as_asked = line.failure == Reason.LONG_WAIT.value
    return f"as long as it asks, at most {most}" if as_asked else most


def failures(lines: Sequence[Line]) -> Iterator[str]:
    """Statuses first, then words, those of waits with their statuses."""
    by_status = [line for line in lines if line.failure not in _WAITS]
    yield from folded(sorted({status for line in by_status for status in line.statuses}))
    for name in dict.fromkeys(line.failure for line in lines):
        if name in _WAITS:
            yield _wait([line for line in lines if line.failure == name])
        elif Reason(name) not in BY_STATUS:
            yield name


def _wait(lines: Sequence[Line]) -> str:
    statuses = sorted(status for line in lines for status in line.statuses)
    up_to = f" up to {duration(lines[0].waits)}" if lines[0].waits else ""
    return f"{lines[0].failure}{up_to} ({', '.join(folded(statuses))})"


def folded(statuses: Sequence[int]) -> Iterator[str]:
    """
    *statuses*, sorted, with three or more in a row as a range.

    >>> list(folded([429, 500, 501, 520, 521, 522]))
    ['429', '500', '501', '520-522']
    """
    rows: list[list[int]] = []
    for status in statuses:
        if rows and status == rows[-1][-1] + 1:
            rows[-1].append(status)
        else:
            rows.append([status])
    for row in rows:
        yield from (f"{row[0]}-{row[-1]}",) if len(row) > 2 else map(str, row)


def _legend(said: str) -> Iterator[str]:
    """What the words in *said* mean."""
    if "again" in said:
        yield (
            "Again: another entry of the same model, or the same one if it is alone; only after a "
            f"failure within {duration(QUICK)}."
        )
    if "the next" in said:
        yield (
            "The next: of the model's entries and its fallbacks, those that rest last. A request "
            f"that {KILLED} backends die of goes no further."
        )
    yield "The words are those of docs/failover.md."
