"""
Connections to backends: pools and TLS contexts.

The seam is Twisted's: an ``IAgent`` over an ``HTTPConnectionPool``, with endpoints of
our own underneath (:mod:`yallmp.endpoints`).  There is one pool for each distinct set of
transport settings, so that a connection made under one is never used under another.  Each
attempt has a :class:`yallmp.wire.Wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from yallmp.certificates import Contexts
from yallmp.core.backend import Backend, Tls
from yallmp.core.proxies import Proxy
from yallmp.core.settings import Config, Limits
from yallmp.endpoints import Endpoints
from yallmp.lean.agent import LeanAgent
from yallmp.lean.pool import LeanPool
from yallmp.twistedpool import TwistedAgent, TwistedPool
from yallmp.wire import Wire

_Key = tuple[Tls, Proxy | None, bool]
#: Idle connections kept for each address.
POOLED_PER_HOST = 256


class Wires:
    """
    All connections to backends.

    :param reactor: connects for configured backends.
    :param guarded: connects for registered ones: it refuses addresses that they may not name.
    :param limits: those in force, for connections that are made.
    :param lean: whether our own client speaks HTTP, rather than Twisted's.
    """

    def __init__(
        self,
        reactor: Any,
        guarded: Any,
        contexts: Contexts,
        limits: Callable[[], Limits],
        *,
        lean: bool = True,
    ) -> None:
        self._reactor = reactor
        self._guarded = guarded
        self._contexts = contexts
        self._limits = limits
        self._lean = lean
        self._pools: dict[_Key, Any] = {}

    def agent(self, backend: Backend, wire: Wire, *, fresh: bool) -> IAgent:
        """
        An agent for one attempt on *backend*.

        :param fresh: whether a new connection is needed, rather than one from the pool.
        """
        reactor = self._guarded if backend.registered else self._reactor
        proxy = backend.proxy
        endpoints = Endpoints(
            reactor, wire, lambda host: self._contexts.creator(backend.tls, host), proxy
        )
        if self._lean:
            pool = self._pool(backend)
            return LeanAgent(pool, endpoints.endpointForURI, wire.takes, fresh, proxy)
        pool = self._twisted_pool(persistent=False) if fresh else self._pool(backend)
        agent: TwistedAgent = TwistedAgent.usingEndpointFactory(self._reactor, endpoints, pool)
        agent.proxy = proxy
        return agent

    def change(self, config: Config) -> None:
        """
        Keep unused connections for as long as *config* says, and none that nobody may use.

        Those in use stay until they are given back.
        """
        for key in self._pools.keys() - {_key(backend) for backend in config.backends}:
            self._pools.pop(key).close()
        for pool in self._pools.values():
            pool.keep_for(config.limits.upstream_idle)

    def close(self) -> Deferred[Any]:
        """Close what is kept; fires when it is closed."""
        pools, self._pools = list(self._pools.values()), {}
        done: Deferred[Any] = Deferred()
        done.callback(None)
        for pool in pools:
            done.addCallback(lambda _, each: each.close(), pool)
        return done

    def connections(self) -> dict[str, int]:
        """How many are open, by whether they wait; Twisted's client tells of those only."""
        pools = self._pools.values()
        idle = sum(pool.idle for pool in pools)
        if not self._lean:
            return {"idle": idle}
        return {"idle": idle, "busy": sum(len(pool.open) for pool in pools) - idle}

    def _pool(self, backend: Backend) -> Any:
        key = _key(backend)
        if key not in self._pools:
            self._pools[key] = self._new_pool()
        return self._pools[key]

    def _new_pool(self) -> Any:
        if self._lean:
            idle = self._limits().upstream_idle
            return LeanPool(self._reactor, idle, POOLED_PER_HOST, self._head_max)
        return self._twisted_pool(persistent=True)

    def _twisted_pool(self, *, persistent: bool) -> TwistedPool:
        pool = TwistedPool(self._reactor, persistent, self._head_max)
        pool.maxPersistentPerHost = POOLED_PER_HOST
        pool.keep_for(self._limits().upstream_idle)
        pool.retryAutomatically = False
        return pool

    def _head_max(self) -> int:
        return self._limits().max_response_head_bytes


def _key(backend: Backend) -> _Key:
    """What a connection was made under: backends of which it is the same may share one."""
    return backend.tls, backend.proxy, backend.registered
