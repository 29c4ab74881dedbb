"""
One timer for all connections.

A connection has up to two times by which something must have happened.  A timer for each
would be made and cancelled with every request, which costs more than reading it; instead
one look a second finds those whose time is up.  So every limit of time is kept to a second.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.http import HTTPChannel, datetimeToString

#: Seconds between two looks.
INTERVAL = 1.0


@define(eq=False)
class Sweep:
    """
    Looks after the connections of a site.

    :ivar date: the time of day for answers' ``Date``, as of the last look.
    """

    clock: IReactorTime
    date: bytes = b""
    _open: set[SweptChannel] = field(factory=set)
    _call: IDelayedCall | None = None

    def add(self, connection: SweptChannel) -> None:
        """Look after *connection*."""
        self._open.add(connection)
        if self._call is None:
            self._wait()

    def discard(self, connection: SweptChannel) -> None:
        """*connection* is gone."""
        self._open.discard(connection)
        if not self._open and self._call is not None:
            self._call.cancel()
            self._call = None

    def _wait(self) -> None:
        self.date = datetimeToString()
        self._call = self.clock.callLater(INTERVAL, self._look)

    def _look(self) -> None:
        self._wait()
        now = self.clock.seconds()
        for each in [each for each in self._open if each.idle_due <= now or each.head_due <= now]:
            each.overdue()


class SweptChannel(HTTPChannel):
    """
    A connection whose times a :class:`Sweep` looks after.

    :ivar idle_due: when it is closed if nothing comes, on the clock's time.
    :ivar head_due: when the head that is coming must be whole.
    """

    site: Any
    idle_due = math.inf
    head_due = math.inf

    def connectionMade(self) -> None:
        self.site.sweep.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self.site.sweep.discard(self)
        super().connectionLost(reason)

    def setTimeout(self, period: Any) -> Any:  # noqa: N802
        """Close in *period* seconds, unless something comes; the period before."""
        before, self.timeOut = self.timeOut, period
        self.idle_due = math.inf if period is None else self.site.reactor.seconds() + period
        return before

    def resetTimeout(self) -> None:  # noqa: N802
        """Something came."""
        if self.timeOut is not None:
            self.idle_due = self.site.reactor.seconds() + self.timeOut

    def await_head(self, seconds: float) -> None:
        """A head begins, which must be whole in so many *seconds*."""
        self.head_due = self.site.reactor.seconds() + seconds

    def overdue(self) -> None:
        """The time for the head, or for anything at all, has passed."""
        head = self.head_due <= self.site.reactor.seconds()
        self.idle_due = self.head_due = math.inf
        if head:
            self.head_overdue()
        else:
            self.timeoutConnection()

    def head_overdue(self) -> None:
        """The head comes too slowly."""
        self.timeoutConnection()
