"""
The server's side of HTTP: Twisted's own parser, with limits, and one shape for refusals.

What the parser refuses carries OpenAI's error shape like everything else: 431 for a head
that is too large, 414 for a target, 408 for a head that comes too slowly (10 s *in total*;
Twisted's own timer starts anew with every line), 400 otherwise.  A body is kept in memory,
up to its limit; a longer one is refused before it is read where its length is declared,
and at the limit where it is not.  After a refusal some of what still comes is read and
thrown away, so that the client gets to see the answer instead of a reset.

Twisted has no public seam for what its parser finds malformed: the channel replaces a
method of ``HTTPChannel`` that is not documented.  Its tests would show a change.
"""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request, Site

from yallmp.answers import send_error
from yallmp.arrivals import Arrival, Ends, origin_form
from yallmp.core.errors import (
    HeadTooLarge,
    ProxyError,
    RequestFault,
    RequestTimeout,
    TargetTooLong,
    TooLarge,
    error_body,
)
from yallmp.core.settings import Limits

#: What is still read after a refusal: bytes and seconds.
DISCARD_BYTES = 1024 * 1024
DISCARD_TIME = 2.0
#: A connection without a request, or a body that stands still, is closed after this; seconds.
IDLE_TIME = 60
#: What may come behind a request that is being served, in bytes (pipelining).
BEHIND = 16 * 1024
_METHOD_AND_VERSION = 64
_log = Logger()


class ProxyRequest(Request):
    """A request whose body is in memory, up to a limit."""

    channel: ProxyChannel
    arrival: Arrival
    _body_left = 0

    def gotLength(self, length: int | None) -> None:
        """The head is there; *length* is the body's as declared, ``None`` if it is chunked."""
        self.content = BytesIO()
        self._body_left = self.channel.limits.max_body_bytes
        if length is not None and length > self._body_left:
            self._refuse_body()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """A part of the body came."""
        self._body_left -= len(data)
        if self._body_left < 0:
            self._refuse_body()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is there."""
        self.channel.in_body = False
        if not self.channel.refusing:
            super().requestReceived(command, origin_form(path), version)

    def getRequestHostname(self) -> bytes:  # noqa: N802
        """
        The same for every request.

        Klein asks for it to find a route, and what it makes of a strange ``Host`` is an
        error before any handler; ours do not depend on it, and ``core.access`` judges it.
        """
        return b"yallmp"

    def processingFailed(self, reason: Failure) -> Failure:  # noqa: N802
        """An error that should not be: told in our shape, without its traceback."""
        _log.failure("serving {uri!r} failed", reason, uri=self.uri)
        if not self.startedWriting:
            send_error(self, ProxyError("The proxy failed; its log says why."))
        else:
            self.channel.loseConnection()
        return reason

    def _refuse_body(self) -> None:
        limit = self.channel.limits.max_body_bytes
        self.requestHeaders.removeHeader(b"expect")
        self.channel.refuse(TooLarge(f"The body is larger than {limit} bytes."))


class ProxyChannel(HTTPChannel):
    """One connection of a client."""

    limits: Limits = Limits()
    site: ProxySite
    request_line = b""
    _discard_left: int | None = None
    _head_timer: IDelayedCall | None = None
    _in_head = False
    _lost = False
    in_body = False
    ends: Ends | None = None
    _host: Any = None

    def limit(self, limits: Limits) -> None:
        """Put *limits* in force."""
        self.limits = limits
        self.maxHeaders = limits.max_head_fields
        self.totalHeadersSize = limits.max_head_bytes
        self.MAX_LENGTH = max(limits.max_head_bytes, limits.max_target_bytes + _METHOD_AND_VERSION)

    def connectionMade(self) -> None:
        self._host = super().getHost()
        super().connectionMade()

    def getHost(self) -> Any:  # noqa: N802
        """Where we were reached; a connection that is lost no longer knows."""
        return self._host

    def dataReceived(self, data: bytes) -> None:
        if self._discard_left is None:
            super().dataReceived(data)
            return
        self._discard_left -= len(data)
        if self._discard_left < 0:
            self.loseConnection()

    @property
    def refusing(self) -> bool:
        """Whether this connection has had its last answer."""
        return self._discard_left is not None

    def lineReceived(self, line: bytes) -> bool:
        """Take a line of the head; true ends the reading of lines (``LineReceiver``)."""
        if not self._in_head and line:
            self._in_head = True
            self.request_line = line
            self._head_timer = self.callLater(self.limits.head_timeout, self._too_slow)
            if self._target_length(line) > self.limits.max_target_bytes:
                self.refuse(self._too_long())
                return True
        super().lineReceived(line)
        return self.refusing

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line is longer than any may be: the target's, or a header's."""
        self.request_line = self.request_line if self._in_head else line
        self.refuse(self._head_too_large() if self._in_head else self._too_long())

    def rawDataReceived(self, data: bytes) -> None:
        """
        Take a part of a body, or what comes behind a request that is being served.

        Twisted stops to read where too much comes behind, and then does not see that the
        client leaves: such a client is cut off instead.
        """
        behind = len(data) + sum(map(len, self._dataBuffer))
        if self._handlingRequest and behind > BEHIND:
            ITCPTransport(self.transport).abortConnection()
        else:
            super().rawDataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header; a length of thousands of digits is more than Python reads."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            self._respondToBadRequestAndDisconnect()
            return False

    def allHeadersReceived(self) -> None:
        self._head_is_over()
        self.in_body = True
        super().allHeadersReceived()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self._lost = True
        self._head_is_over()
        try:
            if self.in_body and not self.refusing:
                self.site.left(self)
        finally:
            super().connectionLost(reason)

    def refuse(self, error: ProxyError) -> None:
        """Answer the request that is coming in with *error*, and close."""
        if self.refusing:
            return
        self._head_is_over()
        self.setTimeout(None)
        self._discard_left = DISCARD_BYTES
        self.write(_refusal(error, self.site.refused(self, error)))
        self.callLater(DISCARD_TIME, self._close)

    def _close(self) -> None:
        if not self._lost:
            self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        over = (
            self._receivedHeaderSize > self.totalHeadersSize
            or self._receivedHeaderCount > self.maxHeaders
        )
        malformed = RequestFault("The request is not valid HTTP.", code="bad_request")
        self.refuse(self._head_too_large() if over else malformed)

    def _head_is_over(self) -> None:
        self._in_head = False
        timer, self._head_timer = self._head_timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _too_slow(self) -> None:
        self._head_timer = None
        seconds = self.limits.head_timeout
        self.refuse(RequestTimeout(f"The request's head did not come within {seconds:g} s."))

    def _too_long(self) -> ProxyError:
        return TargetTooLong(f"The target is longer than {self.limits.max_target_bytes} bytes.")

    def _head_too_large(self) -> ProxyError:
        limits = self.limits
        return HeadTooLarge(
            f"The head has more than {limits.max_head_bytes} bytes"
            f" or {limits.max_head_fields} fields."
        )

    @staticmethod
    def _target_length(line: bytes) -> int:
        words = line.split(b" ")
        return len(words[1]) if len(words) > 1 else len(line)


def _refusal(error: ProxyError, arrival: Arrival) -> bytes:
    body = error_body(error)
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        "Server: yallmp\r\n"
        f"X-Request-Id: {arrival.client_request_id or arrival.id}\r\n"
        f"X-Yallmp-Id: {arrival.id}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


class ProxySite(Site):
    """
    Makes the channels.

    :param resource: the root.
    :param limits: gives the limits in force when a connection comes.
    :param refused: is told of each request that the parser refuses, and gives its arrival.
    :param left: is told of each request whose client left before its body was whole.
    """

    noisy = False
    protocol = ProxyChannel  # type: ignore[assignment]  # it also takes plain channels

    def __init__(
        self, resource: Any, limits: Any, refused: Any, left: Any, reactor: Any = None
    ) -> None:
        super().__init__(
            resource,
            requestFactory=ProxyRequest,
            parsePOSTFormSubmission=False,
            timeout=IDLE_TIME,
            reactor=reactor,
        )
        self.refused = refused
        self.left = left
        self._limits = limits
        self.displayTracebacks = False

    def log(self, request: Any) -> None:
        """Say nothing: the daemon's line (:mod:`yallmp.observers`) says more."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The channel for a new connection."""
        channel: Any = super().buildProtocol(addr)
        channel.limit(self._limits())
        return channel
