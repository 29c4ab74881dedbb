"""
Places at backends: ``max_in_flight``, and the queue for those that are over it.

A place that is given back goes to the first in the queue, as often as the limits of those
who wait allow: a backend may be replaced by one of the same name with another limit.  When
that happens those who wait have the new one, or those who come later would go before them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from yallmp.core.backend import Backend
from yallmp.core.families import QUEUE_WAITS, QUEUED, WAIT_BOUNDS, Family
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.readings import Labels, Series, Value
from yallmp.core.registry import InFlight
from yallmp.core.settings import Config
from yallmp.core.shares import WHOLE, Share

NO_LIMIT = 2**62
_FULL = Problem(Reason.FULL, "the backend has as many requests as it may")


@define(eq=False)
class _Turn:
    """
    One who waits.

    :ivar limit: the backend's, as it was asked for, or as it is by now.
    :ivar came: fires when it is over.
    """

    limit: int
    came: Deferred[None]


class Slots:
    """
    Gives out places at each backend, and lets those over its limit wait their turn.

    :param share: this process's part of each limit.
    """

    def __init__(self, clock: IReactorTime, in_flight: InFlight, share: Share = WHOLE) -> None:
        self._clock = clock
        self._share = share
        self._in_flight = in_flight
        self._queues: dict[str, deque[_Turn]] = {}
        self._waits = Series(QUEUE_WAITS)

    def take(self, backend: Backend) -> Deferred[None] | None:
        """
        Take a place at *backend*: at once, or what fires when one was given back.

        That fails with :class:`yallmp.core.problems.AttemptFailed` if none was within
        ``queue_timeout``; cancelling it leaves the queue.
        """
        limit = backend.max_in_flight
        if limit is not None:
            limit = self._share.of(limit)
            if self._in_flight.count(backend.name) >= limit:
                return self._turn(backend, limit)
        self._in_flight.begin(backend.name)
        return None

    def _turn(self, backend: Backend, limit: int) -> Deferred[None]:
        queue = self._queues.setdefault(backend.name, deque())
        turn = _Turn(limit, Deferred(lambda _: queue.remove(turn)))
        queue.append(turn)
        turn.came.addTimeout(backend.queue_timeout, self._clock, _full)
        return turn.came.addBoth(self._note_wait, backend.name, self._clock.seconds())

    def _note_wait(self, result: Any, name: str, since: float) -> Any:
        """Count a wait that is over, and pass on what it came to."""
        ended = "served"
        if isinstance(result, Failure):
            ended = "timeout" if result.check(AttemptFailed) else "left"
        waited = max(0.0, self._clock.seconds() - since)
        value = self._waits[name, ended]
        value[bisect_left(WAIT_BOUNDS, waited)] += 1
        value[-1] += waited
        return result

    def read(self) -> Iterator[tuple[Family, Mapping[Labels, Value]]]:
        """See :data:`yallmp.core.readings.Source`."""
        yield QUEUE_WAITS, self._waits
        yield QUEUED, {(name,): [len(queue)] for name, queue in self._queues.items()}

    def give(self, backend: Backend) -> None:
        """Give the place back: to the first who waits, who then has it."""
        self._in_flight.end(backend.name)
        if self._queues:
            self._let_in(backend.name)

    def change(self, config: Config) -> None:
        """Those who wait keep to the limits in *config*, which may let some in at once."""
        limits = {backend.name: backend.max_in_flight for backend in config.backends}
        for name, queue in list(self._queues.items()):
            if name in limits:
                limit = limits[name]
                for turn in queue:
                    turn.limit = NO_LIMIT if limit is None else self._share.of(limit)
                self._let_in(name)

    def _let_in(self, name: str) -> None:
        """Give free places to those who wait, in order."""
        queue = self._queues.get(name, deque())
        while queue and self._in_flight.count(name) < queue[0].limit:
            self._in_flight.begin(name)
            queue.popleft().came.callback(None)
        if not self._queues.get(name):  # looked up again: whoever got a place may have queued
            self._queues.pop(name, None)


def _full(result: object, seconds: float) -> None:
    raise AttemptFailed(_FULL)
