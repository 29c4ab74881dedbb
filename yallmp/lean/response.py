"""
An answer whose body is still on its way.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Shape

from attrs import define, field
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import implementer

from yallmp.core.exchange import HeaderPairs


class Source(Shape):
    """What a body comes from: a connection that can be paused."""

    def pause(self) -> None:
        """Let the backend wait."""

    def resume(self) -> None:
        """Let it go on."""

    def abort(self) -> None:
        """Close it at once."""


@implementer(IPushProducer)
class BodyTransport:
    """What a body's protocol has in place of the connection: it can pause it, or end it."""

    def __init__(self, connection: Source) -> None:
        self._connection: Source | None = connection

    def release(self) -> None:
        """The connection is no longer this body's."""
        self._connection = None

    def pauseProducing(self) -> None:
        """Let the backend wait."""
        if self._connection is not None:
            self._connection.pause()

    def resumeProducing(self) -> None:
        """Let it go on."""
        if self._connection is not None:
            self._connection.resume()

    def stopProducing(self) -> None:
        """Read no further."""
        self.loseConnection()

    def loseConnection(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.abort()


@implementer(IResponse)
@define(eq=False)
class LeanResponse:
    """
    An answer, whose body is still on its way.

    :ivar pairs: its headers in their order, those of the connection and the framing too.
    :ivar declared: the length of a body that is still on its way, if its head tells; else 0.
    """

    code: int
    phrase: bytes
    version: tuple[bytes, int, int]
    pairs: HeaderPairs
    transport: BodyTransport
    previousResponse: Any = None
    request: Any = None
    declared: int = 0
    _protocol: Protocol | None = None
    _waiting: list[bytes] = field(factory=list)
    _end: Failure | None = None

    @property
    def headers(self) -> Headers:
        """The headers, as Twisted has them."""
        headers = Headers()
        for name, value in self.pairs:
            headers.addRawHeader(name, value)
        return headers

    @property
    def length(self) -> Any:
        """The length of the body, if its head tells."""
        told = [value for name, value in self.pairs if name.lower() == b"content-length"]
        return int(told[0]) if told else UNKNOWN_LENGTH

    def setPreviousResponse(self, response: Any) -> None:
        """Remember what led here."""
        self.previousResponse = response

    def deliverBody(self, protocol: Protocol) -> None:
        """Give the body to *protocol*, what has come of it at once."""
        self._protocol = protocol
        protocol.makeConnection(self.transport)
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            protocol.dataReceived(data)
        if self._end is not None:
            protocol.connectionLost(self._end)

    def take(self, data: bytes) -> None:
        """A part of the body; it waits for whoever wants it."""
        if self._protocol is None:
            self._waiting.append(data)
            self.transport.pauseProducing()
        else:
            self._protocol.dataReceived(data)

    def has_come(self, body: bytes, reason: Failure) -> None:
        """The body is there already, and ended for *reason*."""
        self.transport.release()
        self._end = reason
        if body:
            self._waiting.append(body)

    def over(self, reason: Failure) -> None:
        """The body ended, for *reason*."""
        self.transport.release()
        self._end = reason
        if self._protocol is not None:
            self._protocol.connectionLost(reason)
