"""
Where connections to backends begin: name, TCP, proxy and TLS, within ``connect_timeout``.

A connection is *there* for TLS when the handshake is done, so that ``connect_timeout``
covers all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from yallmp.core.proxies import Proxy
from yallmp.tunnel import TunnelEndpoint
from yallmp.wire import Wire

#: After how many seconds the next address of a name is tried as well (RFC 8305, 5).
NEXT_ADDRESS = 0.1


class ConnectTimedOut(Exception):
    """Name, TCP and TLS together took longer than ``connect_timeout``."""


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
class Endpoints:
    """
    Makes the endpoint of one attempt.

    :ivar tls: gives what makes TLS connections to a host.
    :ivar proxy: what stands in between, if anything does.
    """

    reactor: Any
    wire: Wire
    tls: Callable[[str], Any]
    proxy: Proxy | None = None

    def endpointForURI(self, uri: URI) -> _Endpoint:
        """TCP for ``http``, TLS over it for ``https``; by way of the proxy, if there is one."""
        host, is_tls = uri.host.decode("ascii"), uri.scheme == b"https"
        if self.proxy is None:
            plain = self._plain(host, uri.port)
        else:
            plain = self._plain(self.proxy.host, self.proxy.port)
            if is_tls:
                plain = TunnelEndpoint(plain, self.proxy, host, uri.port)
        return _Endpoint(self.wire, plain, self.tls(host) if is_tls else None)

    def _plain(self, host: str, port: int) -> IStreamClientEndpoint:
        """An address is connected to directly; a name may have several, tried in turn."""
        timeout = self.wire.connect_timeout
        if isIPAddress(host):
            return TCP4ClientEndpoint(self.reactor, host, port, timeout)
        if isIPv6Address(host):
            return TCP6ClientEndpoint(self.reactor, host, port, timeout)
        return HostnameEndpoint(self.reactor, host, port, timeout, attemptDelay=NEXT_ADDRESS)
