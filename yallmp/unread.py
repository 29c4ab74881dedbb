"""
A client that reads slowly, or not at all.

What it has not taken stands in the buffer of its socket's transport.  A stream's backend
is made to wait when that is full (:mod:`yallmp.downstream`); a whole answer is in it as it
is, also when its request is over.  Once a second (:mod:`yallmp.sweep`) a connection with
anything in it is looked at: whether some of it went since the last look, and how much there
is, which is entered in the account of all.

Whoever takes nothing for ``write_timeout`` is cut off.  Where the account is over its limit,
those who do not read go much sooner: memory is needed by those who do.
"""

from __future__ import annotations

import math
from typing import Any

from twisted.logger import Logger

from yallmp.core.settings import Limits
from yallmp.sweep import INTERVAL, NoWire, SweptChannel

#: So long one who does not read may stay where memory is short; seconds.
SHORT = 5.0
_log = Logger()


class UnreadChannel(SweptChannel):
    """
    A connection whose client may not read.

    :ivar unread: the bytes that are in the account for it.
    """

    unread = 0
    _mark: tuple[int, int] = (0, 0)
    _stands_since = 0.0
    _looked_at = -math.inf

    def connectionMade(self) -> None:
        below: Any = getattr(self.transport, "transport", self.transport)  # of TLS
        if hasattr(below, "dataBuffer"):
            self.wire = below
            below.full_at = self.limits.max_client_buffer
        super().connectionMade()

    def limit(self, limits: Limits) -> None:
        """Put *limits* in force."""
        super().limit(limits)
        if not isinstance(self.wire, NoWire):
            self.wire.full_at = limits.max_client_buffer

    def look(self, now: float) -> None:
        """What has become of what the client is to read, and whether that takes too long."""
        wire: Any = self.wire
        self._enter(_waiting(wire))
        mark = id(wire.dataBuffer), wire.offset
        if mark != self._mark or now - self._looked_at > 2 * INTERVAL:
            self._mark, self._stands_since = mark, now
        self._looked_at = now
        stands = now - self._stands_since
        if self.unread and stands >= self._patience():
            _log.info("a client took nothing for {stands:.0f} s: it is cut off", stands=stands)
            self.transport.abortConnection()  # type: ignore[union-attr]

    def _patience(self) -> float:
        """How long the client may take nothing; seconds."""
        account, patience = self.site.account, self.limits.write_timeout
        return patience if account.held <= account.limit else min(patience, SHORT)

    def _enter(self, size: int) -> None:
        self.site.account.held += size - self.unread
        if self.unread and not size:
            self.resetTimeout()  # it has read all of it
        self.unread = size

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._enter(_waiting(self.wire))
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """It has read all of it."""
        self._enter(_waiting(self.wire))
        super().resumeProducing()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self._enter(0)
        super().connectionLost(reason)


def _waiting(wire: Any) -> int:
    """How many bytes *wire* has not sent yet."""
    return int(len(wire.dataBuffer) - wire.offset + wire._tempDataLen)
