"""Clients that read slowly, or not at all."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from tests.test_sweep import ASK, SweepCase, Wire
from yallmp.channel import ProxyChannel
from yallmp.core.settings import MIB, Limits
from yallmp.site import IDLE_TIME
from yallmp.sweep import INTERVAL
from yallmp.unread import SHORT

GONE = Failure(ConnectionDone())
WRITE_TIMEOUT = Limits().write_timeout


class UnreadCase(SweepCase):
    """A connection on which an answer waits to be read."""

    def answered(self, size: int = MIB) -> tuple[ProxyChannel, Wire]:
        """A connection whose client has *size* bytes to read."""
        channel, wire = self.connect()
        channel.dataReceived(ASK)
        wire.dataBuffer = b"x" * size
        channel.pauseProducing()
        self.root.answer()
        return channel, wire

    @property
    def held(self) -> int:
        """What is in the account."""
        return self.site.account.held


class TimeTests(UnreadCase):
    """How long it may take nothing."""

    def test_one_that_does_not_read(self) -> None:
        """It is cut off after a minute, and somebody is told."""
        channel, wire = self.answered()
        self.wait(WRITE_TIMEOUT - INTERVAL)
        self.assertFalse(wire.aborted or wire.disconnecting)
        with capturedLogs() as said:
            self.wait(2 * INTERVAL)
        self.assertTrue(wire.aborted)
        self.assertIn("took nothing", formatEvent(said[0]) or "")
        channel.connectionLost(GONE)
        self.assertEqual((self.held, self.clock.getDelayedCalls()), (0, []))

    def test_one_that_reads_slowly(self) -> None:
        """It may take as long as it likes: it is not idle, although its request is over."""
        channel, wire = self.answered()
        for _ in range(20):
            self.wait(WRITE_TIMEOUT - 2 * INTERVAL)
            wire.offset += 1
        self.assertFalse(wire.aborted or wire.disconnecting)
        wire.dataBuffer, wire.offset = b"", 0
        channel.resumeProducing()
        self.wait(IDLE_TIME - 2 * INTERVAL)
        self.assertFalse(wire.disconnecting)
        self.wait(4 * INTERVAL)
        self.assertTrue(wire.disconnecting, "an idle connection stays")

    def test_another_answer_of_the_same_size(self) -> None:
        """Its time is its own: what stood there before does not count."""
        _, wire = self.answered()
        waiting = wire.dataBuffer
        self.wait(WRITE_TIMEOUT - 5)
        wire.dataBuffer = b""
        self.wait(3)
        wire.dataBuffer = waiting
        self.wait(WRITE_TIMEOUT - 5)
        self.assertFalse(wire.aborted)

    def test_a_last_answer(self) -> None:
        """Closing waits for what was written; not for ever."""
        channel, wire = self.connect()
        channel.dataReceived(ASK[:-2] + b"Connection: close\r\n\r\n")
        wire.dataBuffer = b"x"
        self.root.answer()
        self.wait(WRITE_TIMEOUT + 2 * INTERVAL)
        self.assertTrue(wire.aborted)

    def test_what_a_full_socket_took_nothing_of(self) -> None:
        """It waits before the buffer, and the connection is cut off all the same."""
        channel, wire = self.connect()
        channel.dataReceived(ASK[:-2] + b"Connection: close\r\n\r\n")
        wire._tempDataLen = 7
        self.root.answer()
        self.wait(2 * INTERVAL)
        self.assertEqual(self.held, 7)
        self.wait(WRITE_TIMEOUT)
        self.assertTrue(wire.aborted)

    def test_memory_is_short(self) -> None:
        """Then it goes soon, and one that reads stays."""
        self.limits = Limits(max_buffered_bytes=MIB)
        _, stuck = self.answered()
        _, lively = self.answered()
        for _ in range(round(SHORT + 2 * INTERVAL)):
            self.wait(1)
            lively.offset += 1
        self.assertEqual((stuck.aborted, lively.aborted), (True, False))

    def test_as_configured(self) -> None:
        """Also for connections that were open when that was changed."""
        _, wire = self.answered()
        self.limits = Limits(write_timeout=3, max_client_buffer=77)
        self.wait(3 + 3 * INTERVAL)
        self.assertTrue(wire.aborted)
        self.assertEqual(wire.full_at, 77)


class AccountTests(UnreadCase):
    """What stands there is in the account of all."""

    def test_while_it_waits(self) -> None:
        """From when the transport is full; what goes is taken out, all of it at the end."""
        channel, wire = self.answered(1000)
        self.assertEqual(self.held, 1000)
        wire.offset = 400
        self.wait(INTERVAL)
        self.assertEqual(self.held, 600)
        wire.dataBuffer, wire.offset = b"", 0
        channel.resumeProducing()
        self.assertEqual(self.held, 0)

    def test_what_fills_nothing(self) -> None:
        """A little that waits is found within a second, and so is that it went."""
        channel, wire = self.connect()
        channel.dataReceived(ASK)
        wire.dataBuffer, wire._tempDataLen = b"x" * 10, 5
        self.wait(INTERVAL)
        self.assertEqual(self.held, 15)
        wire.dataBuffer, wire._tempDataLen = b"", 0
        self.wait(INTERVAL)
        self.assertEqual(self.held, 0)

    def test_the_client_leaves(self) -> None:
        """With it all goes."""
        channel, _ = self.answered(1000)
        channel.connectionLost(GONE)
        self.assertEqual(self.held, 0)
