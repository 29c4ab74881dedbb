"""
How a connection ends with a refusal: of a request that is not whole, or not HTTP at all.

The client gets an error in OpenAI's shape, and is to see it: closing at once, while it is
still sending, would reset the connection and take the answer with it.  So some of what
still comes is read and thrown away first, which costs no memory, and not for long.
"""

from __future__ import annotations

from typing import Any

from yallmp.arrivals import Arrival
from yallmp.core.answerhead import last_answer
from yallmp.core.errors import ProxyError
from yallmp.unread import UnreadChannel

#: What is still read after a refusal: bytes and seconds.
DISCARD_BYTES = 1024 * 1024
DISCARD_TIME = 2.0


class RefusingChannel(UnreadChannel):
    """A connection that can be told no, once."""

    requests: list[Any]
    _discard_left: int | None = None
    _lost = False

    @property
    def refusing(self) -> bool:
        """Whether this connection has had its last answer."""
        return self._discard_left is not None

    def refuse(self, error: ProxyError) -> None:
        """Answer the request that is coming in with *error*, and close."""
        if self.refusing:
            return
        self.await_nothing()
        self.setTimeout(None)
        self._discard_left = DISCARD_BYTES
        self.write(refusal(error, self.site.refused(self, error)))
        for request in self.requests:
            request.let_go()
        self.callLater(DISCARD_TIME, self._close)

    def discard(self, data: bytes) -> None:
        """Throw away what still comes, up to a limit."""
        assert self._discard_left is not None
        self._discard_left -= len(data)
        if self._discard_left < 0:
            self.loseConnection()

    def _close(self) -> None:
        if not self._lost:
            self.loseConnection()


def refusal(error: ProxyError, arrival: Arrival) -> bytes:
    """The whole answer that tells *error* to the request that is *arrival*."""
    asked = arrival.client_request_id or arrival.id
    ids = (b"X-Request-Id", asked.encode()), (b"X-Yallmp-Id", arrival.id.encode())
    return last_answer(error, *ids)
