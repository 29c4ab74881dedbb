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
    """A connection that can be aborted."""

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        pass

    def abortConnection(self) -> None:  # noqa: N802
        self.aborted = True


class SweepTests(SynchronousTestCase):
    """What each connection waits for, and that nothing is left when all are gone."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.root = Root()
        self.site = ProxySite(self.root, Limits, self.root.refused, self.root.gone, self.clock)

    def connect(self) -> tuple[ProxyChannel, Wire]:
        """A new connection."""
        channel: Any = self.site.buildProtocol(HERE)
        wire = Wire(HERE, HERE)
        channel.makeConnection(wire)
        return channel, wire

    def wait(self, seconds: float) -> None:
        """Let time pass by quarters of a second."""
        self.clock.pump([0.25] * round(seconds * 4))

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

    def test_a_body_that_stands_still(self) -> None:
        """Each part of it gives it the whole time again, whether its head was plain or not."""
        for field in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
            channel, wire = self.connect()
            channel.dataReceived(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % field)
            for _ in range(3):
                self.wait(IDLE_TIME - 2)
                channel.dataReceived(b"1")
            self.assertFalse(wire.disconnecting, field)
            self.wait(IDLE_TIME + INTERVAL)
            self.assertTrue(wire.disconnecting, field)

    def test_a_slow_head(self) -> None:
        """Its time is counted in all, on any request of a connection."""
        for before in (b"", ASK):
            channel, wire = self.connect()
            channel.dataReceived(before)
            self.root.answer()
            wire.clear()
            for byte in b"GET / HTTP/1.1\r\n":
                channel.dataReceived(bytes([byte]))
                self.wait(0.5)
            self.wait(Limits().head_timeout - 0.75)
            self.assertEqual(wire.value(), b"")
            self.wait(INTERVAL + 0.25)
            self.assertTrue(wire.value().startswith(b"HTTP/1.1 408 "))
            self.wait(3)
            self.assertTrue(wire.disconnecting)

    def test_the_date(self) -> None:
        """Is that of the last look."""
        self.connect()
        self.assertRegex(self.site.sweep.date, rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
        self.site.sweep.date = b"yesterday"
        self.wait(INTERVAL)
        self.assertNotEqual(self.site.sweep.date, b"yesterday")
