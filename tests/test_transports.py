"""
What a connection does with what is written to it: the same on Twisted's reactor and on ours.

One end is a transport, the other a plain socket that the test holds.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import Any, ClassVar

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer, IPushProducer
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.authority import authority

TWISTDS = "twisted.internet.epollreactor.EPollReactor"
OURS = "yallmp.lightreactor.LightReactor"
MANY = b"0123456789abcdef" * 2**18  # 4 MB, more than sockets take
#: A socket closed with this sends a reset.
AT_ONCE = struct.pack("ii", 1, 0)


@implementer(IHalfCloseableProtocol)
class Told(Protocol):
    """Keeps what it is told; ``answer`` is called with its transport for each read."""

    def __init__(self) -> None:
        self.got = b""
        self.lost: Any = None
        self.halves: list[str] = []
        self.busy = False
        self.answer: Any = lambda transport: None

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        self.busy = True
        self.answer(self.transport)
        self.busy = False

    def readConnectionLost(self) -> None:
        self.halves.append("read")

    def writeConnectionLost(self) -> None:
        self.halves.append("write")

    def connectionLost(self, reason: Any = None) -> None:
        assert not self.busy, "connectionLost in the middle of dataReceived"
        self.lost = reason.value


@implementer(IPushProducer)
class Push:
    """Keeps what it was told to do."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


@implementer(IPullProducer)
class Pull:
    """Writes *pieces* pieces, one each time it is asked."""

    def __init__(self, transport: Any, pieces: int) -> None:
        self.transport, self.left = transport, pieces

    def resumeProducing(self) -> None:
        self.left -= 1
        self.transport.write(b"piece ")
        if self.left == 0:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self.left = -1


class Connection(ReactorBuilder):
    """A reactor with one connection."""

    def connected(self, family: int = socket.AF_INET) -> None:
        """A reactor with one connection: ``told`` and ``transport`` here, ``peer`` there."""
        self.reactor: Any = self.buildReactor()
        ours, self.peer = self.pair(family)
        self.peer.settimeout(5)
        self.addCleanup(self.peer.close)
        self.told = Told()
        ours.setblocking(False)
        self.reactor.adoptStreamConnection(ours.fileno(), family, serving(self.told))
        ours.close()
        self.transport: Any = self.told.transport

    def pair(self, family: int) -> tuple[socket.socket, socket.socket]:
        """Two sockets that are connected."""
        if family == socket.AF_UNIX:
            return socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as server:
            peer = socket.create_connection(server.getsockname())
            return server.accept()[0], peer

    def turns(self, number: int = 3) -> None:
        """Let the reactor turn."""
        for _ in range(number):
            self.reactor.iterate(0.01)

    def received(self, size: int) -> bytes:
        """What the peer gets, up to *size* bytes or the end; it reads slowly."""
        got = b""
        while len(got) < size:
            self.turns(1)
            if select.select([self.peer], [], [], 0.01)[0]:
                piece = self.peer.recv(100_000)
                if not piece:
                    break
                got += piece
        return got

    def until_lost(self) -> Any:
        """Why the connection was lost, which it is soon."""
        for _ in range(200):
            if self.told.lost is not None:
                break
            self.turns(1)
        return self.told.lost


class Transports(Connection):
    """The contract."""

    _reactors: ClassVar[list[str]] = [TWISTDS, OURS]

    def test_what_is_written_arrives(self) -> None:
        """In order, and from an event, a timed call and outside of both alike."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            self.connected(family)
            self.transport.write(b"outside ")
            self.transport.writeSequence([b"in ", b"pieces "])
            self.assertEqual(self.received(18), b"outside in pieces ")
            self.reactor.callLater(0, self.transport.write, b"later")
            self.assertEqual(self.received(5), b"later")
            self.told.answer = lambda transport: transport.write(b"answer")
            self.peer.send(b"question")
            self.assertEqual(self.received(6), b"answer")
            self.assertEqual(self.told.got, b"question")

    def test_what_is_not_bytes(self) -> None:
        """It is refused at once, and nothing of it is sent."""
        self.connected()
        for bad in ("text", bytearray(b"x"), None):
            with self.assertRaises(TypeError):
                self.transport.write(bad)
            with self.assertRaises(TypeError):
                self.transport.writeSequence([b"good", bad])
        self.transport.write(b"")
        self.transport.writeSequence([])
        self.transport.write(b"end")
        self.assertEqual(self.received(3), b"end")

    def test_more_than_a_socket_takes(self) -> None:
        """The rest waits for a slow reader, and what is written meanwhile comes after it."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            self.connected(family)
            self.transport.write(MANY)
            self.turns()
            self.assertIn(self.transport, self.reactor.getWriters())
            self.transport.writeSequence([b"and ", b"more"])
            self.assertEqual(self.received(len(MANY) + 8), MANY + b"and more")
            self.turns()
            self.assertNotIn(self.transport, self.reactor.getWriters())

    def test_large_pieces(self) -> None:
        """They arrive in order, wherever the socket stops to take them."""
        for first in (b"head ", MANY[:70_000], MANY):
            self.connected()
            self.transport.writeSequence([first, MANY, b"middle", MANY[:100_000], b"end"])
            wanted = first + MANY + b"middle" + MANY[:100_000] + b"end"
            self.turns()
            self.transport.write(b"!")
            self.assertEqual(self.received(len(wanted) + 1), wanted + b"!")
            self.turns()
            self.assertNotIn(self.transport, self.reactor.getWriters())

    def test_a_fast_producer(self) -> None:
        """It is paused while too much waits, and resumed when all of it is gone."""
        self.connected()
        producer = Push()
        self.transport.registerProducer(producer, True)
        self.transport.write(b"little")
        self.turns()
        self.assertEqual(producer.told, [])
        self.transport.write(MANY)
        self.assertEqual(producer.told, ["pause"])
        self.turns()
        self.assertEqual(producer.told, ["pause"])
        self.received(len(MANY) + 6)
        self.turns()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.transport.abortConnection()
        self.turns()
        self.assertEqual(producer.told, ["pause", "resume", "stop"])

    def test_a_producer_that_is_asked(self) -> None:
        """It is asked again each time that a piece is gone, not within one turn."""
        self.connected()
        producer = Pull(self.transport, 50)
        self.transport.registerProducer(producer, False)
        self.turns(3)
        self.assertGreater(producer.left, 40)
        self.assertEqual(self.received(300), b"piece " * 50)

    def test_the_end_comes_last(self) -> None:
        """What was written before a connection is closed arrives, and then its end."""
        for text in (b"few", MANY):
            self.connected()
            self.transport.write(text)
            self.transport.loseConnection()
            self.transport.write(b"!")
            self.assertIsNone(self.told.lost)
            self.assertEqual(self.received(len(text) + 2), text + b"!")
            self.assertIsInstance(self.until_lost(), ConnectionDone)
            self.transport.write(b"too late")
            self.turns()

    def test_the_end_waits_for_a_producer(self) -> None:
        """One that is paused is resumed first; unregistered, the connection closes."""
        self.connected()
        producer = Push()
        self.transport.registerProducer(producer, True)
        self.transport.write(MANY)
        self.transport.loseConnection()
        self.received(len(MANY))
        self.turns()
        self.assertEqual((producer.told, self.told.lost), (["pause", "resume"], None))
        self.transport.unregisterProducer()
        self.assertIsInstance(self.until_lost(), ConnectionDone)

    def test_half_an_end(self) -> None:
        """What was written arrives, then an end; the other direction stays open."""
        self.connected()
        self.transport.write(MANY)
        self.transport.loseWriteConnection()
        self.assertEqual(self.received(len(MANY) + 1), MANY)
        self.assertEqual((self.told.halves, self.told.lost), (["write"], None))
        self.peer.send(b"still here")
        self.turns()
        self.assertEqual(self.told.got, b"still here")
        self.peer.shutdown(socket.SHUT_WR)
        self.turns()
        self.assertEqual(self.told.halves, ["write", "read"])
        self.transport.loseConnection()
        self.assertIsInstance(self.until_lost(), ConnectionDone)

    def test_an_abort(self) -> None:
        """Nothing is sent after it, in the same event or later, and the reason says so."""

        def answer(transport: Any) -> None:
            transport.abortConnection()
            transport.write(b"never")
            transport.abortConnection()

        self.connected()
        self.told.answer = answer
        self.peer.send(b"x")
        self.assertIsInstance(self.until_lost(), ConnectionAborted)
        with self.assertRaises(ConnectionResetError):
            self.peer.recv(10)

    def test_a_peer_that_is_gone(self) -> None:
        """Writes fail without a sound until the reactor tells; what was said before is heard."""
        self.connected()
        self.told.answer = lambda transport: [transport.write(b"x" * 100_000) for _ in range(9)]
        self.peer.send(b"last words")
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.peer.close()
        self.transport.write(b"answer")
        self.assertIsNone(self.told.lost)
        self.assertIsInstance(self.until_lost(), ConnectionLost)
        self.assertNotIsInstance(self.told.lost, ConnectionDone)

    def test_a_peer_that_leaves_while_we_send(self) -> None:
        """A reset is never taken for a clean end, whether a read or a write meets it first."""
        for words, paused in ((b"", False), (b"", True), (b"words", True)):
            self.connected()
            if paused:
                self.transport.pauseProducing()
            self.peer.send(words)
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self.peer.close()
            self.transport.write(b"answer")
            self.turns(1)
            self.transport.resumeProducing()
            self.assertIsInstance(self.until_lost(), ConnectionLost)
            self.assertEqual(self.told.halves, [])

    def test_a_reader_that_fails(self) -> None:
        """Its error is logged and its connection closed; others go on."""
        self.connected()

        def answer(transport: Any) -> None:
            self.told.busy = False
            transport.write(b"perhaps")
            raise ValueError("as planned")

        self.told.answer = answer
        self.peer.send(b"x")
        self.assertIsInstance(self.until_lost(), ValueError)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_producer_that_fails(self) -> None:
        """The same for one that is asked for more."""
        self.connected()
        producer = Pull(self.transport, 5)
        self.transport.registerProducer(producer, False)
        producer.transport = None
        self.assertIsInstance(self.until_lost(), AttributeError)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_a_protocol_that_fails_at_its_end(self) -> None:
        """That is logged, and the reactor goes on."""
        self.connected()
        self.told.connectionLost = lambda reason=None: 1 / 0  # type: ignore[method-assign]
        self.transport.loseConnection()
        self.turns()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        called: list[int] = []
        self.reactor.callLater(0, called.append, 1)
        self.turns()
        self.assertEqual(called, [1])

    def test_the_loop_goes_on(self) -> None:
        """What an end sets off is done in time, though nothing else happens."""
        self.connected()
        self.told.connectionLost = lambda reason=None: self.reactor.callLater(  # type: ignore[method-assign]
            0, self.reactor.stop
        )
        self.reactor.callLater(0, self.transport.loseConnection)
        self.runReactor(self.reactor, timeout=20)

    def test_who_has_something_to_send(self) -> None:
        """That is known at once, and forgotten with the rest."""
        self.connected()
        self.transport.write(b"x")
        self.assertEqual(self.reactor.getWriters(), [self.transport])
        self.transport.pauseProducing()
        self.transport.write(b"y")
        self.assertIn(self.transport, self.reactor.removeAll())
        self.transport.connectionLost(Failure(ConnectionDone()))

    def test_tls(self) -> None:
        """Much in both directions, and a clean end."""
        self.reactor = self.buildReactor()
        server, client = Told(), Told()
        contexts = authority().issue("127.0.0.1").options(), CertificateOptions()
        port = self.reactor.listenSSL(0, serving(server), contexts[0], interface="127.0.0.1")
        self.reactor.connectSSL("127.0.0.1", port.getHost().port, calling(client), contexts[1])
        for told in (server, client):
            while told.transport is None:
                self.turns(1)
            told.transport.writeSequence([MANY, b"end"])
        while len(server.got + client.got) < 2 * len(MANY) + 6:
            self.turns(1)
        self.assertEqual((server.got, client.got), (MANY + b"end", MANY + b"end"))
        client.transport.loseConnection()
        while server.lost is None or client.lost is None:
            self.turns(1)
        self.assertEqual([type(server.lost), type(client.lost)], [ConnectionDone] * 2)


def serving(told: Told) -> Factory:
    """A factory of *told*."""
    return Factory.forProtocol(lambda: told)


def calling(told: Told) -> ClientFactory:
    """The same for a client."""
    return ClientFactory.forProtocol(lambda: told)


class Prompt(Connection):
    """What is only ours."""

    _reactors: ClassVar[list[str]] = [OURS]

    def setUp(self) -> None:
        super().setUp()
        self.connected()
        self.watched: list[Any] = []
        self.patch(self.reactor, "addWriter", self.watched.append)

    def test_a_turn_is_one_piece(self) -> None:
        """All that one event led to is sent at its end, and nobody watches the socket for it."""

        def answer(transport: Any) -> None:
            transport.write(b"head ")
            transport.writeSequence([b"b", b"o"])
            transport.write(b"dy")
            self.assertEqual(select.select([self.peer], [], [], 0)[0], [])

        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.told.answer = answer
        self.peer.send(b"x")
        self.turns(1)
        self.assertEqual(self.peer.recv(100), b"head body")
        self.assertEqual(self.watched, [])

    def test_an_end_watches_nothing(self) -> None:
        """A connection is closed in the turn that decides so."""
        self.told.answer = lambda transport: (transport.write(b"bye"), transport.loseConnection())
        self.peer.send(b"x")
        self.turns(1)
        self.assertIsInstance(self.told.lost, ConnectionDone)
        self.assertEqual((self.peer.recv(100), self.peer.recv(100)), (b"bye", b""))
        self.assertEqual(self.watched, [])

    def test_a_large_body_is_not_copied(self) -> None:
        """What a socket does not take of it waits as it is."""
        self.transport.writeSequence([b"head", MANY])
        self.turns(1)
        self.assertIs(self.transport.dataBuffer, MANY)

    def test_when_it_is_full(self) -> None:
        """Its owner may say from when on a producer has to wait."""
        producer = Push()
        self.transport.registerProducer(producer, True)
        self.transport.full_at = 1_000_000
        self.transport.write(MANY[:1_000_000])
        self.assertEqual(producer.told, [])
        self.transport.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        self.transport.abortConnection()

    def test_only_the_rest_is_watched(self) -> None:
        """A socket that does not take all, once."""
        self.transport.write(MANY)
        self.assertEqual(self.watched, [])
        self.turns(1)
        self.transport.write(b"more")
        self.turns(2)
        self.assertEqual(self.watched, [self.transport])


if hasattr(select, "epoll"):
    globals().update(Transports.makeTestCaseClasses())
    globals().update(Prompt.makeTestCaseClasses())
del Connection, Transports, Prompt
