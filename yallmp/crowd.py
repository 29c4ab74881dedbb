"""
What becomes of a connection for which there is no room: it is told so, and closed.

It costs next to nothing: no parser, no request, nothing of what it sends is kept.  Closing at
once would reset a connection on which a request is coming in, and take the answer with it; so
a few of them may stay for a moment.  Beyond those a connection is closed without a word.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from yallmp.core.answerhead import last_answer
from yallmp.core.errors import Overloaded
from yallmp.refusing import DISCARD_TIME

#: So many are told at a time, and so often the log says how many there were, in seconds.
AT_A_TIME = 100
SAID_EVERY = 10.0
_log = Logger()
_ANSWER = last_answer(Overloaded("The proxy has as many connections as it may; try again."))


@define(eq=False)
class Crowd:
    """
    Those who are turned away.

    :ivar count: how many there were.
    """

    clock: IReactorTime
    count: int = 0
    _here: set[TurnedAway] = field(factory=set)
    _told: int = 0
    _told_at: float = float("-inf")

    def turn_away(self, most: int) -> TurnedAway | None:
        """Who tells the next one that there are *most* connections; ``None``: nobody does."""
        self.count += 1
        self._tell(most)
        return TurnedAway(self) if len(self._here) < AT_A_TIME else None

    def _tell(self, most: int) -> None:
        now = self.clock.seconds()
        if now - self._told_at < SAID_EVERY:
            return
        more, self._told, self._told_at = self.count - self._told, self.count, now
        _log.warn(
            "there are {most} connections, as many as may be: {more} more were refused"
            " (limits.max_connections)",
            most=most,
            more=more,
        )

    def join(self, one: TurnedAway) -> IDelayedCall:
        """*one* is told; the call that ends its connection."""
        self._here.add(one)
        one.transport.write(_ANSWER)  # type: ignore[union-attr]
        return self.clock.callLater(DISCARD_TIME, one.close)

    def leave(self, one: TurnedAway) -> None:
        """*one* is gone."""
        self._here.discard(one)


@define(eq=False)
class TurnedAway(Protocol):
    """A connection without room; what it sends is not read by anybody."""

    crowd: Crowd
    _end: Any = None

    def connectionMade(self) -> None:
        self._end = self.crowd.join(self)

    def close(self) -> None:
        """That was long enough."""
        self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.crowd.leave(self)
        if self._end.active():
            self._end.cancel()
