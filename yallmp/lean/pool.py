"""
Connections that wait for their next request.

One timer closes those that nobody used, however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory

from yallmp.lean.connection import Connection


class _Connecting(Factory):
    """Makes the connections of a pool."""

    noisy = False

    def __init__(self, pool: LeanPool, key: object) -> None:
        self._pool = pool
        self._key = key

    def buildProtocol(self, addr: object) -> Connection:
        """One connection."""
        pool = self._pool
        made = Connection(lambda it: pool.put(self._key, it), pool.forget, pool.head_max)
        pool.open.add(made)
        return made


class LeanPool:
    """
    Connections that wait for their next request, the latest first.

    :param idle: so many seconds an unused one is kept.
    :param most: so many are kept for each address.
    :param head_max: says how many bytes the head of an answer may have.
    :ivar open: all of its connections, those that serve a request too.
    """

    def __init__(
        self, clock: IReactorTime, idle: float, most: int, head_max: Callable[[], int]
    ) -> None:
        self.head_max = head_max
        self._clock = clock
        self._limit = idle
        self._most = most
        self._idle: dict[object, deque[tuple[float, Connection]]] = {}
        self._sweep: IDelayedCall | None = None
        self._closed = False
        self.open: set[Connection] = set()

    @property
    def idle(self) -> int:
        """How many wait."""
        return sum(map(len, self._idle.values()))

    def keep_for(self, idle: float) -> None:
        """Keep all connections for *idle* seconds from when they were last used."""
        if idle != self._limit:
            self._limit = idle
            sweep, self._sweep = self._sweep, None
            if sweep is not None:
                sweep.cancel()
                self._swept()

    def take(self, key: object) -> Connection | None:
        """A connection for *key* that waits, if there is one."""
        waiting = self._idle.get(key)
        return waiting.pop()[1] if waiting else None

    def connect(self, key: object, endpoint: Any) -> Deferred[Connection]:
        """A new connection for *key*, over *endpoint*."""
        connected: Deferred[Connection] = endpoint.connect(_Connecting(self, key))
        return connected

    def put(self, key: object, connection: Connection) -> None:
        """*connection* waits."""
        if self._closed:
            connection.abort()
            return
        waiting = self._idle.setdefault(key, deque())
        waiting.append((self._clock.seconds(), connection))
        if len(waiting) > self._most:
            waiting.popleft()[1].abort()
        if self._sweep is None:
            self._sweep = self._clock.callLater(self._limit, self._swept)

    def forget(self, connection: Connection) -> None:
        """*connection* is gone."""
        self.open.discard(connection)
        for waiting in self._idle.values():
            for entry in waiting:
                if entry[1] is connection:
                    waiting.remove(entry)
                    return

    def _swept(self) -> None:
        """Close those that nobody used; look again when the next is due."""
        self._sweep = None
        now = self._clock.seconds()
        old = [c for w in self._idle.values() for at, c in w if now - at >= self._limit]
        self._idle = {k: w for k, w in self._idle.items() if w}
        for connection in old:
            self.forget(connection)
            connection.abort()
        first = min((at for w in self._idle.values() for at, _ in w), default=None)
        if first is not None:
            self._sweep = self._clock.callLater(first + self._limit - now, self._swept)

    def close(self) -> None:
        """Close all, now and those that come back."""
        self._closed = True
        sweep, self._sweep = self._sweep, None
        if sweep is not None:
            sweep.cancel()
        for connection in [c for waiting in self._idle.values() for _, c in waiting]:
            connection.abort()
