"""What is known of a request when it arrives: from any kind of connection, with any bytes."""

from __future__ import annotations

import re
import secrets
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from yallmp.arrivals import ID_BYTES, IDS_AT_A_TIME, Arrival, Arrivals, Ends, Ids, authority
from yallmp.core.errors import ProxyError
from yallmp.core.exchange import Begin, End, Event
from yallmp.core.settings import Access, Key, Limits
from yallmp.core.visit import Visit
from yallmp.site import ProxySite

HERE = IPv4Address("TCP", "127.0.0.1", 8000)
THERE = IPv4Address("TCP", "192.0.2.7", 50123)


@implementer(ISSLTransport)
class Secured(StringTransport):
    """A connection with TLS."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        pass


class Root(Resource):
    """Makes an arrival of every request, and never answers."""

    isLeaf = True

    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__()
        self.arrivals = arrivals
        self.made: list[Arrival] = []

    def render(self, request: Any) -> int:
        self.made.append(self.arrivals.of(request))
        return NOT_DONE_YET

    def refuse(self, channel: Any) -> Arrival:
        self.made.append(self.arrivals.unfinished(channel, channel.request_line))
        return self.made[-1]


class ArrivalCase(SynchronousTestCase):
    """With a site on a connection that the test describes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Event] = []
        ids = (f"{number:012x}" for number in range(100))
        self.arrivals = Arrivals(
            self.clock, lambda: 1_800_000_000.0, lambda: next(ids), self.told.append
        )

    def arrive(
        self, data: bytes, host: Any = HERE, peer: Any = THERE, *, secure: bool = False
    ) -> Arrival:
        """The arrival that *data* makes, as a request or as one that the parser refuses."""
        root = Root(self.arrivals)
        site = ProxySite(
            root,
            lambda: Limits(max_target_bytes=300),
            lambda channel, _: root.refuse(channel),
            root.refuse,
            self.clock,
        )
        transport = (Secured if secure else StringTransport)(hostAddress=host, peerAddress=peer)
        channel = site.buildProtocol(peer)
        channel.makeConnection(transport)
        channel.dataReceived(data)
        (made,) = root.made
        return made

    def request(self, *headers: bytes, target: bytes = b"/v1/x?a=1", **kwargs: Any) -> Arrival:
        """The arrival of a small request."""
        lines = (b"POST " + target + b" HTTP/1.1", b"Host: h", *headers, b"", b"")
        return self.arrive(b"\r\n".join(lines), **kwargs)


class ArrivalTests(ArrivalCase):
    """What an arrival is made of."""

    def test_what_it_knows(self) -> None:
        """When, from where, and what."""
        self.clock.advance(7)
        arrival = self.request(b"X-A: 1")
        self.assertEqual((arrival.began, arrival.time), (7.0, 1_800_000_000.0))
        self.assertEqual(arrival.ends.client, "192.0.2.7:50123")
        self.assertEqual((arrival.method, arrival.path, arrival.query), ("POST", "/v1/x", "a=1"))
        self.assertIn((b"X-A", b"1"), arrival.headers)
        self.assertFalse(arrival.told)

    def test_each_has_an_id(self) -> None:
        """12 hexadecimal digits, never the same."""
        ids = {self.request().id for _ in range(3)}
        self.assertEqual(len(ids), 3)
        self.assertTrue(all(re.fullmatch("[0-9a-f]{12}", each) for each in ids))

    def test_the_beginning_is_told_once_made(self) -> None:
        """Whoever makes the event also tells the end."""
        arrival = self.request(b"X-Request-Id: mine")
        begin = arrival.begin(b"body", recorded=True, model="m", keep="errors", bodies=3)
        self.assertIsInstance(begin, Begin)
        self.assertTrue(arrival.told)
        self.assertEqual((begin.id, begin.client_request_id), (arrival.id, "mine"))
        self.assertEqual((begin.body, begin.model), (b"body", "m"))
        self.assertEqual((begin.keep, begin.bodies, begin.recorded), ("errors", 3, True))

    def test_the_end_is_told_with_how_long_it_took(self) -> None:
        """In milliseconds; the outcome follows from the status unless it is said."""
        arrival = self.request()
        self.clock.advance(0.25)
        self.arrivals.end(arrival, 200, 5)
        self.arrivals.end(arrival, 404, 5)
        self.arrivals.end(arrival, 503, 5, outcome="shed", body=b"full")
        ends = [event for event in self.told if isinstance(event, End)]
        self.assertEqual([end.outcome for end in ends], ["success", "rejected", "shed"])
        self.assertEqual({end.at for end in ends}, {250.0})
        self.assertEqual(ends[-1].body, b"full")


class ListenerTests(ArrivalCase):
    """The listener's URL, which a replay sends to."""

    def test_every_kind_of_listener(self) -> None:
        """IPv4, IPv6, TLS, and a UNIX socket, which has no port."""
        six = IPv6Address("TCP", "::1", 8000)
        unix = UNIXAddress("/run/yallmp.sock")
        for host, secure, url in (
            (HERE, False, "http://127.0.0.1:8000"),
            (HERE, True, "https://127.0.0.1:8000"),
            (six, False, "http://[::1]:8000"),
            (six, True, "https://[::1]:8000"),
            (unix, False, "http://unix"),
        ):
            self.assertEqual(self.request(host=host, secure=secure).ends.listener, url)
            refused = self.arrive(b"nonsense\r\n", host=host, secure=secure)
            self.assertEqual(refused.ends.listener, url)

    def test_every_kind_of_client(self) -> None:
        """A UNIX socket's client has no address."""
        for peer, shown in (
            (THERE, "192.0.2.7:50123"),
            (IPv6Address("TCP", "2001:db8::1", 9), "[2001:db8::1]:9"),
            (UNIXAddress(None), "unix"),
        ):
            self.assertEqual(authority(peer), shown)
            self.assertEqual(self.request(peer=peer).ends.client, shown)


class RequestIdTests(ArrivalCase):
    """``x-request-id`` of the client."""

    def ours_or(self, *values: bytes) -> str | None:
        """The id that is used of a request with these."""
        return self.request(*(b"X-Request-ID: " + value for value in values)).client_request_id

    def test_usable_ones(self) -> None:
        """Letters, digits, underscore, dot, dash; 1 to 128 of them."""
        for value in (b"a", b"A-z_0.9", b"x" * 128):
            self.assertEqual(self.ours_or(value), value.decode())

    def test_unusable_ones(self) -> None:
        """They would break a header, a file's name or a line of a log."""
        for value in (b"", b"x" * 129, b"a b", b"a/b", b"../a", b"\xc3\xa9", b"a\x7f", b"a\tb"):
            self.assertIsNone(self.ours_or(value))

    def test_the_first_usable_one(self) -> None:
        """Of several."""
        self.assertEqual(self.ours_or(b"not usable", b"one", b"two"), "one")
        self.assertIsNone(self.request().client_request_id)


class OddBytesTests(ArrivalCase):
    """What clients send that no person would write."""

    def test_a_target_that_is_not_utf8(self) -> None:
        """The odd bytes are shown, the rest stays readable."""
        arrival = self.request(target=b"/v1/\xff\xc3\xa9?q=\xfe")
        self.assertEqual((arrival.path, arrival.query), ("/v1/\\xffé", "q=\\xfe"))

    def test_a_query_with_question_marks(self) -> None:
        """Only the first one divides; escapes stay as they came."""
        arrival = self.request(target=b"/a%3Fb?c=?%20&d")
        self.assertEqual((arrival.path, arrival.query), ("/a%3Fb", "c=?%20&d"))

    def test_a_refused_request(self) -> None:
        """Of one that the parser refuses there is its first line, cut to a bearable length."""
        arrival = self.arrive(b"POST /v1/x?" + b"q" * 400 + b" HTTP/1.1\r\n")
        self.assertEqual((arrival.method, arrival.path), ("POST", "/v1/x"))
        self.assertEqual((arrival.query, arrival.headers), ("q" * 200, ()))

    def test_a_line_that_is_none(self) -> None:
        """Not HTTP at all."""
        arrival = self.arrive(b"\x16\x03\x01" + b"x" * 250 + b"\r\n")
        self.assertEqual(arrival.method, "\x16\x03\x01" + "x" * 197)
        self.assertEqual((arrival.path, arrival.query), ("", ""))

    @given(st.binary(max_size=400))
    def test_any_line(self, line: bytes) -> None:
        """No line makes the telling of it fail."""
        channel = ProxySite(Resource(), Limits, None, None, Clock()).buildProtocol(None)
        channel.makeConnection(StringTransport(hostAddress=HERE, peerAddress=THERE))
        arrival = Arrivals(Clock(), lambda: 0.0, lambda: "0" * 12, print).unfinished(channel, line)
        for part in (arrival.method, arrival.path, arrival.query):
            part.encode()


class EndsTests(ArrivalCase):
    """Who came in on a connection once."""

    access = Access(keys=(Key("a", "alice-0123456789"), Key("b", "bob-0123456789", ("m",))))

    def visit(self, **named: str) -> Visit:
        """A visit with these headers."""
        headers = {name.replace("_", "-"): (value,) for name, value in named.items()}
        return Visit("192.0.2.7", "127.0.0.1", "POST", "/", headers=headers)

    def test_the_same_again(self) -> None:
        """Whoever shows the same comes in as the same; another key is another visitor."""
        ends = Ends("c", "l", "192.0.2.7", "127.0.0.1")
        alice, bob = (self.visit(x_api_key=key.secret) for key in self.access.keys)
        first = ends.admit(alice, self.access)
        self.assertIs(ends.admit(alice, self.access), first)
        self.assertEqual(ends.admit(bob, self.access).key_name, "b")
        self.assertEqual(ends.admit(alice, self.access).key_name, "a")

    def test_what_is_refused_is_looked_at_each_time(self) -> None:
        """A wrong key, a page that is not listed, and nothing at all do not profit from before."""
        ends = Ends("c", "l", "192.0.2.7", "127.0.0.1")
        good = {"x_api_key": "alice-0123456789"}
        for bad in ({"x_api_key": "mallory"}, {}, {**good, "origin": "https://evil.example"}):
            ends.admit(self.visit(**good), self.access)
            for _ in range(2):
                self.assertRaises(ProxyError, ends.admit, self.visit(**bad), self.access)

    def test_other_keys(self) -> None:
        """A key that is taken away lets nobody in from then on, on an open connection either."""
        ends = Ends("c", "l", "192.0.2.7", "127.0.0.1")
        alice = self.visit(authorization="Bearer alice-0123456789")
        ends.admit(alice, self.access)
        fewer = Access(keys=self.access.keys[1:])
        self.assertRaises(ProxyError, ends.admit, alice, fewer)


class IdTests(SynchronousTestCase):
    """Ids of our own."""

    def test_ids(self) -> None:
        """12 digits each, none twice, and the system is asked once for many."""
        asked: list[int] = []

        def token_hex(size: int) -> str:
            asked.append(size)
            return secrets.token_hex(size)

        ids = Ids(token_hex)
        made = {ids() for _ in range(IDS_AT_A_TIME + 1)}
        self.assertEqual(len(made), IDS_AT_A_TIME + 1)
        self.assertTrue(all(re.fullmatch("[0-9a-f]{12}", each) for each in made))
        self.assertEqual(asked, [ID_BYTES * IDS_AT_A_TIME] * 2)
