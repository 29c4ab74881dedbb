"""
The clerk: a process that reads large bodies, so that the reactor need not.

While JSON is read, Python does nothing else, in whichever thread; another process does not
keep us.  The clerk is started when there is work for it (:mod:`yallmp.core.work`) and dismissed
when there was none for a minute.  A body goes through a pipe in pieces, at the pace at which it
is taken, so nothing here takes longer than a piece.

Whoever asked may stop waiting: work that has not begun is forgotten, an answer that
nobody waits for is thrown away.  A clerk that dies, or that takes too long and is ended, is
followed by another; work that two of them did not survive fails, and if they did not even
start, it is done here, since a pause is better than a failure.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from yallmp import clerk_child
from yallmp.clerk_process import Life, Task
from yallmp.core.work import Undone, Work
from yallmp.interfaces import IClerk

#: Seconds: how long a piece of work may take, how long a clerk without any is kept, and
#: how long it may take to end.
PATIENCE, IDLE, LAST = 30.0, 60.0, 5.0
#: What has to be left then for the records that wait for its work.
FOR_RECORDS = 0.6
#: So many clerks try.
TRIES = 2

_Answer = TypeVar("_Answer")
_log = Logger()


@implementer(IClerk)
class AtOnce:
    """Does work where it is asked for, while everything waits; for tests and rehearsals."""

    def ask(self, work: Work[_Answer], body: bytes) -> Deferred[_Answer]:
        """See :class:`yallmp.interfaces.IClerk`."""
        return execute(work, body)


AT_ONCE = AtOnce()


@implementer(IClerk)
class Clerk(Service):
    """
    The process as a service.

    Stop it after everything that asks, and before whatever its answers are for.

    :param reactor: provides IReactorProcess and IReactorTime.
    :param stop_timeout: gives the seconds in which everything has to be over, when it stops.
    """

    name = "clerk"

    def __init__(
        self,
        reactor: Any,
        stop_timeout: Callable[[], float] = lambda: LAST,
        python: str = sys.executable,
    ) -> None:
        self._reactor = reactor
        self._stop_timeout = stop_timeout
        self._python = python
        self._waiting: deque[Task] = deque()
        self._turns = 0
        self._life: Life | None = None
        self._timer: IDelayedCall | None = None
        self._stopping = False
        self._stopped: Deferred[None] = Deferred()

    def ask(self, work: Work[_Answer], body: bytes) -> Deferred[_Answer]:
        """See :class:`yallmp.interfaces.IClerk`."""
        task, busy = Task(work, body), self._is_busy
        self._waiting.append(task)
        if self._life is None:
            self._start()
        else:
            self._life.offer()
        if not busy:
            self._watch()
        return task.answer

    @property
    def _is_busy(self) -> bool:
        """Whether there is a process that has work, or will have."""
        return self._life is not None and bool(self._life.sent or self._waiting)

    def next(self) -> Task | None:
        """
        The next task for the process.

        By turns the shortest and the one that came first: what is soon done waits for few
        of those that are not, and these do not wait for ever.
        """
        waiting = self._waiting = deque([task for task in self._waiting if not task.dropped])
        if not waiting:
            return None
        self._turns += 1
        task = min(waiting, key=Task.size) if self._turns % 2 else waiting[0]
        waiting.remove(task)
        return task

    def answered(self, task: Task, answer: Any) -> None:
        """The process has done *task*."""
        self._watch()
        task.end(answer)
        if self._stopping:
            self._stop()

    def ended(self, life: Life, reason: Failure) -> None:
        """The process is gone; what it leaves is for another."""
        self._life = None
        if life.sent:
            why = reason.getErrorMessage()
            _log.error("the clerk, which reads large bodies, ended: {why}", why=why)
            life.sent[0].tries += 1
        self._waiting.extendleft(reversed(life.sent))
        if self._waiting and self._waiting[0].tries >= TRIES:
            self._give_up(self._waiting.popleft(), life)
        if self._stopping:
            self._tell_stopped()
        elif self._waiting:
            self._start()
        self._watch()

    def _give_up(self, task: Task, life: Life) -> None:
        """No process could do it."""
        if life.ready:
            task.end(Undone("the process that read it ended, or was ended"))
        else:
            task.here()

    def _start(self) -> None:
        program = os.path.abspath(clerk_child.__file__)
        path = [os.path.dirname(os.path.dirname(program)), *sys.path]
        told = os.pathsep.join([os.path.abspath(each) for each in path])
        arguments = [self._python, "-I", "-S", "-B", program, told]
        self._life = Life(self)
        try:
            self._reactor.spawnProcess(self._life, self._python, arguments, {})
        except OSError as error:
            self._life = None
            _log.error("the clerk cannot be started ({error})", error=error)
            while self._waiting:
                self._waiting.popleft().here()

    def _watch(self) -> None:
        """Count the time anew: of a piece of work, or of having none."""
        if self._stopping:
            return
        self._cancel_timer()
        if self._life is not None:
            patience, what = (PATIENCE, self._late) if self._is_busy else (IDLE, self._dismiss)
            self._timer = self._reactor.callLater(patience, what)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _late(self) -> None:
        """A piece of work takes too long; another clerk would take as long."""
        _log.error("the clerk has read one body for {s:g} s and is ended", s=PATIENCE)
        self._timer = None
        if self._life is not None:
            for task in list(self._life.sent)[:1]:
                task.tries = TRIES
            self._life.kill()

    def _dismiss(self) -> None:
        """There is no work: the process ends by itself."""
        self._timer = None
        if self._life is not None:
            self._life.dismiss()

    def stopService(self) -> Deferred[None]:
        """Fires when all work is done, or was given up, and the process is gone."""
        super().stopService()
        self._cancel_timer()
        self._stopping = True
        if self._life is None:
            return succeed(None)
        patience = max(0.0, min(LAST, self._stop_timeout() - FOR_RECORDS))
        self._timer = self._reactor.callLater(patience, self._life.kill)
        self._stop()
        return self._stopped

    def _stop(self) -> None:
        """Let the process end, if it has nothing more to do."""
        if self._life is not None and not (self._life.sent or self._waiting):
            self._life.dismiss()

    def _tell_stopped(self) -> None:
        self._cancel_timer()
        while self._waiting:
            self._waiting.popleft().end(Undone("the proxy stops"))
        self._stopped.callback(None)
