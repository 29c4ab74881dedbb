"""
Our HTTP client: the answer's bytes, the request's bytes, connections that wait.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from yallmp.lean.agent import LeanAgent, Unsendable, head_of_request, parsed
from yallmp.lean.connection import Connection
from yallmp.lean.parser import MAX_FIELDS, MAX_HEAD, AnswerParser, NotHTTP
from yallmp.lean.pool import LeanPool
from yallmp.upstream import WholeBody

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\nTrailer: t\r\n\r\n"
)


#: Answers after which a connection goes on.
KEPT = (
    OK, CHUNKED, b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
)  # fmt: skip


def read(*data: bytes) -> tuple[AnswerParser, bytes]:
    """A parser behind *data*, and the body that it found."""
    parser = AnswerParser()
    return parser, b"".join(parser.feed(each) for each in data)


class ParserTests(SynchronousTestCase):
    """What an answer is."""

    def test_a_length(self) -> None:
        """Its body ends where the head says."""
        parser, body = read(OK)
        self.assertEqual((parser.status, parser.reason, body), (200, b"OK", b"ab"))
        self.assertEqual(parser.headers, ((b"Content-Length", b"2"),))
        self.assertTrue(parser.complete and parser.keep_alive and not parser.extra)

    def test_chunks(self) -> None:
        """Repeated headers stay repeated; extensions and trailers are left out."""
        parser, body = read(CHUNKED)
        self.assertEqual((body, parser.complete), (b"abc", True))
        names = [name for name, _ in parser.headers]
        self.assertEqual(names, [b"Transfer-Encoding", b"X-A", b"X-A"])

    @given(st.lists(st.sampled_from(KEPT), min_size=2, max_size=4), st.integers(1, 40))
    def test_one_answer_after_the_other(self, answers: list[bytes], size: int) -> None:
        """A parser that read one reads the next as a fresh one would, split anywhere."""
        used = AnswerParser()
        for data in answers:
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
            body = b"".join(used.feed(each) for each in pieces)
            fresh, wanted = read(data)
            self.assertEqual(body, wanted)
            for name in ("status", "reason", "version", "headers", "complete", "keep_alive"):
                self.assertEqual(getattr(used, name), getattr(fresh, name), name)
            self.assertFalse(used.extra or used.until_close)
            used.renew()

    def test_without_a_body(self) -> None:
        """204 and 304 never have one, whatever their heads say."""
        for head in (b"204 No", b"304 Not", b"304 Not\r\nContent-Length: 9"):
            parser, body = read(b"HTTP/1.1 " + head + b"\r\n\r\n")
            self.assertEqual((parser.complete, body, parser.until_close), (True, b"", False))

    def test_until_the_end_of_the_connection(self) -> None:
        """Neither length nor chunks."""
        parser, body = read(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd")
        self.assertEqual((parser.until_close, parser.complete, body), (True, False, b"abcd"))

    def test_interim_answers(self) -> None:
        """They are skipped, with their headers."""
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        parser, body = read(interim + OK)
        self.assertEqual((parser.status, parser.reason, body), (200, b"OK", b"ab"))
        self.assertEqual(parser.headers, ((b"Content-Length", b"2"),))

    def test_whether_it_is_kept(self) -> None:
        """By the version and by what ``Connection`` says."""
        for head, kept in (
            (b"HTTP/1.1 200 OK\r\n", True), (b"HTTP/1.0 200 OK\r\n", False),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
            (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
        ):  # fmt: skip
            parser, _ = read(head + b"Content-Length: 0\r\n\r\n")
            self.assertEqual((parser.complete, parser.keep_alive), (True, kept), head)

    def test_what_follows_an_answer(self) -> None:
        """It spoils the connection, not the answer."""
        for more in (b"x", b"HTTP/1.1 200 OK\r\n", OK, b"\0"):
            for pieces in ((OK + more,), (OK, more)):
                parser, body = read(*pieces)
                self.assertEqual((body, parser.complete, parser.extra), (b"ab", True, True), more)
                self.assertEqual((parser.status, len(parser.headers)), (200, 1))

    def test_what_is_refused(self) -> None:
        """What two readers could read differently, and what is not HTTP."""
        head = b"HTTP/1.1 200 OK\r\n"
        for bad in (
            b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 20\r\n\r\n",
            head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nab",
            head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: identity\r\n\r\nab",
            head + b"Content-Length: -1\r\n\r\n", head + b"Content-Length: 1_0\r\n\r\n",
            head + b"Content-Length: 0x2\r\n\r\nab", head + b"Content-Length : 2\r\n\r\nab",
            head + b"A: b\r\n c\r\n\r\n", head + b"A b\r\n\r\n", head + b"A: \0\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n",
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ):  # fmt: skip
            self.assertRaises(NotHTTP, read, bad)

    def test_another_protocol_behind_an_answer(self) -> None:
        """The answer is whole, in whichever read the rest comes; nothing follows on the wire."""
        switching = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
        for reads in ((good + switching,), (good, switching)):
            parser, body = read(*reads)
            self.assertEqual((body, parser.complete, parser.extra), (b"ab", True, True))

    def test_a_head_without_end(self) -> None:
        """So much of it is read."""
        line = b"X: " + b"y" * 1000 + b"\r\n"
        lines = [b"HTTP/1.1 200 OK\r\n", *[line] * (MAX_HEAD // 1000 + 2)]
        self.assertRaises(NotHTTP, read, *lines)
        self.assertRaises(NotHTTP, read, b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_HEAD)

    def test_the_longest_head(self) -> None:
        """Of the size that is set it is read, of one byte more it is not, split anywhere."""
        line = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\nX: "
        for size in (199, 200, 201):
            head = line + b"y" * (size - len(line) - 4) + b"\r\n\r\n"
            for cut in (size, size + 1, 1, len(line), size - 1, size - 2, size + 300):
                data = head + b"z" * 300
                parser = AnswerParser(200)
                pieces = (data[:cut], data[cut:])
                if size > 200:
                    self.assertRaises(NotHTTP, list, map(parser.feed, pieces))
                else:
                    body = b"".join(map(parser.feed, pieces))
                    self.assertEqual((body, parser.complete), (b"z" * 300, True), (size, cut))

    def test_a_head_that_ends_in_a_full_read(self) -> None:
        """What of the body comes with its last bytes does not count as a head."""
        parser = AnswerParser()
        parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r")
        self.assertEqual(len(parser.feed(b"\n" + b"x" * 100000)), 100000)

    def test_too_many_fields(self) -> None:
        """As many as may be are read; one more is not."""
        line, most = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", MAX_FIELDS - 1
        self.assertTrue(read(line + b"A:\r\n" * most + b"\r\n")[0].complete)
        self.assertRaises(NotHTTP, read, line + b"A:\r\n" * (most + 1) + b"\r\n")

    def test_interim_answers_without_end(self) -> None:
        """They count as a head."""
        parser = AnswerParser(200)
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        self.assertRaises(NotHTTP, list, map(parser.feed, [interim] * 9))

    def test_trailers_without_end(self) -> None:
        """So much may come between two parts of a body, or behind the last."""
        body = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2;x=", b"y" * 190,
            b"\r\nab\r\n", b"0\r\nA: ", b"y" * 190, b"\r\n\r\n",
        )  # fmt: skip
        parser = AnswerParser(200)
        self.assertEqual(b"".join(map(parser.feed, body)), b"ab")
        self.assertTrue(parser.complete)
        for at in (2, 5):
            more = (*body[:at], b"y" * 50, *body[at:])
            self.assertRaises(NotHTTP, list, map(AnswerParser(200).feed, more))

    def test_a_long_body_is_no_long_head(self) -> None:
        """Head and body may come in one read."""
        size = MAX_HEAD * 2
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        self.assertEqual(len(read(head + b"x" * size)[1]), size)

    @given(st.lists(st.integers(0, 200), max_size=6))
    def test_split_anywhere(self, cuts: list[int]) -> None:
        """Reads do not matter."""
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        data = interim + CHUNKED
        edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
        parser, body = read(*(data[a:b] for a, b in pairwise(edges)))
        self.assertEqual((body, parser.complete, parser.extra), (b"abc", True, False))
        self.assertEqual(len(parser.headers), 3)

    @given(
        st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", OK[:-2], CHUNKED])
    )
    def test_anything(self, data: bytes, before: bytes) -> None:
        """Whatever comes, it is an answer or it is not HTTP."""
        parser = AnswerParser()
        try:
            parser.feed(before + data)
            parser.feed(data)
        except NotHTTP:
            return


class RequestTests(SynchronousTestCase):
    """What a request is on the wire."""

    def test_a_request(self) -> None:
        """Host first, the headers as they are, the length last."""
        uri = parsed("http://example.com:81/v1/x?q=1")
        head = head_of_request(b"POST", uri, ((b"X-A", b"1"), (b"X-A", b"2")), 5)
        self.assertEqual(
            head,
            b"POST /v1/x?q=1 HTTP/1.1\r\nHost: example.com:81\r\nX-A: 1\r\nX-A: 2\r\n"
            b"Content-Length: 5\r\n\r\n",
        )

    def test_line_breaks_are_refused(self) -> None:
        """In a name, in a value, and in the target."""
        uri = parsed("http://example.com/")
        for pair in ((b"A", b"1\r\nB: 2"), (b"A\n", b"1"), (b"A", b"\0")):
            self.assertRaises(Unsendable, head_of_request, b"POST", uri, (pair,), 0)


@implementer(ITCPTransport)
class Transport(StringTransport):
    """What a connection writes to."""


class Reader(Protocol):
    """Reads a body."""

    def __init__(self) -> None:
        self.data, self.end = b"", None  # type: ignore[var-annotated]

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.end = reason


class ConnectionTests(SynchronousTestCase):
    """One connection."""

    def setUp(self) -> None:
        self.idle: list[Connection] = []
        self.gone: list[Connection] = []
        self.head_max = MAX_HEAD
        self.connection = Connection(self.idle.append, self.gone.append, lambda: self.head_max)
        self.transport = Transport()
        self.connection.makeConnection(self.transport)
        self.asked = self.connection.request(b"request")

    def lose(self, kind: type[Exception] = ConnectionDone) -> None:
        """The connection ends."""
        self.connection.connectionLost(Failure(kind()))

    def read(self) -> Reader:
        """Read the body of the answer."""
        reader = Reader()
        self.response: Any = self.successResultOf(self.asked)
        self.response.deliverBody(reader)
        return reader

    def test_an_answer(self) -> None:
        """Its parts, as Twisted has them; then the connection is free."""
        self.connection.dataReceived(OK)
        reader = self.read()
        verifyObject(IResponse, self.response)
        self.assertEqual((self.response.code, self.response.phrase), (200, b"OK"))
        self.assertEqual(self.response.version, (b"HTTP", 1, 1))
        self.assertEqual((self.response.length, reader.data), (2, b"ab"))
        self.assertEqual(self.response.headers.getRawHeaders(b"content-length"), [b"2"])
        assert reader.end is not None
        reader.end.trap(ResponseDone)
        self.assertEqual((self.idle, self.transport.disconnected), ([self.connection], False))

    def test_another_limit(self) -> None:
        """What the head of an answer may have is asked for each request, also on a used one."""
        self.connection.dataReceived(OK)
        self.read()
        self.head_max = 10
        self.asked = self.connection.request(b"request")
        self.connection.dataReceived(OK)
        self.failureResultOf(self.asked, ResponseFailed).value.reasons[0].trap(NotHTTP)

    def test_one_read_is_one_call(self) -> None:
        """What came together goes on together."""
        self.connection.dataReceived(CHUNKED[: CHUNKED.index(b"\r\n\r\n") + 4])
        reader = self.read()
        calls: list[bytes] = []
        reader.dataReceived = calls.append  # type: ignore[method-assign]
        self.connection.dataReceived(CHUNKED[CHUNKED.index(b"\r\n\r\n") + 4 :])
        self.assertEqual(calls, [b"abc"])
        self.assertIs(self.response.length, UNKNOWN_LENGTH)

    def test_nothing_came(self) -> None:
        """The connection ended before a byte."""
        self.lose()
        self.failureResultOf(self.asked, ResponseNeverReceived)
        self.assertEqual(self.gone, [self.connection])

    def test_half_a_head(self) -> None:
        """Something came, but no answer."""
        self.connection.dataReceived(b"HTTP/1.1 200")
        self.lose()
        failure = self.failureResultOf(self.asked, ResponseFailed)
        self.assertFalse(failure.check(ResponseNeverReceived))

    def test_no_http(self) -> None:
        """It is told, and the connection closed."""
        self.connection.dataReceived(b"SSH-2.0-OpenSSH\r\n")
        failure = self.failureResultOf(self.asked, ResponseFailed)
        failure.value.reasons[0].trap(NotHTTP)
        self.assertTrue(self.transport.disconnected)

    def test_a_truncated_body(self) -> None:
        """Never a clean end, with a length or with chunks."""
        for data in (OK[:-1], CHUNKED[:-5], CHUNKED[:-2]):
            self.setUp()
            self.connection.dataReceived(data)
            reader = self.read()
            self.lose()
            assert reader.end is not None
            self.assertIsNone(reader.end.check(ResponseDone, PotentialDataLoss), data)
            self.assertEqual(self.idle, [])

    def test_the_end_as_the_end(self) -> None:
        """As far as HTTP knows it is whole, unless it was a reset."""
        for kind, whole in ((ConnectionDone, True), (ConnectionLost, False)):
            self.setUp()
            self.connection.dataReceived(b"HTTP/1.1 200 OK\r\n\r\nab")
            reader = self.read()
            self.lose(kind)
            assert reader.end is not None
            self.assertEqual(bool(reader.end.check(PotentialDataLoss)), whole)

    def test_bytes_behind_an_answer(self) -> None:
        """The answer is good, the connection is not."""
        self.connection.dataReceived(OK + b"HTTP/1.1 200")
        reader = self.read()
        self.assertEqual((reader.data, self.idle), (b"ab", []))
        self.assertTrue(self.transport.disconnected)

    def test_bytes_that_nobody_asked_for(self) -> None:
        """An idle connection that brings something is closed."""
        self.connection.dataReceived(OK)
        self.connection.dataReceived(OK)
        self.assertTrue(self.transport.disconnected)

    def test_a_body_that_waits(self) -> None:
        """Until somebody wants it the backend waits, too; nothing is lost."""
        self.connection.dataReceived(CHUNKED[:90])
        self.assertEqual(self.transport.producerState, "paused")
        self.connection.dataReceived(CHUNKED[90:])
        reader = self.read()
        self.assertEqual(reader.data, b"abc")
        self.assertEqual(self.transport.producerState, "producing")

    def test_paused_by_its_reader(self) -> None:
        """Backpressure; what goes back to the pool is resumed."""
        self.connection.dataReceived(CHUNKED[:90])
        self.read()
        self.response.transport.resumeProducing()
        self.response.transport.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.connection.dataReceived(CHUNKED[90:])
        self.assertEqual((self.idle, self.transport.producerState),
                         ([self.connection], "producing"))  # fmt: skip
        self.response.transport.pauseProducing()
        self.assertEqual(self.transport.producerState, "producing", "it is another's now")

    def test_cancelled(self) -> None:
        """The connection is closed, and its end is nobody's."""
        self.asked.cancel()
        self.failureResultOf(self.asked, CancelledError)
        self.assertTrue(self.transport.disconnected)
        self.lose()


class Endpoint:
    """Connects at once."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def connect(self, factory: Any) -> Deferred[Any]:
        """A connection."""
        connection = factory.buildProtocol(None)
        connection.makeConnection(Transport())
        self.made.append(connection)
        done: Deferred[Any] = Deferred()
        done.callback(connection)
        return done


class PoolTests(SynchronousTestCase):
    """Connections that wait."""

    def setUp(self) -> None:
        self.clock, self.endpoint = Clock(), Endpoint()
        self.pool = LeanPool(self.clock, 30, 2, lambda: MAX_HEAD)
        self.took: list[Connection] = []

    def ask(self, path: str = "/a", *, fresh: bool = False, host: str = "h") -> Connection:
        """A request, answered at once."""
        agent = LeanAgent(self.pool, lambda uri: self.endpoint, self.took.append, fresh)
        asked = agent.request(b"POST", f"http://{host}{path}".encode(), None, WholeBody(b"{}"))
        self.took[-1].dataReceived(OK)
        self.successResultOf(asked)
        return self.took[-1]

    def test_an_agent(self) -> None:
        """It is one, and what it sends is a request."""
        agent = LeanAgent(self.pool, lambda uri: self.endpoint, self.took.append)
        verifyObject(IAgent, agent)
        connection = self.ask()
        sent = connection.transport.value()  # type: ignore[union-attr]
        self.assertTrue(sent.startswith(b"POST /a HTTP/1.1\r\nHost: h\r\n"))
        self.assertTrue(sent.endswith(b"\r\n\r\n{}"))

    def test_used_again(self) -> None:
        """The latest first; another address has others; a fresh one is new."""
        first = self.ask()
        self.assertIs(self.ask(), first)
        self.assertIsNot(self.ask(host="other"), first)
        self.assertIsNot(self.ask(fresh=True), first)

    def test_idle_ones_are_closed(self) -> None:
        """Thirty seconds after their last use, by one timer for all."""
        first = self.ask()
        self.clock.advance(20)
        second = self.ask(fresh=True)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(10)
        self.assertTrue(first.transport.disconnected)  # type: ignore[union-attr]
        self.assertFalse(second.transport.disconnected)  # type: ignore[union-attr]
        self.clock.advance(20)
        self.assertTrue(second.transport.disconnected)  # type: ignore[union-attr]
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_so_many(self) -> None:
        """The one that was idle longest goes."""
        three = [self.ask(fresh=True) for _ in range(3)]
        closed = [each.transport.disconnected for each in three]  # type: ignore[union-attr]
        self.assertEqual(closed, [True, False, False])

    def test_gone(self) -> None:
        """A connection that ended is not given out."""
        first = self.ask()
        first.connectionLost(Failure(ConnectionDone()))
        self.assertIsNot(self.ask(), first)

    def test_one_that_is_being_closed(self) -> None:
        """It is not given out, though its end has not been seen yet."""
        first = self.ask()
        first.dataReceived(b"unasked")
        self.assertIsNot(self.ask(), first)

    def test_one_that_its_reader_closed(self) -> None:
        """It does not go back, though the answer came whole in the same read."""
        agent = LeanAgent(self.pool, lambda uri: self.endpoint, self.took.append)
        asked = agent.request(b"POST", b"http://h/a", None, WholeBody(b"{}"))
        closing = Reader()
        closing.dataReceived = lambda data: self.took[-1].abort()  # type: ignore[method-assign]
        asked.addCallback(lambda response: response.deliverBody(closing))
        self.took[-1].dataReceived(OK)
        self.assertIsNot(self.ask(), self.took[0])

    def test_closing(self) -> None:
        """All that waits, and what comes back later."""
        first = self.ask()
        self.pool.close()
        self.assertTrue(first.transport.disconnected)  # type: ignore[union-attr]
        self.assertEqual(self.clock.getDelayedCalls(), [])
        first.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.ask().transport.disconnected)  # type: ignore[union-attr]

    def test_what_cannot_be_sent(self) -> None:
        """It fails before anything is connected."""
        agent = LeanAgent(self.pool, lambda uri: self.endpoint, self.took.append)
        for url, pairs in (
            ("http://h/é", ()),
            ("http://h/", ((b"a", b"\n"),)),
        ):
            asked = agent.send(b"POST", url, pairs, b"")
            self.failureResultOf(asked)
        self.assertEqual(self.endpoint.made, [])
