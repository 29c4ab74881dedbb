"""
A proxy whose reactor notes how long it was kept from turning.

A ticker runs every few milliseconds; the longest time between two ticks, and the most
processor time that the reactor's thread spent between two, stand in a file that is shared
with whoever measures.  The first tells what a client would feel, the second is the same on a
busy machine.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from typing import Any

from twisted.internet import main as internet

from yallmp.__main__ import main

EVERY = 0.005
WORST = struct.Struct("dd")
_install = internet.installReactor


class Ticker:
    """Notes the longest gaps in *shared*."""

    def __init__(self, reactor: Any, shared: mmap.mmap) -> None:
        self._reactor = reactor
        self._shared = shared
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.thread_time()

    def tick(self) -> None:
        """A moment has passed, or more than one."""
        now = self._now()
        wall, spent = WORST.unpack_from(self._shared)
        gaps = [now[i] - self._last[i] for i in (0, 1)]
        WORST.pack_into(self._shared, 0, max(wall, gaps[0] - EVERY), max(spent, gaps[1]))
        self._last = self._now()
        self._reactor.callLater(EVERY, self.tick)


def install(reactor: Any) -> None:
    """Install *reactor*, whichever is configured, with a ticker."""
    _install(reactor)
    with open(SHARED, "r+b") as file:
        ticker = Ticker(reactor, mmap.mmap(file.fileno(), WORST.size))
    reactor.callWhenRunning(ticker.tick)


if __name__ == "__main__":
    SHARED = sys.argv.pop(1)
    internet.installReactor = install
    sys.exit(main())
