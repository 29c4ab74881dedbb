"""
What becomes of requests' logs and of the daemon's own, and how a reload changes that.

Other limits hold at once.  Another directory has another recorder: what begins from then on
is written there, and what was begun ends where it began, so the recorder before lives for
as long as a story is written with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger, globalLogPublisher

from yallmp.accessline import AccessLine
from yallmp.core.counts import Counts
from yallmp.core.families import Family
from yallmp.core.masking import Masker
from yallmp.core.readings import Labels, Value
from yallmp.core.settings import Config, Logging
from yallmp.core.shares import Share
from yallmp.daemonlog import DaemonLog
from yallmp.interfaces import IClerk
from yallmp.observers import Ledger, Line, Silent
from yallmp.recorder import Recorder
from yallmp.stories import Desk

#: How often it is looked whether a recorder from before is still needed, in seconds.
LOOK = 1.0


@frozen
class Lines:
    """
    The daemon's own log, and what says a request's line in it.

    :ivar log: writes it; ``None`` where that is left to twistd.
    :ivar masker: gives the masker in force.
    """

    log: DaemonLog | None
    masker: Callable[[], Masker]

    def of(self, logging: Logging) -> Line:
        """What says the line: nothing, if the log would not have it."""
        if self.log is None:
            return AccessLine(globalLogPublisher, self.masker)
        return AccessLine(self.log, self.masker) if logging.level in ("debug", "info") else Silent()

    def change(self, logging: Logging) -> None:
        """Write the log as *logging* says from now on."""
        if self.log is not None:
            self.log.change(logging)


class Recording(Service):
    """
    The recorder in force and those before it, as one service.

    :param reactor: provides IReactorTime.
    :param recorder_for: makes a recorder.
    :param counts: counts each exchange that is over.
    :param clerk: searches large bodies for secrets.
    :ivar ledger: is told of what happens.
    """

    name = "recording"

    def __init__(
        self,
        reactor: Any,
        logging: Logging,
        recorder_for: Callable[[Logging], Recorder],
        lines: Lines,
        counts: Counts,
        clerk: IClerk,
    ) -> None:
        self._reactor = reactor
        self._logging = logging
        self._recorder_for = recorder_for
        self._lines = lines
        self._clerk = clerk
        self._recorder = recorder_for(logging)
        self._former: list[Recorder] = []
        self._leaving: dict[Recorder, Deferred[None]] = {}
        self._told_by_former: list[tuple[Family, Mapping[Labels, Value]]] = []
        self._look: IDelayedCall | None = None
        self.ledger = Ledger(self._desk(), lines.of(logging), counts, reactor)

    def read(self) -> Iterator[tuple[Family, Mapping[Labels, Value]]]:
        """See :data:`yallmp.core.readings.Source`; what was counted before counts still."""
        yield from self._told_by_former
        for recorder in (self._recorder, *self._former, *self._leaving):
            yield from recorder.read()

    def change(self, config: Config) -> None:
        """Log as *config* says from now on."""
        before, self._logging = self._logging, config.logging
        if before == config.logging:
            return
        if before.directory != config.logging.directory:
            self._succeed()
        else:
            self._limit(config.logging)
        self._lines.change(config.logging)
        self.ledger.change(self._desk(), self._lines.of(config.logging))

    def _desk(self) -> Desk:
        return Desk(self._recorder, self._lines.masker, self._clerk)

    def _limit(self, logging: Logging) -> None:
        self._recorder.limit(
            max_age=logging.max_age,
            max_total_bytes=logging.max_total_bytes,
            queue_bytes=logging.queue_bytes,
        )

    def _succeed(self) -> None:
        """Another recorder takes over."""
        self._former.append(self._recorder)
        self._recorder = self._recorder_for(self._logging)
        if self.running:
            self._recorder.startService()
            self._look = self._look or self._reactor.callLater(LOOK, self._let_go)

    def _let_go(self) -> None:
        """Stop those that nothing is written with any more."""
        self._look = None
        for recorder in [each for each in self._former if not self.ledger.is_using(each)]:
            self._former.remove(recorder)
            self._leaving[recorder] = recorder.stopService()
            self._leaving[recorder].addBoth(self._gone, recorder)
        if self._former:
            self._look = self._reactor.callLater(LOOK, self._let_go)

    def _gone(self, _: object, recorder: Recorder) -> None:
        """*recorder* has ended, and counts no more records as lost."""
        del self._leaving[recorder]
        self._told_by_former += recorder.read()

    def startService(self) -> None:
        """Start the recorder."""
        super().startService()
        self._recorder.startService()

    def stopService(self) -> Any:
        """Write what is left; fires when all are gone."""
        super().stopService()
        if self._look is not None:
            self._look.cancel()
            self._look = None
        ending = [each.stopService() for each in (self._recorder, *self._former)]
        return DeferredList([*ending, *self._leaving.values()], consumeErrors=True)


def recorder_for(
    reactor: Any, share: Share, stop_timeout: Callable[[], float], logging: Logging
) -> Recorder:
    """The recorder that *logging* wants, in the process that *share* tells of."""
    return Recorder(
        reactor,
        logging.directory,
        max_age=logging.max_age,
        max_total_bytes=logging.max_total_bytes,
        queue_bytes=logging.queue_bytes,
        log=Logger(namespace="yallmp.recorder"),
        stop_timeout=stop_timeout,
        sweeps_for=share.sweeps_for,
    )
