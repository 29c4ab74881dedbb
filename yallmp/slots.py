"""
Places at backends: ``max_in_flight``, and the queue for those that are over it.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from yallmp.core.backend import Backend
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.registry import InFlight

_FULL = Problem(Reason.FULL, "the backend has as many requests as it may")


class Slots:
    """Gives out places at each backend, and lets those over its limit wait their turn."""

    def __init__(self, clock: IReactorTime, in_flight: InFlight) -> None:
        self._clock = clock
        self._in_flight = in_flight
        self._queues: dict[str, deque[Deferred[None]]] = {}

    async def take(self, backend: Backend) -> None:
        """
        Take a place at *backend*, at once or when one is given back.

        :raises AttemptFailed: none was within ``queue_timeout``.
        """
        limit = backend.max_in_flight
        if limit is not None and self._in_flight.count(backend.name) >= limit:
            await self._turn(backend)
        else:
            self._in_flight.begin(backend.name)

    def _turn(self, backend: Backend) -> Deferred[None]:
        queue = self._queues.setdefault(backend.name, deque())
        turn: Deferred[None] = Deferred(queue.remove)
        queue.append(turn)
        return turn.addTimeout(backend.queue_timeout, self._clock, _full)

    def give(self, backend: Backend) -> None:
        """Give the place back: to the first who waits, who then has it."""
        queue = self._queues.get(backend.name)
        if queue:
            queue.popleft().callback(None)
            return
        self._queues.pop(backend.name, None)
        self._in_flight.end(backend.name)


def _full(result: object, seconds: float) -> None:
    raise AttemptFailed(_FULL)
