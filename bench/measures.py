"""
The measures: each loads a contender in one way and gives the values of some metrics.

CPU time is taken from before the load until the contender rests again, so that what it puts
off (its request logs) is counted with the request that caused it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from bench.figures import CONNECTIONS
from bench.running import Running, pause

EVERY = 0.05
SMALL, MEGABYTE = 800, 1_000_000
#: The one whose CPU time is the headline.
HEADLINE = 64
FLAT_STREAMS, FLAT_EVENTS = 32, 1000
BIG_CONNECTIONS = 4


@dataclass(frozen=True)
class Sizes:
    """
    How long and how much.

    ``seconds`` is the length of a closed loop, ``warm`` that of the first, which is not
    measured; paced streams are opened over ``ramp`` seconds and all open for ``hold``.
    """

    seconds: float = 3.0
    warm: float = 1.0
    streams: int = 1000
    ramp: float = 4.0
    hold: float = 6.0


Measure = Callable[[Running, Sizes], dict[str, float]]


def metered(
    one: Running, opened: Callable[[], None] | None = None, **options: float
) -> tuple[dict[str, Any], float]:
    """What the load reports, and the CPU seconds that it caused."""
    written, before = one.records(), one.cpu()
    report = one.load(opened, **options)
    spent = one.settled_cpu() - before
    lost = report["requests"] - (one.records() - written)
    if one.contender.records and lost > 0:
        one.notes.append(f"{lost} of {report['requests']} request logs are missing")
    return report, spent


def warm_up(one: Running, sizes: Sizes) -> None:
    """Whatever is slow only once: compilers, caches, connections."""
    one.load(connections=16, seconds=sizes.warm)
    one.settled_cpu()


def start(one: Running, sizes: Sizes) -> dict[str, float]:
    """Time to the first answer, and the memory then."""
    if one.process is None:
        return {}
    return {"start.seconds": one.seconds, "start.memory": one.memory_kb() / 1024}


def requests(one: Running, sizes: Sizes) -> dict[str, float]:
    """1 KB in, 1 KB out, over a few and over many connections."""
    values: dict[str, float] = {}
    for count in CONNECTIONS:
        report, spent = metered(one, connections=count, seconds=sizes.seconds)
        values[f"rate.{count}"] = report["requests"] / report["seconds"]
        for share in ("p50", "p99"):
            values[f"latency.{share}.{count}"] = report["latency"][share]
        if count == HEADLINE and one.process:
            values["requests.cpu"] = spent / report["requests"] * 1e3
    return values


def flat(one: Running, sizes: Sizes) -> dict[str, float]:
    """Streams whose events come as fast as they go."""
    report, spent = metered(
        one, connections=FLAT_STREAMS, events=FLAT_EVENTS, seconds=sizes.seconds
    )
    return {"flat.cpu": spent / report["events"] * 1e6} if one.process else {}


@dataclass
class _Memory:
    """The memory while all streams are open."""

    one: Running
    wait: float
    kb: int = 0

    def look(self) -> None:
        """Once all have begun, and a little later."""
        pause(self.wait)
        self.kb = self.one.memory_kb()


def paced(one: Running, sizes: Sizes) -> dict[str, float]:
    """Many streams at once, an event of each every 50 ms; each on a connection of its own."""
    idle, memory = one.memory_kb(), _Memory(one, sizes.hold / 3)
    report, spent = metered(
        one,
        memory.look,
        connections=sizes.streams,
        requests=sizes.streams,
        ramp=sizes.ramp,
        seconds=sizes.ramp + sizes.hold,
        events=ceil((sizes.ramp + sizes.hold) / EVERY),
        every=round(EVERY * 1e6),
    )
    values = {
        f"paced.{name}.{share}": report[name][share]
        for name in ("first", "late")
        for share in ("p50", "p99")
    }
    if one.process:
        values["paced.cpu"] = spent / report["events"] * 1e6
        values["paced.memory"] = (memory.kb - idle) / sizes.streams
    return values


def big(one: Running, sizes: Sizes) -> dict[str, float]:
    """1 MB in one direction, 1 KB in the other."""
    values: dict[str, float] = {}
    if one.process is None:
        return values
    for name, (pad, answer) in {"request": (MEGABYTE, SMALL), "answer": (SMALL, MEGABYTE)}.items():
        report, spent = metered(
            one, connections=BIG_CONNECTIONS, seconds=sizes.seconds, pad=pad, answer=answer
        )
        values[f"big.{name}"] = spent / report["requests"] * 1e3
    return values


#: In the order in which they are run: memory first, while little has been allocated.
MEASURES: Mapping[str, Measure] = {
    "start": start,
    "paced": paced,
    "requests": requests,
    "flat": flat,
    "big": big,
}
