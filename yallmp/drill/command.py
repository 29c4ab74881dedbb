"""
``yallmp drill``: the command.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from yallmp import files
from yallmp.core.config import ConfigError
from yallmp.core.settings import Config
from yallmp.drill.cells import CELLS, SIXTEEN, Cell
from yallmp.drill.faults import packed_bomb
from yallmp.drill.rehearsal import MakeProxy, Rehearsal
from yallmp.drill.report import Report, as_json, as_text
from yallmp.drill.setting import Stage, stages
from yallmp.drill.timescale import ScaledReactor

#: How many times as fast time passes with ``--fast``.
FAST = 8.0
#: Between two lines of progress, in seconds.
PROGRESS = 2.0

EXAMPLES = """\
examples:
  yallmp drill
      Rehearse every model of $YALLMP_CONFIG, or config.yaml in this directory.
  yallmp drill config.yaml --model my-model --fast
      One model, with shorter waits.
  yallmp drill config.yaml --json > drill.json
      For a pipeline: the status is 0 if every model did as well as it can.

No backend is called: faulty ones on this machine stand in their place. The status is 0 if
every cell passes (for a model without a fallback: if none fails), 1 if not, and 2 if
nothing could be rehearsed.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="yallmp drill",
        description="Rehearse failover on your own configuration, at no cost.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("file", nargs="?", help="default: $YALLMP_CONFIG, else config.yaml")
    result.add_argument("--model", action="append", metavar="NAME", help="only this; repeatable")
    result.add_argument("--only", metavar="CELLS", help="only these cells: 8,9,refused")
    result.add_argument("--sixteen", action="store_true", help="only the sixteen")
    result.add_argument("--fast", action="store_true", help=f"let time pass {FAST:g} times as fast")
    result.add_argument("--shuffle", type=int, metavar="SEED", help="in another order")
    result.add_argument("--json", action="store_true", help="for programs")
    return result


def main(argv: Sequence[str], reactor: Any, make_proxy: MakeProxy) -> NoReturn:
    """Rehearse what *argv* asks for, and exit."""
    options = parser().parse_args(argv)
    config = _config(options.file)
    parts = _parts(options, config)
    pace = FAST if options.fast else 1.0
    clock = ScaledReactor(reactor, FAST) if options.fast else reactor
    drill = Drill(Rehearsal(config, clock, make_proxy), parts, pace, as_json=options.json)
    react(drill.run, (), reactor)


def _config(given: str | None) -> Config:
    path = files.find(given, os.environ, os.getcwd())
    try:
        return files.load(path, os.environ)
    except ConfigError as error:
        stop("\n".join(str(problem) for problem in error.problems))


def _parts(options: argparse.Namespace, config: Config) -> list[tuple[Stage, Cell]]:
    chosen = [(stage, cell) for stage in _stages(options, config) for cell in _cells(options)]
    if options.shuffle is not None:
        random.Random(options.shuffle).shuffle(chosen)
    return chosen


def _stages(options: argparse.Namespace, config: Config) -> list[Stage]:
    known = {stage.model: stage for stage in stages(config)}
    unknown = [name for name in options.model or () if name not in known]
    if unknown:
        stop(f"drill: there is no model {unknown[0]!r}; there is: {', '.join(known)}")
    return [known[name] for name in options.model or known]


def _cells(options: argparse.Namespace) -> Sequence[Cell]:
    if options.only is None:
        return SIXTEEN if options.sixteen else CELLS
    known = {cell.key: cell for cell in CELLS}
    names = [name.strip() for name in options.only.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        stop(f"drill: there is no cell {unknown[0]!r}; there is: {', '.join(known)}")
    return [known[name] for name in names]


def stop(message: str) -> NoReturn:
    """Nothing can be rehearsed, for a reason that the user can mend."""
    print(message, file=sys.stderr)
    sys.exit(2)


@define(eq=False)
class Drill:
    """
    A drill under way, with its progress on stderr.

    :ivar pace: how many times as fast time passes.
    """

    rehearsal: Rehearsal
    parts: Sequence[tuple[Stage, Cell]]
    pace: float
    as_json: bool = False
    _ticks: int = 0

    def run(self, reactor: Any) -> Deferred[None]:
        """Rehearse, report, and end with the status."""
        globalLogPublisher.addObserver(_complain)
        return Deferred.fromCoroutine(self._run(reactor))

    async def _run(self, reactor: Any) -> None:
        packed_bomb()  # before any time is taken
        progress = LoopingCall(self._tell)
        progress.clock = reactor
        progress.start(PROGRESS, now=False).addErrback(lambda _: None)
        try:
            results = await self.rehearsal.run(self.parts)
        finally:
            progress.stop()
        order = {id(part[0]): n for n, part in enumerate(self.parts)}
        results.sort(key=lambda r: (order[id(r.stage)], CELLS.index(r.cell)))
        report = Report(self.rehearsal.config, results, self.pace)
        print(as_json(report) if self.as_json else "\n".join(as_text(report)))
        raise SystemExit(0 if report.ok else 1)

    def _tell(self) -> None:
        self._ticks += 1
        done, seconds = len(self.rehearsal.done), self._ticks * PROGRESS
        print(f"{done} of {len(self.parts)} cells after {seconds:g} s", file=sys.stderr, flush=True)


@implementer(ILogObserver)
def _complain(event: LogEvent) -> None:
    """Show what should not happen; what the proxy says of its backends is expected here."""
    if event.get("log_level") is LogLevel.critical:
        print(event.get("log_failure") or event, file=sys.stderr)
