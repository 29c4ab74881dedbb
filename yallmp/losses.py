"""
Lost records, told in the daemon's log when it begins and when it is over.

A disk that is full refuses every record, thousands a minute; that is one trouble and not
a thousand, so it gets one line at its start and one, with the count, at its end.  A
trouble that comes and goes gets one line in ``PAUSE`` seconds.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

PAUSE = 10.0


class Losses:
    """
    Counts the records that one kind of trouble costs, and says so.

    ``total`` is how many there were since the start.
    """

    def __init__(self, reactor: IReactorTime, log: Logger) -> None:
        self.total = 0
        self._reactor = reactor
        self._log = log
        self._untold = 0
        self._reason = ""
        self._ongoing = False
        self._timer: IDelayedCall | None = None
        self._quiet_until = 0.0

    def lost(self, count: int, reason: str) -> None:
        """*count* more records are lost."""
        self.total += count
        self._untold += count
        self._reason = reason
        if not self._ongoing:
            self._ongoing = True
            self._wake()

    def over(self) -> None:
        """Records are written again."""
        if self._ongoing:
            self._ongoing = False
            self._wake()

    def close(self) -> None:
        """The last chance to say something."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._untold:
            self._log.warn("{count} records were lost: {reason}", count=self._untold, **self._why())

    def _wake(self) -> None:
        """Something changed; say so, soon or at the end of the pause."""
        if self._timer is None:
            wait = max(0.0, self._quiet_until - self._reactor.seconds())
            self._timer = self._reactor.callLater(wait, self._tell)

    def _tell(self) -> None:
        """Say how it stands."""
        self._timer = None
        self._quiet_until = self._reactor.seconds() + PAUSE
        if self._ongoing:
            self._log.warn(
                "records are being lost: {reason}; requests are served all the same", **self._why()
            )
        elif self._untold:
            self._log.warn(
                "records are written again; {count} were lost: {reason}",
                count=self._untold,
                **self._why(),
            )
            self._untold = 0

    def _why(self) -> dict[str, str]:
        """For the log."""
        return {"reason": self._reason}
