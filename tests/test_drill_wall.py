"""
The wall does what its cells say.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from yallmp.drill import faults
from yallmp.drill.answers import TEXT, TOKENS
from yallmp.drill.cells import CELLS, MORE, SIXTEEN
from yallmp.drill.faults import Act, Ask, Fault
from yallmp.drill.wall import Wall


def request(**fields: Any) -> bytes:
    """A request as it comes over the wire."""
    body = json.dumps({"model": "m", "stream": True, **fields}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )


class WallCase(SynchronousTestCase):
    """A wall on a clock."""

    def connect(self, fault: Fault) -> StringTransport:
        """A connection to a backend with *fault*."""
        self.clock = Clock()
        self.wall = Wall(self.clock, {"m": fault})
        factory: Factory = self.wall.factory("m")
        protocol = factory.buildProtocol(None)
        assert isinstance(protocol, Protocol)
        self.protocol, transport = protocol, StringTransport()
        alsoProvides(transport, ITCPTransport)
        self.protocol.makeConnection(transport)
        return transport

    def got(self, fault: Fault, seconds: float = 200.0, **fields: Any) -> bytes:
        """What one request gets within some time."""
        transport = self.connect(fault)
        self.protocol.dataReceived(request(**fields))
        for _ in range(int(seconds / 0.01)):
            self.clock.advance(0.01)
        self.transport = transport
        sent: bytes = transport.value()
        return sent


class ConnectionTests(WallCase):
    """How requests are read and answered."""

    def test_a_request_in_pieces(self) -> None:
        """Byte by byte it is the same, and it counts once."""
        transport = self.connect(faults.no_prefill)
        for byte in request(messages=[{"role": "assistant", "content": "x"}]):
            self.assertEqual(transport.value(), b"")
            self.protocol.dataReceived(bytes([byte]))
        self.assertIn(b"HTTP/1.1 400", transport.value())
        self.assertEqual([knock.backend for knock in self.wall.knocks], ["m"])

    def test_one_after_the_other(self) -> None:
        """A kept connection takes the next request when an answer is over."""
        transport = self.connect(faults.UNAVAILABLE)
        self.protocol.dataReceived(request() + request())
        self.assertEqual(transport.value().count(b"HTTP/1.1 503"), 2)

    def test_prefill_is_seen(self) -> None:
        """The last message is the assistant's."""
        self.got(faults.no_prefill, 1, messages=[{"role": "assistant", "content": "x"}])
        self.assertTrue(self.wall.knocks[0].prefilled)
        self.assertIn(b"HTTP/1.1 400", self.transport.value())
        self.assertIn(b"HTTP/1.1 200", self.got(faults.no_prefill, 1))

    def test_a_client_that_leaves(self) -> None:
        """Nothing is left to happen."""
        self.connect(faults.silent)
        self.protocol.dataReceived(request())
        self.protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closing(self) -> None:
        """What is open is cut."""
        transport = self.connect(faults.silent)
        self.wall.close()
        self.assertTrue(transport.disconnected)


class FaultTests(WallCase):
    """What each backend does."""

    def test_well(self) -> None:
        """Sixty tokens, a finish reason, usage, the formal end; or the same as one answer."""
        data = self.got(faults.well, 5)
        for token in TOKENS:
            self.assertIn(token.encode(), data)
        self.assertIn(b"[DONE]", data)
        self.assertTrue(data.endswith(b"0\r\n\r\n"))
        whole = self.got(faults.well, 1, stream=False)
        value = json.loads(whole.partition(b"\r\n\r\n")[2])
        self.assertEqual(value["choices"][0]["message"]["content"], TEXT)

    def test_once(self) -> None:
        """The first request only."""
        transport = self.connect(faults.once(faults.limited_briefly))
        self.protocol.dataReceived(request())
        self.assertIn(b"HTTP/1.1 429 Whatever\r\n", transport.value())
        self.assertIn(b"Retry-After: 2\r\n", transport.value())
        transport.clear()
        self.protocol.dataReceived(request())
        self.assertIn(b"HTTP/1.1 200", transport.value())

    def test_resets(self) -> None:
        """Without a byte."""
        self.assertEqual(self.got(faults.resets, 1), b"")
        self.assertTrue(self.transport.disconnected)

    def test_silent(self) -> None:
        """Two minutes, then the end."""
        self.assertEqual(self.got(faults.silent, 119), b"")
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(2)
        self.assertEqual(self.transport.value(), b"")
        self.assertTrue(self.transport.disconnecting)

    def test_late(self) -> None:
        """Headers at once, content after twenty seconds."""
        self.assertNotIn(b"t00", self.got(faults.late, 19.9))
        self.assertIn(b"HTTP/1.1 200", self.transport.value())
        self.assertIn(b"[DONE]", self.got(faults.late, 25))

    def test_cut(self) -> None:
        """After forty tokens, with a reset."""
        data = self.got(faults.cut, 5)
        self.assertIn(b"t39 ", data)
        self.assertNotIn(b"t40 ", data)
        self.assertTrue(self.transport.disconnected)

    def test_stalls(self) -> None:
        """After twenty tokens, for thirty seconds."""
        self.assertIn(b"t19 ", self.got(faults.stalls, 29))
        self.assertFalse(self.transport.disconnected)
        self.got(faults.stalls, 35)
        self.assertTrue(self.transport.disconnected)

    def test_malformed(self) -> None:
        """One line that is not JSON, and all sixty tokens."""
        data = self.got(faults.malformed, 5)
        self.assertIn(b"data: {oops\n\n", data)
        self.assertIn(b"t59 ", data)

    def test_without_a_formal_end(self) -> None:
        """The body ends, or it does not."""
        data = self.got(faults.never_done, 5)
        self.assertNotIn(b"[DONE]", data)
        self.assertTrue(data.endswith(b"0\r\n\r\n"))
        self.assertFalse(self.got(faults.never_ends, 5).endswith(b"0\r\n\r\n"))

    def test_down_for_a_minute(self) -> None:
        """From its first request on."""
        for since, answer in ((0.0, b"503"), (59.9, b"503"), (60.0, b"200")):
            ask = Ask(1, since, "m", stream=True)
            step = next(faults.down_for_a_minute(ask))
            self.assertIn(answer, step if isinstance(step, bytes) else b"")

    def test_a_minute_counts_from_the_first_request(self) -> None:
        """Not from the beginning of the cell, and not from the last one."""
        transport = self.connect(faults.down_for_a_minute)
        for pause, answer in ((5.0, b"503"), (57.0, b"503"), (4.0, b"200")):
            self.clock.advance(pause)
            transport.clear()
            self.protocol.dataReceived(request())
            self.assertIn(b"HTTP/1.1 " + answer, transport.value())
        self.assertEqual([knock.at for knock in self.wall.knocks], [5.0, 62.0, 66.0])

    def test_refusals(self) -> None:
        """A status, a code by which programs know it, and a reason for people."""
        told = (
            (faults.LIMITED, 429, "rate_limit_exceeded"),
            (faults.SERVER_ERROR, 500, None),
            (faults.UNAVAILABLE, 503, None),
            (faults.TOO_LONG, 400, "context_length_exceeded"),
            (faults.FILTERED, 400, "content_policy_violation"),
            (faults.error_in_200, 200, 503),
        )
        for fault, status, code in told:
            head, _, body = self.got(fault, 1).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), head)
            self.assertEqual(json.loads(body)["error"]["code"], code)
        self.assertIn(b"Content-Type: text/html", self.got(faults.HTML, 1))

    def test_half_a_head(self) -> None:
        """It breaks off, then the connection ends."""
        self.assertNotIn(b"\r\n\r\n", self.got(faults.half_a_head, 1))
        self.assertTrue(self.transport.disconnecting)

    def test_bomb(self) -> None:
        """A thousand times larger than it looks."""
        packed = faults.packed_bomb()
        self.assertLess(len(packed), 200_000)
        self.assertGreater(len(gzip.decompress(packed)), 64 << 20)

    def test_until_close(self) -> None:
        """Bodies that end with the connection, whole or not."""
        self.assertIn(b"[DONE]", self.got(faults.until_close, 5))
        self.assertTrue(self.transport.disconnecting)
        self.assertNotIn(b"t40 ", self.got(faults.cut_until_close, 5))
        self.assertTrue(self.transport.disconnecting)

    def test_drips(self) -> None:
        """A byte a second."""
        head = len(self.got(faults.drips, 0.5))
        ten = len(self.got(faults.drips, 10.5))
        self.assertEqual((ten - head) / len(b"1\r\nx\r\n"), 10)


class CellTests(SynchronousTestCase):
    """The catalogue."""

    def test_keys(self) -> None:
        """The sixteen by their numbers, the others by names, each once."""
        self.assertEqual([cell.key for cell in SIXTEEN], [str(n) for n in range(1, 17)])
        keys = [cell.key for cell in CELLS]
        self.assertEqual(len(set(keys)), len(keys))
        self.assertFalse(any(cell.key.isdigit() for cell in MORE))

    def test_steps(self) -> None:
        """Every fault is made of bytes, seconds and acts."""
        for cell in CELLS:
            if cell.fault is not None:
                for step in cell.fault(Ask(0, 0.0, "m", cell.stream)):
                    self.assertIsInstance(step, bytes | float | Act)
