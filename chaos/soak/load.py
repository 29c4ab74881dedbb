"""
Clients, so many a second, and never more at once than there are threads.

Where the machine cannot keep up, visits are left out rather than made up for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from random import Random

from attrs import define, field

from chaos.soak.tally import Tally
from chaos.soak.visitor import Visitor
from chaos.soak.visits import Visit

THREADS = 48
#: A turn that is so many seconds late is left out.
LATE = 1.0


@define(eq=False)
class Pace:
    """When the next visit is due: at random, *rate* a second on the average."""

    rate: float
    draw: Random
    _due: float = field(factory=time.monotonic)
    _lock: threading.Lock = field(factory=threading.Lock)

    def next(self) -> float:
        """The time of the next visit, on the monotonic clock."""
        with self._lock:
            self._due = max(self._due, time.monotonic() - LATE)
            self._due += self.draw.expovariate(self.rate)
            return self._due


@define(eq=False)
class Load:
    """All clients."""

    port: int
    good_port: int
    pace: Pace
    tally: Tally
    visits: Mapping[Visit, int]
    seed: int
    over: threading.Event = field(factory=threading.Event)
    _threads: list[threading.Thread] = field(factory=list)

    def start(self) -> None:
        """Begin."""
        for number in range(THREADS):
            thread = threading.Thread(target=self._client, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> int:
        """Begin nothing more; how many clients are still there after *seconds*."""
        self.over.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return sum(thread.is_alive() for thread in self._threads)

    def _client(self, number: int) -> None:
        draw = Random(f"{self.seed} {number}")
        visitor = Visitor(f"c{number}", self.port, draw, self.tally, self.good_port)
        kinds, weights = list(self.visits), list(self.visits.values())
        while not self.over.wait(max(0.0, self.pace.next() - time.monotonic())):
            visit = draw.choices(kinds, weights)[0]
            try:
                visit(visitor)
            except Exception as error:
                self.tally.complain(f"{visit.__name__}: {type(error).__name__}: {error}")
        visitor.close()
