"""
Connections to backends: pools, TLS contexts, and what an attempt knows of its own.

The seam is Twisted's: an ``IAgent`` over an ``HTTPConnectionPool``, with endpoints of
our own underneath.  There is one pool for each distinct set of transport settings, so
that a connection made under one is never used under another.  Each attempt has a
:class:`Wire`: it learns when its connection was there and whether it is a used one, and
it can cut it, at once and in every phase (Twisted's body transports can only be closed
politely).

A connection is *there* for TLS when the handshake is done, so that ``connect_timeout``
covers name, TCP and TLS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from attrs import define
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IHandshakeListener,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer

from yallmp.certificates import Contexts
from yallmp.core.backend import Backend, Tls
from yallmp.lean.agent import LeanAgent
from yallmp.lean.connection import Connection
from yallmp.lean.pool import LeanPool

#: Idle connections kept for each address.
POOLED_PER_HOST = 256
#: After how many seconds the next address of a name is tried as well (RFC 8305, 5).
NEXT_ADDRESS = 0.1


_T = TypeVar("_T")


class ConnectTimedOut(Exception):
    """Name, TCP and TLS together took longer than ``connect_timeout``."""


@define
class Wire:
    """
    The connection of one attempt.

    ``connected`` is when it was there, on the clock's time; ``None`` while it is not, and
    for a connection that was there before.
    """

    clock: IReactorTime
    connect_timeout: float
    connected: float | None = None
    reused: bool = True
    connection: Any = None
    _awaited: Deferred[Any] | None = None

    def on(self, awaited: Deferred[_T]) -> Deferred[_T]:
        """*awaited*, which the attempt waits for now."""
        self._awaited = awaited
        return awaited

    def abandon(self) -> None:
        """Whatever the attempt waits for is cancelled."""
        if self._awaited is not None:
            self._awaited.cancel()

    def took(self, connection: Any) -> Any:
        """The pool gave *connection* to this attempt."""
        self.connection = connection
        return connection

    def takes(self, connection: Connection) -> None:
        """The same for a connection that knows whose it is; nobody else's it is now."""
        if connection.holder is not None:
            connection.holder.release()
        connection.holder = self
        self.connection = connection

    def release(self) -> None:
        """The connection is another attempt's, or nobody's."""
        self.connection = None

    def cut(self) -> None:
        """Close the connection at once; what is on it is lost."""
        if isinstance(self.connection, Connection):
            self.connection.abort()
            return
        transport = getattr(self.connection, "transport", None)
        if transport is not None:
            transport.abortConnection()


class _Pool(HTTPConnectionPool):
    """Tells each attempt which connection it got; a connection is on one wire at a time."""

    def __init__(self, reactor: Any, persistent: bool) -> None:
        super().__init__(reactor, persistent)
        self._holders: WeakKeyDictionary[Any, Wire] = WeakKeyDictionary()

    def getConnection(self, key: object, endpoint: Any) -> Deferred[Any]:
        d: Deferred[Any] = super().getConnection(key, endpoint)
        return d.addCallback(self._give, endpoint.wire)

    def close(self) -> Deferred[Any]:
        """Close all, now and those that come back; fires when they are closed."""
        self.cachedConnectionTimeout = 0
        closed: Deferred[Any] = self.closeCachedConnections()
        return closed

    def _give(self, connection: Any, wire: Wire) -> Any:
        before = self._holders.get(connection)
        if before is not None:
            before.release()
        self._holders[connection] = wire
        return wire.took(connection)


@implementer(IHandshakeListener)
class _Shaking(ProtocolWrapper):
    """Waits for the TLS handshake on behalf of the protocol above it."""

    def __init__(self, factory: Any, wrapped: Any) -> None:
        super().__init__(factory, wrapped)
        self._shaken: Deferred[Any] | None = Deferred(self._cut)

    def _cut(self, _: object) -> None:
        self._shaken = None
        ITCPTransport(self.transport).abortConnection()

    def shaken(self) -> Deferred[Any]:
        """Fires with the protocol above, once."""
        return self._shaken or Deferred()

    def loseConnection(self) -> None:
        """Say goodbye, and do not wait for the other side's, which may never come."""
        super().loseConnection()
        tls: Any = self.transport
        tls.transport.loseConnection()

    def handshakeCompleted(self) -> None:
        """TLS is there."""
        waiting, self._shaken = self._shaken, None
        if waiting is not None:
            waiting.callback(self.wrappedProtocol)

    def connectionLost(self, reason: Failure = Failure(ConnectionLost())) -> None:  # noqa: B008
        """TLS failed, or the connection ended later."""
        super().connectionLost(reason)
        waiting, self._shaken = self._shaken, None
        if waiting is not None:
            waiting.errback(reason)


class _ShakingFactory(WrappingFactory):
    protocol = _Shaking
    noisy = False


@implementer(IStreamClientEndpoint)
@define
class _Endpoint:
    """Connects for one attempt, within its ``connect_timeout``."""

    wire: Wire
    plain: IStreamClientEndpoint
    tls: Any = None

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """A protocol of *factory* on a connection that is ready to be used."""
        self.wire.reused = False
        factory.noisy = False  # type: ignore[attr-defined]  # Twisted would log each connection
        d = self.plain.connect(factory) if self.tls is None else self._shake(factory)
        d.addTimeout(self.wire.connect_timeout, self.wire.clock, self._late)
        return d.addCallback(self._ready)

    def _shake(self, factory: IProtocolFactory) -> Deferred[Any]:
        secured = wrapClientTLS(self.tls, self.plain, self.wire.clock)
        d: Deferred[Any] = secured.connect(_ShakingFactory(factory))
        return d.addCallback(lambda shaking: shaking.shaken())

    def _late(self, result: Any, seconds: float) -> Any:
        raise ConnectTimedOut(f"not connected within {seconds:g} s")

    def _ready(self, protocol: Any) -> Any:
        self.wire.connected = self.wire.clock.seconds()
        return protocol


@implementer(IAgentEndpointFactory)
@define
class _Endpoints:
    """Makes the endpoint of one attempt."""

    reactor: Any
    wire: Wire
    tls: Callable[[str], Any]

    def endpointForURI(self, uri: URI) -> _Endpoint:
        """TCP for ``http``, TLS over it for ``https``."""
        host = uri.host.decode("ascii")
        plain = self._plain(host, uri.port)
        return _Endpoint(self.wire, plain, self.tls(host) if uri.scheme == b"https" else None)

    def _plain(self, host: str, port: int) -> IStreamClientEndpoint:
        """An address is connected to directly; a name may have several, tried in turn."""
        timeout = self.wire.connect_timeout
        if isIPAddress(host):
            return TCP4ClientEndpoint(self.reactor, host, port, timeout)
        if isIPv6Address(host):
            return TCP6ClientEndpoint(self.reactor, host, port, timeout)
        return HostnameEndpoint(self.reactor, host, port, timeout, attemptDelay=NEXT_ADDRESS)


class Wires:
    """
    All connections to backends.

    :param reactor: connects for configured backends.
    :param guarded: connects for registered ones: it refuses addresses that they may not name.
    :param idle: whole seconds that an unused connection is kept.
    :param lean: whether our own client speaks HTTP, rather than Twisted's.
    """

    def __init__(
        self, reactor: Any, guarded: Any, contexts: Contexts, idle: int, *, lean: bool = True
    ) -> None:
        self._reactor = reactor
        self._guarded = guarded
        self._contexts = contexts
        self._idle = idle
        self._lean = lean
        self._pools: dict[tuple[Tls, bool], _Pool | LeanPool] = {}

    def agent(self, backend: Backend, wire: Wire, *, fresh: bool) -> IAgent:
        """
        An agent for one attempt on *backend*.

        :param fresh: whether a new connection is needed, rather than one from the pool.
        """
        reactor = self._guarded if backend.registered else self._reactor
        endpoints = _Endpoints(
            reactor, wire, lambda host: self._contexts.creator(backend.tls, host)
        )
        if self._lean:
            pool = self._pool(backend)
            return LeanAgent(pool, endpoints.endpointForURI, wire.takes, fresh)
        pool = self._twisted_pool(persistent=False) if fresh else self._pool(backend)
        agent: IAgent = Agent.usingEndpointFactory(self._reactor, endpoints, pool)
        return agent

    def close(self) -> Deferred[Any]:
        """Close what is kept; fires when it is closed."""
        pools, self._pools = list(self._pools.values()), {}
        done: Deferred[Any] = Deferred()
        done.callback(None)
        for pool in pools:
            done.addCallback(lambda _, each: each.close(), pool)
        return done

    def _pool(self, backend: Backend) -> Any:
        key = (backend.tls, backend.registered)
        if key not in self._pools:
            self._pools[key] = self._new_pool()
        return self._pools[key]

    def _new_pool(self) -> Any:
        if self._lean:
            return LeanPool(self._reactor, self._idle, POOLED_PER_HOST)
        return self._twisted_pool(persistent=True)

    def _twisted_pool(self, *, persistent: bool) -> _Pool:
        pool = _Pool(self._reactor, persistent)
        pool.maxPersistentPerHost = POOLED_PER_HOST
        pool.cachedConnectionTimeout = self._idle
        pool.retryAutomatically = False
        return pool
