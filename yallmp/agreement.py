"""
The supervisor's side of changes: every worker makes all of them, in one order.

The supervisor makes each change itself before it passes it on.  So it knows what is served,
which is what a worker that starts later begins with, and it alone writes the file of
``admin.persist``: no two processes write at once, and none loses what another wrote.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from yallmp.core.changes import make
from yallmp.core.control import Ask, Confirm, Go, Here, Message, Order, Ordered, Settled
from yallmp.core.errors import ProxyError
from yallmp.core.ordering import Ordering
from yallmp.core.shares import Share
from yallmp.persistence import Persistence
from yallmp.worker_process import WorkerProcess

#: How long whoever asked for a change waits for workers that do not confirm it, in seconds.
PATIENCE = 1.0


@define(eq=False)
class Agreement:
    """
    Hears what workers say, and tells them what all have to do.

    :ivar reactor: provides IReactorTime.
    :ivar persistence: of the registry that is like those of the workers.
    :ivar workers: by their numbers.
    """

    reactor: Any
    persistence: Persistence
    workers: dict[int, WorkerProcess] = field(factory=dict)
    _ordering: Ordering = field(factory=Ordering)

    def order(self, number: int) -> Order:
        """What a worker that starts now begins with; its owner reads the notices elsewhere."""
        registry = self.persistence.registry
        config = evolve(registry.catalog.config, notices=())
        return Order(Share(number, len(self.workers)), config, registry.registrations)

    def heard(self, number: int, message: Message) -> None:
        """Worker *number* has said something."""
        if isinstance(message, Here):
            self._ordering.join(number)
            self.workers[number].tell(Go())
        elif isinstance(message, Ask):
            self._change(number, message)
        elif isinstance(message, Confirm):
            self._ordering.confirm(number, message.number)
            self._tell_settled()

    def gone(self, number: int) -> None:
        """A process of worker *number* has ended."""
        self._ordering.leave(number)
        self._tell_settled()

    def _change(self, number: int, asked: Ask) -> None:
        place = self._ordering.order(number, asked.ask)
        for each in self.workers.values():
            own = asked.ask if each.number == number else None
            each.tell(Ordered(place, asked.change, own))
        self._ordering.kept(place, self._kept(asked))
        self.reactor.callLater(PATIENCE, self._give_up, place)
        self._tell_settled()

    def _kept(self, asked: Ask) -> str | None:
        """Make the change here and keep it; one that cannot be made is told by the worker."""
        try:
            make(self.persistence.registry, asked.change)
        except ProxyError:
            return None
        return self.persistence.save_or_say()

    def _give_up(self, place: int) -> None:
        self._ordering.give_up(place)
        self._tell_settled()

    def _tell_settled(self) -> None:
        for each in self._ordering.settled():
            self.workers[each.worker].tell(Settled(each.ask, each.unkept, each.behind))
