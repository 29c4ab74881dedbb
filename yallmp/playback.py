"""
Sends a request of a log and shows the answer as it comes.

Nothing of an answer is gathered: each read is shown at once.  On a terminal it is text,
decoded across reads, in which control characters are shown and do not act; anywhere else
it is the bytes as they are.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from attrs import frozen
from hyperlink import EncodedURL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from yallmp.core.escapes import escape_text, visible
from yallmp.core.resend import Resend

_FAILURES = (
    ConnectError,
    ConnectionLost,
    DNSLookupError,
    ResponseFailed,
    RequestTransmissionFailed,
    ValueError,  # of what is no name of a host
)


class NoAnswer(Exception):
    """There was no answer, or not all of it; the message says why."""


class Shows(Protocol):
    """Where an answer goes."""

    def show(self, data: bytes) -> None:
        """Show what came."""

    def end(self) -> None:
        """All of it came, or all that will."""


class Verbatim:
    """Shows the bytes as they are, for files and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._bytes = stream.buffer

    def show(self, data: bytes) -> None:
        """Write *data* at once."""
        self._bytes.write(data)
        self._bytes.flush()

    def end(self) -> None:
        """Nothing is added."""


class Terminal:
    """Shows text that cannot act on a terminal, and ends with a line break."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._last = "\n"

    def show(self, data: bytes) -> None:
        """Write *data* as text, as far as its characters are whole."""
        self._write(visible(self._decoder.decode(data)))

    def end(self) -> None:
        """Write what was left of a character, and end the line."""
        self._write(visible(self._decoder.decode(b"", final=True)))
        self._write("" if self._last == "\n" else "\n")

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()
        self._last = text[-1:] or self._last


def output(stream: TextIO) -> Shows:
    """What shows an answer on *stream*."""
    return Terminal(stream) if stream.isatty() else Verbatim(stream)


class _Body(TwistedProtocol, TimeoutMixin):
    """Shows a body; ``ended`` fires when it is whole, or fails."""

    def __init__(self, shows: Shows, clock: IReactorTime, timeout: float) -> None:
        self._shows = shows
        self._clock = clock
        self._trouble: Exception | None = None
        self.ended: Deferred[None] = Deferred()
        self.setTimeout(timeout)

    def callLater(self, delay: float, call: Callable[[], Any]) -> IDelayedCall:
        """The clock of the timeout."""
        return self._clock.callLater(delay, call)

    def dataReceived(self, data: bytes) -> None:
        """Show *data*; if nobody wants it any more (a closed pipe), stop."""
        self.resetTimeout()
        try:
            self._shows.show(data)
        except OSError as error:
            self._stop(NoAnswer(f"the answer cannot be written: {error.strerror or error}"))

    def timeoutConnection(self) -> None:
        """The answer stalled."""
        self._stop(NoAnswer(f"the answer stopped for {self.timeOut:g} s"))

    def _stop(self, trouble: Exception) -> None:
        self._trouble = self._trouble or trouble
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is over; whole only if it says so."""
        self.setTimeout(None)
        if self._trouble is not None:
            self.ended.errback(self._trouble)
        elif reason.check(ResponseDone, PotentialDataLoss):
            self.ended.callback(None)
        else:
            self.ended.errback(NoAnswer("the answer was cut short"))


@frozen
class Player:
    """
    Sends requests.

    :ivar say: says a line about the answer.
    :ivar timeout: seconds without a sign of life before giving up.
    """

    client: HTTPClient
    clock: IReactorTime
    shows: Shows
    say: Callable[[str], object]
    timeout: float

    async def play(self, request: Resend) -> int:
        """
        Send *request* and show the answer; its status.

        :raises NoAnswer: none came, or not all of it.
        """
        response = await self._head(request)
        self.say(_summary(request, response))
        body = _Body(self.shows, self.clock, self.timeout)
        response.deliverBody(body)
        try:
            await body.ended
        finally:
            self.shows.end()
        return int(response.code)

    async def _head(self, request: Resend) -> Any:
        sent = self.client.request(
            request.method,
            EncodedURL.from_text(request.url),
            headers=_headers(request),
            data=request.body,
            allow_redirects=False,
            unbuffered=True,
        )
        sent.addTimeout(self.timeout, self.clock, self._late)
        try:
            return await sent
        except _FAILURES as error:
            raise NoAnswer(f"no answer from {request.url}: {_reason(error)}") from None

    def _late(self, result: object, timeout: float) -> None:
        raise NoAnswer(f"no answer within {timeout:g} s")


def _headers(request: Resend) -> Headers:
    headers = Headers()
    for name, value in request.headers:
        headers.addRawHeader(name, value)
    return headers


def _reason(error: Exception) -> str:
    """What a failure of Twisted's says, or what the failures within it say."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return ", ".join(dict.fromkeys(reason.getErrorMessage() for reason in reasons))
    return str(error)


def _summary(request: Resend, response: Any) -> str:
    told = f"{request.method} {request.url}: {response.code}"
    for name in ("x-yallmp-backend", "x-yallmp-id"):
        value = response.headers.getRawHeaders(name)
        told += f", {name} {value[0]}" if value else ""
    return escape_text(told)
