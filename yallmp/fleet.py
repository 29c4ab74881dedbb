"""
From a configuration to a supervisor with its workers: what :mod:`yallmp.tap` is for one
process.

Whatever can keep a worker from starting is looked for here, where somebody still reads it.
What requests need is not loaded: the supervisor serves none.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from twisted.application.service import IService
from twisted.internet import reactor as real_reactor
from twisted.logger import Logger

from yallmp.agreement import Agreement
from yallmp.core.config.findings import ConfigError
from yallmp.core.maskers import Maskers
from yallmp.core.registry import Registry, dated
from yallmp.core.settings import Config
from yallmp.daemonlog import LogFileError, Output, observer_of
from yallmp.gaps import gap_of
from yallmp.listening import ListeningError, SharedPort
from yallmp.persistence import Persistence
from yallmp.rereading import UNUSABLE, Rereading, check, sayings
from yallmp.source import Source
from yallmp.supervisor import Supervisor
from yallmp.systemd import herald_of
from yallmp.worker_process import Command

#: What keeps the daemon from starting and its user can mend; the message says how.
CANNOT_START = (*UNUSABLE, ConfigError, ListeningError, LogFileError)
_log = Logger(namespace="yallmp.worker")
#: A worker finds its modules where the supervisor found them, wherever it is started.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from yallmp.worker import main; main()"


def makeService(
    config: Config, output: Output, reactor: Any = real_reactor, *, source: Source
) -> IService:
    """
    The supervisor of the workers for *config*.

    :param output: where the daemon's own log goes.
    :param source: where *config* came from, for reloads.
    :raises Exception: one of :data:`yallmp.rereading.UNUSABLE`.
    :raises ListeningError: the address is taken, not ours, or nothing to share.
    :raises LogFileError: the daemon's own log cannot be written.
    :raises ConfigError: the models that were kept cannot be used.
    """
    check(config)
    port = SharedPort.of(config.server)
    registry = Registry(dated(config, int(time.time())))
    persistence = Persistence(registry)
    persistence.restore()
    masker = Maskers(registry.secrets)
    outfile = output.outfile()
    daemon_log = observer_of(outfile, config.logging, masker)
    if daemon_log is not None:
        registry.watch(lambda new: daemon_log.change(new.logging))
    herald = herald_of(os.environ, reactor)
    rereading = Rereading(source, reactor, time.time, masker)
    agreement = Agreement(reactor, persistence, rereading, herald)
    for each in (rereading.history, gap_of(outfile)):
        agreement.census.instruments.add(each.read)
    return Supervisor(
        reactor,
        port,
        config.server.workers,
        command_of(output),
        agreement,
        herald,
        outfile.write if outfile is not None else relayed,
        sayings(config, time.time()),
        daemon_log,
    )


def command_of(output: Output) -> Command:
    """
    What starts a worker: this Python, which finds its modules where this process does.

    A worker writes its log itself where that goes to standard output; a file that has its
    size bounded has one writer.
    """
    path = [os.path.abspath(each) for each in sys.path]
    streams: tuple[int | str, int | str] = (1, 2) if output.path == "-" else ("r", "r")
    return Command((sys.executable, "-c", _PROGRAM, *path), os.environ, streams)


def relayed(lines: bytes) -> None:
    """Pass on what workers log to a log that is not ours to write."""
    for line in lines.decode("utf-8", "replace").splitlines():
        _log.info("{line}", line=line)
