"""Heads that leave no doubt, and that they are read as the parser reads them line by line."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from yallmp.channel import ProxyChannel
from yallmp.core.requesthead import RequestHead, plain_head
from yallmp.core.settings import Limits
from yallmp.site import ProxySite

LIMITS = Limits(max_head_bytes=500, max_head_fields=8, max_target_bytes=40, max_body_bytes=60)
HERE = IPv4Address("TCP", "127.0.0.1", 8000)

STARTS = (
    b"GET / HTTP/1.1", b"POST /v1/x?a=1&b=%20 HTTP/1.1", b"HEAD /a HTTP/1.1", b"PUT /a HTTP/1.1",
    b"DELETE /a;b=c HTTP/1.1", b"OPTIONS * HTTP/1.1", b"get / HTTP/1.1", b"GET http://x/y HTTP/1.1",
    b"GET / HTTP/1.0", b"GET /  HTTP/1.1", b"GET  / HTTP/1.1", b" GET / HTTP/1.1", b"GET /",
    b"GET / HTTP/1.1 ", b"GET / HTTP/1.2", b"GET / http/1.1", b"GET //a HTTP/1.1", b"",
    b"GET /\x80 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET /\t HTTP/1.1", b"GET /#a HTTP/1.1",
    b"PRI * HTTP/2.0", b"CONNECT x:1 HTTP/1.1", b"G@T / HTTP/1.1", b"GET /a\rb HTTP/1.1",
    b"GET /" + b"x" * 45 + b" HTTP/1.1", b"GET /a HTTP/1.1\r",
)  # fmt: skip
FIELDS = (
    b"Host: h", b"Content-Length: 0", b"Content-Length: 5", b"content-length: 5",
    b"Content-Length: 05", b"Content-Length: +5", b"Content-Length: -5", b"Content-Length: 5, 5",
    b"Content-Length: 5 5", b"Content-Length:5", b"Content-Length:\t5 ", b"Content-Length : 5",
    b"Content-Length: 0x5", b"Content-Length: 5_0", b"Content-Length: \xb2", b"Content-Length:",
    b"Content-Length: 70", b"Content-Length: 9999999999999999999", b"Content_Length: 5",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", b"transfer-encoding: xchunked",
    b"Transfer-Encoding\t: chunked", b"Transfer-Encoding:\x0bchunked", b"X-A: 1", b"X-A: \xff",
    b"x-a:2", b"X-A:", b"X-A: a\x00b", b"X-A: a\rb", b"X-A: a\nb", b"X-A: \x01", b"X-A: a\x0b",
    b"X-A: \x7f", b" folded", b"\tfolded", b"nocolon", b": noname", b"X(A): 1", b"X\x80: 1",
    b"Connection: keep-alive", b"Connection: close", b"Connection: Keep-Alive, X-A",
    b"connection: CLOSE", b"Expect: 100-continue", b"Upgrade: h2c", b"Host: other",
    b"Cookie: a=b; c", b"Content-Type: application/x-www-form-urlencoded", b"Trailer: x",
    b"X-Long: " + b"y" * 480, b"X-A: 1\n", b"X-A: 1\r",
)  # fmt: skip
BODIES = (
    b"",
    b"hello",
    b"hell",
    b"hello!",
    b"a=b&c",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"\r\n",
    b"0\r\n\r\n",
)


class Slow(ProxyChannel):
    """Reads everything line by line."""

    def _take(self, data: bytes) -> bool:
        return False


class Root(Resource):
    """Answers with what it was asked, or later, if the path says so."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.open: list[Any] = []
        self.left: list[bytes] = []

    def render(self, request: Any) -> int:
        self.seen.append(
            (request.method, request.uri, request.path, request.clientproto, request.pairs)
        )
        self.seen.append(list(request.requestHeaders.getAllRawHeaders()))
        self.seen.append((request.args, request.received_cookies, request.body))
        self.seen.append((request.content.read(), request.postpath, request.prepath))
        self.open.append(request)
        return NOT_DONE_YET

    def answer(self) -> None:
        """Answer what is open."""
        waiting, self.open = self.open, []
        for request in waiting:
            request.answer(200, ((b"x-uri", request.uri),), b"body")

    def refused(self, channel: Any, error: Any) -> Any:
        """Takes note of what the parser refuses."""
        pairs = channel.requests[-1].pairs if channel.requests else None
        self.seen.append((error.status, error.message, channel.request_line, pairs))
        return Ids()

    def gone(self, channel: Any) -> None:
        """Takes note of a client that leaves."""
        self.left.append(channel.request_line)


class Ids:
    """The ids of a request."""

    id = "0" * 12
    client_request_id = None


def told(protocol: type[ProxyChannel], reads: list[bytes], late: bool) -> Any:
    """What a channel makes of *reads*: requests, answers, end; each answered *late* or at once."""
    clock, root = Clock(), Root()
    site = ProxySite(root, lambda: LIMITS, root.refused, root.gone, clock)
    site.protocol = protocol  # type: ignore[assignment]
    channel = site.buildProtocol(HERE)
    transport = StringTransport(HERE, HERE)
    transport.abortConnection = transport.loseConnection
    transport.setTcpNoDelay = lambda enabled: None
    channel.makeConnection(transport)
    for data in reads:
        channel.dataReceived(data)
        if not late:
            while root.open:
                root.answer()
    while root.open:
        root.answer()
    due = (channel.idle_due, channel.whole_due, channel.in_body, transport.disconnecting)
    answered = re.sub(rb"Date: [^\r]*", b"Date: now", transport.value())
    channel.connectionLost(None)
    left = [call.func.__name__ for call in clock.getDelayedCalls()]
    return root.seen, answered, due, root.left, left


def whole(start: bytes, fields: list[bytes], body: bytes) -> bytes:
    """A request of these lines."""
    return b"\r\n".join([start, *fields, b"", b""]) + body


REQUESTS = st.builds(
    whole,
    st.sampled_from(STARTS) | st.sampled_from(STARTS[:5]),
    st.lists(st.sampled_from(FIELDS), max_size=5),
    st.sampled_from(BODIES),
)
PLAIN = st.builds(
    whole,
    st.sampled_from(STARTS[:5]),
    st.lists(st.sampled_from((b"Host: h", b"X-B: 1", b"Connection: keep-alive")), unique=True).map(
        lambda fields: [*fields, b"Content-Length: 5"]
    ),
    st.just(b"hello"),
)


ODD = st.builds(
    whole,
    st.sampled_from(STARTS[:5]),
    st.sampled_from(FIELDS).map(lambda field: [b"Host: h", field]),
    st.sampled_from(BODIES),
)
GET = whole(STARTS[0], [], b"")


@st.composite
def mutated(draw: Any) -> bytes:
    """A request with some bytes of it changed."""
    data = bytearray(draw(REQUESTS | PLAIN | ODD))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        data[at : at + draw(st.integers(0, 1))] = draw(
            st.sampled_from((b"\r", b"\n", b"\0", b" ", b"\t", b":", b"\r\n", b"\xff", b"", b"x"))
        )
    return bytes(data)


class SameTests(SynchronousTestCase):
    """Read at once or line by line: the same requests, answers, refusals, times."""

    @given(
        st.lists(mutated(), min_size=1, max_size=3), st.lists(st.integers(0, 200)), st.booleans()
    )
    @example(
        [whole(b"\r\nGET / HTTP/1.1", [], b""), b"\r\n" + whole(STARTS[0], [], b"")], [], False
    )
    @example([b"\r\n", whole(STARTS[0], [], b""), b"\r\n", whole(STARTS[0], [], b"")], [], False)
    def test_whatever_comes(self, requests: list[bytes], cuts: list[int], late: bool) -> None:
        """In one read for each request, and cut anywhere."""
        joined = b"".join(requests)
        marks = sorted({0, len(joined), *(cut % (len(joined) + 1) for cut in cuts)})
        cut = [joined[a:b] for a, b in pairwise(marks)]
        for reads in (requests, cut, [joined]):
            got, wanted = (told(protocol, reads, late) for protocol in (ProxyChannel, Slow))
            self.assertEqual(got, wanted, reads)

    @given(PLAIN)
    def test_plain_ones_are_plain(self, data: bytes) -> None:
        """So the property above is about both ways."""
        self.assertIsNotNone(plain_head(data, LIMITS))


class PlainTests(SynchronousTestCase):
    """What is read, and what is left to the parser."""

    def refuse(self, *fields: bytes, start: bytes = b"GET / HTTP/1.1") -> None:
        self.assertIsNone(plain_head(whole(start, list(fields), b""), LIMITS), fields or start)

    def test_what_it_says(self) -> None:
        """Names as they came, values without the blanks around them."""
        data = whole(STARTS[1], [b"Host:h", b"X-a: \t b c\t ", b"content-length: 3"], b"abc")
        pairs = ((b"Host", b"h"), (b"X-a", b"b c"), (b"content-length", b"3"))
        head = RequestHead(b"POST", b"/v1/x?a=1&b=%20", pairs, 3, len(data) - 3)
        self.assertEqual(plain_head(data, LIMITS), head)

    def test_without_a_length(self) -> None:
        """Only where no body is usual."""
        for method, length in ((b"GET", 0), (b"HEAD", 0), (b"DELETE", 0), (b"OPTIONS", 0)):
            head = plain_head(method + b" / HTTP/1.1\r\n\r\n", LIMITS)
            self.assertEqual(head and head.length, length, method)
        self.refuse(start=b"POST / HTTP/1.1")

    def test_odd_lines(self) -> None:
        """Another version, form or blank is not plain."""
        for start in STARTS[5:]:
            if start != b"GET //a HTTP/1.1" and start != b"GET /#a HTTP/1.1":
                self.refuse(start=start)

    def test_odd_fields(self) -> None:
        """What changes the framing, the connection, or may be read in two ways."""
        for field in (
            b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING: identity", b"Expect: 100-continue",
            b"Upgrade: x", b"Connection: close", b"Connection: keep-alive, X-A", b"Te: trailers",
            b"Content-Length: +1", b"Content-Length: 1 1", b"Content-Length: ",
            b"Content-Length: 1" + b"0" * 12, b"Content-Length : 1", b" folded", b"X: a\nb",
            b"X: a\rb", b"X: a\0b", b"X: a\x7fb", b"nocolon", b": x", b"X\n: x",
        ):  # fmt: skip
            self.refuse(b"Host: h", field)

    def test_nothing_stands_twice(self) -> None:
        """Whatever its case."""
        for name in (b"Host", b"Content-Length", b"X-A"):
            self.refuse(name + b": 1", name.lower() + b": 1")

    def test_limits(self) -> None:
        """One more is left to the parser, which refuses it."""
        for number, plain in ((8, True), (9, False)):
            data = whole(STARTS[0], [b"X-%d: 1" % each for each in range(number)], b"")
            self.assertEqual(plain_head(data, LIMITS) is not None, plain)
        for length, plain in ((500, True), (501, False)):
            data = whole(STARTS[0], [b"X: " + b"x" * (length - 23)], b"")
            self.assertEqual(len(data), length)
            self.assertEqual(plain_head(data, LIMITS) is not None, plain)
        for length, plain in ((39, True), (40, False)):
            data = b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * length)
            self.assertEqual(plain_head(data, LIMITS) is not None, plain)

    def test_half_a_head(self) -> None:
        """None of it is read."""
        data = whole(STARTS[1], [b"Host: h", b"Content-Length: 0"], b"")
        for end in range(len(data)):
            self.assertIsNone(plain_head(data[:end], LIMITS))

    @given(st.binary(max_size=100))
    def test_any_bytes(self, data: bytes) -> None:
        """Nothing is an error here."""
        plain_head(data, LIMITS)
