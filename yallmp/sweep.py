"""
One timer for all connections.

A connection has up to two times by which something must have happened.  A timer for each
would be made and cancelled with every request, which costs more than reading it; instead
one look a second finds those whose time is up.  So every limit of time is kept to a second.

The same look puts new limits in force where the configuration was replaced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.web.http import HTTPChannel, datetimeToString

from yallmp.core.settings import Limits

#: Seconds between two looks.
INTERVAL = 1.0


@define(eq=False)
class Sweep:
    """
    Looks after the connections of a site.

    :ivar limits: gives the limits in force.
    :ivar date: the time of day for answers' ``Date``, as of the last look.
    :ivar came: how many connections there ever were.
    :ivar draining: whether each is closed after the answer that is due on it.
    """

    clock: IReactorTime
    limits: Callable[[], Limits]
    date: bytes = b""
    came: int = 0
    draining: bool = False
    _known: Limits | None = None
    _gone: list[Deferred[None]] = field(factory=list)
    _open: set[SweptChannel] = field(factory=set)
    _call: IDelayedCall | None = None

    def add(self, connection: SweptChannel) -> None:
        """Look after *connection*."""
        self._open.add(connection)
        self.came += 1
        if self._call is None:
            self._wait()

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def discard(self, connection: SweptChannel) -> None:
        """*connection* is gone."""
        self._open.discard(connection)
        if not self._open and self._call is not None:
            self._call.cancel()
            self._call = None
        if not self._open:
            self._tell_gone()

    def drain(self) -> None:
        """
        From now on every answer is the last on its connection, and says so if it still can.

        A connection that waits for its next request still takes that one.
        """
        self.draining = True
        for each in self._open:
            if each.requests:
                each.persistent = False

    def close_idle(self) -> None:
        """
        Close the connections on which nothing is under way.

        On one that was just accepted the first request may be on its way: it has a second to come.
        """
        now = self.clock.seconds()
        for each in [each for each in self._open if each.is_idle]:
            if each.was_asked or each.born + INTERVAL < now:
                each.loseConnection()
            else:
                each.idle_due = each.born + INTERVAL

    def shut_down(self) -> None:
        """Refuse the requests that have not come whole: nobody will serve them any more."""
        for each in [each for each in self._open if each.whole_due != math.inf]:
            each.shut_down()

    def gone(self) -> Deferred[None]:
        """Fires when there is no connection any more."""
        gone: Deferred[None] = Deferred()
        self._gone.append(gone)
        if not self._open:
            self._tell_gone()
        return gone

    def _tell_gone(self) -> None:
        told, self._gone = self._gone, []
        for each in told:
            if not each.called:
                each.callback(None)

    def _wait(self) -> None:
        self.date = datetimeToString()
        self._call = self.clock.callLater(INTERVAL, self._look)

    def _look(self) -> None:
        self._wait()
        self._renew(self.limits())
        now = self.clock.seconds()
        for each in [each for each in self._open if each.unread or each.wire_waits]:
            each.look(now)
        for each in [each for each in self._open if each.idle_due <= now or each.whole_due <= now]:
            each.overdue()

    def _renew(self, limits: Limits) -> None:
        """Put *limits* in force, if they are others than before."""
        if limits is not self._known:
            self._known = limits
            for each in self._open:
                each.limit(limits)


class NoWire:
    """In place of a socket's transport where there is none; nothing waits in it."""

    dataBuffer = b""  # noqa: N815
    offset = _tempDataLen = 0  # noqa: N815


class SweptChannel(HTTPChannel):
    """
    A connection whose times a :class:`Sweep` looks after.

    :ivar limits: those in force for it.
    :ivar wire: the transport of its socket, below TLS.
    :ivar born: when it was accepted, on the clock's time.
    :ivar unread: what its client has not read, as of the last look; bytes.
    :ivar idle_due: when it is closed if nothing comes, on the clock's time.
    :ivar whole_due: when the head or the body that is coming must be whole, or be asked after.
    """

    site: Any
    limits: Limits = Limits()
    wire: Any = NoWire()
    born = 0.0
    unread = 0
    idle_due = math.inf
    whole_due = math.inf

    persistent: Any
    _savedTimeOut: Any  # noqa: N815 - Twisted's, set with the first request

    def limit(self, limits: Limits) -> None:
        """Put *limits* in force."""
        self.limits = limits

    @property
    def is_idle(self) -> bool:
        """Whether neither a request is under way nor the beginning of one is there."""
        return not (self.requests or self._buffer)

    @property
    def was_asked(self) -> bool:
        """Whether there ever was a request."""
        return self._savedTimeOut is not None

    def checkPersistence(self, request: Any, version: bytes) -> bool:  # noqa: N802
        """Whether another request may follow; none while the process is about to stop."""
        return bool(super().checkPersistence(request, version)) and not self.site.sweep.draining

    def connectionMade(self) -> None:
        self.born = self.site.reactor.seconds()
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

    def await_nothing(self) -> None:
        """What was on its way is there, or not waited for any more."""
        self.whole_due = math.inf

    def overdue(self) -> None:
        """The time for what is coming, or for anything at all, has passed."""
        late = self.whole_due <= self.site.reactor.seconds()
        self.whole_due = math.inf
        if late:
            self.too_slow()
        elif self.unread:
            self.resetTimeout()  # it reads an answer, at its own pace
        else:
            self.idle_due = math.inf
            self.timeoutConnection()

    def look(self, now: float) -> None:
        """See what its client has read."""

    @property
    def wire_waits(self) -> bool:
        """Whether its socket has not taken all; a part of that may not have been tried yet."""
        return bool(self.wire.dataBuffer or self.wire._tempDataLen)

    def shut_down(self) -> None:
        """What is coming is not waited for: the process ends."""
        self.loseConnection()

    def too_slow(self) -> None:
        """What is coming should be whole by now."""
        self.timeoutConnection()
