"""The answer on its way to the client: whole, streamed, broken off, and to nobody."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.network import BUFFER, MemoryNetwork
from yallmp.core.settings import Limits
from yallmp.downstream import KEEP_ALIVE, LAST_WORDS, Client, Held
from yallmp.site import ProxySite

ASK = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
ERROR = b'data: {"error": 1}\n\n'


class Reader(Protocol):
    """The client's side of the connection."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


class Producer:
    """Counts how often it is paused and resumed."""

    paused = resumed = stopped = 0

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.resumed += 1

    def stopProducing(self) -> None:
        self.stopped += 1


class Root(Resource):
    """Hands out the request."""

    isLeaf = True
    request: Any = None

    def render(self, request: Any) -> int:
        self.request = request
        return NOT_DONE_YET


class DownstreamCase(SynchronousTestCase):
    """A client that has asked, and what answers it."""

    def setUp(self) -> None:
        self.net = MemoryNetwork()
        root = Root()
        site = ProxySite(root, Limits, None, None, self.net)
        site.noisy = False
        self.net.listen("10.0.0.1", 80, site)
        factory = Factory.forProtocol(Reader)
        factory.noisy = False
        there = IPv4Address("TCP", "10.0.0.2", 40000)
        self.end = self.net.join(factory, site, there, ("10.0.0.1", 80))
        self.reader: Reader = self.end.protocol
        self.end.write(ASK)
        self.net.pump()
        self.client = Client(root.request, self.net)

    def tearDown(self) -> None:
        self.end.abortConnection()
        self.net.pump()
        self.net.close()
        left = [str(c) for c in self.net.getDelayedCalls() if "LogDateTime" not in str(c)]
        self.assertEqual(left, [], "timers are left")

    @property
    def head(self) -> bytes:
        """The head that came."""
        return self.reader.data.partition(b"\r\n\r\n")[0].lower()

    @property
    def body(self) -> bytes:
        """What came after it, with its framing."""
        return self.reader.data.partition(b"\r\n\r\n")[2]

    def break_off(self) -> Deferred[None]:
        """Break the answer off; fires when that is done."""
        done = Deferred.fromCoroutine(self.client.break_off(ERROR))
        self.net.pump()
        return done

    def leave(self) -> None:
        """The client goes."""
        self.end.abortConnection()
        self.net.pump()


class WholeTests(DownstreamCase):
    """Answers that are sent at once."""

    def test_a_whole_answer(self) -> None:
        """Status, headers, length, body; and what is known of it afterwards."""
        self.assertFalse(self.client.started)
        self.client.whole(418, ((b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"3")), b"short")
        self.net.pump()
        self.assertTrue(self.head.startswith(b"http/1.1 418 "))
        self.assertEqual(self.head.count(b"x-a: "), 2)
        self.assertIn(b"content-length: 5", self.head)
        self.assertEqual(self.body, b"short")
        client = self.client
        self.assertEqual((client.started, client.status, client.sent), (True, 418, 5))
        self.assertIsNone(self.reader.lost)

    def test_an_empty_body(self) -> None:
        """Its length is said."""
        self.client.whole(200, (), b"")
        self.net.pump()
        self.assertIn(b"content-length: 0", self.head)
        self.assertEqual(self.body, b"")

    def test_to_a_client_that_is_gone(self) -> None:
        """Nothing happens, and nothing counts as sent."""
        self.leave()
        self.client.whole(200, (), b"nobody")
        self.assertEqual((self.client.gone, self.client.sent), (True, 0))


class StreamTests(DownstreamCase):
    """Answers that are sent bit by bit."""

    def test_a_stream(self) -> None:
        """Its own headers win; each write goes out as it is made; the end is said."""
        self.client.begin(((b"content-type", b"text/plain"), (b"x-a", b"1")))
        self.client.write(b"one")
        self.net.pump()
        self.assertIn(b"content-type: text/event-stream; charset=utf-8", self.head)
        self.assertIn(b"x-a: 1", self.head)
        self.assertIn(b"x-accel-buffering: no", self.head)
        self.assertNotIn(b"text/plain", self.head)
        self.assertEqual(self.body, b"3\r\none\r\n")
        self.client.write(b"")
        self.client.write(b"two")
        self.client.finish()
        self.net.pump()
        self.assertEqual(self.body, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        self.assertEqual((self.client.status, self.client.sent), (200, 6))
        self.assertIsNone(self.reader.lost)

    def test_to_a_client_that_is_gone(self) -> None:
        """Writes are dropped, and the end is no mistake."""
        self.client.begin(())
        self.client.write(b"one")
        self.leave()
        self.client.write(b"two")
        self.client.finish()
        self.assertEqual(self.client.sent, 3)


class PaceTests(DownstreamCase):
    """The client's reading paces who produces."""

    def test_backpressure(self) -> None:
        """A client that does not read pauses the producer; one that reads lets it go on."""
        producer = Producer()
        self.client.begin(())
        self.client.pace(producer)
        self.client.pace(producer)
        self.end.reading = False
        self.client.write(b"x" * 4 * BUFFER)
        self.assertEqual((producer.paused, producer.resumed), (1, 0))
        self.end.reading = True
        self.net.pump()
        self.assertEqual((producer.paused, producer.resumed), (1, 1))
        self.client.unpace()
        self.client.unpace()
        self.client.finish()
        self.net.pump()
        self.assertTrue(self.body.endswith(b"0\r\n\r\n"))

    def test_a_client_that_is_gone(self) -> None:
        """There is nothing to pace, before or after."""
        self.client.begin(())
        self.client.pace(Producer())
        self.leave()
        self.client.unpace()
        self.client.pace(Producer())

    def test_the_end_unpaces(self) -> None:
        """A finished answer leaves no producer behind on the connection."""
        self.client.begin(())
        self.client.pace(Producer())
        self.client.finish()
        self.end.write(ASK)
        self.net.pump()
        self.assertIsNone(self.reader.lost)


class BreakOffTests(DownstreamCase):
    """Streams that end before they are whole."""

    def setUp(self) -> None:
        super().setUp()
        self.client.begin(())
        self.client.write(b"one")

    def test_two_signs(self) -> None:
        """The event, and the end of the connection without the final chunk; no reset."""
        done = self.break_off()
        self.successResultOf(done)
        self.assertTrue(self.body.endswith(ERROR + b"\r\n"))
        self.assertTrue(self.reader.lost.check(ConnectionDone))

    def test_it_is_over_when_the_connection_is(self) -> None:
        """Until then nobody may finish the request: that would send the final chunk."""
        self.end.reading = False
        done = self.break_off()
        self.assertNoResult(done)
        self.net.pass_time(5)
        self.end.reading = True
        self.net.pump()
        self.successResultOf(done)
        self.assertIn(ERROR, self.body)

    def test_a_client_that_never_reads_is_cut(self) -> None:
        """It has some seconds."""
        self.end.reading = False
        done = self.break_off()
        self.net.pass_time(LAST_WORDS + 0.1)
        self.successResultOf(done)
        self.assertFalse(self.reader.lost.check(ConnectionDone))

    def test_a_client_that_is_gone(self) -> None:
        """There is nothing to say."""
        self.leave()
        self.successResultOf(self.break_off())
        self.assertEqual(self.client.sent, 3)

    def test_a_client_that_leaves_meanwhile(self) -> None:
        """That is the end too."""
        self.end.reading = False
        done = self.break_off()
        self.leave()
        self.successResultOf(done)

    def test_cancelled_meanwhile(self) -> None:
        """Who cancels need not wait, and no timer stays."""
        self.end.reading = False
        done = self.break_off()
        done.cancel()
        self.successResultOf(done)


class HeldTests(DownstreamCase):
    """A stream that is held back, and what keeps its connection alive."""

    def setUp(self) -> None:
        super().setUp()
        self.held = Held(self.client, self.net, 15.0)
        self.addCleanup(self.held.stop)

    def comments(self, after: float | None, seconds: float) -> int:
        """How many came in so many seconds."""
        self.held.start(after)
        self.net.pass_time(seconds, step=0.5)
        return self.body.count(KEEP_ALIVE)

    def test_it_begins_late_and_goes_on(self) -> None:
        """First the head with a comment, then a comment now and then."""
        self.assertEqual(self.comments(20.0, 19.5), 0)
        self.assertFalse(self.client.started)
        self.net.pass_time(0.5, step=0.5)
        self.assertEqual((self.client.started, self.body.count(KEEP_ALIVE)), (True, 1))
        self.net.pass_time(30, step=0.5)
        self.assertEqual(self.body.count(KEEP_ALIVE), 3)

    def test_it_stops(self) -> None:
        """With the first content nothing is sent any more."""
        self.comments(20.0, 21)
        self.held.stop()
        self.held.stop()
        self.net.pass_time(60, step=1)
        self.assertEqual(self.body.count(KEEP_ALIVE), 1)

    def test_switched_off(self) -> None:
        """Nothing goes out before there is content."""
        self.assertEqual(self.comments(None, 100), 0)
        self.assertFalse(self.client.started)

    def test_only_the_head(self) -> None:
        """Comments can be switched off by themselves."""
        self.held.every = None
        self.assertEqual(self.comments(5.0, 100), 1)

    def test_stopped_before_it_began(self) -> None:
        """Nothing goes out."""
        self.held.start(5.0)
        self.held.stop()
        self.net.pass_time(10, step=1)
        self.assertEqual(self.reader.data, b"")
