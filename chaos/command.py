"""
The command line.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from chaos import report
from chaos.broken import proof
from chaos.item import Item
from chaos.items import ITEMS
from chaos.proxy import OURS
from chaos.run import Outcome, Run
from chaos.soak import command as soak


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Do to a real yallmp process what goes wrong in the world, and look.",
        epilog="The status is 0 if all items passed, 1 if one failed, 3 if none failed but this "
        "machine lacks what some need. See chaos/README.md.",
    )
    add = made.add_argument
    add("what", nargs="?", choices=["broken", "soak"],
        help="broken: proxies that must fail the catalogue; soak: faults for long")  # fmt: skip
    add("--list", action="store_true", help="print the catalogue, and how a broken proxy fails it")
    add("--only", action="append", default=[], metavar="GROUP|ITEM", help="some of it; repeatable")
    add("--workers", type=int, default=1, metavar="N", help="how many workers serve (default: 1)")
    add("--yallmp", metavar="CMD", help="the command that starts the proxy (default: this one)")
    add("--minutes", type=float, default=9.5, metavar="N", help="begin no item later (9.5)")
    add("--json", type=Path, metavar="FILE", help="write all outcomes there")
    return made


def chosen(only: Sequence[str]) -> list[Item]:
    """
    The items that are wanted.

    :raises ValueError: for a name that is none's.
    """
    known = {item.id for item in ITEMS} | {item.group for item in ITEMS}
    for name in only:
        if name not in known:
            raise ValueError(f'there is no group or item "{name}"; --list shows all')
    return [item for item in ITEMS if not only or item.id in only or item.group in only]


def prepare() -> None:
    """SIGTERM ends what was started as well; there may be as many connections as the system has."""
    signal.signal(signal.SIGTERM, _interrupted)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(words: Sequence[str]) -> int:
    """Run what is wanted; whether all of it passed."""
    if words[:1] == ["soak"]:
        prepare()
        return soak.main(words[1:])
    options = parser().parse_args(words)
    if options.what:
        return guarded(proof.main)
    try:
        items = chosen(options.only)
    except ValueError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 2
    if options.list:
        print(report.listed(items))
        return 0
    command = shlex.split(options.yallmp) if options.yallmp else OURS
    run = Run(items, _tell, command, options.workers, options.minutes * 60)
    return guarded(partial(_run, run, options.json))


def guarded(does: Callable[[], int]) -> int:
    """What *does* returns; on the way out of an interrupted one all that it started is ended."""
    prepare()
    try:
        return does()
    except KeyboardInterrupt:
        return 130


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Once is enough: what was started is ended on the way out."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _tell(outcome: Outcome) -> None:
    print(report.line(outcome), flush=True)


def _run(run: Run, path: Path | None) -> int:
    run.run()
    print("\n" + report.totals(run))
    if path is not None:
        path.write_text(json.dumps(report.as_json(run), indent=1) + "\n", encoding="utf-8")
    words = {outcome.word for outcome in run.outcomes}
    if "failed" in words or run.found:
        return 1
    return 3 if "absent" in words else 0
