"""
The life of the process: what starts before what, and how it stops.

Start: the recorder, then the listener, so that the first request can be recorded.  Stop:
for ``drain_delay`` all goes on, but we say that we are about to stop, and every answer is
the last on its connection; then no new connections, and those on which nothing is under way
are closed; then what is under way may finish within ``drain_timeout``, until it has reached
its clients; then what is left is ended with an error that says why, then the records are
flushed.  A second signal does not wait.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define
from twisted.application.service import IService
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from yallmp import __version__
from yallmp.arrivals import authority
from yallmp.core.settings import Config
from yallmp.descriptors import room
from yallmp.forwarding import Forwarding
from yallmp.listening import CannotListen, refusal
from yallmp.logged import LoggedService
from yallmp.signals import Ending, Hangup
from yallmp.site import ProxySite
from yallmp.systemd import Herald
from yallmp.wires import Wires

#: How long the last answers may take to leave after the drain, in seconds.
LAST_ANSWERS = 0.8
#: How long everything may take after the drain, in seconds; the end of Python's interpreter takes
#: a little more, and all of it is less than two.
AFTER_DRAIN = 1.1
_log = Logger()


@define
class Draining:
    """
    Whether the process is about to stop.

    :ivar end: when it has to be over, on the reactor's clock.
    """

    value: bool = False
    end: float = math.inf

    def __call__(self) -> bool:
        """Whether it is."""
        return self.value

    def left(self, clock: IReactorTime) -> float:
        """The seconds until then."""
        return max(0.0, self.end - clock.seconds())


class Daemon(LoggedService):
    """
    Everything that lives, as one service.

    :param before: services that start before the listener and stop after it, in order.
    :param herald: is told when we serve, and when we stop.
    :param config: gives the configuration in force: how long a stop may take.
    :param sayings: what its owner should read at the start, as (level, text).
    :param log_observer: writes the daemon's log in place of twistd's own observer.
    :param name: what it calls itself when it listens.
    :param is_ended_by_signals: whether it is; a worker is ended by its supervisor.
    :param reload: reads the configuration again when SIGHUP comes; ``None`` leaves it alone.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamServerEndpoint,
        site: ProxySite,
        forwarding: Forwarding,
        wires: Wires,
        before: Sequence[IService],
        draining: Draining,
        herald: Herald,
        config: Callable[[], Config],
        sayings: Sequence[tuple[str, str]] = (),
        log_observer: ILogObserver | None = None,
        name: str = f"yallmp {__version__}",
        is_ended_by_signals: bool = True,
        reload: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(sayings, log_observer)
        self._reactor = reactor
        self._endpoint = endpoint
        self._site = site
        self._forwarding = forwarding
        self._wires = wires
        self._before = list(before)
        self._draining = draining
        self._herald = herald
        self._config = config
        self._port: Deferred[IListeningPort | None] | None = None
        self._deaf: str | None = None
        self._called = name
        self._ending = Ending(reactor, self.hurry, draining) if is_ended_by_signals else None
        self._hangup = Hangup(reactor, reload) if reload is not None else None
        self._patience = math.inf
        self._under_way: Deferred[Any] = succeed(None)

    def privilegedStartService(self) -> None:
        """Bind, while a port below 1024 may still be bound."""
        os.umask(0o077)
        if self._hangup is not None:
            self._hangup.listen()
        port: Deferred[IListeningPort] = self._endpoint.listen(self._site)
        self._port = port.addErrback(self._cannot_listen)
        if self._deaf is not None:
            raise CannotListen(self._deaf)

    def _cannot_listen(self, failure: Failure) -> None:
        """Nobody can reach us; an endpoint may find that out only when the reactor runs."""
        self._deaf = refusal(failure.value)
        _log.critical("cannot listen: {reason}", reason=self._deaf)
        self._reactor.callWhenRunning(self._reactor.stop)

    def startService(self) -> None:
        """Start everything."""
        super().startService()
        self._site.room = room(self._site.most)
        for service in self._before:
            service.startService()
        self.say()
        self._reactor.callWhenRunning(self._serving)

    def _serving(self) -> None:
        """The reactor runs: from now on signals are ours, and whoever waits for us may come."""
        if self._ending is not None:
            self._ending.listen()
        if self._port is not None:
            self._port.addCallback(self._say_where)

    def _say_where(self, port: Any) -> Any:
        if port is not None:
            where = _shown(port.getHost()) + (" with TLS" if self._config().server.tls else "")
            _log.info("{name} listens on {where}", name=self._called, where=where)
            self._herald.ready()
        return port

    def hurry(self) -> None:
        """End what is under way now: somebody does not want to wait."""
        self._patience = 0.0
        self._draining.end = min(self._draining.end, self._reactor.seconds() + AFTER_DRAIN)
        self._under_way.cancel()

    async def _stop(self) -> None:
        self._draining.value = True
        self._herald.stopping()
        self._site.sweep.drain()
        await self._linger(min(self._config().drain_delay, self._patience))
        await self._stop_listening()
        self._site.sweep.close_idle()
        await self._drain()
        for service in reversed(self._before):
            await self._ended(service.stopService)
        await self._ended(self._wires.close)

    async def _linger(self, seconds: float) -> None:
        """Go on for as long as others need to see that we are about to stop."""
        if seconds > 0:
            self._under_way = deferLater(self._reactor, seconds)
            await DeferredList([self._under_way], consumeErrors=True)

    async def _stop_listening(self) -> None:
        if self._port is not None:
            port = await self._port
            if port is not None:
                await _maybe(port.stopListening())

    async def _drain(self) -> None:
        """Wait for what is under way; end what takes too long."""
        patience = min(self._config().drain_timeout, self._patience)
        self._draining.end = self._reactor.seconds() + patience + AFTER_DRAIN
        await self._idle_within(patience)
        self._forwarding.shut_down()
        self._site.sweep.shut_down()
        await self._idle_within(LAST_ANSWERS)

    async def _idle_within(self, seconds: float) -> None:
        """Wait until nothing is under way and every answer has left."""
        over = [self._forwarding.idle(), self._site.sweep.gone()]
        both: Deferred[Any] = DeferredList(over, consumeErrors=True)
        self._under_way = both.addTimeout(seconds, self._reactor)
        await DeferredList([self._under_way], consumeErrors=True)

    async def _ended(self, end: Callable[[], Any]) -> None:
        """Wait until something has ended, while there is time; what became of it is no matter."""
        ended = maybeDeferred(end)
        ended.addTimeout(self._draining.left(self._reactor), self._reactor)
        await DeferredList([ended], consumeErrors=True)

    def stopService(self) -> Deferred[None]:
        """Fires when everything is over."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())


def _shown(address: IAddress) -> str:
    """Where we listen, for the log."""
    if isinstance(address, UNIXAddress):
        return f"unix:{os.fsdecode(address.name or b'')}"
    return authority(address)


async def _maybe(result: Any) -> None:
    if isinstance(result, Deferred):
        await result
