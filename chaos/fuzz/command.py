"""``python -m chaos.fuzz``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from chaos.fuzz import endpoints
from chaos.fuzz.targets import every
from chaos.fuzz.watched import Bounds, Found, is_here, run

#: What stands for our own endpoints among the names of parsers.
API = "api"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m chaos.fuzz",
        description="Tries what nobody thought of: every parser with bytes (atheris), and our own "
        "endpoints with requests (schemathesis). Both are the extra 'fuzz'; what is not installed "
        "is absent. The status is 0 if nothing was found, 1 if something was, 3 if something is "
        "absent.",
    )
    add = made.add_argument
    add("only", nargs="*", metavar="TARGET", help="some of them (default: all; see --list)")
    add("--list", action="store_true", help="print the targets")
    add("--runs", type=int, default=100_000, metavar="N", help="inputs for each parser (100000)")
    add("--seconds", type=int, default=120, metavar="N", help="at most so long for each (120)")
    add("--seed", type=int, default=1, metavar="N", help="of chance (1)")
    add("--examples", type=int, default=40, metavar="N", help="requests for each operation (40)")
    add("--jobs", type=int, default=1, metavar="N", help="so many parsers at a time (1)")
    return made


def main(words: Sequence[str]) -> int:
    """Run what is wanted; whether nothing was found."""
    options = parser().parse_args(words)
    targets = every()
    if options.list:
        for each in targets.values():
            print(f"{each.name:<13} {each.about}")
        print(f"{API:<13} our own endpoints, as GET /openapi.json describes them")
        return 0
    unknown = set(options.only) - {*targets, API}
    if unknown:
        parser().error(f"there is no target {', '.join(sorted(unknown))}; --list shows all")
    names = options.only or [*targets, API]
    bounds = Bounds(options.runs, options.seconds, options.seed)
    statuses = [_parsers([name for name in names if name != API], bounds, options.jobs)]
    if API in names:
        statuses.append(_endpoints(options.examples, bounds))
    return 1 if 1 in statuses else max(statuses)


def _parsers(names: Sequence[str], bounds: Bounds, jobs: int) -> int:
    if not names:
        return 0
    if not is_here():
        print("absent: atheris (pip install '.[fuzz]'; Linux, CPython 3.11 to 3.13)")
        return 3
    targets = every()
    print(f"{'target':<13} {'inputs':>9} {'places':>7} {'kinds':>7} {'seconds':>8}")
    with ThreadPoolExecutor(jobs) as pool:
        return _told(pool.map(lambda name: run(targets[name], bounds), names))


def _told(outcomes: Iterable[Found]) -> int:
    status = 0
    for found in outcomes:
        line = f"{found.target:<13} {found.runs:>9} {found.coverage:>7} {found.features:>7}"
        print(f"{line} {found.seconds:>8.0f}  {'FOUND' if found.trouble else ''}".rstrip())
        if found.trouble:
            status = 1
            print(found.trouble)
        print(end="", flush=True)
    return status


def _endpoints(examples: int, bounds: Bounds) -> int:
    if find_spec("schemathesis") is None:
        print("absent: schemathesis (pip install '.[fuzz]')")
        return 3
    trouble = endpoints.run(examples, bounds.seed)
    print(f"{API}: {'FOUND' if trouble else 'nothing found'}")
    for each in trouble:
        print(each)
    return 1 if trouble else 0
