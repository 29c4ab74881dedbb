"""One timer for all connections."""

from __future__ import annotations

import math
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.test_requesthead import Root
from yallmp.channel import ProxyChannel
from yallmp.core.settings import Limits
from yallmp.site import IDLE_TIME, ProxySite
from yallmp.sweep import INTERVAL

HERE = IPv4Address("TCP", "127.0.0.1", 8000)
ASK = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Wire(StringTransport):
    """A connection that can be aborted; ``dataBuffer`` is what its client has not read."""

    aborted = False
    dataBuffer = b""  # noqa: N815
    offset = _tempDataLen = 0  # noqa: N815
    full_at = 0

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        pass

    def abortConnection(self) -> None:  # noqa: N802
        self.aborted = True


class SweepCase(SynchronousTestCase):
    """A site, and connections to it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.root = Root()
        self.limits = Limits()
        self.site = ProxySite(
            self.root, lambda: self.limits, self.root.refused, self.root.gone, self.clock
        )

    def connect(self) -> tuple[ProxyChannel, Wire]:
        """A new connection."""
        channel: Any = self.site.buildProtocol(HERE)
        wire = Wire(HERE, HERE)
        channel.makeConnection(wire)
        return channel, wire

    def wait(self, seconds: float) -> None:
        """Let time pass by quarters of a second."""
        self.clock.pump([0.25] * round(seconds * 4))


class SweepTests(SweepCase):
    """What each connection waits for, and that nothing is left when all are gone."""

    def test_one_timer(self) -> None:
        """However many connections and requests; none after the last of them."""
        channels = [self.connect()[0] for _ in range(5)]
        for channel in channels:
            channel.dataReceived(ASK)
            self.root.answer()
            channel.dataReceived(ASK[:20])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait(3)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for channel in channels:
            channel.connectionLost(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_begins_anew(self) -> None:
        """With the first connection after a while without any."""
        self.connect()[0].connectionLost(None)
        self.wait(10)
        wire = self.connect()[1]
        self.wait(IDLE_TIME + INTERVAL)
        self.assertTrue(wire.disconnecting)

    def test_idle(self) -> None:
        """A connection without a request, before the first or after one."""
        wires = []
        for asked in (False, True):
            channel, wire = self.connect()
            if asked:
                channel.dataReceived(ASK)
                self.root.answer()
            wires.append(wire)
        self.wait(IDLE_TIME - 0.25)
        self.assertEqual([wire.disconnecting for wire in wires], [False, False])
        self.wait(INTERVAL + 0.25)
        self.assertEqual([wire.disconnecting for wire in wires], [True, True])

    def test_closed_for_good(self) -> None:
        """Idle ones at once; one that has just come has a second for the request on its way."""
        (used, before), (old, since), (new, now) = (self.connect() for _ in range(3))
        used.dataReceived(ASK)
        self.root.answer()
        old.born -= 2 * INTERVAL
        self.site.sweep.close_idle()
        self.assertEqual([w.disconnecting for w in (before, since, now)], [True, True, False])
        new.dataReceived(ASK)
        self.root.answer()
        self.assertIn(b"200", now.value())

    def test_closed_for_good_though_nothing_comes(self) -> None:
        """After that second it is closed as well."""
        _, wire = self.connect()
        self.site.sweep.close_idle()
        self.wait(2 * INTERVAL)
        self.assertTrue(wire.disconnecting)

    def test_a_client_that_does_not_go(self) -> None:
        """It is cut some seconds after that."""
        _, wire = self.connect()
        self.wait(IDLE_TIME + INTERVAL + 15)
        self.assertTrue(wire.aborted)

    def test_not_while_a_request_is_served(self) -> None:
        """That may take as long as it likes; then the time begins anew."""
        channel, wire = self.connect()
        channel.dataReceived(ASK)
        self.wait(1000)
        self.assertEqual(channel.idle_due, math.inf)
        self.root.answer()
        self.wait(IDLE_TIME - 1)
        self.assertFalse(wire.disconnecting)
        self.wait(1 + INTERVAL)
        self.assertTrue(wire.disconnecting)

    def body(self, framing: bytes) -> tuple[ProxyChannel, Wire]:
        """A connection on which a body with this *framing* has begun."""
        channel, wire = self.connect()
        channel.dataReceived(b"POST / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % framing)
        return channel, wire

    def assert_late(self, wire: Wire, *hint: object) -> None:
        """It was told 408, and is closed."""
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 408 "), hint)
        self.wait(3)
        self.assertTrue(wire.disconnecting, hint)

    def test_a_body_that_is_dripped(self) -> None:
        """It has half a minute, however lively it is, whether its head was plain or not."""
        for framing, part in (
            (b"Content-Length: 100", b"1"),
            (b"Transfer-Encoding: chunked", b"1\r\nx\r\n"),
        ):
            channel, wire = self.body(framing)
            for _ in range(29):
                channel.dataReceived(part)
                self.wait(1)
            self.assertEqual(wire.value(), b"", framing)
            self.wait(1 + INTERVAL)
            self.assert_late(wire, framing)
            self.assertEqual(self.root.seen[-1][0], 408)

    def test_a_body_that_keeps_up_its_rate(self) -> None:
        """Has all the time that it takes; one that falls behind has not."""
        for rate, late in ((17_000, False), (15_000, True)):
            channel, wire = self.body(b"Content-Length: 10000000")
            for _ in range(500):
                if not wire.value():
                    channel.dataReceived(b"x" * rate)
                self.wait(1)
            self.assertEqual(wire.value().startswith(b"HTTP/1.1 408 "), late, rate)
            channel.connectionLost(None)

    def test_a_body_that_stands_still(self) -> None:
        """Whatever it has earned: a minute of silence is the end."""
        channel, wire = self.body(b"Content-Length: 10000000")
        channel.dataReceived(b"x" * 5_000_000)
        self.wait(IDLE_TIME - 0.5)
        self.assertEqual(wire.value(), b"")
        self.wait(INTERVAL + 0.5)
        self.assert_late(wire)

    def test_a_body_in_time(self) -> None:
        """Its time is not counted against what follows it."""
        channel, wire = self.body(b"Content-Length: 4")
        self.wait(29)
        channel.dataReceived(b"body")
        self.assertEqual(channel.whole_due, math.inf)
        self.wait(100)
        self.root.answer()
        self.assertTrue(wire.value().startswith(b"HTTP/1.1 200 "))

    def test_a_slow_head(self) -> None:
        """Its time is counted from its first byte, on any request of a connection."""
        for before in (b"", ASK, b"\r\n", ASK[:-2] + b"X: y\r\n\r\n"):
            for head in (b"G" * 200, b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200):
                channel, wire = self.connect()
                channel.dataReceived(before)
                self.root.answer()
                wire.clear()
                self.wait(30)
                for at in range(39):
                    channel.dataReceived(head[at : at + 1])
                    self.wait(0.25)
                self.assertEqual(wire.value(), b"", before)
                self.wait(0.25 + INTERVAL)
                self.assert_late(wire, before, head)

    def test_a_head_behind_another_request(self) -> None:
        """Its time begins when it is its turn."""
        channel, wire = self.connect()
        channel.dataReceived(ASK)
        channel.dataReceived(b"GET /second")
        self.wait(100)
        self.root.answer()
        wire.clear()
        self.wait(9.5)
        self.assertEqual(wire.value(), b"")
        self.wait(0.5 + INTERVAL)
        self.assert_late(wire)

    def test_limits_change(self) -> None:
        """For connections that are open already, too."""
        channel, wire = self.connect()
        self.limits = Limits(head_timeout=3, max_head_fields=1)
        self.wait(INTERVAL)
        self.assertEqual((channel.limits, channel.maxHeaders), (self.limits, 1))
        channel.dataReceived(ASK[:20])
        self.wait(3 + INTERVAL)
        self.assert_late(wire)

    def test_the_date(self) -> None:
        """Is that of the last look."""
        self.connect()
        self.assertRegex(self.site.sweep.date, rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
        self.site.sweep.date = b"yesterday"
        self.wait(INTERVAL)
        self.assertNotEqual(self.site.sweep.date, b"yesterday")
