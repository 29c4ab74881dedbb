"""
What the parser refuses, and how a client gets to see it.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes import ProxyCase, silent
from yallmp.core.exchange import Begin, End
from yallmp.core.settings import Limits

LIMITS = Limits(max_head_bytes=2000, max_target_bytes=300, max_head_fields=10, max_body_bytes=1000)


def parsed(data: bytes) -> tuple[int, dict[str, Any]]:
    """Status and error object of one raw answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]


class RefusalTests(ProxyCase):
    """Each in OpenAI's shape, then the end of the connection."""

    def setUp(self) -> None:
        super().setUp()
        self.serve(self.fake("m"), limits=LIMITS)

    def assert_refused(self, data: bytes, status: int, code: str) -> None:
        client = self.raw(data)
        self.assertEqual(parsed(client.data)[0], status, data[:60])
        self.assertEqual(parsed(client.data)[1]["code"], code)
        self.assertIn(b"\r\nConnection: close\r\n", client.data)
        self.net.pass_time(3)
        self.assertIsNotNone(client.lost, "the connection is still open")

    def test_not_http(self) -> None:
        """Nonsense, a bad header, doubtful framing."""
        for data in (
            b"hello\r\n\r\n",
            b"GET / HTTP/1.1\r\nnocolon\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ):
            self.assert_refused(data, 400, "bad_request")

    def test_a_head_that_is_too_large(self) -> None:
        """Bytes in one line, bytes in all, fields: one below passes, one above does not."""
        code = "request_header_fields_too_large"
        one = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n"
        self.assertIn(b"200 OK", self.raw(one % (b"x" * 1500)).data)
        self.assert_refused(one % (b"x" * 2001), 431, code)
        many = b"GET /health HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
        self.assert_refused(many % (b"X: %s\r\n" % (b"x" * 400) * 5), 431, code)
        self.assertIn(b"200 OK", self.raw(many % (b"X: x\r\n" * 9)).data)
        self.assert_refused(many % (b"X: x\r\n" * 10), 431, code)

    def test_a_target_that_is_too_long(self) -> None:
        """Path and query together."""
        line = b"GET /health?%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.assertIn(b"200 OK", self.raw(line % (b"x" * 292)).data)
        self.assert_refused(line % (b"x" * 293), 414, "uri_too_long")
        self.assert_refused(line % (b"x" * 5000), 414, "uri_too_long")

    def test_a_head_that_comes_too_slowly(self) -> None:
        """Ten seconds in all, however lively the lines are."""
        client = self.raw(b"GET /health HTTP/1.1\r\n")
        for _ in range(9):
            self.net.pass_time(1)
            client.transport.write(b"X: x\r\n")
        self.assertEqual(client.data, b"")
        self.net.pass_time(1.5)
        self.assertEqual(parsed(client.data)[0], 408)
        self.net.pass_time(3)
        self.assertIsNotNone(client.lost)

    def test_a_declared_body_is_refused_before_it_is_read(self) -> None:
        """413 without a byte of it, and without an invitation to send it."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
        client = self.raw(head % 1001 + b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(parsed(client.data)[0], 413)
        self.assertNotIn(b"100 Continue", client.data)
        self.assert_refused(head % 1001 + b"\r\n", 413, "request_too_large")
        passed = self.raw(head % 1000 + b"\r\n" + b"x" * 1000)
        self.assertEqual(parsed(passed.data)[1]["code"], "invalid_json")

    def test_a_chunked_body_is_counted(self) -> None:
        """Up to the limit it is read, beyond it refused."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        passed = self.raw(head + b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n")
        self.assertIn(b"invalid_json", passed.data)
        chunks = b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n"
        self.assert_refused(head + chunks, 413, "request_too_large")

    def test_what_still_comes_is_thrown_away(self) -> None:
        """A client that goes on sending its body sees the answer, but not for ever."""
        head = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n"
        client = self.raw(head + b"x" * 500_000)
        self.assertEqual(parsed(client.data)[0], 413)
        self.assertIsNone(client.lost)
        client.transport.write(b"x" * 700_000)
        self.net.pump()
        self.assertIsNotNone(client.lost)

    def test_refused_requests_are_told(self) -> None:
        """A rejected POST to an endpoint leaves a record, others only a line."""
        self.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n")
        self.raw(b"GET /" + b"x" * 400 + b" HTTP/1.1\r\n\r\n")
        self.assertEqual([b.recorded for b in self.events_told(Begin)], [True, False])
        self.assertEqual([(e.status, e.outcome) for e in self.events_told(End)],
                         [(413, "rejected"), (414, "rejected")])  # fmt: skip
        self.net.pass_time(3)

    def test_refusals_carry_our_ids(self) -> None:
        """The answer and the record can be brought together; known headers are in it."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n"
        client = self.raw(head + b"Content-Length: 9999\r\n\r\n")
        (begin,) = self.events_told(Begin)
        self.assertIn(b"\r\nX-Request-Id: mine\r\n", client.data)
        self.assertIn(b"\r\nX-Yallmp-Id: %s\r\n" % begin.id.encode(), client.data)
        self.assertIn((b"Content-Length", b"9999"), begin.headers)
        self.assertEqual(begin.client_request_id, "mine")
        self.net.pass_time(3)

    def test_a_client_that_leaves_in_its_body_is_told(self) -> None:
        """It has a record like every other request to an endpoint."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
        client = self.raw(head + b"half")
        client.transport.loseConnection()
        self.net.pump()
        self.assertEqual([b.recorded for b in self.events_told(Begin)], [True])
        (told,) = self.events_told(End)
        self.assertEqual((told.outcome, told.status), ("client_gone", 499))

    def test_strange_hosts(self) -> None:
        """No Host keeps a request without an answer, or makes it ours to fail."""
        for host in (b"\xb4x", b"evil..com", b".127.0.0.1", b"..", b"x" * 70, b"", b"a b", b"["):
            got = self.raw(b"GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
            self.assertIn(b"HTTP/1.1 200 OK", got.data, host)
            got = self.raw(b"GET /v1/models HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
            self.assertEqual(parsed(got.data)[0], 403, host)

    def test_other_forms_of_target(self) -> None:
        """A whole URL of this host is its path; ``*`` is no path, but for OPTIONS."""
        for target, status in (
            (b"http://X:8000/livez", b"200"), (b"HTTPS://x/livez?a", b"200"),
            (b"http://x", b"200"), (b"http://x?q", b"200"), (b"*", b"400"), (b"/*", b"404"),
            (b"http://y/livez", b"400"),
        ):  # fmt: skip
            got = self.raw(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % target)
            self.assertIn(b"HTTP/1.1 %s " % status, got.data, target)
            self.assertIn(b"\r\nX-Yallmp-Id: ", got.data)
        star = self.raw(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b'"error"', star.data)

    def test_a_client_that_sends_much_behind_its_request_is_cut_off(self) -> None:
        """Else it would not be seen that it leaves, and its backend would not be freed."""
        self.fakes["m"].script = [silent]
        body = b'{"model": "m", "messages": [{}]}'
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        )
        client = self.raw(head % len(body) + body)
        client.transport.write(b"x" * 16_000)
        self.net.pump()
        self.assertIsNone(client.lost)
        client.transport.write(b"x" * 1_000)
        self.net.pump()
        self.assertIsNotNone(client.lost)
        self.assertEqual(len(self.fakes["m"].left), 1)

    def test_much_behind_in_the_same_read(self) -> None:
        """What comes with the end of the body counts as well."""
        self.fakes["m"].script = [silent]
        body = b'{"model": "m", "messages": [{}]}'
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 32\r\n\r\n"
        )
        client = self.raw(head + body + b"x" * 20_000)
        client.transport.write(b"x" * 100)
        self.net.pump()
        self.assertIsNotNone(client.lost)
        self.assertEqual(len(self.fakes["m"].left), 1)

    def test_each_refusal_is_told_with_its_own_line(self) -> None:
        """Not with that of the request before it on the connection; a URL is its path."""
        client = self.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.transport.write(b"x" * 5000)
        self.net.pump()
        self.assertEqual(self.events_told(Begin)[-1].path, "")
        url = (
            b"POST http://x/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"
        )
        self.raw(url)
        self.assertEqual(self.events_told(Begin)[-1].path, "/v1/chat/completions")
        self.assertTrue(self.events_told(Begin)[-1].recorded)
        self.net.pass_time(3)

    def test_connections_stay_open(self) -> None:
        """Two requests on one connection, one after the other and pipelined."""
        one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client = self.raw(one + one)
        self.assertEqual(client.data.count(b"200 OK"), 2)
        client.transport.write(one)
        self.net.pump()
        self.assertEqual(client.data.count(b"200 OK"), 3)
        client.transport.loseConnection()
        self.net.pump()

    def test_an_idle_connection_is_closed(self) -> None:
        """After a minute without a request."""
        client = self.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.net.pass_time(59, step=1)
        self.assertIsNone(client.lost)
        self.net.pass_time(3, step=1)
        self.assertIsNotNone(client.lost)


class LengthTests(ProxyCase):
    """With the limits as they are by default."""

    def test_a_length_that_python_does_not_read(self) -> None:
        """Thousands of digits are answered like other nonsense."""
        self.serve(self.fake("m"))
        client = self.raw(b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % (b"1" * 5000))
        self.assertEqual(parsed(client.data)[0], 400)
        self.net.pass_time(3)
