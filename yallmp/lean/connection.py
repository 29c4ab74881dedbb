"""
One connection to a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from yallmp import bulk
from yallmp.lean.parser import MAX_HEAD, AnswerParser, NotHTTP
from yallmp.lean.response import BodyTransport, LeanResponse

#: llhttp knows no others.
_VERSIONS = {
    "0.9": (b"HTTP", 0, 9),
    "1.0": (b"HTTP", 1, 0),
    "1.1": (b"HTTP", 1, 1),
    "2.0": (b"HTTP", 2, 0),
}
_DONE = Failure(ResponseDone())


class Connection(Protocol):
    """
    One connection to a backend; it serves one request at a time.

    :param idle: is called when it may be used again.
    :param gone: is called when it never will be.
    :param head_max: says how many bytes the head of an answer may have, for each anew.
    """

    def __init__(
        self,
        idle: Callable[[Connection], None],
        gone: Callable[[Connection], None],
        head_max: Callable[[], int] = lambda: MAX_HEAD,
    ) -> None:
        self._idle = idle
        self._gone = gone
        self._head_max = head_max
        self._large = False
        self._parser: AnswerParser | None = None
        self._used: AnswerParser | None = None
        self._response: LeanResponse | None = None
        self._wanted: Deferred[IResponse] | None = None
        self._heard = False
        self._paused = False
        self.lost = False
        self.holder: Any = None

    def request(self, head: bytes, body: bytes = b"") -> Deferred[IResponse]:
        """Send a whole request; fires when the answer's head is there."""
        self._parser, self._response, self._heard = self._renewed(), None, False
        self._wanted = Deferred(self._abandon)
        self._large = len(body) > bulk.LARGE
        bulk.send(self.transport, head, body)
        return self._wanted

    def _renewed(self) -> AnswerParser:
        """A parser for an answer: the one that read the last, which ended well."""
        parser, self._used = self._used, None
        if parser is None:
            return AnswerParser(self._head_max())
        parser.most = self._head_max()
        parser.renew()
        return parser

    def dataReceived(self, data: bytes) -> None:
        """A read: the head, a part of the body, the end, or all of it."""
        parser = self._parser
        if parser is None:
            self.abort()  # nobody asked
            return
        self._heard = True
        try:
            body = parser.feed(data)
        except NotHTTP:
            self._fail(Failure())
            return
        if parser.head and self._response is None:
            if parser.complete:
                self._whole(parser, body)
                return
            self._answer(parser)
        if self._response is not None and body:
            self._response.take(body)
        if parser.complete and self._parser is parser:
            self._finish(parser)

    def _abandon(self, _: object) -> None:
        """Nobody waits for the answer any more."""
        self._wanted = None
        self.abort()

    def _answer(self, parser: AnswerParser) -> None:
        self._response = _response(parser, BodyTransport(self))
        self._response.declared = bulk.declared(parser.headers)
        bulk.expect(self.transport, self._response.declared)
        self._fire(self._response)

    def _whole(self, parser: AnswerParser, body: bytes) -> None:
        """All of it came at once: whoever waits for the head finds the body there."""
        response = _response(parser, BodyTransport(self))
        response.has_come(body, _DONE)
        self._parser = None
        if self.holder is not None:
            self.holder.release()
        keep = self._is_good(parser)
        if keep:
            self._used = parser
            self._idle(self)
        self._fire(response)
        if not keep:
            self.abort()

    def _is_good(self, parser: AnswerParser) -> bool:
        """
        Whether the connection can take another request.

        Not if the backend has answered before it had the whole request, which would still go
        out, or lie unread, where the next one is expected.
        """
        if not parser.keep_alive or parser.extra or self.lost:
            return False
        return not (self._large and parser.status >= 400) and not bulk.unsent(self.transport)

    def _fire(self, result: Any) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None and not wanted.called:
            wanted.callback(result)

    def _finish(self, parser: AnswerParser) -> None:
        """The answer is whole; whether the connection is good for another."""
        response, self._response, self._parser = self._response, None, None
        bulk.expect_no_more(self.transport)
        keep = self._is_good(parser)
        if keep:
            self._used = parser
            self.resume()
            self._idle(self)
        if response is not None:
            response.over(_DONE)
        if not keep:
            self.abort()

    def _fail(self, failure: Failure) -> None:
        """What came is no answer, or not all of one."""
        response, self._response, self._parser = self._response, None, None
        if response is not None:
            response.over(Failure(ResponseFailed([failure])))
        else:
            kind = ResponseFailed if self._heard else ResponseNeverReceived
            self._fire(Failure(kind([failure])))
        self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; a body that ends with it is whole, as far as HTTP knows."""
        self.lost = True
        self._gone(self)
        parser, response = self._parser, self._response
        if parser is None:
            return
        if response is not None and parser.until_close and reason.check(ConnectionDone):
            self._parser = self._response = None
            response.over(Failure(PotentialDataLoss()))
        else:
            self._fail(reason)

    def pause(self) -> None:
        """Let the backend wait."""
        if not self._paused and not self.lost:
            self._paused = True
            IPushProducer(self.transport).pauseProducing()

    def resume(self) -> None:
        """Let it go on."""
        if self._paused and not self.lost:
            self._paused = False
            IPushProducer(self.transport).resumeProducing()

    def abort(self) -> None:
        """Close the connection at once; from now on it is nobody's, whenever its end is seen."""
        if not self.lost:
            self.lost = True
            self._gone(self)
            ITCPTransport(self.transport).abortConnection()


def _response(parser: AnswerParser, transport: BodyTransport) -> LeanResponse:
    version = _VERSIONS.get(parser.version, _VERSIONS["1.1"])
    return LeanResponse(parser.status, parser.reason, version, parser.headers, transport)
