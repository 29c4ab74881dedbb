"""
Several workers as one service: started, kept running, and ended together.

The supervisor serves nobody itself.  It holds a listening socket for each worker, among
which the system shares out new connections (``SO_REUSEPORT``).  Since the sockets are its
own, none is refused while a worker is dead: those that the system gave to it wait for the
one that follows.

At the end all workers drain at once; one that takes longer than it may is killed.  If the
supervisor itself is killed, they see it by their pipes, drain and end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, Logger

from yallmp import __version__
from yallmp.agreement import Agreement
from yallmp.core.control import Drain, Here, Hurry, Message
from yallmp.descriptors import raised
from yallmp.listening import CannotListen, ListeningError, SharedPort
from yallmp.logged import LoggedService
from yallmp.reloads import ask_in_passing
from yallmp.signals import Ending, Hangup
from yallmp.systemd import Herald
from yallmp.worker_process import Command, Listener, WorkerProcess

#: What a worker may take to end beyond ``drain_timeout``, in seconds: its last answers, the
#: records that are still to be written.
LAST_WORDS = 1.5
#: How long a killed one may take to be gone, in seconds.
LAST_BREATH = 0.2
_log = Logger()


class Supervisor(LoggedService):
    """
    The workers of one port.

    :param reactor: provides IReactorProcess and IReactorTime.
    :param count: how many workers.
    :param command: starts a worker.
    :param herald: is told when all workers serve, and when they stop.
    :param logged: takes what workers log, where they do not write it themselves.
    :param sayings: what its owner should read at the start, as (level, text).
    :param log_observer: writes the daemon's log in place of twistd's own observer.
    """

    def __init__(
        self,
        reactor: Any,
        port: SharedPort,
        count: int,
        command: Command,
        agreement: Agreement,
        herald: Herald,
        logged: Callable[[bytes], object],
        sayings: Sequence[tuple[str, str]] = (),
        log_observer: ILogObserver | None = None,
    ) -> None:
        super().__init__(sayings, log_observer)
        self._reactor = reactor
        self._port = port
        self._count = count
        self._command = command
        self._agreement = agreement
        self._herald = herald
        self._starting: set[int] = set(range(1, count + 1))
        self._listener = Listener(agreement.order, self._heard, self._gone, logged)
        self._ending = Ending(reactor, self._hurry, lambda: self._stopped is not None)
        self._hangup = Hangup(reactor, partial(ask_in_passing, agreement.reload))
        self._stopped: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None

    @property
    def _workers(self) -> Sequence[WorkerProcess]:
        return tuple(self._agreement.workers.values())

    def privilegedStartService(self) -> None:
        """Bind, while a port below 1024 may still be bound."""
        os.umask(0o077)
        self._hangup.listen()
        try:
            sockets = self._port.open(self._count)
        except ListeningError as error:
            raise CannotListen(str(error)) from None
        for number, descriptor in enumerate(sockets, 1):
            self._agreement.workers[number] = WorkerProcess(
                self._reactor, number, self._command, descriptor, self._listener
            )

    def startService(self) -> None:
        """Start the workers."""
        super().startService()
        raised()  # workers have what their supervisor has
        self.say()
        _log.info(
            "yallmp {version} starts {count} workers on {where}",
            version=__version__,
            count=self._count,
            where=self._port.where,
        )
        for worker in self._workers:
            worker.start()
        self._reactor.callWhenRunning(self._ending.listen)

    def _heard(self, number: int, message: Message) -> None:
        """A worker has said something; the last one to say that it is there makes us ready."""
        self._agreement.heard(number, message)
        if isinstance(message, Here) and number in self._starting:
            self._starting.remove(number)
            if not self._starting:
                self._herald.ready()

    def _gone(self, number: int) -> None:
        """A worker has ended; it may have been the last."""
        self._agreement.gone(number)
        if self._stopped is not None and not self._alive():
            self._over()

    def _alive(self) -> bool:
        return any(worker.is_alive for worker in self._workers)

    def stopService(self) -> Deferred[None]:
        """Let all workers drain; fires when the last is gone."""
        super().stopService()
        self._herald.stopping()
        self._port.close()
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        for worker in self._workers:
            worker.end(Drain())
        if not self._alive():
            return succeed(None)
        config = self._agreement.persistence.registry.catalog.config
        patience = config.drain_delay + config.drain_timeout + LAST_WORDS
        self._timer = self._reactor.callLater(patience, self._kill)
        return stopped

    def _hurry(self) -> None:
        """Somebody does not want to wait."""
        for worker in self._workers:
            worker.tell(Hurry())
        if self._timer is not None and self._timer.active():
            self._timer.reset(LAST_WORDS)

    def _kill(self) -> None:
        """They had their time; one that cannot even die is left behind a moment later."""
        for worker in self._workers:
            worker.kill()
        self._timer = self._reactor.callLater(LAST_BREATH, self._over)

    def _over(self) -> None:
        stopped = self._stopped
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if stopped is not None and not stopped.called:
            stopped.callback(None)
