"""
Large bodies are read and sent in larger steps, small ones as Twisted does it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.test_inbound import InboundCase
from tests.test_lean import Transport
from yallmp import bulk
from yallmp.bulk import LARGE
from yallmp.core.exchange import HeaderPairs
from yallmp.lean.connection import Connection


class Socket(Transport):
    """A transport with the steps of a socket of Twisted's."""

    bufferSize = FileDescriptor.bufferSize  # noqa: N815
    SEND_LIMIT = FileDescriptor.SEND_LIMIT

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)


class StepTests(SynchronousTestCase):
    """How much is read and sent at once."""

    def setUp(self) -> None:
        self.socket = Socket()

    def test_what_is_small_changes_nothing(self) -> None:
        """It goes out in one piece with its head, and comes as it came before."""
        bulk.expect(self.socket, LARGE)
        bulk.send(self.socket, b"head", b"x" * LARGE)
        self.assertEqual(self.socket.writes, [b"head" + b"x" * LARGE])
        self.assertEqual(self.socket.bufferSize, FileDescriptor.bufferSize)
        self.assertEqual(self.socket.SEND_LIMIT, FileDescriptor.SEND_LIMIT)

    def test_what_is_large(self) -> None:
        """More is read at once until it is there; more is sent at once; all of it arrives."""
        bulk.expect(self.socket, LARGE + 1)
        self.assertGreater(self.socket.bufferSize, FileDescriptor.bufferSize)
        bulk.expect_no_more(self.socket)
        self.assertEqual(self.socket.bufferSize, FileDescriptor.bufferSize)
        bulk.send(self.socket, b"head", b"x" * (LARGE + 1))
        self.assertEqual(self.socket.value(), b"head" + b"x" * (LARGE + 1))
        self.assertGreater(self.socket.SEND_LIMIT, FileDescriptor.SEND_LIMIT)

    def test_other_transports(self) -> None:
        """One that has no such steps is written to all the same."""
        transport = StringTransport()
        bulk.expect(transport, LARGE + 1)
        bulk.expect_no_more(transport)
        bulk.send(transport, b"head", b"x" * (LARGE + 1))
        self.assertEqual(len(transport.value()), LARGE + 5)

    def test_what_is_declared(self) -> None:
        """One length, in plain digits; anything else is none."""
        headers: HeaderPairs
        for headers, length in (
            ((), 0),
            (((b"Content-Length", b"70000"),), 70000),
            (((b"a", b"1"), (b"content-length", b"5")), 5),
            (((b"content-length", b"+5"),), 0),
            (((b"content-length", b"5"), (b"content-length", b"6")), 0),
            (((b"content-length", b"9" * 5000),), 0),
        ):
            self.assertEqual(bulk.declared(headers), length)


class AnswerTests(SynchronousTestCase):
    """A backend's answer."""

    def setUp(self) -> None:
        self.socket = Socket()
        self.connection = Connection(lambda _: None, lambda _: None)
        self.connection.makeConnection(self.socket)

    def test_while_it_comes(self) -> None:
        """From its head to its end, and no longer."""
        for length, wide in ((10, False), (LARGE, False), (LARGE + 1, True)):
            self.connection.request(b"request")
            self.connection.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            self.assertEqual(self.socket.bufferSize > FileDescriptor.bufferSize, wide)
            self.connection.dataReceived(b"x" * length)
            self.assertEqual(self.socket.bufferSize, FileDescriptor.bufferSize)

    def test_a_stream(self) -> None:
        """Its events are read as they come."""
        self.connection.request(b"request")
        self.connection.dataReceived(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(self.socket.bufferSize, FileDescriptor.bufferSize)


class RequestTests(InboundCase):
    """A client's request."""

    def test_while_it_comes(self) -> None:
        """From its head to its end, whichever parser reads it; then the next may be small."""
        wire: Any = self.wire
        for start in (b"POST / HTTP/1.1", b"POST http://h/ HTTP/1.1"):
            for length, wide in ((10, False), (LARGE, False), (LARGE + 1, True)):
                wire.bufferSize = FileDescriptor.bufferSize
                head = b"%b\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (start, length)
                self.channel.dataReceived(head)
                self.assertEqual(wire.bufferSize > FileDescriptor.bufferSize, wide)
                self.channel.dataReceived(b"x" * length)
                self.assertEqual(wire.bufferSize, FileDescriptor.bufferSize)
                self.assertEqual(len(self.root.requests[-1].body), length)
                self.root.requests[-1].answer(200, (), b"")
