"""
How it went, counted by all threads.
"""

from __future__ import annotations

import threading
from collections import Counter

from attrs import define, field

from chaos.soak.judge import Judged, Word

#: How many of the things that went wrong are kept in words.
KEPT = 200


@define(eq=False)
class Tally:
    """
    What clients saw.

    :ivar words: outcomes, by kind of visit and by how it ended.
    :ivar wrong: what breaks a figure, in words; only the first of them.
    :ivar trouble: what went wrong in the soak itself.
    """

    words: Counter[tuple[str, Word]] = field(factory=Counter)
    wrong: list[str] = field(factory=list)
    trouble: list[str] = field(factory=list)
    _times: list[float] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def count(self, kind: str, judged: Judged, wall: str) -> None:
        """One more visit is over."""
        with self._lock:
            self.words[kind, judged.word] += 1
            if judged.word.figure and len(self.wrong) < KEPT:
                self.wrong.append(f"{wall} {kind}: {judged.word.says}: {judged.seen}")

    def time(self, seconds: float) -> None:
        """How long an answer took that nothing was in the way of."""
        with self._lock:
            self._times.append(seconds)

    def times(self) -> list[float]:
        """Those since this was asked last, in order."""
        with self._lock:
            times, self._times = self._times, []
        return sorted(times)

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
