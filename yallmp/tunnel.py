"""
Connections through an HTTP proxy: ``CONNECT`` (RFC 9110, 9.3.6).

The proxy is asked for a connection to the backend; once it has said yes, what goes on is
between the backend and whoever speaks here, TLS as a rule.  So the proxy sees neither keys nor
requests, and the backend's certificate is checked as ever.  What the proxy says otherwise ends
the attempt: nothing of it reaches a client.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from yallmp.core.proxies import Proxy, authority

#: The longest answer of a proxy that is read, in bytes.
MAX_ANSWER = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")


class ProxyRefused(ConnectError):
    """A proxy does not connect us; the text says what it answered."""

    MESSAGE = "The proxy did not connect us"


@define(eq=False)
class _Tunnel(Protocol):
    """
    A connection to a proxy, and through it.

    :ivar asking: what the proxy is asked.
    :ivar factory: makes what speaks to the backend.
    :ivar opened: fires with that, or fails.
    """

    asking: bytes
    factory: IProtocolFactory
    opened: Deferred[Any] = field(init=False)
    transport: Any = field(default=None, init=False)
    _through: Any = None
    _answer: bytes = b""

    def __attrs_post_init__(self) -> None:
        self.opened = Deferred(self._abandon)

    def connectionMade(self) -> None:
        self.transport.write(self.asking)

    def dataReceived(self, data: bytes) -> None:
        if self._through is not None:
            self._through.dataReceived(data)
            return
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if end:
            self._answered(_STATUS.match(head + end), rest)
        elif len(self._answer) > MAX_ANSWER:
            self._refuse("answered without end")

    def _answered(self, status: Any, rest: bytes) -> None:
        """The backend waits for us to begin, so nothing of its own can have come yet."""
        if status is None or rest:
            self._refuse("answered with something that is not HTTP")
        elif not status[1].startswith(b"2"):
            self._refuse(f"answered with {status[1].decode()}")
        else:
            self._through = self.factory.buildProtocol(self.transport.getPeer())
            self._through.makeConnection(self.transport)
            self._fire(self._through)

    def _refuse(self, why: str) -> None:
        self._fire(Failure(ProxyRefused(string=why)))
        self._abandon(None)

    def _fire(self, result: Any) -> None:
        if not self.opened.called:
            self.opened.callback(result)

    def _abandon(self, _: object) -> None:
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, to the proxy or through it."""
        if self._through is not None:
            self._through.connectionLost(reason)
        else:
            self._fire(Failure(ProxyRefused(string="closed the connection")))


@define(eq=False)
class _Tunnels(Factory):
    """Makes tunnels."""

    asking: bytes
    factory: IProtocolFactory
    noisy = False

    def buildProtocol(self, addr: object) -> Any:
        """One, which has yet to be opened."""
        return _Tunnel(self.asking, self.factory)


@implementer(IStreamClientEndpoint)
@define(eq=False)
class TunnelEndpoint:
    """
    Connects to *host* through *proxy*.

    :ivar to_proxy: connects to the proxy.
    """

    to_proxy: IStreamClientEndpoint
    proxy: Proxy
    host: str
    port: int

    def connect(self, factory: IProtocolFactory) -> Deferred[Any]:
        """A protocol of *factory* on a connection that leads to the backend."""
        connected: Deferred[Any] = self.to_proxy.connect(_Tunnels(self._asking(), factory))
        return connected.addCallback(lambda tunnel: tunnel.opened)

    def _asking(self) -> bytes:
        to = authority(self.host, self.port).encode("ascii")
        fields = b"".join(b"%s: %s\r\n" % pair for pair in self.proxy.headers)
        return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (to, to, fields)
