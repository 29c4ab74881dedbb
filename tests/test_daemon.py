"""The life of the process: in which order it starts and stops, and what a stop does to requests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from errno import EADDRINUSE
from math import inf
from traceback import format_exception_only
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.components import Componentized
from zope.interface import implementer

from tests.fakes import GOOD_STREAM, ROLE, Got, ProxyCase, chunk, good, silent, stream
from yallmp.core.exchange import End
from yallmp.daemon import AFTER_DRAIN, LAST_ANSWERS, CannotListen, Daemon, Draining
from yallmp.downstream import LAST_WORDS
from yallmp.systemd import Herald

HERE = IPv4Address("TCP", "127.0.0.1", 8000)


class Life:
    """The reactor of a daemon on a network in memory; ``stop`` stops the daemon's service."""

    def __init__(self, case: DaemonCase) -> None:
        self.case = case
        self.callLater = case.net.callLater
        self.seconds = case.net.seconds

    def callWhenRunning(self, work: Callable[[], None]) -> None:  # noqa: N802
        self.case.when_running.append(work)

    def callFromThread(self, work: Callable[[], None]) -> None:  # noqa: N802
        self.case.from_threads.append(work)

    def stop(self) -> None:
        self.case.happened.append("reactor stops")


class Port:
    """A listening port."""

    def __init__(self, case: DaemonCase, address: Any) -> None:
        self.case = case
        self.address = address
        self.closing: Deferred[None] | None = None

    def getHost(self) -> Any:  # noqa: N802
        return self.address

    def stopListening(self) -> Deferred[None] | None:  # noqa: N802
        self.case.happened.append("port closes")
        self.case.close_port()
        return self.closing


class Endpoint:
    """Listens on the network in memory."""

    def __init__(self, case: DaemonCase, address: Any = HERE) -> None:
        self.case = case
        self.port = Port(case, address)

    def listen(self, site: Any) -> Deferred[Any]:
        self.case.happened.append("port opens")
        self.case.net.listen("127.0.0.1", 8000, site)
        return succeed(self.port)


class Failing:
    """Cannot listen; says so when it is told to."""

    def __init__(self) -> None:
        self.result: Deferred[Any] = Deferred()
        self.error = CannotListenError("127.0.0.1", 8000, OSError(EADDRINUSE, "in use"))

    def listen(self, site: Any) -> Deferred[Any]:
        return self.result


class Told(Service):
    """A service that tells when it starts and stops; its stop may take time."""

    def __init__(self, name: str, happened: list[str]) -> None:
        self.told_as = name
        self.happened = happened
        self.stopping: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self.happened.append(f"{self.told_as} starts")

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        self.happened.append(f"{self.told_as} stops")
        return self.stopping


class DaemonCase(ProxyCase):
    """A daemon with a real proxy in it, on a network in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.happened: list[str] = []
        self.when_running: list[Callable[[], None]] = []
        self.from_threads: list[Callable[[], None]] = []
        self.handlers: dict[int, Any] = {}
        self.lines: list[Any] = []
        self.told_systemd: list[str] = []
        self.recorder = Told("recorder", self.happened)
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.addCleanup(os.umask, os.umask(0o022))
        globalLogPublisher.addObserver(self.lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.lines.append)

    def daemon_of(self, endpoint: Any, **settings: Any) -> Daemon:
        """A daemon with the parts of ``serve``."""
        assert self.parts is not None
        parts = self.parts
        wires = self.parts.wires
        close = wires.close
        self.patch(wires, "close", lambda: self.happened.append("connections close") or close())
        return Daemon(
            Life(self), endpoint, parts.site, parts.forwarding, wires, [self.recorder],
            parts.draining, Herald(self.net, self.told_systemd.append),
            lambda: parts.registry.catalog.config, **settings,
        )  # fmt: skip

    def close_port(self) -> None:
        """Nobody listens for clients any more."""
        self.net.servers.pop(("127.0.0.1", 8000)).doStop()

    def prepare(self, *backends: Any, **settings: Any) -> None:
        """Make the parts of a proxy, which does not listen yet."""
        self.serve(*backends, **settings)
        self.close_port()

    def start(self, *backends: Any, **settings: Any) -> Daemon:
        """Start a daemon with *backends*, as twistd does."""
        self.prepare(*backends, **settings)
        self.endpoint = Endpoint(self)
        self.daemon = self.daemon_of(self.endpoint)
        self.daemon.privilegedStartService()
        self.daemon.startService()
        return self.daemon

    def stop(self) -> Deferred[None]:
        """Stop it."""
        stopped = self.daemon.stopService()
        self.net.pump()
        return stopped

    def said(self, level: str = "info") -> list[str]:
        """What it said at one level."""
        return [
            event["log_format"].format(**event)
            for event in self.lines
            if event.get("log_namespace") == "yallmp.daemon" and event["log_level"].name == level
        ]

    def signalled(self, number: int = signal.SIGTERM) -> None:
        """A signal comes; what it asks for happens at the reactor's next turn."""
        self.handlers[number](number, None)

    def turn(self) -> None:
        """The reactor does what threads and signals asked for."""
        work, self.from_threads = self.from_threads, []
        for each in work:
            each()

    @property
    def outcomes(self) -> list[str]:
        """How exchanges of the API ended."""
        return [end.outcome for end in self.events_told(End)]


class StartTests(DaemonCase):
    """Starting."""

    def test_the_port_opens_while_it_may(self) -> None:
        """Binding is for root; the rest starts when that is given up."""
        self.prepare(self.fake("m"))
        daemon = self.daemon_of(Endpoint(self))
        daemon.privilegedStartService()
        self.assertEqual(self.happened, ["port opens"])
        daemon.startService()
        self.assertEqual(self.happened, ["port opens", "recorder starts"])
        self.assertTrue(daemon.running)

    def test_files_are_for_their_owner(self) -> None:
        """Also in the foreground, where twistd leaves the mask as it is."""
        self.start(self.fake("m"))
        self.assertEqual(os.umask(0o022), 0o077)

    def test_it_says_where_it_listens(self) -> None:
        """As one would write it, and when it answers: not before the reactor runs."""
        backend = self.fake("m")
        for address, shown in (
            (HERE, "127.0.0.1:8000"),
            (IPv6Address("TCP", "::1", 8000), "[::1]:8000"),
            (UNIXAddress(b"/run/y.sock"), "unix:/run/y.sock"),
        ):
            self.lines.clear()
            self.prepare(backend)
            daemon = self.daemon_of(Endpoint(self, address))
            daemon.privilegedStartService()
            daemon.startService()
            self.assertEqual(self.said(), [])
            self.when_running.pop()()
            (line,) = self.said()
            self.assertTrue(line.endswith(f" listens on {shown}"), line)
            self.close_port()

    def test_systemd_is_told(self) -> None:
        """That it serves when the reactor runs and not before, and that it stops."""
        self.start(self.fake("m"))
        self.assertEqual(self.told_systemd, [])
        self.when_running.pop()()
        self.assertEqual(self.told_systemd, ["READY=1"])
        self.stop()
        self.assertEqual(self.told_systemd, ["READY=1", "STOPPING=1"])

    def test_its_owner_is_told(self) -> None:
        """Notices of the configuration, each at its level; braces in them are braces."""
        self.prepare(self.fake("m"))
        sayings = [("warning", "look at {this}"), ("info", "so you know")]
        self.daemon_of(Endpoint(self), sayings=sayings).startService()
        texts = {e["log_level"].name: e["text"] for e in self.lines if "text" in e}
        self.assertEqual(texts, {"warn": "look at {this}", "info": "so you know"})

    def test_its_log_is_the_applications(self) -> None:
        """twistd looks for the observer there; any other parent has no use for it."""

        @implementer(ILogObserver)
        class Observer:
            def __call__(self, event: Any) -> None:
                pass

        class Application(MultiService, Componentized):
            def __init__(self) -> None:
                MultiService.__init__(self)
                Componentized.__init__(self)

        self.prepare(self.fake("m"))
        observer, application = Observer(), Application()
        self.daemon_of(Endpoint(self), log_observer=observer).setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
        self.daemon_of(Endpoint(self)).setServiceParent(MultiService())


class DeafTests(DaemonCase):
    """It cannot listen, though that could not be known before."""

    def setUp(self) -> None:
        super().setUp()
        self.prepare(self.fake("m"))
        self.failing = Failing()
        self.daemon = self.daemon_of(self.failing)

    def test_known_at_once(self) -> None:
        """The process ends: status 1, no traceback, and twistd is told why."""
        self.failing.result = fail(self.failing.error)
        error = self.assertRaises(CannotListen, self.daemon.privilegedStartService)
        self.assertEqual(error.code, 1)
        self.assertIsInstance(error, SystemExit)
        self.assertIsInstance(error, Exception)
        self.assertIn("127.0.0.1:8000: another program", str(error))
        self.assertIn("127.0.0.1:8000: another program", self.said("critical")[0])

    def test_what_twistd_passes_on(self) -> None:
        """Of a daemon's last words 100 bytes come through, two of them its own: where, and why."""
        self.failing.result = fail(self.failing.error)
        error = self.assertRaises(CannotListen, self.daemon.privilegedStartService)
        passed_on = format_exception_only(type(error), error)[-1][:98]
        self.assertIn("127.0.0.1:8000: another program listens there", passed_on)

    def test_known_later(self) -> None:
        """The reactor is stopped as soon as it runs, and the stop has nothing to close."""
        self.daemon.privilegedStartService()
        self.daemon.startService()
        self.failing.result.errback(self.failing.error)
        for work in self.when_running:
            work()
        self.assertIn("reactor stops", self.happened)
        self.successResultOf(self.stop())
        self.assertNotIn("port closes", self.happened)


class StopTests(DaemonCase):
    """Stopping."""

    def test_nothing_under_way(self) -> None:
        """It is immediate, and in order."""
        self.start(self.fake("m"))
        self.finish(self.ask())
        self.happened.clear()
        self.successResultOf(self.stop())
        self.assertEqual(self.happened, ["port closes", "recorder stops", "connections close"])
        self.assertFalse(self.daemon.running)

    def test_connections_to_backends_are_closed(self) -> None:
        """Those that are kept for the next request."""
        self.start(self.fake("m"))
        self.finish(self.ask())
        self.assertEqual(len([e for e in self.net.ends if e.host.port == 80]), 1)
        self.stop()
        self.net.pump()
        self.assertEqual([e for e in self.net.ends if e.host.port == 80], [])

    def test_each_waits_for_the_one_before(self) -> None:
        """The port, the requests, the records, the connections."""
        self.start(self.fake("m", silent), drain_timeout=3.0)
        self.endpoint.port.closing = Deferred()
        self.recorder.stopping = Deferred()
        got = self.ask()
        self.happened.clear()
        stopped = self.stop()
        self.net.pass_time(5)
        self.assertEqual(self.happened, ["port closes"])
        self.endpoint.port.closing.callback(None)
        self.finish(got)
        self.assertEqual(self.happened, ["port closes", "recorder stops"])
        self.assertNoResult(stopped)
        self.recorder.stopping.callback(None)
        self.net.pump()
        self.successResultOf(stopped)
        self.assertEqual(self.happened[-1], "connections close")

    def test_requests_may_finish(self) -> None:
        """No new connection is taken, and what is under way ends as if nothing were."""
        asked: list[Any] = []
        self.start(self.fake("m", asked.append))
        got = self.ask(stream=True)
        stopped = self.stop()
        self.net.pass_time(10)
        self.assertNoResult(stopped)
        stream(GOOD_STREAM)(*asked)
        self.finish(got)
        self.assertEqual((got.text, got.events[-1], got.clean), ("Hello", "[DONE]", True))
        self.successResultOf(stopped)
        self.assertEqual(self.outcomes, ["success"])
        self.assertNotIn(("127.0.0.1", 8000), self.net.servers)

    def test_streams_that_take_too_long(self) -> None:
        """After ``drain_timeout`` each ends with the event that says why."""
        self.start(self.fake("m", stream([ROLE, chunk("Hel")], end="hang")), drain_timeout=5.0)
        got = self.ask(stream=True)
        stopped = self.stop()
        self.net.pass_time(4.9)
        self.assertFalse(got.over)
        self.net.pass_time(0.2)
        self.assertEqual(got.events[-1]["error"]["code"], "proxy_shutdown")
        self.assertFalse(got.clean)
        self.successResultOf(stopped)
        self.assertEqual(self.outcomes, ["shutdown"])

    def test_requests_that_take_too_long(self) -> None:
        """Nothing was sent yet: 503, and that it is worth another try."""
        self.start(self.fake("m", silent), drain_timeout=5.0)
        got = self.ask()
        stopped = self.stop()
        self.net.pass_time(5.1)
        self.assertEqual((got.status, got.json["error"]["code"]), (503, "proxy_shutdown"))
        self.assertEqual(got.header("retry-after"), "1")
        self.successResultOf(stopped)
        self.assertEqual(len(self.fakes["m"].left), 1)

    def test_requests_that_do_not_come_whole(self) -> None:
        """They have their time to; then they are told, and stand in the log as refused."""
        self.start(self.fake("m"), drain_timeout=5.0)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        halves = [self.raw(head + more) for more in (b"", b"Content-Length: 9\r\n\r\n{")]
        self.net.pass_time(2.0)
        self.stop()
        self.net.pass_time(4.9)
        self.assertEqual([half.data for half in halves], [b"", b""])
        self.net.pass_time(0.2)
        for half in halves:
            self.assertTrue(half.data.startswith(b"HTTP/1.1 503 "))
            self.assertIn(b"proxy_shutdown", half.data)
        self.assertEqual(self.outcomes, ["rejected", "rejected"])

    def test_a_request_that_is_between_two_attempts(self) -> None:
        """A pause before the next attempt ends as well."""
        self.start(self.backend("dead", "http://10.9.9.9/v1", model_name="m"), drain_timeout=0.0)
        self.chance = 0.999
        got = self.ask()
        self.successResultOf(self.stopped_within(0.1))
        self.assertEqual(got.status, 503)

    def stopped_within(self, seconds: float) -> Deferred[None]:
        """Stop, and let *seconds* pass."""
        stopped = self.stop()
        self.net.pass_time(seconds)
        return stopped

    def test_a_client_that_does_not_read_holds_nothing_up(self) -> None:
        """Its last words have a second to leave, then the process ends without it."""
        self.start(self.fake("m", stream([ROLE, chunk("x" * 300_000)], end="hang")),
                   drain_timeout=1.0)  # fmt: skip
        self.ask(stream=True, reading=False)
        stopped = self.stop()
        self.net.pass_time(1.0)
        self.assertNoResult(stopped)
        self.net.pass_time(LAST_ANSWERS + 0.1)
        self.successResultOf(stopped)
        self.net.pass_time(LAST_WORDS)

    def test_not_ready_while_draining(self) -> None:
        """For ``drain_delay`` whoever asks is told so, on a new connection for each answer."""
        self.start(self.fake("m", silent), drain_timeout=5.0, drain_delay=9.0)
        self.assertEqual(self.readiness().status, 200)
        slow = self.ask()
        self.assertEqual(self.readiness().status, 200)
        self.happened.clear()
        stopped, before = self.stop(), self.net.connections
        for count in (0, 1, 2):
            draining = self.readiness()
            self.assertEqual((draining.status, draining.json), (503, {"status": "draining"}))
            self.assertEqual(self.net.connections, before + count)
        self.assertEqual(self.happened, [])
        self.net.pass_time(9.1)
        self.assertIn("port closes", self.happened)
        self.assertNoResult(stopped)
        self.net.pass_time(5.0 + LAST_ANSWERS)
        self.assertEqual(slow.status, 503)
        self.successResultOf(stopped)

    def test_a_second_signal_ends_the_delay(self) -> None:
        """Whoever does not want to wait does not have to."""
        self.start(self.fake("m", silent), drain_timeout=5.0, drain_delay=9.0)
        slow = self.ask()
        stopped = self.stop()
        self.daemon.hurry()
        self.net.pass_time(LAST_ANSWERS)
        self.assertEqual(slow.status, 503)
        self.successResultOf(stopped)

    def test_something_that_never_ends(self) -> None:
        """It has what the process has left; then the rest ends without it."""
        self.start(self.fake("m"), drain_timeout=5.0)
        self.recorder.stopping = Deferred()
        stopped = self.stop()
        self.net.pass_time(5.0 + AFTER_DRAIN - 0.1)
        self.assertNoResult(stopped)
        self.assertNotIn("connections close", self.happened)
        self.net.pass_time(0.2)
        self.assertEqual(self.happened[-1], "connections close")
        self.successResultOf(stopped)

    def test_what_is_left_of_the_time(self) -> None:
        """All of it before, then what is left of a stop, never less than nothing."""
        draining = Draining()
        self.assertEqual(draining.left(self.net), inf)
        draining.end = self.net.seconds() + 2.0
        self.assertEqual(draining.left(self.net), 2.0)
        self.net.pass_time(5.0)
        self.assertEqual(draining.left(self.net), 0.0)

    def test_idle_connections_are_closed(self) -> None:
        """When draining begins, so that nobody asks on them; the others after their answer."""
        self.start(self.fake("m", silent, good), drain_timeout=5.0)
        slow = self.ask()
        self.assertEqual(self.readiness().status, 200)
        assert self.parts is not None
        site = self.parts.site
        self.assertEqual(site.sweep.open, 2)
        stopped = self.stop()
        self.assertEqual(site.sweep.open, 1)
        self.net.pass_time(5.1)
        self.assertEqual(slow.status, 503)
        self.assertEqual(site.sweep.open, 0)
        self.successResultOf(stopped)

    def test_an_answer_has_to_arrive(self) -> None:
        """One that a slow client has not read yet is waited for like one that is under way."""
        self.start(self.fake("m", stream([ROLE, chunk("x" * 300_000), *GOOD_STREAM[1:]])),
                   drain_timeout=20.0)  # fmt: skip
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(1.0)
        stopped = self.stop()
        self.net.pass_time(10.0)
        self.assertNoResult(stopped)
        got.transport.resumeProducing()
        self.net.pass_time(1.0)
        self.successResultOf(stopped)
        self.assertTrue(got.body.endswith(b"data: [DONE]\n\n"))

    def readiness(self) -> Got:
        """Whether it is ready, it says."""
        return self.ask(path="/readyz", method="GET")


class HangupTests(DaemonCase):
    """SIGHUP."""

    def test_sighup(self) -> None:
        """It means a reload where there is something to read, and nothing to a worker."""
        self.prepare(self.fake("m"))
        for reload in (lambda: self.happened.append("reload"), None):
            daemon = self.daemon_of(Endpoint(self), reload=reload)
            daemon.privilegedStartService()
            self.assertEqual(signal.SIGHUP in self.handlers, reload is not None)
            if reload is not None:
                self.signalled(signal.SIGHUP)
                self.turn()
                self.assertIn("reload", self.happened)
            self.handlers.clear()
            self.close_port()


class SignalTests(DaemonCase):
    """SIGTERM and SIGINT."""

    def setUp(self) -> None:
        super().setUp()
        self.start(self.fake("m", silent, good))
        for work in self.when_running:
            work()
        self.happened.clear()

    def test_they_are_handled_once_the_reactor_runs(self) -> None:
        """The reactor sets its own handlers before that."""
        self.assertEqual(set(self.handlers), {signal.SIGTERM, signal.SIGINT})

    def test_they_stop_the_reactor(self) -> None:
        """At its next turn: a handler may run in the middle of anything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.close_port()
            self.start(self.backend("m", "http://10.0.0.1/v1"))
            self.happened.clear()
            self.daemon._ending.listen()
            self.signalled(number)
            self.assertEqual(self.happened, [])
            self.turn()
            self.assertEqual(self.happened, ["reactor stops"])

    def test_two_at_once(self) -> None:
        """The reactor is stopped once: it complains about a second time."""
        self.signalled()
        self.signalled(signal.SIGINT)
        self.turn()
        self.assertEqual(self.happened, ["reactor stops"])
        self.successResultOf(self.stop())

    def test_the_second_does_not_wait(self) -> None:
        """What is under way is told at once, and the process ends."""
        got = self.ask()
        self.signalled()
        self.turn()
        stopped = self.stop()
        self.net.pass_time(3)
        self.assertNoResult(stopped)
        self.signalled()
        self.turn()
        self.net.pump()
        self.assertEqual((got.status, got.json["error"]["code"]), (503, "proxy_shutdown"))
        self.successResultOf(stopped)

    def test_the_second_comes_before_the_drain(self) -> None:
        """It is not forgotten while the port still closes."""
        got = self.ask()
        self.endpoint.port.closing = Deferred()
        self.signalled()
        self.turn()
        stopped = self.stop()
        self.signalled()
        self.turn()
        self.endpoint.port.closing.callback(None)
        self.net.pass_time(0.1)
        self.assertEqual(got.status, 503)
        self.successResultOf(stopped)
