"""
The metrics of the whole service, as one process of it gets them.

A process that serves alone reads its own instruments.  A worker asks its supervisor, which
asks all workers and adds up (:mod:`yallmp.census`): whichever worker a scraper happens to
reach, it sees the same sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from yallmp.core.control import Inquire, Measure, Message, Tell, Total
from yallmp.core.errors import Overloaded
from yallmp.core.families import WORKERS, WORKERS_ENDED, WORKERS_TOLD
from yallmp.core.readings import Instruments, Reading, joined, read, written
from yallmp.interfaces import ITotals

#: How long a worker waits for its supervisor's answer, in seconds.
PATIENCE = 3.0


def workforce(count: int, told: int, ended: int) -> Reading:
    """What the metrics say of the processes themselves."""
    values = {WORKERS: count, WORKERS_TOLD: told, WORKERS_ENDED: ended}
    return {family.name: {(): [value]} for family, value in values.items()}


@implementer(ITotals)
@define(eq=False)
class Sole:
    """The metrics of a process that serves alone."""

    instruments: Instruments

    async def read(self) -> Reading:
        """See :class:`ITotals`."""
        return joined([self.instruments.read(), workforce(1, 1, 0)])


@implementer(ITotals)
@define(eq=False)
class Shared:
    """
    The metrics of several workers, as one of them gets them.

    :ivar say: tells the supervisor something; set when there is a connection to it.
    """

    instruments: Instruments
    clock: IReactorTime
    say: Callable[[Message], None] = field(init=False)
    _asked: dict[int, Deferred[Reading]] = field(factory=dict)
    _last: int = 0

    async def read(self) -> Reading:
        """See :class:`ITotals`."""
        self._last = ask = self._last + 1
        told: Deferred[Reading] = Deferred(lambda _: None)
        self._asked[ask] = told
        self.say(Inquire(ask))
        try:
            return await told.addTimeout(PATIENCE, self.clock, _unknown)
        finally:
            self._asked.pop(ask, None)

    def hear(self, message: Measure | Total) -> None:
        """The supervisor wants to know what this worker has, or says what all have."""
        if isinstance(message, Measure):
            self.say(Tell(message.number, written(self.instruments.read())))
        elif message.ask in self._asked:
            self._asked.pop(message.ask).callback(read(message.reading))


def _unknown(result: object, seconds: float) -> NoReturn:
    raise Overloaded("The supervisor does not answer, so nobody knows what all workers counted.")
