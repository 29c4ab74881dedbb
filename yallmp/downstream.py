"""
The client's side of an exchange: the answer on its way out.

An answer is either *whole* (sent at once) or a stream (*begun*, then written to, then
finished or broken off).  A stream that is broken off ends with an error event and the end
of the connection, never with the final chunk: two independent signs that it is not whole.
"""

from __future__ import annotations

from typing import Any

from attrs import define
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from yallmp.core.exchange import HeaderPairs
from yallmp.core.sse import comment_bytes

STREAM_HEADERS: HeaderPairs = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_STREAM_NAMES = frozenset(name for name, _ in STREAM_HEADERS)
#: How long a broken-off client may take to read what is left, in seconds.
LAST_WORDS = 10.0
KEEP_ALIVE = comment_bytes(b"keep-alive")


@implementer(IPushProducer)
@define(eq=False)
class Pacer:
    """
    The producer that a client's connection paces, whoever produces just now.

    One for the whole answer: a connection that is full says so only once.
    """

    producer: IPushProducer | None = None
    paused: bool = False

    def drives(self, producer: IPushProducer | None) -> None:
        """From now on *producer* is paced."""
        self.producer = producer
        if producer is not None and self.paused:
            producer.pauseProducing()

    def pauseProducing(self) -> None:
        """The client does not read."""
        self.paused = True
        if self.producer is not None:
            self.producer.pauseProducing()

    def resumeProducing(self) -> None:
        """It reads again."""
        self.paused = False
        if self.producer is not None:
            self.producer.resumeProducing()

    def stopProducing(self) -> None:
        """It is gone; its departure cancels the exchange, and with it all of this."""


@define(eq=False)
class Client:
    """
    Writes one answer.

    ``status`` is what was sent (0 while nothing was), ``sent`` the bytes of body.

    :ivar request: a :class:`yallmp.inbound.ProxyRequest`.
    """

    request: Any
    clock: IReactorTime
    status: int = 0
    sent: int = 0
    gone: bool = False
    _pacer: Pacer | None = None

    def __attrs_post_init__(self) -> None:
        self.request.when_over(self._left)

    @property
    def started(self) -> bool:
        """Whether headers went out, so that only the body can still change."""
        return self.status != 0

    def whole(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Send a whole answer and finish."""
        self.status = status
        if not self.gone:
            self.sent = len(body)
            self._unregister()
            self.request.answer(status, headers, body)

    def begin(self, headers: HeaderPairs) -> None:
        """Start a stream; *headers* beside those that all streams have."""
        self.status = 200
        others = [header for header in headers if header[0] not in _STREAM_NAMES]
        self.request.begin(200, (*others, *STREAM_HEADERS))

    def write(self, data: bytes) -> None:
        """Send a part of the body."""
        if data and not self.gone:
            self.sent += len(data)
            self.request.send(data)

    def finish(self) -> None:
        """The answer is whole."""
        if not self.gone:
            self._unregister()
            self.request.finish()

    async def break_off(self, event: bytes) -> None:
        """
        End a stream that is not whole, with *event* as its last words.

        Returns when the connection is gone; until then the request must not be finished.
        """
        self.write(event)
        self._unregister()
        if self.gone:
            return
        closed = self.request.notifyFinish().addErrback(lambda _: None)
        self.request.channel.loseConnection()
        await self._gone_soon(closed)

    async def _gone_soon(self, closed: Deferred[None]) -> None:
        cut = self.clock.callLater(LAST_WORDS, self._cut)
        try:
            await closed
        except CancelledError:
            return
        finally:
            if cut.active():
                cut.cancel()

    def _cut(self) -> None:
        if self.request.channel is not None:
            self.request.channel.forceAbortClient()

    def pace(self, producer: IPushProducer) -> None:
        """Let the client's reading pace *producer*, at once if it does not read."""
        if self.gone:
            return
        if self._pacer is None:
            self._pacer = Pacer()
            self.request.registerProducer(self._pacer, True)
        self._pacer.drives(producer)

    def unpace(self) -> None:
        """Nobody produces just now."""
        if self._pacer is not None:
            self._pacer.drives(None)

    def _unregister(self) -> None:
        pacer, self._pacer = self._pacer, None
        if pacer is not None and not self.gone:
            self.request.unregisterProducer()

    def _left(self, gone: bool) -> None:
        self.gone = gone


@define(eq=False)
class Held:
    """
    Keeps a client's connection alive while its stream is still held back.

    After *after* seconds the stream begins without content, and a comment goes out every
    *every* seconds (``None``: never), so that nothing on the way gives up; failover stays
    open all the while.
    """

    client: Client
    clock: IReactorTime
    every: float | None
    _call: IDelayedCall | None = None

    def start(self, after: float | None) -> None:
        """Begin to count."""
        if after is not None:
            self._call = self.clock.callLater(after, self._due)

    def stop(self) -> None:
        """Content flows, or all is over."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _due(self) -> None:
        self._call = None
        if not self.client.started:
            self.client.begin(())
        self.client.write(KEEP_ALIVE)
        if self.every is not None:
            self._call = self.clock.callLater(self.every, self._due)
