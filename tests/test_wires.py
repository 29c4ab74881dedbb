"""Connections to backends: which are kept, which are used again, and which are cut."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from tests.fakes import (
    DONE,
    GOOD_STREAM,
    ROLE,
    Got,
    ProxyCase,
    answer,
    chunk,
    completion,
    good,
    good_either,
    silent,
    stream,
)
from tests.network import BUFFER
from yallmp import wires
from yallmp.bodies import Body, collected
from yallmp.certificates import Contexts
from yallmp.core.account import Account
from yallmp.core.backend import Backend, Tls
from yallmp.core.exchange import Head
from yallmp.core.settings import Config, Limits
from yallmp.names import ResolvingReactor
from yallmp.upstream import Outgoing, Upstream
from yallmp.wire import Wire
from yallmp.wires import Wires

WHOLE = completion()


class WireCase(ProxyCase):
    """With a look at the connections to the backend ``m``."""

    def start(self, *script: Any, **settings: Any) -> None:
        """A proxy before one backend."""
        limits = settings.pop("limits", Limits())
        self.serve(self.fake("m", *script, **settings), limits=limits)

    def ends(self) -> list[Any]:
        """The backend's ends of the connections that there are."""
        return [end for end in self.net.ends if end.host.port == 80]

    def reused(self) -> list[bool]:
        """Of each head that came, whether its connection was a used one."""
        return [head.reused for head in self.events_told(Head)]

    def again(self) -> Got:
        """One more request, which is answered."""
        got = self.finish(self.ask())
        self.assertEqual(got.status, 200)
        return got


class KeepingTests(WireCase):
    """Connections that nobody uses."""

    def test_idle_ones_are_closed(self) -> None:
        """After ``upstream_idle``, counted from the last use."""
        self.start(limits=Limits(upstream_idle=7.0))
        self.again()
        self.net.pass_time(6, step=1)
        self.again()
        self.net.pass_time(6, step=1)
        self.assertEqual(len(self.ends()), 1)
        self.net.pass_time(2, step=1)
        self.assertEqual(self.ends(), [])

    def configure(self, config: Config) -> None:
        """Put *config* in force."""
        assert self.parts is not None
        self.parts.registry.replace(config)
        self.net.pump()

    def test_another_time(self) -> None:
        """A reload changes it for those that are kept already, whichever way."""
        self.start(limits=Limits(upstream_idle=7.0))
        self.again()
        backends = self.parts.registry.catalog.config.backends if self.parts else ()
        self.configure(Config(backends, limits=Limits(upstream_idle=20.0)))
        self.net.pass_time(15, step=1)
        self.assertEqual(len(self.ends()), 1)
        self.configure(Config(backends, limits=Limits(upstream_idle=10.0)))
        self.net.pass_time(1, step=1)
        self.assertEqual(self.ends(), [])
        self.again()
        self.net.pass_time(11, step=1)
        self.assertEqual(self.ends(), [])

    def test_other_settings(self) -> None:
        """Those that were made under settings that nobody has any more are closed."""
        self.start()
        self.again()
        assert self.parts is not None
        before = self.parts.registry.catalog.config
        other = tuple(evolve(each, tls=Tls(verify=False)) for each in before.backends)
        self.configure(evolve(before, backends=other))
        self.assertEqual(self.ends(), [])
        self.again()
        self.configure(evolve(before, drain_timeout=1.0))
        self.again()
        self.assertEqual(self.reused(), [False] * 3)

    def test_in_use_when_its_settings_go(self) -> None:
        """The answer on it is whole, and it is closed afterwards."""
        held: list[Any] = []
        self.start(held.append, good)
        got = self.ask()
        assert self.parts is not None
        before = self.parts.registry.catalog.config
        other = tuple(evolve(each, tls=Tls(verify=False)) for each in before.backends)
        self.configure(evolve(before, backends=other))
        good(held[0])
        self.assertEqual(self.finish(got).status, 200)
        self.net.pass_time(1, step=1)
        self.assertEqual(self.ends(), [])

    def test_no_more_than_so_many_are_kept(self) -> None:
        """For each address; the one that was idle longest goes."""
        self.patch(wires, "POOLED_PER_HOST", 2)
        held: list[Any] = []
        self.start(held.append)
        asked = [self.ask() for _ in range(4)]
        self.assertEqual(len(self.ends()), 4)
        for request in held:
            good(request)
        self.assertTrue(all(self.finish(got).status == 200 for got in asked))
        self.assertEqual(len(self.ends()), 2)

    def test_one_that_the_backend_closed_is_not_used(self) -> None:
        """It is known before a request is lost on it."""
        self.start()
        self.again()
        self.ends()[0].loseConnection()
        self.net.pump()
        self.again()
        self.assertEqual(self.reused(), [False, False])

    def test_one_that_brings_bytes_unasked_is_closed(self) -> None:
        """Nobody would know whose answer that is."""
        self.start()
        self.again()
        self.ends()[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        self.net.pump()
        self.assertEqual(self.ends(), [])
        self.again()

    def test_http_1_0_and_connection_close(self) -> None:
        """What the backend will close is not kept."""
        self.start(answer(WHOLE, headers={"connection": "close"}))
        self.again()
        self.again()
        self.assertEqual(self.reused(), [False, False])

    def test_registered_backends_have_their_own(self) -> None:
        """A connection that was not checked for its address never serves one."""
        configured = self.fake("m")
        registered = self.backend("n", configured.api_base, registered=True)
        self.serve(configured, registered)
        for model in "mnmn":
            self.assertEqual(self.finish(self.ask(model=model)).status, 200)
        self.assertEqual(self.reused(), [False, False, True, True])

    def test_after_the_end_nothing_is_kept(self) -> None:
        """A connection that comes back after ``close`` is closed."""
        held: list[Any] = []
        self.start(held.append)
        got = self.ask()
        assert self.parts is not None
        self.successResultOf(self.parts.wires.close())
        good(held[0])
        self.finish(got)
        self.net.pump()
        self.assertEqual((got.status, self.ends()), (200, []))


class UsedAgainTests(WireCase):
    """Connections that go back, and in which state."""

    def test_after_backpressure(self) -> None:
        """A stream that was paused and went on leaves a connection that works."""
        big = [chunk("x" * BUFFER) for _ in range(8)]
        self.start(stream([ROLE, *big, chunk(finish="stop"), DONE]), good)
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(1)
        (end,) = self.ends()
        self.assertFalse(end.other.reading)
        got.transport.resumeProducing()
        self.finish(got)
        self.again()
        self.assertEqual(self.reused(), [False, True])

    def test_paused_by_its_last_read(self) -> None:
        """The read that fills the client's connection also ends the body."""
        self.start(stream([ROLE, chunk("x" * BUFFER), chunk(finish="stop"), DONE]), good)
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(1)
        (end,) = self.ends()
        self.assertTrue(end.other.reading)
        self.again()
        got.transport.resumeProducing()
        self.finish(got)
        self.assertEqual(self.reused(), [False, True])

    def test_after_an_error(self) -> None:
        """An error that was read to its end costs no connection."""
        self.start(answer({"error": {"message": "no"}}, 400), good)
        self.finish(self.ask())
        self.again()
        self.assertEqual(self.reused(), [False, True])

    def test_after_an_empty_body(self) -> None:
        """The connection is there again before anybody reads the body."""
        self.start(answer(b"", 404), good)
        self.finish(self.ask())
        self.again()
        self.assertEqual(self.reused(), [False, True])


class NeverAgainTests(WireCase):
    """Connections with something left on them."""

    def assert_fresh(self) -> None:
        """The connection is gone, and the next request has one of its own."""
        self.net.pump()
        self.assertEqual(self.ends(), [])
        self.again()
        self.assertEqual(self.reused()[-1], False)

    def test_a_client_that_left_in_the_middle(self) -> None:
        """The rest of its stream is not the next one's answer."""
        self.start(stream([ROLE, chunk("a")], end="hang"), good)
        got = self.ask(stream=True)
        got.leave()
        self.assert_fresh()

    def test_an_answer_over_the_limit(self) -> None:
        """It is read no further."""
        limits = Limits(max_response_bytes=1000)
        self.start(answer(b"x" * 300_000), good, limits=limits)
        self.assertEqual(self.finish(self.ask()).status, 502)
        self.assert_fresh()

    def test_an_encoding_that_is_not_known(self) -> None:
        """Its body is not read at all, and nothing holds the connection open."""
        self.start(answer(b"x" * 300_000, headers={"content-encoding": "br"}), good)
        self.assertEqual(self.finish(self.ask()).status, 502)
        self.assert_fresh()

    def test_a_stream_that_breaks_and_ends_in_one_read(self) -> None:
        """What follows the failure is not read, and is in nobody's way: all of it had come."""
        self.start(stream([ROLE, b'data: {"error": {"message": "no"}}\n\n', DONE]), good)
        self.assertEqual(self.finish(self.ask(stream=True)).status, 502)
        self.net.pump()
        self.again()
        self.assertEqual(self.reused(), [False, self.http_client == "llhttp"])

    def test_an_answer_that_does_not_end(self) -> None:
        """All was said, but the body goes on: it has a moment to end."""
        self.start(stream(GOOD_STREAM, end="hang"), good)
        self.finish(self.ask(stream=True))
        self.net.pass_time(1.5)
        self.assert_fresh()


class Alone(WireCase):
    """Upstream by itself, with wires that the test holds."""

    def setUp(self) -> None:
        super().setUp()
        resolving = ResolvingReactor(self.net, self.net.nameResolver)
        lean = self.http_client == "llhttp"
        self.wires = Wires(resolving, resolving, Contexts(), Limits, lean=lean)
        self.upstream = Upstream(self.wires.agent, self.net)

    def tearDown(self) -> None:
        self.wires.close()
        super().tearDown()

    def send(self, backend: Backend, wire: Wire) -> Deferred[Any]:
        """Send a request; fires with the head of its answer."""
        outgoing = Outgoing(f"{backend.api_base}/x", (), b'{"stream": false}')
        sent = Deferred.fromCoroutine(self.upstream.send(backend, outgoing, wire))
        self.net.pump()
        return sent

    def wire(self) -> Wire:
        """One for an attempt."""
        return Wire(self.net, 5.0)

    def read(self, response: Any, wire: Wire) -> bytes:
        """The body of *response*."""
        read = Deferred.fromCoroutine(collected(response, wire, 100_000, bytes, Account()))
        self.net.pump()
        return self.successResultOf(read)


class CutTests(Alone):
    """Cutting the connection of an attempt."""

    def test_it_cuts(self) -> None:
        """At once, and as often as one likes."""
        wire = self.wire()
        self.successResultOf(self.send(self.fake("m", stream([ROLE], end="hang")), wire))
        wire.cut()
        wire.cut()
        self.net.pump()
        self.assertEqual(self.ends(), [])

    def test_before_there_is_one(self) -> None:
        """Nothing happens."""
        self.wire().cut()

    def check_next_user(self, backend: Backend, act: Any) -> None:
        """A request on the one connection goes on waiting, whatever *act* does."""
        wire = self.wire()
        waiting = self.send(backend, wire)
        act()
        self.net.pass_time(3)
        self.assertNoResult(waiting)
        self.assertEqual((wire.reused, self.net.connections, len(self.ends())), (True, 1, 1))
        waiting.cancel()
        self.failureResultOf(waiting)

    def test_one_that_went_back(self) -> None:
        """A late cut does not hurt the next user."""
        backend, first = self.fake("m", good, silent), self.wire()
        self.read(self.successResultOf(self.send(backend, first)), first)
        self.check_next_user(backend, first.cut)

    def test_one_that_went_back_unread(self) -> None:
        """Nor where there was no body to read, so that nobody has noticed."""
        empty = answer(b"", headers={"content-length": "0"})
        backend, first = self.fake("m", empty, silent), self.wire()
        self.successResultOf(self.send(backend, first))
        self.check_next_user(backend, first.cut)

    def test_a_body_that_lingers(self) -> None:
        """Its timer does not cut the next user either."""
        backend, first = self.fake("m", stream(GOOD_STREAM), silent), self.wire()
        response = self.successResultOf(self.send(backend, first))
        body = Body(first, lambda data: body.finish())
        response.deliverBody(body)
        self.net.pump()
        self.check_next_user(backend, lambda: None)


class ConnectingTests(Alone):
    """How a connection comes about."""

    def test_ipv6(self) -> None:
        """An address in brackets is an address."""
        backend = self.fake("m")
        self.net.servers["::1", 80] = self.net.servers.pop(("10.0.0.1", 80))
        for base in ("http://[::1]/v1", "http://[::1]:80/v1"):
            six = self.backend("m", base)
            wire = self.wire()
            self.assertEqual(self.read(self.successResultOf(self.send(six, wire)), wire)[:1], b"{")
        self.assertEqual(backend.name, "m")

    def test_a_name_with_several_addresses(self) -> None:
        """A dead one does not cost the whole ``connect_timeout``."""
        self.fake("m", good_either)
        self.net.deaf.add(("10.7.7.7", 80))
        self.net.nameResolver.names["several.example"] = ["10.7.7.7", "10.0.0.1"]
        wire = self.wire()
        sent = self.send(self.backend("m", "http://several.example/v1"), wire)
        self.net.pass_time(0.3)
        self.read(self.successResultOf(sent), wire)
        self.assertLess(wire.connected or 9, 0.3)

    def test_when_it_was_there(self) -> None:
        """A used one was there before."""
        backend = self.fake("m", good)
        self.net.pass_time(2)
        first, second = self.wire(), self.wire()
        for wire in (first, second):
            self.read(self.successResultOf(self.send(backend, wire)), wire)
        self.assertEqual((first.reused, first.connected), (False, self.net.seconds()))
        self.assertEqual((second.reused, second.connected), (True, None))

    def test_a_fresh_one(self) -> None:
        """What was asked for on a new connection gets one."""
        backend = self.fake("m", good)
        wire = self.wire()
        self.read(self.successResultOf(self.send(backend, wire)), wire)
        agent = self.wires.agent(backend, self.wire(), fresh=True)
        answered = agent.request(b"POST", b"http://10.0.0.1/v1/x", None, None)
        self.net.pump()
        self.successResultOf(answered).deliverBody(Protocol())
        self.net.pump()
        self.assertEqual(self.net.connections, 2)
