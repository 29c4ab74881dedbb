"""
A request of a client, and the answer to it.

Its body is in memory, up to a limit, in one piece.

An answer goes out in one of three ways.  :meth:`ProxyRequest.answer` sends a whole one in
one write.  :meth:`ProxyRequest.begin`, :meth:`ProxyRequest.send` and ``finish`` send a
stream; its head waits for the first part and goes out with it.  ``setHeader``, ``write`` and
``finish`` are Twisted's, for whatever answers by itself (Klein does, where nothing is found).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from yallmp import bulk
from yallmp.arrivals import Arrival, origin_form
from yallmp.core.answerhead import BODILESS, answer_head
from yallmp.core.errors import Overloaded, ProxyError, TooLarge, error_body
from yallmp.core.exchange import HeaderPairs
from yallmp.lazyrequest import LazyRequest

_JSON: HeaderPairs = ((b"content-type", b"application/json"),)
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date"})
_NO_ROOM = Overloaded("The proxy has as much in memory as it may; try again.")
_log = Logger()


class ProxyRequest(LazyRequest):
    """A request and its answer."""

    arrival: Arrival
    held = _body_left = _body_limit = 0
    _parts: list[bytes]
    _loose: bytearray | None = None
    _unsent: bytes | None = None
    _streams = False
    _over: bool | None = None
    _reason: Failure | None = None

    def __init__(self, channel: Any, queued: object = None) -> None:
        super().__init__(channel)
        self.account = channel.site.account
        self._calls: list[Callable[[bool], None]] = []

    def gotLength(self, length: int | None) -> None:
        """The head is there; *length* is the body's as declared, ``None`` if it is chunked."""
        self._parts = []
        self._body_left = self._body_limit = self.channel.limits.max_body_bytes
        if length != 0:
            self.channel.await_body()
        if length is not None and length > self._body_left:
            self._refuse_body()
        elif length != 0 and not self.account.has_room(length or 1):
            self._refuse(_NO_ROOM)
        elif length is not None:
            bulk.expect(self.transport, length)
        else:
            self._loose = bytearray()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """A part of the body came."""
        self._body_left -= len(data)
        self.hold(len(data))
        if self._body_left < 0:
            self._refuse_body()
        elif self.account.held > self.account.limit:
            self._refuse(_NO_ROOM)
        elif self._loose is not None:
            self._loose += data  # chunks may be tiny, and many
        else:
            self._parts.append(data)

    @property
    def received(self) -> int:
        """How much of the body has come."""
        return self._body_limit - self._body_left

    def foresee(self, more: int) -> None:
        """So much *more* of the body is declared: what would be too much is not waited for."""
        if more > self._body_left:
            self._refuse_body()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """All of it is there."""
        channel = self.channel
        channel.await_nothing()
        channel.blank = False
        if not channel.refusing:
            self.body = self._collected()
            bulk.expect_no_more(self.transport)
            self.serve(command, origin_form(path), version)

    def _collected(self) -> bytes:
        """The parts of the body in one piece; they are kept no longer."""
        parts, loose = self._parts, self._loose
        self._parts, self._loose = [], None
        return b"".join(parts) if loose is None else bytes(loose)

    def hold(self, size: int) -> None:
        """So many bytes more are held for it."""
        self.held += size
        self.account.held += size

    def serve(self, method: bytes, target: bytes, version: bytes) -> None:
        """Let the site's resource, which is a leaf, answer; *target* is a path."""
        self.method, self.uri, self.clientproto = method, target, version
        self.path = target.partition(b"?")[0]
        self.site = self.channel.site
        try:
            self.render(self.site.resource)
        except Exception:
            self.processingFailed(Failure())

    def processingFailed(self, reason: Failure) -> Failure:  # noqa: N802
        """An error that should not be: told in our shape, without its traceback."""
        _log.failure("serving {path!r} failed", reason, path=self.path)
        if not self.startedWriting:
            self.answer(500, _JSON, error_body(ProxyError("The proxy failed; its log says why.")))
        else:
            self.channel.loseConnection()
        return reason

    def when_over(self, call: Callable[[bool], None]) -> None:
        """
        Have *call* called when the request is over, once, in the order of these calls.

        It is told whether the client left before the answer was finished.
        """
        if self._over is None:
            self._calls.append(call)
        else:
            call(self._over)

    def notifyFinish(self) -> Deferred[None]:  # noqa: N802
        """The same as a Deferred, which fails if the client left."""
        over: Deferred[None] = Deferred()
        self.when_over(partial(self._notify, over))
        return over

    def connectionLost(self, reason: Failure) -> None:
        """The client left."""
        self._disconnected = True
        self.channel = None
        self._reason = reason
        self._end(gone=True)

    def answer(
        self, status: int, headers: HeaderPairs, body: bytes, *, close: bool = False
    ) -> None:
        """
        Send a whole answer and finish; it goes nowhere if the client has left.

        *headers* replace those of the same name that were set; length, date and connection
        are not among them.  With *close* it is the last answer on its connection.
        """
        if self._disconnected:
            return
        if close:
            self.channel.persistent = False
        bodiless = status in BODILESS
        framing = () if bodiless else ((b"content-length", b"%d" % len(body)),)
        head = self._head(status, headers, framing)
        sent = b"" if bodiless or self.method == b"HEAD" else body
        self.startedWriting = 1
        self.sentLength = len(sent)
        bulk.send(self.transport, head, sent)
        self.finished = 1
        self._cleanup()

    def begin(self, status: int, headers: HeaderPairs) -> None:
        """Begin a stream; nothing goes out before its first part, or its end."""
        if self._disconnected:
            return
        self._streams = True
        framing: HeaderPairs = ()
        if self.clientproto == b"HTTP/1.1" and self.method != b"HEAD" and status not in BODILESS:
            framing = ((b"transfer-encoding", b"chunked"),)
            self.chunked = 1
        elif self.clientproto != b"HTTP/1.1":
            self.channel.persistent = False
        self._unsent = self._head(status, headers, framing)

    def send(self, data: bytes) -> None:
        """Send a part of a stream; it is not empty."""
        if self._disconnected:
            return
        if self.chunked:
            framed = b"%x\r\n%b\r\n" % (len(data), data)
            self.sentLength += len(data)
        elif self.method == b"HEAD" or self.code in BODILESS:
            framed = b""
        else:
            framed = data
            self.sentLength += len(data)
        if self._unsent is not None:
            framed, self._unsent = self._unsent + framed, None
            self.startedWriting = 1
        self.transport.write(framed)

    def write(self, data: bytes) -> None:
        """Twisted's own way to answer."""
        if not self.startedWriting and not self._disconnected:
            self.setHeader(b"date", self.channel.site.sweep.date)
        super().write(data)

    def finish(self) -> None:
        """The answer is whole."""
        if not self._streams:
            super().finish()
            return
        if self._disconnected:
            return
        last = b"0\r\n\r\n" if self.chunked else b""
        self.transport.write((self._unsent or b"") + last)
        self._unsent, self.startedWriting = None, 1
        self.finished = 1
        self._cleanup()

    def _head(self, status: int, headers: HeaderPairs, framing: HeaderPairs) -> bytes:
        """The answer's head; the status is noted."""
        if self.startedWriting or self._unsent is not None:
            raise RuntimeError("This request has been answered already.")
        self.code = status
        channel = self.channel
        pairs = [(b"Date", channel.site.sweep.date), *self._preset(headers), *headers, *framing]
        if not channel.persistent:
            pairs.append((b"Connection", b"close"))
        return answer_head(self.clientproto, status, pairs)

    def _preset(self, headers: HeaderPairs) -> HeaderPairs:
        """What was set before, without what *headers* and the framing replace."""
        asked_for: Headers | None = self.__dict__.get("responseHeaders")
        preset = self.preset if asked_for is None else _pairs(asked_for)
        replaced = {name.lower() for name, _ in headers}
        return tuple([pair for pair in preset if pair[0].lower() not in replaced])

    def _cleanup(self) -> None:
        if self.producer:
            _log.error("A producer was left at {path!r}.", path=self.path)
            self.unregisterProducer()
        self.channel.requestDone(self)
        del self.channel
        self._end(gone=False)

    def _end(self, *, gone: bool) -> None:
        self._over = gone
        self.let_go()
        calls, self._calls = self._calls, []
        for call in calls:
            try:
                call(gone)
            except Exception:
                _log.failure("the end of {path!r} was not taken note of", path=self.path)

    def let_go(self) -> None:
        """Let go of the body: whoever holds on to the request (Klein does) must not keep it."""
        self._parts, self._loose = [], None
        self.body = b""
        self.account.held -= self.held
        self.held = 0
        self.__dict__.pop("content", None)

    def _notify(self, over: Deferred[None], gone: bool) -> None:
        if gone:
            over.errback(self._reason)
        else:
            over.callback(None)

    def _refuse_body(self) -> None:
        self._refuse(TooLarge(f"The body is larger than {self._body_limit} bytes."))

    def _refuse(self, error: ProxyError) -> None:
        """Read no more of the body, and do not ask for it either."""
        self.let_go()
        self.requestHeaders.removeHeader(b"expect")
        self.channel.refuse(error)


def _pairs(headers: Headers) -> HeaderPairs:
    return tuple(
        (name, value)
        for name, values in headers.getAllRawHeaders()
        if name.lower() not in _FRAMING
        for value in values
    )
