"""
``yallmp drill``: the command.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from yallmp import files
from yallmp.core.config import ConfigError
from yallmp.core.settings import Config
from yallmp.drill.cells import CELLS, SIXTEEN, Cell
from yallmp.drill.faults import packed_bomb
from yallmp.drill.judge import GRADES
from yallmp.drill.rehearsal import MakeProxy, Rehearsal, Result
from yallmp.drill.report import Report, as_json, as_text
from yallmp.drill.setting import Stage, stage_for, stages
from yallmp.drill.timescale import ScaledReactor

#: How many times as fast time passes with ``--fast``.
FAST = 8.0
#: Between two words of progress, in seconds.
PROGRESS = 2.0

#: What is rehearsed: a model and a cell.
Part = tuple[Stage, Cell]

EXAMPLES = """\
examples:
  yallmp drill
      Rehearse every model of $YALLMP_CONFIG, or config.yaml in this directory.
  yallmp drill config.yaml --model my-model --fast
      One model, with shorter waits.
  yallmp drill config.yaml --json > drill.json
      For a pipeline: the status is 0 if every model did as well as it can.
  yallmp drill config.yaml --allow partial
      The same, where answers that come late are good enough.

No backend is called: faulty ones on this machine stand in their place. The status is 0 if
every cell passes (for a model without a fallback: if none fails), 1 if not or if the drill
was interrupted, and 2 if nothing could be rehearsed.
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
    result.add_argument(
        "--model", action="append", metavar="NAME", help="only this one; repeatable"
    )
    result.add_argument("--only", metavar="CELLS", help="only these cells: 8,9,refused")
    result.add_argument("--sixteen", action="store_true", help="only the first sixteen cells")
    result.add_argument("--fast", action="store_true", help=f"let time pass {FAST:g} times as fast")
    result.add_argument("--shuffle", type=int, metavar="SEED", help="in another order")
    result.add_argument(
        "--allow",
        choices=GRADES[:-1],
        default=GRADES[0],
        help="the worst that is good enough",
    )
    result.add_argument("--json", action="store_true", help="for programs")
    return result


def main(argv: Sequence[str], reactor: Any, make_proxy: MakeProxy) -> NoReturn:
    """Rehearse what *argv* asks for, tell it on stdout, and exit."""
    options = parser().parse_args(argv)
    config = _config(options.file)
    chosen = [(stage, cell) for stage in _stages(options, config) for cell in _cells(options)]
    clock = ScaledReactor(reactor, FAST) if options.fast else reactor
    rehearsal = Rehearsal(config, clock, make_proxy)
    drill = Drill(rehearsal, arranged(chosen, options.shuffle), Progress(sys.stderr))
    known = in_order(chosen, drill.run(reactor))
    pace = FAST if options.fast else 1.0
    report = Report(config, known, pace, planned=len(chosen), allowed=options.allow)
    print(as_json(report) if options.json else "\n".join(as_text(report)))
    sys.exit(0 if report.ok else 1)


def _config(given: str | None) -> Config:
    path = files.find(given, os.environ, os.getcwd())
    try:
        return files.load(path, os.environ)
    except ConfigError as error:
        stop("\n".join(str(problem) for problem in error.problems))


def _stages(options: argparse.Namespace, config: Config) -> list[Stage]:
    known = {stage.model: stage for stage in stages(config)}
    found = []
    for name in dict.fromkeys(options.model or known):
        stage = known.get(name) or stage_for(config, name)
        if stage is None:
            stop(f"drill: there is no model {name!r}; there is: {', '.join(known)}")
        found.append(stage)
    return found


def _cells(options: argparse.Namespace) -> Sequence[Cell]:
    if options.only is None:
        return SIXTEEN if options.sixteen else CELLS
    known = {cell.key: cell for cell in CELLS}
    names = dict.fromkeys(name.strip() for name in options.only.split(","))
    unknown = [name for name in names if name not in known]
    if unknown:
        stop(f"drill: there is no cell {unknown[0]!r}; there is: {', '.join(known)}")
    return [known[name] for name in names]


def arranged(parts: Sequence[Part], seed: int | None) -> list[Part]:
    """*parts* as they are begun: the longest first, or as *seed* shuffles them."""
    if seed is None:
        return sorted(parts, key=lambda part: -part[1].requests)
    return random.Random(seed).sample(parts, len(parts))


def in_order(parts: Sequence[Part], results: Iterable[Result]) -> list[Result]:
    """*results* in the order of *parts*, whichever was ready first."""
    place = {(stage.model, cell.key): number for number, (stage, cell) in enumerate(parts)}
    return sorted(results, key=lambda result: place[result.stage.model, result.cell.key])


def stop(message: str) -> NoReturn:
    """Nothing can be rehearsed, for a reason that the user can mend."""
    print(message, file=sys.stderr)
    sys.exit(2)


@define(eq=False)
class Progress:
    """How far it is: on a terminal one line that is rewritten, elsewhere a line each time."""

    stream: TextIO

    def show(self, words: str) -> None:
        """Say *words*."""
        if self.stream.isatty():
            print(f"\r{words}\x1b[K", end="", file=self.stream, flush=True)
        else:
            print(words, file=self.stream, flush=True)

    def clear(self) -> None:
        """Leave the terminal's line empty."""
        if self.stream.isatty():
            print("\r\x1b[K", end="", file=self.stream, flush=True)


@define(eq=False)
class Drill:
    """
    A drill in a process of its own, with its progress.

    What is known when the reactor stops is what counts, whether all is done or somebody
    interrupted it: while it stops, connections break that have nothing to do with failover.
    """

    rehearsal: Rehearsal
    parts: Sequence[Part]
    progress: Progress
    _known: list[Result] = field(factory=list)
    _ticks: int = 0

    def run(self, reactor: Any) -> list[Result]:
        """Run *reactor* until all is rehearsed or it is stopped; what is known by then."""
        packed_bomb()  # before any time is taken
        reactor.addSystemEventTrigger("before", "shutdown", self._note)
        reactor.callWhenRunning(self._begin, reactor)
        reactor.run()
        self.progress.clear()
        return self._known

    def _begin(self, reactor: Any) -> None:
        ticking = LoopingCall(self._tick)
        ticking.clock = reactor
        ticking.start(PROGRESS, now=False)
        over = Deferred.fromCoroutine(self.rehearsal.run(self.parts))
        over.addErrback(lambda failure: Logger().failure("The drill broke off.", failure))
        over.addCallback(lambda _: _stop_reactor(reactor))

    def _note(self) -> None:
        self._known = list(self.rehearsal.done)

    def _tick(self) -> None:
        self._ticks += 1
        done, seconds = len(self.rehearsal.done), self._ticks * PROGRESS
        self.progress.show(f"{done} of {len(self.parts)} cells after {seconds:g} s")


def _stop_reactor(reactor: Any) -> None:
    with suppress(ReactorNotRunning):  # it was interrupted
        reactor.stop()
