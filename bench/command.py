"""
The command line: what to measure, with whom, and where the figures go.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

from bench import contenders, machine, tables
from bench.contenders import Contender, Unusable
from bench.figures import BASE
from bench.measures import MEASURES, Sizes
from bench.rounds import Plan, Results, run
from bench.running import Broken, Stand, upstream

INSTALL = "run scripts/install.sh, then .venv/bin/python -m bench"
QUICK = Sizes(seconds=1.0, warm=0.5, ramp=2.0, hold=2.0)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what proxies cost: yallmp beside nginx, and whom you name.",
        epilog="Five rounds take about a quarter of an hour. See docs/performance.md.",
    )
    add = made.add_argument
    add("--rounds", type=int, metavar="N", help="how often all are measured (default: 5)")
    add("--quick", action="store_true", help="two short rounds, for a first look")
    add("--only", metavar="MEASURE,...", help=f"some of: {', '.join(MEASURES)}")
    add("--contender", action="append", default=[], metavar="NAME", help="one of; repeatable")
    add("--contenders", type=Path, default=contenders.KNOWN_FILE, metavar="FILE",
        help="a file that describes others (default: bench/contenders.json)")  # fmt: skip
    add("--streams", type=int, default=1000, metavar="N", help="how many paced streams at once")
    add("--json", type=Path, metavar="FILE", help="write all values there")
    add("--from", type=Path, metavar="FILE", dest="earlier", help="show such a file; no measuring")
    add("--markdown", action="store_true", help="print one Markdown table")
    return made


def main(words: Sequence[str]) -> int:
    """Measure, print, and say by the status whether all figures count."""
    options = parser().parse_args(words)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        results = _earlier(options.earlier) if options.earlier else _measure(options)
    except (Unusable, Broken) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if options.json:
        options.json.write_text(json.dumps(results.as_json(), indent=1) + "\n", encoding="utf-8")
    print(shown(results, options.markdown), end="")
    return 1 if results.void or not results.complete else 0


def shown(results: Results, as_markdown: bool) -> str:
    """The results as they are printed."""
    about = "".join(f"{name}: {value}\n" for name, value in results.about.items())
    return tables.markdown(results) if as_markdown else f"{about}\n{tables.text(results)}"


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Once is enough: a second one would disturb the cleaning up."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _earlier(path: Path) -> Results:
    try:
        return Results(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise Unusable(f"{path} holds no results: {error}") from error


def measures(only: str | None) -> list[str]:
    """
    The measures that are wanted, in the order in which they are run.

    :raises Unusable: for one that there is not.
    """
    wanted = only.split(",") if only else list(MEASURES)
    for name in wanted:
        if name not in MEASURES:
            raise Unusable(f'there is no measure "{name}"; there are: {", ".join(MEASURES)}')
    return [name for name in MEASURES if name in wanted]


def sizes(quick: bool, streams: int) -> Sizes:
    """How long and how much."""
    return replace(QUICK if quick else Sizes(), streams=streams)


def _prepare() -> None:
    """Programs of the system are found; a thousand streams, and more, have their descriptors."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _stand() -> Iterator[Stand]:
    """The two ends, and a folder that is removed at the end."""
    cores = machine.cores()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is another user when root starts it
        rig = machine.build(folder)
        with upstream(rig, cores) as port:
            yield Stand(rig, cores, port, folder)


def _about(plan: Plan) -> dict[str, str]:
    s = plan.sizes
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        **machine.versions(),
        "cores": str(plan.stand.cores),
        "rounds": f"{plan.rounds}, {s.seconds:g} s each; {s.streams} paced streams",
    }


def present(competing: Sequence[Contender], named: Sequence[str]) -> list[Contender]:
    """
    Those that can run here: nginx is left out where there is none, unless it was named.

    :raises Unusable: where this Python cannot run yallmp, which is to run.
    """
    if any(who.files.get("yallmp.yaml") for who in competing) and not machine.has_twisted():
        raise Unusable(f"{sys.executable} has no Twisted; {INSTALL}")
    if machine.has(BASE) or BASE in named:
        return list(competing)
    _tell("bench: without nginx there are no ratios; on Debian: apt-get install nginx-light")
    return [who for who in competing if who.name != BASE]


def _measure(options: argparse.Namespace) -> Results:
    machine.check()
    _prepare()
    wanted = measures(options.only)
    known = {**contenders.built_in(), **contenders.read_file(options.contenders)}
    competing = present(contenders.chosen(options.contender, known), options.contender)
    rounds = options.rounds or (2 if options.quick else 5)
    strangers = machine.Strangers.from_now()
    with _stand() as stand:
        size = sizes(options.quick, options.streams)
        results = _rounds(Plan(stand, competing, wanted, size, rounds))
    results.about["others"] = f"{strangers.share():.0%} of the cores' time went to other programs"
    return results


def _rounds(plan: Plan) -> Results:
    results = Results(_about(plan), [contender.name for contender in plan.contenders])
    try:
        run(plan, results, _tell)
    except KeyboardInterrupt:
        results.complete = False
        results.notes.append(f"interrupted after {len(results.rounds)} whole rounds")
    return results
