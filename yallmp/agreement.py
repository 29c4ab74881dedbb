"""
The supervisor's side of changes: every worker makes all of them, in one order.

The supervisor makes each change itself before it passes it on.  So it knows what is served,
which is what a worker that starts later begins with, and it alone writes the file of
``admin.persist``: no two processes write at once, and none loses what another wrote.

A reload is a change that the supervisor makes of its own accord: it reads the file once, and
all workers get what was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from yallmp.census import Census
from yallmp.core.changes import Change, Made, Reload, made_of, make
from yallmp.core.control import (
    Ask,
    Confirm,
    Go,
    Here,
    Inquire,
    Message,
    Order,
    Ordered,
    Refused,
    Reread,
    Settled,
    Tell,
)
from yallmp.core.errors import BadConfiguration, ProxyError
from yallmp.core.ordering import Ordering
from yallmp.core.shares import Share
from yallmp.persistence import Persistence, nothing_to_read
from yallmp.reloads import Repeated, tell
from yallmp.systemd import Herald, silent
from yallmp.worker_process import WorkerProcess

#: How long whoever asked for a change waits for workers that do not confirm it, in seconds.
PATIENCE = 1.0
#: The number of the supervisor among those who ask for changes.
OWN = 0
_log = Logger()


@define(eq=False)
class Agreement:
    """
    Hears what workers say, and tells them what all have to do.

    :ivar reactor: provides IReactorTime.
    :ivar persistence: of the registry that is like those of the workers.
    :ivar rereading: reads the configuration again.
    :ivar herald: is told of reloads.
    :ivar workers: by their numbers.
    :ivar census: what they counted.
    """

    reactor: Any
    persistence: Persistence
    rereading: Callable[[], Awaitable[Reload]] = nothing_to_read
    herald: Herald = field(factory=partial(silent, None))
    workers: dict[int, WorkerProcess] = field(factory=dict)
    _ordering: Ordering = field(factory=Ordering)
    _lives: Counter[int] = field(factory=Counter)
    _reloading: dict[int, Deferred[int]] = field(factory=dict)
    _reloads: Repeated = field(init=False)
    census: Census = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reloads = Repeated(self._reload)
        self.census = Census(self.reactor, self.workers)

    def order(self, number: int) -> Order:
        """What a worker that starts now begins with; its owner reads the notices elsewhere."""
        registry = self.persistence.registry
        config = evolve(registry.catalog.config, notices=())
        share = Share(number, len(self.workers))
        return Order(share, config, registry.registrations, registry.retired)

    def heard(self, number: int, message: Message) -> None:
        """Worker *number* has said something."""
        if isinstance(message, Here):
            self._ordering.join(number)
            self.workers[number].tell(Go())
        elif isinstance(message, Ask):
            self._change(number, message)
        elif isinstance(message, Reread):
            Deferred.fromCoroutine(self._reread(number, message.ask)).addErrback(_unforeseen)
        elif isinstance(message, Confirm):
            self._ordering.confirm(number, message.number)
            self._tell_settled()
        elif isinstance(message, (Inquire, Tell)):
            self.census.heard(number, message)

    def gone(self, number: int) -> None:
        """A process of worker *number* has ended."""
        self._lives[number] += 1
        self._ordering.leave(number)
        self._tell_settled()
        self.census.gone(number)

    def reload(self) -> Deferred[Made]:
        """Read the configuration again, and have all put it in force."""
        return self._reloads()

    async def _reread(self, number: int, ask: int) -> None:
        """Reload for worker *number*, and tell it; a successor of it has not asked."""
        life = self._lives[number]
        answer: Message
        try:
            made = await self.reload()
            answer = Settled(ask, made.unkept, made.behind, made.differences)
        except ProxyError as error:
            problems = error.problems if isinstance(error, BadConfiguration) else (error.message,)
            answer = Refused(ask, problems, error.status)
        if life == self._lives[number]:
            self.workers[number].tell(answer)

    async def _reload(self) -> Made:
        self.herald.reloading()
        try:
            made = await self._for_all(await self.rereading())
        finally:
            self.herald.ready()
        tell(made)
        return made

    async def _for_all(self, change: Reload) -> Made:
        place = self._ordering.order(OWN, OWN)
        settled = self._reloading[place] = Deferred()
        came = make(self.persistence.registry, change)
        unkept = self.persistence.save_or_say()
        self._pass_on(place, change)
        return made_of(came, unkept, await settled)

    def _change(self, number: int, asked: Ask) -> None:
        place = self._ordering.order(number, asked.ask)
        self._ordering.kept(place, self._kept(asked))
        self._pass_on(place, asked.change, number, asked.ask)

    def _pass_on(self, place: int, change: Change, number: int = OWN, ask: int = OWN) -> None:
        """Tell all to make *change*, which is the one that worker *number* asked for."""
        for each in self.workers.values():
            each.tell(Ordered(place, change, ask if each.number == number else None))
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
            if each.worker == OWN:
                self._reloading.pop(each.place).callback(each.behind)
            else:
                self.workers[each.worker].tell(Settled(each.ask, each.unkept, each.behind))


def _unforeseen(failure: Failure) -> None:
    _log.failure("the configuration is not reloaded", failure)
