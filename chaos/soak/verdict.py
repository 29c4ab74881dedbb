"""
What all of it comes to: each figure with what it was in the beginning and in the end.

Pure, from the samples and the counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import asdict, frozen

from chaos.soak.samples import Sample

#: A slope of memory is judged from so many requests on; below, chance is greater.
ENOUGH = 5_000
PER = 10_000
#: MiB that so many requests may add.
MOST = 1.0
#: Threads that a reactor may have for what blocks.
POOL = 10


@frozen
class Finding:
    """
    One thing that must hold.

    :ivar figure: the figure of reliability that it belongs to.
    :ivar passed: ``None`` where too little was seen to say.
    """

    figure: str
    name: str
    told: str
    passed: bool | None

    def __str__(self) -> str:
        """As a line."""
        word = {True: "PASS", False: "FAIL", None: "----"}[self.passed]
        return f"{word}  [{self.figure}] {self.name}: {self.told}"


def slope(points: Iterable[tuple[float, float]]) -> float:
    """How much *y* grows with *x*, by least squares; 0 where *x* does not change."""
    known = list(points)
    if not known:
        return 0.0
    middle_x = sum(x for x, _ in known) / len(known)
    middle_y = sum(y for _, y in known) / len(known)
    spread = sum((x - middle_x) ** 2 for x, _ in known)
    both = sum((x - middle_x) * (y - middle_y) for x, y in known)
    return both / spread if spread else 0.0


def second_half(samples: Sequence[Sample]) -> Sequence[Sample]:
    """What came after the warm-up: half of the time."""
    if not samples:
        return samples
    middle = (samples[0].at + samples[-1].at) / 2
    return [each for each in samples if each.at >= middle]


def memory(samples: Sequence[Sample]) -> Finding:
    """Whether memory grows with requests; *samples* are those of the load."""
    half = second_half(samples)
    grows = slope((each.visits / PER, each.lasting_memory) for each in half)
    served = half[-1].visits - half[0].visits if half else 0
    ends = f"{samples[0].lasting_memory:.1f} → {samples[-1].lasting_memory:.1f} MiB" if half else ""
    told = (
        f"{ends}; {grows:+.2f} MiB per {PER:,} requests in the second half "
        f"({served:,} requests), at most {MOST:g}"
    )
    if served < ENOUGH:
        return Finding("10", "memory", f"{told}; too few requests to judge", None)
    return Finding("10", "memory", told, grows <= MOST)


def back(name: str, start: float, peak: float, end: float) -> Finding:
    """Whether something is where it was in the beginning."""
    told = f"{start:g} in the beginning, {peak:g} at most, {end:g} in the end"
    return Finding("10", name, told, end <= start)


def threads(start: int, samples: Sequence[Sample]) -> Finding:
    """Whether there are only those of a pool; it grows when it is needed, up to its size."""
    most = max((each.threads for each in samples), default=start)
    told = f"{start} in the beginning, {most} at most; {start + POOL} may be"
    return Finding("10", "threads", told, most <= start + POOL)


def leftovers(start: Sample, samples: Sequence[Sample], end: Sample) -> list[Finding]:
    """What must be back to the start; *samples* are all of them."""
    return [
        back(name, read(start), max(map(read, [start, *samples])), read(end))
        for name, read in READINGS.items()
    ]


#: What must be back, and where it stands.
READINGS = {
    "descriptors": lambda sample: sample.lasting_descriptors,
    "timers": lambda sample: sample.inside.timers,
    "requests in flight": lambda sample: sample.inside.in_flight,
    "requests in queues": lambda sample: sample.inside.queued,
    "bytes held": lambda sample: sample.inside.buffered,
    "clients' connections": lambda sample: sample.inside.clients,
    "backends' connections": lambda sample: sample.inside.busy + sample.inside.idle,
}


def is_back(start: Sample, now: Sample) -> bool:
    """Whether everything is where it was."""
    return all(read(now) <= read(start) for read in READINGS.values())


def counted(figure: str, name: str, broken: int, of: int) -> Finding:
    """Whether something never happened."""
    return Finding(figure, name, f"{broken:,} of {of:,}", None if not of else not broken)


def holds(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(each.passed is not False for each in findings)


def as_json(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """For programs."""
    return [asdict(each) for each in findings]
