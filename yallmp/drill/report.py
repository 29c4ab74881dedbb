"""
What a drill came to, for people and for programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from yallmp.core.backend import Patience
from yallmp.core.settings import Config
from yallmp.drill.answers import TEXT
from yallmp.drill.cells import SIXTEEN
from yallmp.drill.judge import GRADES
from yallmp.drill.observed import Heard, Knock
from yallmp.drill.rehearsal import Result
from yallmp.drill.setting import Stage

_FALLBACK = "give the model a fallback (router_settings.fallbacks)"
_TIMES = ("request_timeout", "first_content_timeout", "idle_timeout")
_SIXTEEN = {cell.key for cell in SIXTEEN}
#: More attempts than this are counted rather than listed.
_LISTED = 6


@frozen
class Report:
    """A whole drill; ``pace`` is how many times as fast time passed."""

    config: Config
    results: Sequence[Result]
    pace: float = 1.0

    @property
    def ok(self) -> bool:
        """Whether every model did as well as it can."""
        return all(map(is_good, self.results))

    def of(self, stage: Stage) -> list[Result]:
        """The results of one model."""
        return [result for result in self.results if result.stage.model == stage.model]

    @property
    def stages(self) -> list[Stage]:
        """The models, each once."""
        return list({result.stage.model: result.stage for result in self.results}.values())


def is_good(result: Result) -> bool:
    """Whether a result is as good as can be: without another backend, whatever is honest."""
    grade = result.judgement.grade
    return grade == "pass" or (result.stage.alone and grade != "fail")


def as_text(report: Report) -> Iterator[str]:
    """The report in lines."""
    if report.pace != 1:
        yield f"Time passed {report.pace:g} times as fast; seconds are scaled."
    for stage in report.stages:
        yield from _model(report, stage)
    yield "" if report.stages else "There is no model to rehearse."
    yield (
        "Every model did as well as it can."
        if report.ok
        else "Not every model did as well as it can."
    )


def _model(report: Report, stage: Stage) -> Iterator[str]:
    results = report.of(stage)
    names = " → ".join(backend.name for backend in stage.backends)
    yield from ("", f"{stage.model}: {names}")
    if stage.alone:
        yield "  Nobody else can serve this model: the best that many cells can be is safe."
    for result in results:
        yield from _cell(result)
    yield f"  {score(results)}"
    yield f"  with {', '.join(settings(report.config, stage))}"


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


def settings(config: Config, stage: Stage) -> Iterator[str]:
    """The settings that matter most, as they are in force for the primary."""
    patience = stage.backends[0].patience
    yield from (f"{name} {_seconds(patience, name)}" for name in _TIMES)
    yield f"num_retries {config.router.num_retries}"


def _seconds(patience: Patience, name: str) -> str:
    explicit = patience.request_timeout if name == _TIMES[0] else patience.explicit(name)
    return "by default" if explicit is None else f"{explicit:g}"


def _cell(result: Result) -> Iterator[str]:
    cell, judgement = result.cell, result.judgement
    yield f"  {judgement.grade:<7} {cell.key:>9}  {cell.does}"
    yield f"{'':21}{outcome(result.heard)}; asked: {attempts(result.knocks)}"
    if judgement.grade != "pass":
        yield from (f"{'':21}! {remark}" for remark in judgement.remarks)
        yield from (f"{'':21}→ {hint}" for hint in hints(result))


def hints(result: Result) -> tuple[str, ...]:
    """What would mend a result below a pass."""
    if result.judgement.grade == "pass":
        return ()
    return (_FALLBACK,) if result.stage.alone else result.cell.mend


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
    models = [
        {
            "model": stage.model,
            "backends": [backend.name for backend in stage.backends],
            "alone": stage.alone,
            "score": score(report.of(stage)),
            "settings": list(settings(report.config, stage)),
            "cells": [_as_value(result) for result in report.of(stage)],
        }
        for stage in report.stages
    ]
    return json.dumps({"ok": report.ok, "pace": report.pace, "models": models}, indent=2)


def _as_value(result: Result) -> dict[str, Any]:
    cell, judgement = result.cell, result.judgement
    return {
        "cell": cell.key,
        "does": cell.does,
        "must": cell.must,
        "grade": judgement.grade,
        "good": is_good(result),
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
