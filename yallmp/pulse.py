"""
Whether a worker is still there, found out by asking.

A process that was stopped, or runs in a circle, dies of nothing, and the connections that
the system gives to it wait for ever.  So its supervisor asks every :data:`BEAT` seconds; one
that leaves :data:`MISSED` questions in a row unanswered is given up.  Questions are counted,
not seconds: where the whole machine has slept, all are behind by one.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two questions.
BEAT = 3.0
#: How many may be left unanswered; more before the first answer, while it starts.
MISSED, MISSED_AT_START = 5, 20


@define(eq=False)
class Pulse:
    """
    Asks one process, from its start to its end.

    :ivar ask: asks it.
    :ivar silent: is called once, when it has not answered for too long.
    """

    reactor: IReactorTime
    ask: Callable[[], None]
    silent: Callable[[], None]
    _left: int = 0
    _timer: IDelayedCall | None = None

    def begin(self) -> None:
        """A process has started."""
        self._left = MISSED_AT_START
        self._timer = self.reactor.callLater(BEAT, self._beat)

    def felt(self) -> None:
        """It has said something."""
        self._left = MISSED

    def end(self) -> None:
        """It is gone, or is to end anyway."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _beat(self) -> None:
        self._timer = None
        if not self._left:
            self.silent()
            return
        self._left -= 1
        self.ask()
        self._timer = self.reactor.callLater(BEAT, self._beat)
