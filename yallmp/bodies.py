"""
The bodies of backends' answers, as they come.

A body is read by a protocol of our own: treq's ways to read one cannot be cancelled and
have no bound.  Cancelling the Deferred of a :class:`Body` cuts the connection.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from yallmp.core.account import Account
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.lean.response import LeanResponse
from yallmp.wire import Wire

_log = Logger()
#: How long a finished answer's connection may take to end the body and be used again.
LINGER = 1.0


@define(eq=False)
class Body(Protocol):
    """
    Reads the body of an answer and hands it on as it comes.

    ``ended`` fires at its clean end; it fails with :class:`AttemptFailed` if the body is
    cut, or if *take* raises that.  Cancelling it cuts the connection.

    :param take: is given each read.
    """

    wire: Wire
    take: Callable[[bytes], None]
    ended: Deferred[None] = field(init=False)
    _lingering: IDelayedCall | None = None
    _cancelled: bool = False

    def __attrs_post_init__(self) -> None:
        self.ended = Deferred(self._cancel)

    def dataReceived(self, data: bytes) -> None:
        if self.ended.called or self._cancelled:
            return
        try:
            self.take(data)
        except AttemptFailed as failed:
            self.fail(failed)
        except Exception:
            _log.failure("an answer could not be read")
            self.fail(AttemptFailed(_UNREADABLE))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.wire.release()
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        if self.ended.called or self._cancelled:
            return
        if isinstance(reason.value, (ResponseDone, PotentialDataLoss)):
            self.ended.callback(None)
        else:
            self.ended.errback(AttemptFailed(_CUT))

    def fail(self, failed: AttemptFailed) -> None:
        """Read no further, because of *failed*."""
        if not self.ended.called:
            self.wire.cut()
            self.ended.errback(failed)

    def finish(self) -> None:
        """
        The answer is whole: nothing that comes now matters.

        The connection is given a moment to end the body, so that it can be used again.
        """
        if not self.ended.called:
            self.ended.callback(None)
            self.resume()
            self._lingering = self.wire.clock.callLater(LINGER, self.wire.cut)

    def leave(self) -> None:
        """Nobody wants more of it; whoever did is not kept."""
        self.take = _unwanted

    def pause(self) -> None:
        """Let the backend wait."""
        IPushProducer(self.transport).pauseProducing()

    def resume(self) -> None:
        """Let the backend go on."""
        IPushProducer(self.transport).resumeProducing()

    def _cancel(self, _: object) -> None:
        self._cancelled = True
        self.wire.cut()


def _unwanted(data: bytes) -> None:
    """What comes behind the end."""


_OVER = Problem(Reason.INVALID, "the answer is over the limit")
_UNREADABLE = Problem(Reason.INVALID, "the answer could not be read")
_CUT = Problem(Reason.INCOMPLETE, "the body was cut short", code="upstream_disconnected")


@define
class _Parts:
    """The parts of a body that is read whole, and how much it may be."""

    most: int
    decode: Callable[[bytes], bytes]
    account: Account
    whole: BytesIO = field(factory=BytesIO)
    size: int = 0

    def take(self, data: bytes) -> None:
        """One read; it is written to where the whole will be, so that there is only one of it."""
        more = self.whole.write(self.decode(data))
        self.size += more
        self.account.enter(more, self.size)
        if self.size > self.most:
            raise AttemptFailed(_OVER)


async def collected(
    response: IResponse,
    wire: Wire,
    limit: int,
    decode: Callable[[bytes], bytes],
    account: Account,
) -> bytes:
    """
    The whole body of *response*, undone by *decode*.

    :param account: has it from now on; if there is none, it has nothing of it.
    :raises AttemptFailed: it was cut short, is over *limit* bytes, or there is no room for it.
    """
    declared = response.declared if isinstance(response, LeanResponse) else response.length
    if isinstance(declared, int) and declared > limit:
        wire.cut()
        raise AttemptFailed(_OVER)
    parts = _Parts(limit, decode, account)
    body = Body(wire, parts.take)
    response.deliverBody(body)
    try:
        await wire.on(body.ended)
    except Exception:
        account.held -= parts.size
        raise
    return parts.whole.getvalue()
