"""
What a cell was worth, from what both sides saw.

*Pass*: the caller has the complete answer (or, where that is right, the error), and the
conduct was good.  *Partial*: complete, but the conduct was not.  *Safe*: not complete,
and the caller was told so, in bounded time.  *Fail*: a hang, or a part of an answer that
looks like all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from yallmp.drill.answers import TEXT
from yallmp.drill.cells import Cell
from yallmp.drill.observed import Heard, Knock
from yallmp.drill.rules import Case, is_whole

GRADES = ("pass", "partial", "safe", "fail")


@frozen
class Judgement:
    """A grade, and what was wrong in a person's words."""

    grade: str
    remarks: tuple[str, ...] = ()


def judge(
    cell: Cell,
    heard: Sequence[Heard],
    knocks: Sequence[Knock],
    *,
    primary: str,
    alone: bool = False,
) -> Judgement:
    """
    Judge *cell*.

    :param primary: the backend with the fault.
    :param alone: whether there is no other backend, so that rules about one do not count.
    """
    failed = [remark for each in heard if (remark := _fatal(cell, each))]
    if failed or not heard:
        return Judgement("fail", _once(failed) or ("nothing was asked",))
    missing = [remark for each in heard if (remark := _missing(cell, each))]
    if missing:
        return Judgement("safe", _once(missing))
    wrong = _conduct(cell, Case(heard, knocks, primary), alone)
    return Judgement("partial" if wrong else "pass", wrong)


def _fatal(cell: Cell, heard: Heard) -> str | None:
    """What must never be: a hang, or a lie."""
    if heard.hung:
        return f"the caller hung for {heard.took:.0f} s"
    if heard.looks_whole and heard.text != TEXT:
        tokens = len(heard.text.split())
        return f"an answer of {tokens} tokens looks like a whole one"
    return None


def _missing(cell: Cell, heard: Heard) -> str | None:
    """Why the caller does not have what it should."""
    if is_whole(heard):
        return None
    told = heard.error or "an error"
    if cell.wants_error is None:
        return f"no whole answer: {told}"
    return None if cell.wants_error in told else f"the reason was not passed on: {told}"


def _conduct(cell: Cell, case: Case, alone: bool) -> tuple[str, ...]:
    applying = (rule for rule in cell.rules if not (alone and rule.needs_fallback))
    return _once([remark for rule in applying if (remark := rule.check(case))])


def _once(remarks: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(remarks))
