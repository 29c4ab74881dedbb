"""
Hands records to the recorder process, and never waits for it.

A request must not suffer from its log.  So the proxy only gathers frames
(:mod:`yallmp.core.frames`), gives them to the recorder process
(:mod:`yallmp.recorder_child`) in batches through a pipe, and keeps at most
``queue_bytes`` that are not yet confirmed (:mod:`yallmp.core.backlog`).  Whatever goes
wrong beyond the pipe costs records, which are counted and told (:mod:`yallmp.losses`),
and nothing else.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from yallmp import recorder_child
from yallmp.core.backlog import Backlog
from yallmp.core.families import RECORDS, RECORDS_LOST, Family
from yallmp.core.readings import Labels, Value
from yallmp.interfaces import IRecorder
from yallmp.losses import Losses
from yallmp.record_files import KINDS, make_directories
from yallmp.recorder_process import LAST_BREATH, Command, Listener, RecorderProcess

#: How long frames gather, in seconds, and how many bytes of them.  Each batch wakes another
#: process up, which costs more than a record does.
GATHER = 0.05
MOST_GATHERED = 256 * 1024
#: How long the process may be silent when it is to end, in seconds.
SILENCE = 5.0
_LEAST = 0.1
_ENDED = "the recorder process ended"


class RecorderError(Exception):
    """Records cannot be written; the message is one line that says what to do."""


def check_directory(directory: str) -> None:
    """
    Make the directories for records and try to write there.

    :raises RecorderError: it cannot be done.
    """
    try:
        make_directories(directory)
        for folder, _ in KINDS.values():
            _try_to_write(os.path.join(directory, folder))
    except (OSError, ValueError) as error:  # the latter of a path that is none
        raise RecorderError(
            f"logging.directory {directory} cannot be written "
            f"({getattr(error, 'strerror', None) or error}); "
            "make it writable for the user that yallmp runs as, or choose another (--log-dir)"
        ) from error


def _try_to_write(folder: str) -> None:
    """Write a file that is gone at once."""
    with tempfile.TemporaryFile(dir=folder):
        return


@implementer(IRecorder)
class Recorder(Service):
    """
    The recorder process as a service, and the way for records into it.

    Stop it after everything that makes records: what comes later is dropped.

    :param reactor: provides IReactorProcess and IReactorTime.
    :param max_age: seconds that a record is kept.
    :param max_total_bytes: of all records; the oldest go first.
    :param queue_bytes: of frames that the process has not yet confirmed.
    :param environment: of the process, such as the path to the interpreter's libraries.
    :param stop_timeout: gives the seconds that a stop may still take; while it writes, the
        process gets all of them, and else :data:`SILENCE` at most.
    :param sweeps_for: how many recorders share the directory, if this is the one that keeps
        it in bounds for all; 0 if another is.
    """

    name = "recorder"

    def __init__(
        self,
        reactor: Any,
        directory: str,
        *,
        max_age: float,
        max_total_bytes: int,
        queue_bytes: int,
        log: Logger,
        python: str = sys.executable,
        environment: tuple[tuple[str, str], ...] = (),
        stop_timeout: Callable[[], float] = lambda: SILENCE,
        sweeps_for: int = 1,
    ) -> None:
        self._reactor = reactor
        self._directory = os.path.abspath(directory)
        self._backlog = Backlog(queue_bytes)
        self._batch: IDelayedCall | None = None
        self._handed = {"request": 0, "error": 0}
        self._is_asking = False
        self._queue_losses = Losses(reactor, log)
        self._disk_losses = Losses(reactor, log)
        self._process_losses = Losses(reactor, log)
        self._python = python
        self._environment = dict(environment)
        self._sweeps_for = sweeps_for
        self._process = RecorderProcess(
            reactor,
            self._command(_limits(max_age, max_total_bytes)),
            Listener(up=self._flush, down=self._process_lost, line=self._process_said),
            log,
            lambda: min(SILENCE, max(_LEAST, stop_timeout() - LAST_BREATH)),
        )

    def _command(self, limits: Sequence[str]) -> Command:
        """What starts a process that keeps to *limits*."""
        arguments = _arguments(self._python, self._directory, (*limits, str(self._sweeps_for)))
        return Command(self._python, arguments, self._environment)

    def limit(self, *, max_age: float, max_total_bytes: int, queue_bytes: int) -> None:
        """Keep to other limits from now on, whatever is under way."""
        limits = _limits(max_age, max_total_bytes)
        self._process.succeed_with(self._command(limits))
        self._backlog.limit(queue_bytes, " ".join(limits).encode("ascii"))
        self._look_for_room()
        if self._batch is None:
            self._gather()

    @property
    def lost(self) -> int:
        """How many records were given up since the start."""
        return sum(losses.total for losses in self._losses())

    def begin(self, name: str) -> None:
        """See :class:`IRecorder`."""
        if not self._backlog.begin(name):
            self._overflow()
        if self._batch is None:
            self._gather()

    def append(self, name: str, data: bytes) -> None:
        """See :class:`IRecorder`."""
        if not self._backlog.append(name, data):
            self._overflow()
        if self._batch is None:
            self._gather()
        elif self._backlog.waiting > MOST_GATHERED:
            self._hand_over()

    def finish(self, name: str) -> None:
        """See :class:`IRecorder`."""
        self._handed["request"] += 1
        self._backlog.finish(name)
        if self._batch is None:
            self._gather()

    def whole(self, name: str, data: bytes) -> None:
        """See :class:`IRecorder`."""
        self._handed["request"] += 1
        if not self._backlog.whole(name, data):
            self._overflow()
        if self._batch is None:
            self._gather()
        elif self._backlog.waiting > MOST_GATHERED:
            self._hand_over()

    def discard(self, name: str) -> None:
        """See :class:`IRecorder`."""
        self._backlog.discard(name)
        if self._batch is None:
            self._gather()

    def error(self, name: str, data: bytes) -> None:
        """See :class:`IRecorder`."""
        self._handed["error"] += 1
        if not self._backlog.error(name, data):
            self._overflow()
        if self._batch is None:
            self._gather()

    def read(self) -> Iterator[tuple[Family, Mapping[Labels, Value]]]:
        """See :data:`yallmp.core.readings.Source`."""
        yield RECORDS, {(kind,): [count] for kind, count in self._handed.items()}
        reasons = zip(("queue", "disk", "process"), self._losses(), strict=True)
        yield RECORDS_LOST, {(reason,): [losses.total] for reason, losses in reasons}

    def startService(self) -> None:
        """
        Start the process.

        Whatever is wrong with the disk or the system by now costs records, and no service:
        a worker that follows one that died serves also while the disk is full.  Whoever may
        refuse to start asks :func:`check_directory` before.
        """
        self._process.start()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Write what is left; fires when the process is gone."""
        super().stopService()
        if self._batch is not None:
            self._batch.cancel()
        self._flush()
        stopped = self._process.stop(more=self._backlog.is_waiting)
        self._backlog.close()
        return stopped.addCallback(self._tell_losses)

    def _gather(self) -> None:
        """Frames wait: they go out together, if there is anyone to take them."""
        if self._process.is_up and self._backlog.is_waiting:
            self._batch = self._reactor.callLater(GATHER, self._flush)

    def _flush(self) -> None:
        """A batch has gathered."""
        self._batch = None
        self._hand_over()

    def _hand_over(self) -> None:
        """What waits goes out, if there is anyone to take it."""
        if self._process.is_up and self._backlog.is_waiting:
            self._process.write(self._backlog.take())

    def _overflow(self) -> None:
        """A record found no room."""
        self._queue_losses.lost(1, "the recorder process is behind by logging.queue_bytes")
        self._look_for_room()

    def _process_lost(self) -> None:
        """The process is gone with what it had under way; the next one tells how much more."""
        open_records, doubtful = self._backlog.lose_sent()
        self._is_asking = bool(doubtful)
        if open_records:
            self._process_losses.lost(open_records, _ENDED)
        self._look_for_room()

    def _process_said(self, line: str) -> None:
        """What the process tells; see :mod:`yallmp.recorder_child`."""
        kind, _, rest = line.partition(" ")
        if kind == "ack":
            self._confirmed(int(rest))
        elif kind == "lost":
            count, _, reason = rest.partition(" ")
            self._disk_losses.lost(int(count), reason)
        elif kind == "back":
            self._disk_losses.over()
        elif kind == "ready" and not self._is_asking:
            self._process_losses.over()
        elif kind == "missing":
            self._missing(int(rest))

    def _missing(self, count: int) -> None:
        """The process has looked for what its predecessor was to write."""
        if count:
            self._process_losses.lost(count, _ENDED)
        self._process_losses.over()

    def _confirmed(self, size: int) -> None:
        """The process took frames, and did what they say."""
        self._backlog.confirm(size)
        self._look_for_room()

    def _look_for_room(self) -> None:
        """Records may fit again."""
        if not self._backlog.is_full:
            self._queue_losses.over()

    def _losses(self) -> tuple[Losses, ...]:
        """All kinds of trouble."""
        return (self._queue_losses, self._disk_losses, self._process_losses)

    def _tell_losses(self, result: None) -> None:
        """Nothing more is lost from here on but what nobody confirmed."""
        if self._backlog.unconfirmed:
            self._process_losses.lost(self._backlog.unconfirmed, _ENDED)
        for losses in self._losses():
            losses.close()


def _limits(max_age: float, max_total_bytes: int) -> tuple[str, str]:
    """What the process keeps to, as it is told: the age and the size of records."""
    return str(max_age), str(max_total_bytes)


def _arguments(python: str, directory: str, limits: Sequence[str]) -> tuple[str | bytes, ...]:
    """The command line; the interpreter loads nothing that it need not, and leaves no files."""
    program = os.path.abspath(recorder_child.__file__)
    return (python, "-I", "-S", "-B", program, os.fsencode(directory), *limits)
