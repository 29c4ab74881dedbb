"""
Answers of a backend that try to be two, or to write headers of their own.

Whatever a backend sends, its client gets one answer with the headers that we gave it, and the
next request gets its own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from tests.fakes import CHAT_BODY, ProxyCase, completion
from yallmp.core.settings import Router

GOOD = json.dumps(completion("good")).encode()
LATER = json.dumps(completion("later")).encode()
POISON = json.dumps(completion("poison")).encode()
CODED = b"Transfer-Encoding: chunked"
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")


def framed(*fields: bytes, body: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """An answer of these fields and *body*."""
    return b"\r\n".join((start, b"Content-Type: application/json", *fields, b"", b"")) + body


def well(body: bytes = GOOD, *fields: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """An answer that leaves no doubt, but for *fields*."""
    return framed(b"Content-Length: %d" % len(body), *fields, body=body, start=start)


def chunks(size: bytes = b"%x\r\n" % len(GOOD), end: bytes = b"\r\n0\r\n\r\n") -> bytes:
    """The good body in one chunk."""
    return size + GOOD + end


HIDDEN = well(POISON)
PLAIN = GOOD + HIDDEN
CHUNKED = chunks() + HIDDEN
LENGTH = b"Content-Length: %d" % len(GOOD)

#: What two readers could end in different places.
DOUBTFUL = {
    "two lengths": framed(LENGTH, b"Content-Length: %d" % len(PLAIN), body=PLAIN),
    "lengths in one": framed(LENGTH + b", %d" % len(GOOD), body=PLAIN),
    "length and coding": framed(b"Content-Length: %d" % len(CHUNKED), CODED, body=CHUNKED),
    "coding and length": framed(CODED, b"Content-Length: 5", body=CHUNKED),
    "coding twice": framed(CODED, CODED, body=CHUNKED),
    "identity": framed(b"Transfer-Encoding: identity", LENGTH, body=PLAIN),
    "unknown coding": framed(b"Transfer-Encoding: xchunked", body=CHUNKED),
    "gzip, chunked": framed(b"Transfer-Encoding: gzip, chunked", body=CHUNKED),
    "blank before colon": framed(b"Transfer-Encoding : chunked", body=CHUNKED),
    "folded coding": framed(b"Transfer-Encoding:\r\n chunked", body=CHUNKED),
    "vertical tab": framed(b"Transfer-Encoding: \x0bchunked", body=CHUNKED),
    "minus": framed(b"Content-Length: -1", body=PLAIN),
    "plus": framed(b"Content-Length: +%d" % len(GOOD), body=PLAIN),
    "hex": framed(b"Content-Length: 0x10", body=PLAIN),
    "beyond 64 bits": framed(b"Content-Length: %d" % (2**64 + len(GOOD)), body=PLAIN),
    "no length": framed(b"Content-Length:", body=PLAIN),
    "bare CR": framed(b"X: a\rX-Injected: 1", LENGTH, body=PLAIN),
    "bare LF": framed(b"X: a\nX-Injected: 1", LENGTH, body=PLAIN),
    "NUL": framed(b"X: a\0X-Injected: 1", LENGTH, body=PLAIN),
    "folded": framed(b"X: a\r\n X-Injected: 1", LENGTH, body=PLAIN),
    "blank in a name": framed(b"X Y: a", LENGTH, body=PLAIN),
    "no name": framed(b": a", LENGTH, body=PLAIN),
    "LF in a name": framed(b"X\nX-Injected: a", LENGTH, body=PLAIN),
    "no colon": framed(b"XY", LENGTH, body=PLAIN),
    "LF everywhere": well().replace(b"\r\n", b"\n"),
    "CR in the reason": well(start=b"HTTP/1.1 200 OK\rX-Injected: 1"),
    "LF in the reason": well(start=b"HTTP/1.1 200 OK\nX-Injected: 1"),
    "LF in an extension": framed(CODED, body=chunks(b"%x;a\nb\r\n" % len(GOOD))),
    "chunk beyond 64 bits": framed(CODED, body=chunks(b"1%016x\r\n" % len(GOOD))),
    "no end of a chunk": framed(CODED, body=chunks(end=b"0\r\n\r\n")),
    "chunks of LF": framed(CODED, body=chunks(b"%x\n" % len(GOOD), b"\n0\n\n")),
    "another protocol": well(start=b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade"),
    "204 with a body": well(HIDDEN, start=b"HTTP/1.1 204 No Content"),
    "304 with a body": well(HIDDEN, start=b"HTTP/1.1 304 Not Modified"),
    "no head": GOOD,
    "status 2000": well(start=b"HTTP/1.1 2000 OK"),
    "status -20": well(start=b"HTTP/1.1 -20 OK"),
    "status 600": well(start=b"HTTP/1.1 600 OK"),
    "status 999": well(start=b"HTTP/1.1 999 OK"),
}
#: What is odd, and yet one answer.
ODD = {
    "more behind it": well() + HIDDEN,
    "a line and more": well() + b"\r\n" + HIDDEN,
    "more behind chunks": framed(CODED, body=CHUNKED),
    "100 before": b"HTTP/1.1 100 Continue\r\n\r\n" + well(),
    "103 before": b"HTTP/1.1 103 Early Hints\r\nX-Injected: 1\r\n\r\n" + well(),
    "an upgrade that nobody asked for": well(GOOD, b"Connection: Upgrade", b"Upgrade: h2c"),
    "headers of ours": well(
        GOOD, b"X-Yallmp-Id: forged", b"X-Yallmp-Backend: forged", b"Server: forged",
        b"Set-Cookie: forged", b"Access-Control-Allow-Origin: forged", b"Date: forged",
    ),
    "headers named by Connection": well(GOOD, b"Connection: x-injected", b"X-Injected: 1"),
}  # fmt: skip
#: What only llhttp, the client that is used unless told otherwise, refuses.
MENDED_BY_TWISTED = {
    "lengths in one", "length and coding", "coding and length", "coding twice", "folded coding",
    "vertical tab", "bare CR", "bare LF", "NUL", "folded", "LF everywhere", "CR in the reason",
    "LF in the reason", "another protocol",
}  # fmt: skip


class Saying(Protocol):
    """Answers its first request with the bytes of its factory, others well."""

    factory: Any

    def connectionMade(self) -> None:
        self.waiting = b""

    def dataReceived(self, data: bytes) -> None:
        self.waiting += data
        head, end, rest = self.waiting.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: (\d+)", head)
        if not end or found is None or len(rest) < int(found[1]):
            return
        self.waiting = rest[int(found[1]) :]
        said, self.factory.said = self.factory.said, well(LATER)
        assert self.transport is not None
        self.transport.write(said)


class AnswerTests(ProxyCase):
    """Each is the first answer of a backend of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.backend_of = Factory.forProtocol(Saying)
        self.backend_of.noisy = False
        self.net.listen("10.0.0.9", 80, self.backend_of)
        backend = self.backend("m", "http://10.0.0.9/v1", request_timeout=2.0)
        self.serve(backend, router=Router(num_retries=0))

    def answers(self, said: bytes) -> tuple[bytes, bytes]:
        """What one client gets for two requests, the first of which is answered with *said*."""
        self.backend_of.said = said  # type: ignore[attr-defined]
        body = json.dumps(CHAT_BODY).encode()
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        )
        client = self.raw(head % len(body) + body)
        self.net.pass_time(4, step=0.5)
        first = client.data
        client.transport.write(head % len(body) + body)
        self.net.pass_time(4, step=0.5)
        return first, client.data[len(first) :]

    def check(self, name: str, said: bytes) -> int:
        """Both answers are one each, and ours; the status of the first."""
        first, second = self.answers(said)
        statuses = STATUS.findall(first), STATUS.findall(second)
        self.assertEqual([len(each) for each in statuses], [1, 1], name)
        self.assertIn(LATER, second, name)
        self.assertNotIn(b"poison", first + second, name)
        head = first.partition(b"\r\n\r\n")[0]
        self.assertEqual(re.findall(rb"\r(?!\n)|(?<!\r)\n|\0", head), [], name)
        self.assertNotIn(b"forged", first, name)
        return int(statuses[0][0])

    def test_doubtful_ones(self) -> None:
        """No client gets them; they count as an answer that is not HTTP."""
        for name, said in DOUBTFUL.items():
            status = self.check(name, said)
            mended = self.http_client == "twisted" and name in MENDED_BY_TWISTED
            self.assertIn(status, (200, 502, 504) if mended else (502, 504), name)

    def test_odd_ones(self) -> None:
        """The client gets the good part; what follows it spoils the connection only."""
        for name, said in ODD.items():
            self.assertEqual(self.check(name, said), 200, name)
            self.assertNotIn(b"injected", self.answers(said)[0].lower(), name)


class TwistedAnswerTests(AnswerTests):
    """The same with Twisted's client."""

    http_client = "twisted"
