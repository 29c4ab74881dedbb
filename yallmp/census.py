"""
The supervisor's side of the metrics: it asks all workers and adds up what they tell.

It waits for a moment only.  Of a worker that does not answer, the counts that it told last
still stand, and its gauges are left out; how many answered is a metric itself.  The counts of
one that has ended are kept for good.  So whatever was once told never goes down, though what
a worker counted between its last answer and a sudden end is lost with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from yallmp.core.control import Inquire, Measure, Tell, Total
from yallmp.core.readings import Instruments, Reading, counted, joined, read, written
from yallmp.totals import workforce
from yallmp.worker_process import WorkerProcess

#: How long an answer waits for workers that say nothing, in seconds.
PATIENCE = 1.0


@define(eq=False)
class Inquiry:
    """
    A question that somebody waits for the answer to.

    :ivar worker: who asked, and with which number of its own.
    :ivar waits_for: who has not answered.
    :ivar told: what the others said.
    """

    worker: int
    ask: int
    waits_for: set[int]
    told: dict[int, Reading] = field(factory=dict)


@define(eq=False)
class Census:
    """
    Asks the workers, and remembers.

    :ivar reactor: provides IReactorTime.
    :ivar workers: by their numbers.
    :ivar instruments: the supervisor's own.
    """

    reactor: Any
    workers: dict[int, WorkerProcess]
    instruments: Instruments = field(factory=Instruments)
    _latest: dict[int, Reading] = field(factory=dict)
    _gone: Reading = field(factory=dict)
    _inquiries: dict[int, Inquiry] = field(factory=dict)
    _last: int = 0
    _ended: int = 0

    def heard(self, number: int, message: Inquire | Tell) -> None:
        """Worker *number* asks, or answers."""
        if isinstance(message, Inquire):
            self._inquire(number, message.ask)
        else:
            self._take(number, message.number, read(message.reading))

    def gone(self, number: int) -> None:
        """The process of worker *number* has ended; its counts stay."""
        self._ended += 1
        self._gone = joined([self._gone, counted(self._latest.pop(number, {}))])
        self._inquiries = {n: i for n, i in self._inquiries.items() if i.worker != number}
        for inquiry in self._inquiries.values():
            inquiry.waits_for.discard(number)
        self._answer_complete()

    def _inquire(self, number: int, ask: int) -> None:
        self._last += 1
        living = {each.number for each in self.workers.values() if each.is_alive}
        self._inquiries[self._last] = Inquiry(number, ask, living)
        for each in living:
            self.workers[each].tell(Measure(self._last))
        self.reactor.callLater(PATIENCE, self._answer, self._last)

    def _take(self, worker: int, number: int, reading: Reading) -> None:
        """What a worker says holds for everybody who waits for it."""
        self._latest[worker] = reading
        inquiry = self._inquiries.get(number)
        if inquiry is not None:
            inquiry.waits_for.discard(worker)
            inquiry.told[worker] = reading
        self._answer_complete()

    def _answer_complete(self) -> None:
        for number in [n for n, each in self._inquiries.items() if not each.waits_for]:
            self._answer(number)

    def _answer(self, number: int) -> None:
        """All have answered, or nobody waits for the others any longer."""
        inquiry = self._inquiries.pop(number, None)
        if inquiry is not None:
            whole = joined(self._parts(inquiry))
            self.workers[inquiry.worker].tell(Total(inquiry.ask, written(whole)))

    def _parts(self, inquiry: Inquiry) -> Iterator[Reading]:
        yield self._gone
        yield self.instruments.read()
        for worker, latest in self._latest.items():
            yield inquiry.told[worker] if worker in inquiry.told else counted(latest)
        yield workforce(len(self.workers), len(inquiry.told), self._ended)
