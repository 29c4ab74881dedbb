"""
Metrics, from the instruments to the text that a scraper gets.

Making the text takes some milliseconds, with many models far more, and the first one loads the
library for it, which few processes ever need.  So all of that is done where it stops nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool

from yallmp.core.errors import ProxyError
from yallmp.core.readings import Instruments, Reading
from yallmp.interfaces import ITotals
from yallmp.totals import Sole

#: Calls a function with its arguments, wherever that may be.
Aside = Callable[..., Deferred[Any]]


@define(eq=False)
class Metrics:
    """
    What can be asked for.

    :ivar instruments: those of this process.
    :ivar totals: what those of all processes say.
    :ivar aside: calls a function, in another thread if there is one.
    """

    instruments: Instruments
    totals: ITotals
    aside: Aside = maybeDeferred

    @classmethod
    def alone(cls, aside: Aside = maybeDeferred) -> Metrics:
        """Those of a process that serves alone."""
        instruments = Instruments()
        return cls(instruments, Sole(instruments), aside)

    async def read(self) -> Reading:
        """What all processes say, or at least this one."""
        try:
            return await self.totals.read()
        except ProxyError:
            return self.instruments.read()

    async def text(self, accept: str) -> tuple[bytes, bytes]:
        """
        The media type and the text, for a request with this ``Accept``.

        :raises ProxyError: nobody knows what the other processes say.
        """
        found: tuple[bytes, bytes] = await self.aside(_exposed, await self.totals.read(), accept)
        return found


def _exposed(reading: Reading, accept: str) -> tuple[bytes, bytes]:
    from yallmp.exposition import exposition  # noqa: PLC0415 - few are ever scraped

    return exposition(reading, accept)


@define(eq=False)
class Aloof:
    """
    Calls functions in a thread of the reactor's own.

    :ivar reactor: provides IReactorThreads.
    """

    reactor: Any

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """What *function* makes of its *arguments*."""
        pool = self.reactor.getThreadPool()
        called: Deferred[Any] = deferToThreadPool(self.reactor, pool, function, *arguments)
        return called
