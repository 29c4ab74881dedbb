"""
Reloads: one at a time, and what is said of them.

However often it is asked for, one reload is under way at a time.  Whoever asks meanwhile
may have changed the file since it was read, so one more follows, which serves all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from yallmp.core.changes import Made
from yallmp.core.errors import ProxyError

_log = Logger()


@define(eq=False)
class Repeated:
    """
    Work that is done anew for whoever asks, one at a time; those who wait share the next.

    :ivar work: what is done.
    """

    work: Callable[[], Awaitable[Made]]
    _is_under_way: bool = False
    _waiting: list[Deferred[Made]] = field(factory=list)

    def __call__(self) -> Deferred[Made]:
        """What comes of work that begins after this was called."""
        made: Deferred[Made] = Deferred(lambda _: None)
        self._waiting.append(made)
        self._go_on()
        return made

    def _go_on(self) -> None:
        if self._waiting and not self._is_under_way:
            self._is_under_way = True
            sharing, self._waiting = self._waiting, []
            Deferred.fromCoroutine(_awaited(self.work)).addBoth(self._done, sharing)

    def _done(self, result: Any, sharing: list[Deferred[Made]]) -> None:
        self._is_under_way = False
        for each in sharing:
            if not each.called:
                each.callback(result)
        self._go_on()


async def _awaited(work: Callable[[], Awaitable[Made]]) -> Made:
    return await work()


def tell(made: Made) -> None:
    """Say in the log what a reload has changed."""
    told = made.differences
    _log.info("the configuration is reloaded: {words}", words=told.words())
    for name in told.restart:
        _log.warn("{name} is changed by a restart only", name=name)
    for text in told.warnings:
        _log.warn("{text}", text=text)
    for text in told.notes:
        _log.info("{text}", text=text)


def ask_in_passing(reload: Callable[[], Awaitable[Made]]) -> None:
    """Reload for somebody who gets no answer (SIGHUP); what is wrong stands in the log."""
    Deferred.fromCoroutine(_awaited(reload)).addErrback(_passed_over)


def _passed_over(failure: Failure) -> None:
    if not failure.check(ProxyError, CancelledError):
        _log.failure("the configuration is not reloaded", failure)
