"""
How long a request may take to arrive.

A head has ``head_timeout`` *in total*, from its first byte; Twisted's own timer starts anew
with every read.  A body has ``body_timeout``, and beyond it as long as it keeps up
``body_rate`` on the whole: so a large one over a thin line arrives, and one that is dripped
does not hold its place for hours.  What comes too slowly is refused with 408.

A connection on which nothing is under way may be silent for longer (``IDLE_TIME`` in
:mod:`yallmp.site`); then it is closed without a word, since nobody waits for one.
"""

from __future__ import annotations

import math

from yallmp.core.errors import RequestTimeout
from yallmp.core.replies import fault
from yallmp.refusing import RefusingChannel


class PunctualChannel(RefusingChannel):
    """
    A connection on which requests have to arrive in time.

    :ivar in_body: whether a request's head is there, but not all of its body.
    """

    in_body = False
    _in_head = False
    _body_began = 0.0

    def await_head(self) -> None:
        """A head begins, if none has begun already."""
        if self.whole_due == math.inf:
            self.whole_due = self.site.reactor.seconds() + self.limits.head_timeout

    def await_body(self) -> None:
        """A body begins."""
        self._body_began = self.site.reactor.seconds()
        self.whole_due = self._body_began + self.limits.body_timeout

    def await_nothing(self) -> None:
        """What was on its way is there, or not waited for any more."""
        self._in_head = self.in_body = False
        super().await_nothing()

    def too_slow(self) -> None:
        """The time for a head is over; for a body it is if too little of it has come."""
        limits = self.limits
        if not self.in_body:
            said = f"The request's head did not come within {limits.head_timeout:g} s."
            self.refuse(RequestTimeout(said))
            return
        earned = self.requests[-1].received / limits.body_rate
        self.whole_due = self._body_began + limits.body_timeout + earned
        if self.whole_due <= self.site.reactor.seconds():
            self._refuse_body()

    def shut_down(self) -> None:
        """What is coming is refused: the process ends."""
        self.refuse(fault("proxy_shutdown", "", 503))

    def timeoutConnection(self) -> None:
        """Nothing came for a long time; whoever has sent half a body is told so."""
        if self.in_body and not self.refusing:
            self._refuse_body()
        else:
            super().timeoutConnection()

    def _refuse_body(self) -> None:
        limits = self.limits
        self.refuse(
            RequestTimeout(
                f"The request's body did not come within {limits.body_timeout:g} s, and the time"
                f" that it takes at {limits.body_rate} bytes a second."
            )
        )
