"""The supervisor: how it starts its workers, and how all of them end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.test_changes import fresh
from tests.workforce import WorkersReactor
from yallmp.agreement import Agreement
from yallmp.core.changes import Reload
from yallmp.core.errors import BadConfiguration
from yallmp.core.registry import Registry
from yallmp.core.settings import Config
from yallmp.duty import Duty
from yallmp.listening import CannotListen, ListeningError
from yallmp.persistence import Persistence
from yallmp.supervisor import LAST_WORDS, Supervisor
from yallmp.systemd import Herald
from yallmp.worker_process import FIRST_DELAY, Command


@define(eq=False)
class Port:
    """A port that is only pretended; descriptors are counted from 20."""

    happened: list[str]
    where: str = "127.0.0.1:8000"
    error: str = ""

    def open(self, count: int) -> list[int]:
        """Listen."""
        if self.error:
            raise ListeningError(self.error)
        self.happened.append("port opens")
        return list(range(20, 20 + count))

    def close(self) -> None:
        """Listen no more."""
        self.happened.append("port closes")


class SupervisorCase(SynchronousTestCase):
    """A supervisor of two."""

    def setUp(self) -> None:
        self.reactor = WorkersReactor()
        self.happened: list[str] = []
        self.told_systemd: list[str] = []
        self.handlers: dict[int, Callable[[int, object], None]] = {}
        self.logged: list[bytes] = []
        self.lines: list[str] = []
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.addCleanup(os.umask, os.umask(0o022))
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)
        self.port: Any = Port(self.happened)
        registry = Registry(Config(fresh().catalog.config.backends, drain_timeout=30.0))
        self.supervisor = Supervisor(
            self.reactor,
            self.port,
            2,
            Command(("python",), {}, (1, 2)),
            Agreement(self.reactor, Persistence(registry)),
            Herald(self.reactor, self.told_systemd.append),
            self.logged.append,
            [("info", "so you {know}")],
        )

    def note(self, event: Any) -> None:
        """Something is logged."""
        self.lines.append(formatEvent(event))

    def start(self) -> None:
        """Start it, and let its workers begin."""
        self.supervisor.privilegedStartService()
        self.supervisor.startService()
        for work in self.reactor.when_running:
            work()
        self.reactor.pump()

    def stop(self) -> Deferred[None]:
        """Stop it; its workers hear of it."""
        stopped = self.supervisor.stopService()
        self.reactor.pump()
        return stopped

    def signalled(self) -> None:
        """SIGTERM comes."""
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)


class StartTests(SupervisorCase):
    """Starting."""

    def test_each_has_a_socket_of_its_own(self) -> None:
        """All are known when the first one starts, and serve when they are ready."""
        self.start()
        self.assertEqual([w.descriptors[4] for w in self.reactor.up], [20, 21])
        orders = [w.order for w in self.reactor.up if w.order]
        shares = [(order.share.number, order.share.count) for order in orders]
        self.assertEqual(shares, [(1, 2), (2, 2)])
        self.assertEqual([w.told for w in self.reactor.up], [["go"], ["go"]])

    def test_systemd_hears_of_it_when_all_serve(self) -> None:
        """And that they stop."""
        self.supervisor.privilegedStartService()
        self.supervisor.startService()
        self.assertEqual(self.told_systemd, [])
        self.reactor.pump()
        self.assertEqual(self.told_systemd, ["READY=1"])
        self.stop()
        self.assertEqual(self.told_systemd, ["READY=1", "STOPPING=1"])

    def test_what_is_said(self) -> None:
        """Notices once, and not by each worker; where it listens."""
        self.start()
        self.assertIn("so you {know}", self.lines)
        self.assertTrue(any("2 workers on 127.0.0.1:8000" in line for line in self.lines))
        self.assertEqual([w.order.config.notices for w in self.reactor.up if w.order], [(), ()])

    def test_what_it_writes_is_private(self) -> None:
        """The file of registered models, whoever starts it."""
        self.start()
        self.assertEqual(os.umask(0o022), 0o077)

    def test_it_cannot_listen(self) -> None:
        """The process ends, status 1, without a traceback; no worker is started."""
        self.port.error = "cannot listen on 127.0.0.1:8000: another program"
        error = self.assertRaises(CannotListen, self.supervisor.privilegedStartService)
        self.assertEqual((error.code, self.reactor.workers), (1, []))

    def test_a_worker_dies(self) -> None:
        """The same socket goes to its successor."""
        self.start()
        self.reactor.up[0].die()
        self.reactor.advance(FIRST_DELAY)
        self.reactor.pump()
        self.assertEqual([w.descriptors[4] for w in self.reactor.up], [21, 20])
        self.assertEqual([w.told for w in self.reactor.up], [["go"], ["go"]])


class StopTests(SupervisorCase):
    """Stopping."""

    def test_all_drain_at_once(self) -> None:
        """The port is closed first; it is over when the last is gone."""
        self.start()
        one, two = self.reactor.up
        stopped = self.stop()
        self.assertEqual(self.happened, ["port opens", "port closes"])
        self.assertEqual([one.told, two.told], [["go", "drain"]] * 2)
        two.die(None)
        self.assertNoResult(stopped)
        one.die(None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nobody_is_there(self) -> None:
        """Both have died; it is over at once, and they do not come back."""
        self.start()
        for worker in self.reactor.up:
            worker.die()
        self.successResultOf(self.stop())
        self.reactor.advance(60)
        self.assertEqual(self.reactor.up, [])

    def test_one_that_does_not_end(self) -> None:
        """It has ``drain_timeout`` and a little more, then it is killed."""
        self.start()
        one, two = self.reactor.up
        stopped = self.stop()
        two.die(None)
        self.reactor.advance(30 + LAST_WORDS - 0.1)
        self.assertEqual(one.signals, [])
        self.reactor.advance(0.1)
        self.assertEqual((one.signals, two.signals), (["KILL"], []))
        one.die()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_one_that_cannot_even_die(self) -> None:
        """It is left behind."""
        self.start()
        stopped = self.stop()
        self.reactor.advance(30 + LAST_WORDS)
        self.assertNoResult(stopped)
        self.reactor.advance(1)
        self.successResultOf(stopped)
        for worker in self.reactor.up:
            worker.die()

    def test_signals(self) -> None:
        """The first stops the reactor, a second is passed on to all, who then have less time."""
        self.start()
        self.assertEqual(set(self.handlers), {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        self.signalled()
        self.assertEqual(self.reactor.stops, 1)
        self.stop()
        self.signalled()
        self.reactor.pump()
        self.assertEqual([w.told for w in self.reactor.up], [["go", "drain", "hurry"]] * 2)
        self.reactor.advance(LAST_WORDS)
        self.assertEqual([w.signals for w in self.reactor.up], [["KILL"]] * 2)

    def test_sighup(self) -> None:
        """It has the configuration read, also before the reactor runs."""
        read: list[str] = []

        async def rereading() -> Reload:
            read.append("read")
            raise BadConfiguration(("x",))

        self.start()
        self.supervisor._agreement.rereading = rereading
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual((read, self.reactor.stops), (["read"], 0))

    def test_a_second_signal_before_the_stop(self) -> None:
        """It hurries those who have not heard of the first."""
        self.start()
        self.signalled()
        self.signalled()
        self.reactor.pump()
        self.assertEqual([w.told for w in self.reactor.up], [["go", "hurry"]] * 2)


class Life:
    """The reactor and the daemon of a worker, which note what they are told."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.triggers: list[Any] = []

    def addSystemEventTrigger(self, *trigger: Any) -> None:  # noqa: N802
        self.triggers.append(trigger)

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.happened.append(name)


class DutyTests(SynchronousTestCase):
    """What a worker does with its orders."""

    def setUp(self) -> None:
        self.life: Any = Life()
        self.duty = Duty(self.life, self.life)

    def test_go(self) -> None:
        """It starts what it is, and stops that before the reactor ends."""
        self.duty.go()
        self.assertEqual(self.life.happened, ["privilegedStartService", "startService"])
        ((phase, event, stop),) = self.life.triggers
        stop()
        self.assertEqual((phase, event), ("before", "shutdown"))
        self.assertEqual(self.life.happened[-1], "stopService")

    def test_drain(self) -> None:
        """The reactor is stopped once, by whatever it is told."""
        self.duty.drain()
        self.duty.drain()
        self.duty.hurry()
        self.assertEqual(self.life.happened, ["stop", "hurry"])

    def test_hurry(self) -> None:
        """It ends, and what is under way with it."""
        self.duty.hurry()
        self.assertEqual(self.life.happened, ["hurry", "stop"])
