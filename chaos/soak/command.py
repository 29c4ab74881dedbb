"""
``python -m chaos soak``: progress, the verdict, and what is written down.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import asdict, define

from chaos.proxy import CHECKOUT, OURS
from chaos.soak import plot, verdict
from chaos.soak.run import Plan, Soak
from chaos.soak.samples import Sample

#: Seconds between two lines of progress.
EVERY = 10.0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m chaos soak",
        description="Serve under mixed faults for long, and see that nothing is lost or left over.",
        epilog="SIGINT ends the load early. The status is 0 if all that was seen holds.",
    )
    add = made.add_argument
    add("--seconds", type=float, default=3600.0, help="how long the load takes (default: 3600)")
    add("--rate", type=float, default=40.0, help="requests a second, at most (default: 40)")
    add("--seed", type=int, default=1, help="repeats what clients and backends do (default: 1)")
    add("--workers", type=int, default=1, help="how many workers serve (default: 1)")
    add("--out", type=Path, default=Path("soak"), help="folder for the results (default: soak)")
    add("--yallmp", metavar="CMD", help="the command that starts the proxy (default: this one)")
    add("--light", action="store_true", help="no large bodies: a short run is over at once")
    return made


@define
class Progress:
    """Prints a line every ten seconds, and keeps what was seen in a file."""

    out: Path
    _printed: float = float("-inf")

    def __call__(self, soak: Soak, sample: Sample) -> None:
        """One more sample."""
        line = json.dumps(sample.as_json)
        with (self.out / "samples.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if sample.at - self._printed >= EVERY - 1:
            self._printed = sample.at
            print(_line(soak, sample), flush=True)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.0f}"


def _line(soak: Soak, sample: Sample) -> str:
    left = max(0.0, soak.plan.seconds - sample.at)
    inside, tally = sample.inside, soak.tally
    broken = sum(map(tally.broken, ("1", "2", "7")))
    return (
        f"{time.strftime('%H:%M:%S')}  {sample.at:6.0f} s, {left:5.0f} s left  "
        f"{sample.visits:7,} visits  p50 {_ms(sample.half)} p99 {_ms(sample.most)} ms  "
        f"late {_ms(sample.lag)} ms  {sample.lasting_memory:6.1f} MiB  "
        f"fds {sample.lasting_descriptors:g}  timers {inside.timers:g}  "
        f"in flight {inside.in_flight:g}  wrong {broken}, trouble {len(tally.trouble)}"
    )


def main(words: Sequence[str]) -> int:
    """Run it; whether all holds."""
    options = parser().parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "samples.jsonl").write_text("", encoding="utf-8")
    soak = Soak(_plan(options), Progress(options.out))
    with _ended_by_signals(soak):
        soak.run()
    _report(soak, options.out)
    return 0 if verdict.holds(soak.findings) else 1


def _plan(options: argparse.Namespace) -> Plan:
    command = shlex.split(options.yallmp) if options.yallmp else OURS
    return Plan(
        options.seconds, options.rate, options.seed, options.workers, command, not options.light
    )


@contextmanager
def _ended_by_signals(soak: Soak) -> Iterator[None]:
    """Have signals end the load, also where a shell has had us ignore them."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: soak.over.set()) for number in numbers]
    try:
        yield
    finally:
        for number, was in zip(numbers, before, strict=True):
            signal.signal(number, was)


def _report(soak: Soak, out: Path) -> None:
    """Print the verdict, and write all of it."""
    print("\n" + told(soak), flush=True)
    (out / "soak.json").write_text(json.dumps(as_json(soak), indent=1) + "\n", encoding="utf-8")
    picture = out / "soak.png"
    drawn = plot.draw(soak.observer.samples, _title(soak), soak.ended, picture)
    print(f"\n{picture}" if drawn else "\nno picture: matplotlib is not there", flush=True)


def _title(soak: Soak) -> str:
    plan, visits = soak.plan, soak.tally.visits
    return (
        f"yallmp, soak of {soak.ended:,.0f} s: {visits:,} visits with mixed faults, "
        f"{plan.workers} worker(s)"
    )


def told(soak: Soak) -> str:
    """The verdict in words."""
    tally = soak.tally
    counts = [f"{number:8,}  {name}" for name, number in tally.by_word().most_common()]
    wrong = [f"  {each}" for each in [*tally.wrong[:30], *tally.trouble[:30]]]
    mishaps = ", ".join(f"{name} {number} times" for name, number in soak.mishaps.done.items())
    rate = tally.visits / max(1.0, soak.ended)
    return "\n".join(
        [
            f"{tally.visits:,} visits in {soak.ended:.0f} s, {rate:.1f} a second; {mishaps}",
            *counts, "", *wrong, *map(str, soak.findings),
            "PASSED" if verdict.holds(soak.findings) else "FAILED",
        ]
    )  # fmt: skip


def as_json(soak: Soak) -> dict[str, object]:
    """All that is known."""
    tally = soak.tally
    kinds = {f"{kind}: {word.says}": number for (kind, word), number in sorted(
        tally.words.items(), key=lambda each: (each[0][0], each[0][1].says)
    )}  # fmt: skip
    return {
        "plan": asdict(soak.plan), "checkout": str(CHECKOUT.name), "seconds": soak.ended,
        "visits": tally.visits, "outcomes": kinds, "mishaps": soak.mishaps.done,
        "wrong": tally.wrong, "trouble": tally.trouble,
        "findings": verdict.as_json(soak.findings), "holds": verdict.holds(soak.findings),
    }  # fmt: skip
