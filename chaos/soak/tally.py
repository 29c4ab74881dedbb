"""
How it went, counted by all threads.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

from attrs import define, field

from chaos.soak.judge import Judged, Word

#: How many of the things that went wrong are kept in words.
KEPT = 200
#: How many clients that left are remembered; their backends are let go long before.
LEFT = 1000
#: Seconds after which a backend must have been let go, on however busy a machine.
SOON = 1.0
#: Seconds in which everything must be over, on however busy a machine: all timeouts of a route
#: together are less than half of that, and a backend that is waited for takes twice as long.
LATEST = 15.0


@define(eq=False)
class Tally:
    """
    What clients saw.

    :ivar words: outcomes, by kind of visit and by how it ended.
    :ivar wrong: what breaks a figure, in words; only the first of them.
    :ivar trouble: what went wrong in the soak itself.
    :ivar held: backends that answered to the end, long after their client had left.
    :ivar late: answers that were waited for without bound.
    """

    words: Counter[tuple[str, Word]] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    trouble: list[str] = field(factory=list)
    held: int = 0
    late: int = 0
    _left: dict[str, float] = field(factory=dict)
    _times: list[float] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def count(self, kind: str, judged: Judged, wall: str) -> None:
        """One more visit is over."""
        with self._lock:
            self.words[kind, judged.word] += 1
            if judged.word.figure and len(self.wrong) < KEPT:
                self.wrong.append(f"{wall} {kind}: {judged.word.says}: {judged.seen}")

    def bound(self, seconds: float) -> None:
        """How long an answer took, whatever was in its way."""
        with self._lock:
            self.late += seconds > LATEST

    def time(self, seconds: float) -> None:
        """How long an answer took that nothing was in the way of."""
        with self._lock:
            self._times.append(seconds)

    def times(self) -> list[float]:
        """Those since this was asked last, in order."""
        with self._lock:
            times, self._times = self._times, []
        return sorted(times)

    def leave(self, marker: str) -> None:
        """The client of a request has left."""
        with self._lock:
            self._left[marker] = time.monotonic()
            if len(self._left) > LEFT:
                del self._left[next(iter(self._left))]

    def played(self, marker: str) -> None:
        """A backend has answered a request to the end."""
        with self._lock:
            left = self._left.pop(marker, None)
            self.held += left is not None and time.monotonic() - left > SOON

    def complain(self, text: str) -> None:
        """Something that must not happen."""
        with self._lock:
            if len(self.trouble) < KEPT:
                self.trouble.append(text)

    @property
    def visits(self) -> int:
        """How many are over."""
        with self._lock:
            return sum(self.words.values())

    def broken(self, figure: str) -> int:
        """How often a figure was broken."""
        with self._lock:
            return sum(n for (_, word), n in self.words.items() if word.figure == figure)

    def by_word(self) -> Counter[str]:
        """Outcomes in words, of all kinds."""
        found: Counter[str] = Counter()
        with self._lock:
            for (_, word), number in self.words.items():
                found[word.says] += number
        return found
