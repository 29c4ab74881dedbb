"""
What a drill came to, for people and for programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from statistics import median
from typing import Any

from attrs import frozen

from yallmp.core.settings import Config
from yallmp.drill.answers import TEXT
from yallmp.drill.cells import SIXTEEN
from yallmp.drill.judge import GRADES
from yallmp.drill.observed import Heard, Knock
from yallmp.drill.rehearsal import Result
from yallmp.drill.setting import Stage

#: A first request that takes longer than this to arrive shows a busy machine; seconds.
BUSY = 2.0
_FALLBACK = "give the model a fallback (router_settings.fallbacks)"
_TIMES = ("first_content_timeout", "idle_timeout")
_SIXTEEN = {cell.key for cell in SIXTEEN}
#: More attempts than this are counted rather than listed.
_LISTED = 6


@frozen
class Report:
    """
    A whole drill, or what is known of it.

    ``pace`` is how many times as fast time passed, ``planned`` how many results there were
    to be, ``allowed`` the worst grade that is good enough.
    """

    config: Config
    results: Sequence[Result]
    pace: float = 1.0
    planned: int = 0
    allowed: str = GRADES[0]

    @property
    def complete(self) -> bool:
        """Whether nothing interrupted it."""
        return len(self.results) >= self.planned

    @property
    def ok(self) -> bool:
        """Whether every model did as well as it can."""
        return self.complete and all(map(self.is_good, self.results))

    def is_good(self, result: Result) -> bool:
        """Whether *result* is good enough: without another backend, whatever is honest."""
        worst = "safe" if result.stage.alone else self.allowed
        return GRADES.index(result.judgement.grade) <= GRADES.index(worst)

    def of(self, stage: Stage) -> list[Result]:
        """The results of one model."""
        return [result for result in self.results if result.stage.model == stage.model]

    @property
    def lag(self) -> float:
        """How long the first request of a cell took to reach its wall, at the median; seconds."""
        first = [result.knocks[0].at for result in self.results if result.knocks]
        return median(first) if first else 0.0

    @property
    def stages(self) -> list[Stage]:
        """The models, each once."""
        return list({result.stage.model: result.stage for result in self.results}.values())


def as_text(report: Report) -> Iterator[str]:
    """The report in lines."""
    if report.pace != 1:
        yield f"Time passed {report.pace:g} times as fast; seconds are scaled."
    for stage in report.stages:
        yield from _model(report, stage)
    yield ""
    if report.lag > BUSY:
        yield (
            f"This machine was busy: the first request of a cell took {report.lag:.1f} s to arrive."
            " Trust a run on an idle one, or without --fast."
        )
    yield _sum(report)


def _sum(report: Report) -> str:
    if not report.complete:
        return f"Interrupted: {len(report.results)} of {report.planned} cells were rehearsed."
    if report.ok:
        return "Every model did as well as it can."
    bad = sum(not report.is_good(result) for result in report.results)
    return f"Not every model did as well as it can: {bad} of {report.planned} cells."


def _model(report: Report, stage: Stage) -> Iterator[str]:
    results = report.of(stage)
    names = " -> ".join(backend.name for backend in stage.backends)
    yield from ("", f"{stage.model}: {names}")
    yield from (f"  {note}" for note in notes(stage))
    for result in results:
        yield from _cell(result)
    yield f"  {score(results)}"
    yield f"  with {', '.join(_in_force(report.config, stage))}"
    yield from (f"  to mend {', '.join(keys)}: {hint}" for hint, keys in mending(results).items())


def notes(stage: Stage) -> Iterator[str]:
    """What is to be known of a model before its results are read."""
    if stage.alone:
        yield "Nobody else can serve this model: the best that many cells can be is safe."
    if stage.mocks:
        yield f"Rehearsed as if they were on the network: {', '.join(stage.mocks)} (mock_response)."


def score(results: Iterable[Result]) -> str:
    """How many of the sixteen, and of the others, were what."""
    listed = list(results)
    sixteen = [r for r in listed if r.cell.key in _SIXTEEN]
    others = [r for r in listed if r.cell.key not in _SIXTEEN]
    parts = [f"{_passed(sixteen)} pass"] if sixteen else []
    parts += [f"of the others {_passed(others)}"] if others else []
    below = [f"{n} {grade}" for grade in GRADES[1:] if (n := _count(listed, grade))]
    return "; ".join([*parts, *below])


def _passed(results: Sequence[Result]) -> str:
    return f"{_count(results, 'pass')} of {len(results)}"


def _count(results: Sequence[Result], grade: str) -> int:
    return sum(result.judgement.grade == grade for result in results)


def settings(config: Config, stage: Stage) -> dict[str, Any]:
    """The settings that matter most, as they are in force for the primary; ``None``: not set."""
    patience = stage.backends[0].patience
    times = {name: patience.seconds(name, last=stage.alone) for name in _TIMES}
    return {
        "request_timeout": patience.request_timeout,
        **{name: time if isfinite(time) else None for name, time in times.items()},
        "num_retries": config.router.num_retries,
        "fallbacks": list(stage.fallbacks),
    }


def _in_force(config: Config, stage: Stage) -> Iterator[str]:
    for name, value in settings(config, stage).items():
        if isinstance(value, list):
            yield f"{name} {' '.join(value) or 'none'}"
        else:
            yield f"{name} not set" if value is None else f"{name} {value:g}"


def _cell(result: Result) -> Iterator[str]:
    cell = result.cell
    yield f"  {result.judgement.grade:<7} {cell.key:>9}  {cell.does}"
    yield f"{'':21}{outcome(result.heard)}; asked: {attempts(result.knocks)}"
    yield from (f"{'':21}! {remark}" for remark in _remarks(result))


def _remarks(result: Result) -> Iterator[str]:
    """What was wrong, but for the error that stands in the outcome already."""
    errors = [each.error for each in result.heard if each.error] if len(result.heard) == 1 else []
    for remark in result.judgement.remarks:
        if not any(remark.endswith(error) for error in errors):
            yield remark


def mending(results: Iterable[Result]) -> dict[str, list[str]]:
    """What would mend results below a pass, and which cells."""
    found: dict[str, list[str]] = {}
    for result in results:
        for hint in hints(result):
            found.setdefault(hint, []).append(result.cell.key)
    return found


def hints(result: Result) -> tuple[str, ...]:
    """What would mend a result below a pass."""
    grade, mend = result.judgement.grade, result.cell.mend
    if grade == "pass":
        return ()
    if not result.stage.alone:
        return mend
    return (_FALLBACK,) if grade == "safe" else (_FALLBACK, *mend)


def outcome(told: Sequence[Heard]) -> str:
    """What the caller got, in a line."""
    if len(told) != 1:
        whole = sum(each.text == TEXT and each.looks_whole for each in told)
        return f"{whole} of {len(told)} whole answers"
    (one,) = told
    if one.hung:
        return f"nothing, for {one.took:.1f} s"
    if one.error is not None:
        return f"{_part(one)}error after {one.took:.1f} s: {one.error[:100]}"
    what = "the whole answer" if one.text == TEXT else f"{len(one.text.split())} tokens"
    return f"{what} after {one.took:.1f} s"


def _part(one: Heard) -> str:
    return f"{len(one.text.split())} tokens, then an " if one.text else "an "


def attempts(knocks: Sequence[Knock]) -> str:
    """Who was asked, and when."""
    if not knocks:
        return "nobody"
    if len(knocks) <= _LISTED:
        return ", ".join(f"{knock.backend} {knock.at:.2f}" for knock in knocks)
    names = list(dict.fromkeys(knock.backend for knock in knocks))
    counts = {name: sum(knock.backend == name for knock in knocks) for name in names}
    return ", ".join(f"{name} {count} times" for name, count in counts.items())


def as_json(report: Report) -> str:
    """The report for programs."""
    models = [_model_as_value(report, stage) for stage in report.stages]
    facts = {"ok": report.ok, "complete": report.complete, "pace": report.pace, "lag": report.lag}
    return json.dumps({**facts, "models": models}, indent=2)


def _model_as_value(report: Report, stage: Stage) -> dict[str, Any]:
    results = report.of(stage)
    return {
        "model": stage.model,
        "backends": [backend.name for backend in stage.backends],
        "alone": stage.alone,
        "notes": list(notes(stage)),
        "score": score(results),
        "settings": settings(report.config, stage),
        "cells": [_as_value(result, good=report.is_good(result)) for result in results],
    }


def _as_value(result: Result, *, good: bool) -> dict[str, Any]:
    cell, judgement = result.cell, result.judgement
    return {
        "cell": cell.key,
        "does": cell.does,
        "must": cell.must,
        "grade": judgement.grade,
        "good": good,
        "remarks": list(judgement.remarks),
        "mend": list(hints(result)),
        "got": outcome(result.heard),
        "answers": [_answer(each) for each in result.heard],
        "attempts": [
            {"backend": knock.backend, "at": round(knock.at, 3)} for knock in result.knocks
        ],
    }


def _answer(one: Heard) -> dict[str, Any]:
    return {
        "status": one.status,
        "began": round(one.began, 3),
        "seconds": round(one.took, 3),
        "whole": one.text == TEXT and one.looks_whole,
        "error": one.error,
        "served_by": one.serving,
    }
