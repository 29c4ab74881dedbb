"""
How the proxy is: its processes from outside, in ``/proc``, and from inside, by ``/metrics``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import asdict, define, field, frozen

from bench import accounts
from chaos import client, secrets
from chaos.client import Caller
from chaos.proxy import Proxy

_LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: What a process is, by what stands in its command line; what has none of it serves.
_ROLES = {b"recorder": "recorder", b"clerk": "clerk"}
#: Those that stay as long as the proxy does.
LASTING = ("proxy", "recorder")


@frozen
class Process:
    """What ``/proc`` says of one process; memory is resident, in MiB."""

    role: str
    memory: float
    descriptors: int
    threads: int


@frozen
class Inside:
    """
    What ``/metrics`` says.

    :ivar lag: seconds by which timers were late since the start, and how many timers that were.
    """

    in_flight: float = 0
    queued: float = 0
    timers: float = 0
    buffered: float = 0
    clients: float = 0
    busy: float = 0
    idle: float = 0
    lost_records: float = 0
    lag: tuple[float, float] = (0, 0)


@frozen
class Sample:
    """
    How it was at one moment.

    :ivar at: seconds since the beginning of the load.
    :ivar visits: how many were over.
    :ivar memory: MiB, by what a process is; so are the descriptors.
    :ivar lag: seconds by which a timer was late on the average, since the sample before.
    :ivar half: the time that half of the undisturbed answers needed; ``most`` is for 99 of 100.
    """

    at: float
    visits: int
    memory: Mapping[str, float]
    descriptors: Mapping[str, float]
    threads: int
    inside: Inside
    lag: float = 0.0
    half: float | None = None
    most: float | None = None

    @property
    def lasting_memory(self) -> float:
        """Of the processes that stay; MiB."""
        return sum(self.memory.get(role, 0.0) for role in LASTING)

    @property
    def lasting_descriptors(self) -> float:
        """Of the processes that stay."""
        return sum(self.descriptors.get(role, 0.0) for role in LASTING)

    @property
    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def quantile(times: list[float], part: float) -> float | None:
    """Of times in order, the one that *part* of them do not exceed."""
    return times[min(len(times) - 1, int(part * len(times)))] if times else None


def processes(root: int) -> Iterator[Process]:
    """What there is of the proxy."""
    for each in accounts.processes(root):
        with suppress(OSError, IndexError, StopIteration):
            yield _process(Path("/proc") / str(each.pid))


def _process(folder: Path) -> Process:
    command = (folder / "cmdline").read_bytes()
    role = next((role for word, role in _ROLES.items() if word in command), "proxy")
    memory = int((folder / "statm").read_text(encoding="ascii").split()[1]) * _PAGE / (1 << 20)
    status = (folder / "status").read_text(encoding="utf-8")
    threads = next(line for line in status.splitlines() if line.startswith("Threads:"))
    return Process(role, memory, len(os.listdir(folder / "fd")), int(threads.split()[1]))


def numbers(text: str) -> Iterator[tuple[str, str, float]]:
    """The samples of an exposition: name, labels, value."""
    for name, labels, value in _LINE.findall(text):
        yield name, labels, float(value)


def inside(text: str) -> Inside:
    """What an exposition says of what must be back to little in the end."""
    sums: dict[str, float] = {}
    for name, labels, value in numbers(text):
        state = re.search(r'state="(\w+)"', labels) if "backend_connections" in name else None
        key = f"{name} {state[1]}" if state else name
        sums[key] = sums.get(key, 0.0) + value
    at = {name: sums.get(f"yallmp_{name}", 0.0) for name in _NAMES}
    return Inside(
        *(at[name] for name in _NAMES[:-2]),
        lag=(at["reactor_lag_seconds_sum"], at["reactor_lag_seconds_count"]),
    )


_NAMES = (
    "requests_in_flight", "queue_length", "reactor_timers", "buffered_bytes", "client_connections",
    "backend_connections busy", "backend_connections idle", "records_lost_total",
    "reactor_lag_seconds_sum", "reactor_lag_seconds_count",
)  # fmt: skip


@define
class Observer:
    """
    Looks at a proxy.

    :ivar samples: what was seen so far.
    """

    proxy: Proxy
    samples: list[Sample] = field(factory=list)
    _lag: tuple[float, float] = (0, 0)

    def look(self, at: float, visits: int, times: list[float]) -> Sample:
        """How it is now; *times* are those of undisturbed answers."""
        found = list(processes(self.proxy.process.pid))
        now = inside(self._metrics())
        (late, count), (late_before, before) = now.lag, self._lag
        self._lag = now.lag
        memory: dict[str, float] = {}
        descriptors: dict[str, float] = {}
        for each in found:
            memory[each.role] = memory.get(each.role, 0.0) + each.memory
            descriptors[each.role] = descriptors.get(each.role, 0.0) + each.descriptors
        sample = Sample(
            at, visits, memory, descriptors, sum(each.threads for each in found), now,
            (late - late_before) / max(1.0, count - before),
            quantile(times, 0.5), quantile(times, 0.99),
        )  # fmt: skip
        self.samples.append(sample)
        return sample

    def _metrics(self) -> str:
        caller = Caller(self.proxy.port, 60.0)
        caller.send(client.head(0, key=secrets.ADMIN, path="/metrics", method="GET"))
        answer = caller.answer()
        caller.close()
        return answer.body.decode()
