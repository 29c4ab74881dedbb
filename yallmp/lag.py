"""
How late the reactor is.

Whatever blocks the reactor's thread delays every request that is under way, and nothing in
the log tells of it.  So a timer is set twice a second, and how late it comes is counted.  A
block that lasts longer than that is always seen, a shorter one by chance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from yallmp.core.families import LAG, LAG_BOUNDS, Family
from yallmp.core.readings import Labels, Value

#: Seconds between two looks.
INTERVAL = 0.5


class Lag(Service):
    """Looks how late a timer is, again and again."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._value: Value = [0] * LAG.size
        self._call: IDelayedCall | None = None

    def read(self) -> Iterator[tuple[Family, Mapping[Labels, Value]]]:
        """See :data:`yallmp.core.readings.Source`."""
        yield LAG, {(): self._value}

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._wait()

    def stopService(self) -> None:
        """End."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _wait(self) -> None:
        due = self._clock.seconds() + INTERVAL
        self._call = self._clock.callLater(INTERVAL, self._look, due)

    def _look(self, due: float) -> None:
        late = max(0.0, self._clock.seconds() - due)
        self._value[bisect_left(LAG_BOUNDS, late)] += 1
        self._value[-1] += late
        self._wait()
