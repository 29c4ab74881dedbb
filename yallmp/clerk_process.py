"""
The clerk's process as the proxy sees it, and the tasks that it is given one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from yallmp.core.work import Answers, Undone, Work, packed

#: How much of a body is written at a time.
PIECE = 256 * 1024
_log = Logger()


class NotRead(Exception):
    """A body could not be read; the message is for the daemon's log."""


@define(eq=False)
class Task:
    """Work on a body, for somebody who waits for ``answer`` unless it is ``dropped``."""

    work: Work[Any]
    body: bytes = field(repr=False)
    answer: Deferred[Any] = field(init=False)
    tries: int = 0
    dropped: bool = False

    def __attrs_post_init__(self) -> None:
        self.answer = Deferred(self._drop)

    def _drop(self, _: object) -> None:
        """Nobody waits any more; the body is kept no longer than it is being sent."""
        self.dropped, self.body = True, b""

    def size(self) -> int:
        """How long the body is."""
        return len(self.body)

    def pieces(self) -> Iterator[bytes]:
        """All of it, as it is sent."""
        body = self.body
        yield packed(self.work, body)
        for at in range(0, len(body), PIECE):
            yield body[at : at + PIECE]

    def end(self, answer: Any) -> None:
        """There is an answer."""
        self.body = b""
        if self.dropped:
            return
        if isinstance(answer, Undone):
            self.answer.errback(NotRead(answer.why))
        else:
            self.answer.callback(answer)

    def here(self) -> None:
        """Do it in this process."""
        try:
            answer = self.work(self.body)
        except Exception as error:
            answer = Undone(type(error).__name__)
        self.end(answer)


class Owner(Protocol):
    """Who gives tasks, and takes what becomes of them; :class:`yallmp.clerk.Clerk` is one."""

    def next(self) -> Task | None:
        """The next task."""

    def answered(self, task: Task, answer: Any) -> None:
        """*task* was done."""

    def ended(self, life: Life, reason: Failure) -> None:
        """The process is gone, and what is in ``sent`` was not done."""


@implementer(IPullProducer)
class Life(ProcessProtocol):
    """
    One process, from its start to its end; tasks go to it one after the other.

    ``ready`` tells that it has started, ``leaving`` that it is to take nothing more.
    """

    transport: Any

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._answers = Answers()
        self._pieces: Iterator[bytes] = iter(())
        self._hungry = False
        self.sent: deque[Task] = deque()
        self.ready = self.leaving = False

    def connectionMade(self) -> None:
        """It can be written to."""
        self.transport.registerProducer(self, False)

    def offer(self) -> None:
        """There is another task."""
        if self._hungry:
            self.resumeProducing()

    def resumeProducing(self) -> None:
        """What was written is gone: the next piece."""
        piece = next(self._pieces, None) or self._first_of_next()
        self._hungry = piece is None
        if piece is not None:
            self.transport.write(piece)

    def _first_of_next(self) -> bytes | None:
        task = None if self.leaving else self._owner.next()
        if task is None:
            return None
        self.sent.append(task)
        self._pieces = task.pieces()
        return next(self._pieces)

    def stopProducing(self) -> None:
        """It reads no more; its end will follow."""

    def outReceived(self, data: bytes) -> None:
        """It answered, or a part of an answer came; first of all it says that it is there."""
        for answer in self._answers.feed(data):
            if self.ready:
                self._owner.answered(self.sent.popleft(), answer)
            self.ready = True

    def errReceived(self, data: bytes) -> None:
        """It complained; that is a mistake of ours."""
        _log.error("the clerk complains: {text}", text=data[:4096].decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it said was heard."""
        self._owner.ended(self, reason)

    def dismiss(self) -> None:
        """Let it end."""
        self.leaving = True
        self.transport.closeStdin()
        self.transport.unregisterProducer()  # while there is one, the pipe stays open

    def kill(self) -> None:
        """End it."""
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return
