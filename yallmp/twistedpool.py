"""
Twisted's own pool of connections, for Twisted's own HTTP client.

It is what ``general_settings.server.http_client: twisted`` uses.  What our own client
does by itself is added here: an attempt learns which connection it got, a connection is on
one wire at a time, and it is kept only if nothing of its request or behind its answer is
left over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.http import _DataLoss
from twisted.web.http_headers import Headers

from yallmp import bulk
from yallmp.core.proxies import Proxy
from yallmp.lean.parser import NotHTTP
from yallmp.wire import Wire


class _Cut:
    """Stands where a body was decoded that was cut off."""

    def noMoreData(self) -> None:
        """It is not whole."""
        raise _DataLoss


class _Client(HTTP11ClientProtocol):
    """
    One connection, with what it lacks.

    Twisted waits for the head of an answer however long it gets, takes a body without a length
    for whole also if its connection was reset, and keeps a connection also if there was
    something behind the answer, or if the request has not left yet.
    """

    transport: Any
    _parser: Any
    _currentRequest: Any

    def __init__(self, idle: Callable[[Any], None], head_max: Callable[[], int]) -> None:
        super().__init__(idle)
        self._head_max = head_max
        self._left = head_max()

    def request(self, request: Any) -> Any:
        """Send *request*; fires when the answer's head is there."""
        self._left = self._head_max()
        return super().request(request)

    def dataReceived(self, bytes: bytes) -> None:  # noqa: A002 - Twisted's name for it
        super().dataReceived(bytes)
        if self._parser is not None and self._parser.state in (STATUS, HEADER):
            self._left -= len(bytes)
            if self._left < 0:
                what = NotHTTP(f"more than {self._head_max()} bytes of a head")
                self._giveUp(Failure(what))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; a body without a length ends only with a clean end of it."""
        decoding = self._parser is not None and self._parser.bodyDecoder is not None
        if decoding and not reason.check(ConnectionDone):
            self._parser.bodyDecoder = _Cut()
        super().connectionLost(reason)

    def _finishResponse_WAITING(self, rest: bytes) -> None:
        good = self._parser is None or self._is_good(rest)
        if not good:
            self._currentRequest.persistent = False
        super()._finishResponse_WAITING(rest)
        if not good:
            self.transport.abortConnection()

    _finishResponse_TRANSMITTING = _finishResponse_WAITING

    def _is_good(self, rest: bytes) -> bool:
        """As for our own client: nothing may be left over."""
        body = self._currentRequest.bodyProducer
        unread = self._parser.response.code >= 400 and body and body.length > bulk.LARGE
        return not rest and not unread and not bulk.unsent(self.transport)


@define(eq=False)
class _Clients(Factory):
    """Makes the connections of a pool; what it is given beside is for Twisted's own."""

    head_max: Callable[[], int]
    idle: Callable[[Any], None]
    metadata: object = None
    noisy = False

    def buildProtocol(self, addr: object) -> _Client:
        """One connection."""
        return _Client(self.idle, self.head_max)


class TwistedAgent(Agent):
    """
    Twisted's agent, which may have a proxy.

    :ivar proxy: asked in place of the backend for what is not encrypted.
    """

    proxy: Proxy | None = None

    def _requestWithEndpoint(
        self,
        key: Any,
        endpoint: Any,
        method: bytes,
        parsedURI: URI,
        headers: Headers | None,
        bodyProducer: Any,
        requestPath: bytes,
    ) -> Deferred[Any]:
        if self.proxy is not None and parsedURI.scheme == b"http":
            requestPath = parsedURI.toBytes()
            headers = Headers() if headers is None else headers.copy()
            for name, value in self.proxy.headers:
                headers.addRawHeader(name, value)
        sent: Deferred[Any] = super()._requestWithEndpoint(
            key, endpoint, method, parsedURI, headers, bodyProducer, requestPath
        )
        return sent


class TwistedPool(HTTPConnectionPool):
    """Tells each attempt which connection it got; a connection is on one wire at a time."""

    def __init__(self, reactor: Any, persistent: bool, head_max: Callable[[], int]) -> None:
        super().__init__(reactor, persistent)
        self._factory: Any = partial(_Clients, head_max)
        self._holders: WeakKeyDictionary[Any, Wire] = WeakKeyDictionary()

    @property
    def idle(self) -> int:
        """How many wait."""
        return sum(map(len, self._connections.values()))

    def getConnection(self, key: object, endpoint: Any) -> Deferred[Any]:
        d: Deferred[Any] = super().getConnection(key, endpoint)
        return d.addCallback(self._give, endpoint.wire)

    def keep_for(self, idle: float) -> None:
        """Keep connections for *idle* seconds, whole ones, from when they were last used."""
        longer = int(idle) - self.cachedConnectionTimeout
        self.cachedConnectionTimeout = int(idle)
        for call in self._timeouts.values():
            call.reset(max(call.getTime() + longer - self._reactor.seconds(), 0))

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
