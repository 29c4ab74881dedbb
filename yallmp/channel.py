"""
The server's side of HTTP: Twisted's own parser, with limits, and one shape for refusals.

A head that comes whole and leaves no doubt is read at once (:mod:`yallmp.core.requesthead`);
all others, and whatever comes behind a request, go to Twisted's parser, line by line.  What
becomes of either is the same.  Times are kept by one timer for all connections
(:mod:`yallmp.sweep`).

What the parser refuses carries OpenAI's error shape like everything else: 431 for a head
that is too large, 414 for a target, 408 for a head or a body that comes too slowly
(:mod:`yallmp.punctual`), 400 otherwise.  A body is kept in memory, up to its limit; a longer
one is refused before it is read where its length is declared, and at the limit where it is
not.  How a refusal ends is :mod:`yallmp.refusing`'s affair.

Twisted has no public seam for what its parser finds malformed, nor for a head that was
read elsewhere: the channel replaces and calls methods of ``HTTPChannel`` that are not
documented.  Its tests would show a change.
"""

from __future__ import annotations

from typing import Any

from yallmp.arrivals import Ends
from yallmp.core.errors import HeadTooLarge, ProxyError, RequestFault, TargetTooLong
from yallmp.core.requesthead import RequestHead, plain_head
from yallmp.core.settings import Limits
from yallmp.framing import StrictChannel

#: What may come behind a request that is being served, in bytes (pipelining).
BEHIND = 16 * 1024
_METHOD_AND_VERSION = 64


class ProxyChannel(StrictChannel):
    """
    One connection of a client.

    :ivar blank: whether an empty line came in place of a request: there may be one.
    """

    transport: Any
    request_line = b""
    blank = False
    ends: Ends | None = None
    _choked = False
    _host: Any = None
    _peer: Any = None
    _secure = False

    def limit(self, limits: Limits) -> None:
        """Put *limits* in force."""
        super().limit(limits)
        self.maxHeaders = limits.max_head_fields
        self.totalHeadersSize = limits.max_head_bytes
        self.MAX_LENGTH = max(limits.max_head_bytes, limits.max_target_bytes + _METHOD_AND_VERSION)

    def connectionMade(self) -> None:
        self._host, self._peer = super().getHost(), super().getPeer()
        self._secure = super().isSecure()
        super().connectionMade()

    def getHost(self) -> Any:  # noqa: N802
        """Where we were reached; a connection that is lost no longer knows."""
        return self._host

    def getPeer(self) -> Any:  # noqa: N802
        """Who is at the other end."""
        return self._peer

    def isSecure(self) -> bool:  # noqa: N802
        """Whether this is TLS."""
        return self._secure

    def dataReceived(self, data: bytes) -> None:
        if self._discard_left is not None:
            self.discard(data)
        elif not (self._at_start() and self._take(data)):
            super().dataReceived(data)
            if self._buffer and self.line_mode and not self.refusing:
                self.await_head()  # a line has begun, and may never end

    def _at_start(self) -> bool:
        """Whether what comes next is the first byte of a request, and is to be read."""
        return not (
            self.requests
            or self._buffer
            or self._busyReceiving
            or self.blank
            or not self.persistent
            or self.site.sweep.draining
            or self.transport.disconnecting
        )

    def _take(self, data: bytes) -> bool:
        """Take a request whose head is whole and plain, with nothing behind it; whether it was."""
        head = plain_head(data, self.limits)
        if head is None or head.length > self.limits.max_body_bytes:
            return False
        account = self.site.account
        if head.length and account.held + head.length > account.limit:
            return False  # refused where all bodies are
        missing = head.end + head.length - len(data)
        if missing < 0:
            return False
        request: Any = self.requestFactory(self, 0)
        request.pairs = head.pairs
        self.requests.append(request)
        if missing:
            self._await_body(request, head, data[head.end :])
        else:
            self._serve(request, head, data[head.end :])
        return True

    def _serve(self, request: Any, head: RequestHead, body: bytes) -> None:
        """Serve a request that is whole; until it is answered, nothing else is read."""
        self._savedTimeOut = self.setTimeout(None)
        self._handlingRequest = True
        self.setRawMode()
        request.body = body
        request.held = len(body)
        request.account.held += request.held
        request.serve(head.method, head.target, b"HTTP/1.1")

    def _await_body(self, request: Any, head: RequestHead, data: bytes) -> None:
        """Have Twisted collect a body that comes in several reads; *data* is what is there."""
        self.request_line = b"%b %b HTTP/1.1" % (head.method, head.target)
        self.in_body = True
        self._command, self._path, self._version = head.method, head.target, b"HTTP/1.1"
        request.gotLength(head.length)
        self._maybeChooseTransferDecoder(b"Content-Length", b"%d" % head.length)
        self.setRawMode()
        super().dataReceived(data)

    def requestDone(self, request: Any) -> None:  # noqa: N802
        """
        *request* is answered: be ready for the next.

        What Twisted does beside that is for connections that are closed now, were ever told
        to pause, or have more to read already.
        """
        if self._choked or self._dataBuffer or not self.persistent:
            super().requestDone(request)
            self._read_no_more()
            return
        del self.requests[0]
        self._handlingRequest = False
        self.setLineMode()
        if self._savedTimeOut:
            self.setTimeout(self._savedTimeOut)

    def _read_no_more(self) -> None:
        """A client that does not read its answers may not ask for more of them, either."""
        if self._waitingForTransport and not self._handlingRequest:
            self._networkProducer.pauseProducing()

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._choked = True
        super().pauseProducing()

    def lineReceived(self, line: bytes) -> bool:
        """Take a line of the head; true ends the reading of lines (``LineReceiver``)."""
        if not self._in_head and not line:
            self.blank = True
        elif not self._in_head:
            self._in_head = True
            self.request_line = line
            self.await_head()
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
            self.transport.abortConnection()
        else:
            super().rawDataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header; a length of thousands of digits is more than Python reads."""
        try:
            good = bool(super().headerReceived(line))
        except ValueError:
            self._respondToBadRequestAndDisconnect()
            return False
        if good:
            name, _, value = line.partition(b":")
            self.requests[-1].pairs += ((name, value.strip(b" \t")),)
        return good

    def allHeadersReceived(self) -> None:
        self.await_nothing()
        self.in_body = True
        super().allHeadersReceived()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self._lost = True
        left_early = self.in_body
        self.await_nothing()
        try:
            if left_early:
                self.site.left(self)
        finally:
            super().connectionLost(reason)
            self.requests, self._transferDecoder = [], None

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        over = (
            self._receivedHeaderSize > self.totalHeadersSize
            or self._receivedHeaderCount > self.maxHeaders
        )
        malformed = RequestFault("The request is not valid HTTP.", code="bad_request")
        self.refuse(self._head_too_large() if over else malformed)

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
