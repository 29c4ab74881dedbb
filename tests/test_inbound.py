"""A request and its answer: what is made when asked for, three ways to answer, the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.test_sweep import HERE, Wire
from yallmp.bulk import LARGE
from yallmp.core.settings import Limits
from yallmp.inbound import ProxyRequest
from yallmp.site import ProxySite

GONE = Failure(ConnectionDone())


class Counted(Wire):
    """Counts writes."""

    writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)


class Root(Resource):
    """Does what the test says with each request."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.serve: Callable[[ProxyRequest], object] = lambda request: None
        self.requests: list[ProxyRequest] = []

    def render(self, request: Any) -> int:
        self.requests.append(request)
        self.serve(request)
        return NOT_DONE_YET


class InboundCase(SynchronousTestCase):
    """A connection to a site."""

    def setUp(self) -> None:
        self.root = Root()
        site = ProxySite(self.root, Limits, None, None, Clock())
        self.channel: Any = site.buildProtocol(HERE)
        self.wire = Counted(HERE, HERE)
        self.channel.makeConnection(self.wire)
        self.addCleanup(self.channel.connectionLost, GONE)

    def ask(self, start: bytes = b"GET / HTTP/1.1", *fields: bytes, body: bytes = b"") -> Any:
        """The request that this makes."""
        lines = (start, *fields, b"Content-Length: %d" % len(body), b"", body)
        self.channel.dataReceived(b"\r\n".join(lines))
        return self.root.requests[-1]

    def sent(self) -> tuple[bytes, list[bytes], bytes]:
        """Status line, headers without the date, and what follows."""
        head, _, rest = self.wire.value().partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        dates = [line for line in lines if line.lower().startswith(b"date: ")]
        self.assertEqual(len(dates), 1)
        return status, [line for line in lines if line not in dates], rest

    def leave(self) -> None:
        """The client goes."""
        self.channel.connectionLost(GONE)
        self.channel.connectionLost = lambda reason: None


class RequestTests(InboundCase):
    """What a request knows, however its head was read."""

    def test_what_it_knows(self) -> None:
        """The same from a plain head as from an odd one, in the same words."""
        for odd in ((), (b"Expect: x",)):
            start = b"POST /a/b%20c?x=1&y=&x=2 HTTP/1.1"
            request = self.ask(start, b"X-a: 1", b"Cookie: k=v; w", b"x-A:2", *odd, body=b"hello")
            self.assertEqual(request.pairs[:3], ((b"X-a", b"1"), (b"Cookie", b"k=v; w"),
                                                 (b"x-A", b"2")))  # fmt: skip
            self.assertEqual(request.requestHeaders.getRawHeaders("x-a"), ["1", "2"])
            self.assertEqual(request.getHeader(b"x-a"), b"2")
            self.assertEqual(request.args, {b"x": [b"1", b"2"], b"y": [b""]})
            self.assertEqual((request.path, request.uri), (b"/a/b%20c", start.split(b" ")[1]))
            self.assertEqual((request.prepath, request.postpath), ([], [b"a", b"b c"]))
            self.assertEqual(request.getCookie(b"k"), b"v")
            self.assertEqual((request.body, request.content.read()), (b"hello", b"hello"))
            self.assertEqual((request.getClientAddress(), request.getHost()), (HERE, HERE))
            self.assertFalse(request.isSecure())
            request.answer(204, (), b"")

    def test_without_a_query_and_a_body(self) -> None:
        """Both are empty."""
        request = self.ask()
        self.assertEqual((request.args, request.body, request.received_cookies), ({}, b"", {}))

    def test_a_body_in_parts(self) -> None:
        """Comes in one piece."""
        self.channel.dataReceived(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab")
        self.assertTrue(self.channel.in_body)
        for part in (b"", b"cdefgh", b"i"):
            self.assertEqual(self.root.requests, [])
            self.channel.dataReceived(part)
        self.assertEqual(self.root.requests[0].body, b"abcdefghi")
        self.assertFalse(self.channel.in_body)


class AnswerTests(InboundCase):
    """Whole answers."""

    def test_in_one_write(self) -> None:
        """Head and body; the connection stays open for the next request."""
        self.ask().answer(418, ((b"x-a", b"1"), (b"x-a", b"2")), b"body")
        self.assertEqual(self.wire.writes, 1)
        status, headers, body = self.sent()
        self.assertEqual(status, b"HTTP/1.1 418 I'm a Teapot")
        self.assertEqual(headers, [b"x-a: 1", b"x-a: 2", b"content-length: 4"])
        self.assertEqual(body, b"body")
        request = self.root.requests[0]
        self.assertEqual((request.code, request.sentLength, request.finished), (418, 4, 1))
        self.wire.clear()
        self.ask().answer(200, (), b"")
        self.assertIn(b"\r\ncontent-length: 0\r\n\r\n", self.wire.value())

    def test_a_large_one(self) -> None:
        """Is not copied for that, and the same."""
        body = b"x" * (LARGE + 1)
        self.ask().answer(200, (), body)
        self.assertEqual(self.sent()[2], body)

    def test_what_was_set_before(self) -> None:
        """Comes first, and is replaced by name; framing is never taken from there."""
        request = self.ask()
        for name in (b"Server", b"X-A", b"Content-Length", b"Transfer-Encoding", b"Connection"):
            request.setHeader(name, b"set")
        request.answer(200, ((b"x-a", b"given"),), b"")
        headers = [b"Server: set", b"x-a: given", b"content-length: 0"]
        self.assertEqual(self.sent()[1], headers)

    def test_head(self) -> None:
        """The length of what GET would bring, and none of it."""
        self.ask(b"HEAD / HTTP/1.1").answer(200, (), b"body")
        self.assertEqual(self.sent()[1:], ([b"content-length: 4"], b""))
        self.assertEqual(self.root.requests[0].sentLength, 0)

    def test_answers_without_a_body(self) -> None:
        """Neither a body nor a length."""
        for status in (204, 304):
            self.ask().answer(status, (), b"body")
            self.assertEqual(self.sent()[1:], ([], b""))
            self.wire.clear()

    def test_the_last_on_its_connection(self) -> None:
        """If the client says so, is old, or we say so; then the connection is closed."""
        for start, fields, close in (
            (b"GET / HTTP/1.1", (b"Connection: close",), False),
            (b"GET / HTTP/1.0", (), False),
            (b"GET / HTTP/1.1", (), True),
        ):
            self.setUp()
            self.ask(start, *fields).answer(200, (), b"body", close=close)
            status, headers, body = self.sent()
            self.assertEqual(status, start[-8:] + b" 200 OK")
            self.assertEqual((headers[-1], body), (b"Connection: close", b"body"))
            self.assertTrue(self.wire.disconnecting)

    def test_bytes_that_end_a_line(self) -> None:
        """Do not, neither set nor given."""
        request = self.ask()
        request.setHeader(b"x-b", b"1\r\nx: y")
        request.answer(200, ((b"x-a", b"1\r\nSet-Cookie: a=b\0"),), b"")
        headers = [b"X-B: 1 x: y", b"x-a: 1 Set-Cookie: a=b ", b"content-length: 0"]
        self.assertEqual(self.sent()[1], headers)

    def test_to_a_client_that_is_gone(self) -> None:
        """Nothing happens."""
        request = self.ask()
        self.leave()
        request.answer(200, (), b"body")
        request.begin(200, ())
        request.send(b"x")
        self.assertEqual(self.wire.value(), b"")

    def test_only_once(self) -> None:
        """A second answer is a mistake, and not sent."""
        request = self.ask()
        request.begin(200, ())
        self.assertRaises(RuntimeError, request.answer, 200, (), b"")
        request.send(b"x")
        self.assertRaises(RuntimeError, request.answer, 200, (), b"")

    def test_twisteds_own_way(self) -> None:
        """Still works, with a date."""

        def serve(request: ProxyRequest) -> None:
            request.setHeader(b"content-type", b"text/plain")
            request.write(b"a")
            request.write(b"b")
            request.finish()

        self.root.serve = serve
        self.ask()
        headers, body = self.sent()[1:]
        self.assertIn(b"Content-Type: text/plain", headers)
        self.assertEqual(body, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")

    def test_an_error_of_our_own(self) -> None:
        """Is told in our shape, or ends an answer that has begun."""

        def serve(request: ProxyRequest) -> None:
            if request.path == b"/begun":
                request.begin(200, ())
                request.send(b"x")
            raise ValueError("no")

        self.root.serve = serve
        self.ask()
        self.assertIn(b'"internal_error"', self.sent()[2])
        self.assertFalse(self.wire.disconnecting)
        self.wire.clear()
        with capturedLogs() as logs:
            self.ask(b"GET /begun?key=hidden HTTP/1.1")
        self.assertTrue(self.wire.disconnecting)
        self.assertEqual(self.sent()[2], b"1\r\nx\r\n")
        said = " ".join(eventAsText(each) for each in logs)
        self.assertIn("/begun", said)
        self.assertNotIn("hidden", said)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)


class StreamTests(InboundCase):
    """Answers in parts."""

    def test_chunks(self) -> None:
        """One write for each, the head with the first."""
        request = self.ask()
        request.begin(200, ((b"x-a", b"1"),))
        self.assertEqual((self.wire.writes, request.startedWriting), (0, 0))
        request.send(b"x" * 26)
        self.assertEqual((self.wire.writes, request.startedWriting), (1, 1))
        request.send(b"y")
        request.finish()
        status, headers, body = self.sent()
        self.assertEqual((status, headers[0]), (b"HTTP/1.1 200 OK", b"x-a: 1"))
        self.assertEqual(headers[1:], [b"transfer-encoding: chunked"])
        self.assertEqual(body, b"1a\r\n" + b"x" * 26 + b"\r\n1\r\ny\r\n0\r\n\r\n")
        self.assertEqual((self.wire.writes, request.sentLength), (3, 27))
        self.ask().answer(200, (), b"")

    def test_an_empty_stream(self) -> None:
        """Has a head and an end."""
        request = self.ask()
        request.begin(200, ())
        request.finish()
        self.assertEqual((self.sent()[2], self.wire.writes), (b"0\r\n\r\n", 1))

    def test_an_old_client(self) -> None:
        """Gets no chunks, and the end of the connection as end."""
        request = self.ask(b"GET / HTTP/1.0")
        request.begin(200, ())
        request.send(b"abc")
        request.finish()
        status, headers, body = self.sent()
        self.assertEqual((status, headers), (b"HTTP/1.0 200 OK", [b"Connection: close"]))
        self.assertEqual(body, b"abc")
        self.assertTrue(self.wire.disconnecting)

    def test_head(self) -> None:
        """Only the head."""
        request = self.ask(b"HEAD / HTTP/1.1")
        request.begin(200, ())
        request.send(b"abc")
        request.finish()
        self.assertEqual(self.sent()[1:], ([], b""))
        self.assertEqual(request.sentLength, 0)

    def test_a_client_that_leaves(self) -> None:
        """What follows goes nowhere."""
        request = self.ask()
        request.begin(200, ())
        request.send(b"a")
        self.leave()
        request.send(b"b")
        request.finish()
        self.assertEqual(self.sent()[2], b"1\r\na\r\n")


class OverTests(InboundCase):
    """The end of a request, told once."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[Any] = []

    def note(self, word: str) -> Callable[[bool], None]:
        """Takes note of the end."""
        return lambda gone: self.told.append((word, gone))

    def test_answered(self) -> None:
        """In the order of asking, Deferreds among them."""
        request = self.ask()
        request.when_over(self.note("first"))
        request.notifyFinish().addCallback(lambda _: self.told.append("second"))
        request.when_over(self.note("third"))
        request.answer(200, (), b"")
        wanted = [("first", False), "second", ("third", False)]
        self.assertEqual(self.told, wanted)
        self.leave()
        self.assertEqual(self.told, wanted)

    def test_left(self) -> None:
        """The same; a Deferred fails with the reason."""
        request = self.ask()
        request.when_over(self.note("first"))
        self.left = request.notifyFinish()
        request.when_over(self.note("third"))
        self.leave()
        self.assertEqual(self.told, [("first", True), ("third", True)])
        self.failureResultOf(self.left, ConnectionDone)

    def test_asked_for_late(self) -> None:
        """Is told at once."""
        request = self.ask()
        request.answer(200, (), b"")
        request.when_over(self.note("late"))
        self.assertEqual(self.told, [("late", False)])

    def test_a_call_that_fails(self) -> None:
        """Harms no other."""

        def fail(gone: bool) -> None:
            raise ValueError("no")

        request = self.ask()
        request.when_over(fail)
        request.when_over(self.note("second"))
        request.answer(200, (), b"")
        self.assertEqual(self.told, [("second", False)])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class PipelineTests(InboundCase):
    """Requests that come before the one before them is answered."""

    def test_thousands_at_once(self) -> None:
        """One after the other, without growing a stack."""
        self.root.serve = lambda request: request.answer(200, (), b"")
        self.channel.dataReceived(b"GET / HTTP/1.1\r\n\r\n" * 5000)
        self.assertEqual(len(self.root.requests), 5000)

    def test_behind_one_that_waits(self) -> None:
        """They are kept, and served when it is answered."""
        request = self.ask()
        self.channel.dataReceived(b"GET /2 HTTP/1.1\r\n\r\n")
        self.channel.dataReceived(b"GET /3 HTTP/1.1\r\n\r\n")
        self.assertEqual(len(self.root.requests), 1)
        for number in (1, 2, 3):
            self.root.requests[-1].answer(200, (), b"%d" % number)
        self.assertEqual([each.path for each in self.root.requests], [b"/", b"/2", b"/3"])
        self.assertEqual(request.finished, 1)
        self.assertEqual(self.wire.value().count(b"HTTP/1.1 200 OK"), 3)

    def test_a_client_that_does_not_read(self) -> None:
        """It may finish what it asked for, but not ask for more before it reads."""
        request = self.ask()
        self.channel.pauseProducing()
        self.assertEqual(self.wire.producerState, "producing")
        request.answer(200, (), b"1")
        self.assertEqual(self.wire.producerState, "paused")
        self.channel.resumeProducing()
        self.assertEqual(self.wire.producerState, "producing")
        self.ask().answer(200, (), b"2")
        self.assertEqual(self.wire.producerState, "producing")
        self.assertEqual(self.wire.value().count(b"HTTP/1.1 200 OK"), 2)
