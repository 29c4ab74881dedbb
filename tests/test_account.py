"""What all requests hold together, and what happens when that is too much."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from tests.fakes import (
    DONE,
    ROLE,
    Answer,
    ProxyCase,
    answer,
    chunk,
    completion,
    good,
    silent,
    stream,
)
from tests.test_channel import parsed
from yallmp.core.account import SMALL, Account
from yallmp.core.problems import AttemptFailed
from yallmp.core.settings import Limits

#: What may be held in these tests; requests are sent in memory twice.
ROOM = 1_000_000
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n"


def large(size: int) -> Answer:
    """A whole answer of so many bytes and some more."""
    return answer(completion("x" * size))


def huge_event(request: Request) -> None:
    """A stream whose second event is large, and not whole for a while."""
    text = chunk("x" * 400_000)
    request.setHeader("content-type", "text/event-stream")
    request.notifyFinish().addErrback(lambda _: None)
    for part in (ROLE, chunk("hi"), text[:300_000]):
        request.write(part)
    rest = text[300_000:] + chunk(finish="stop") + DONE
    request.channel.factory.network.callLater(5, _finish, request, rest)


def _finish(request: Request, rest: bytes) -> None:
    if request.channel is not None:
        request.write(rest)
        request.finish()


class AccountTests(SynchronousTestCase):
    """Numbers."""

    def test_the_edge(self) -> None:
        """There is room for all that is left, and not for one more."""
        account = Account(100, 60)
        self.assertTrue(account.has_room(40))
        self.assertFalse(account.has_room(41))
        self.assertEqual(account.refused, 1)

    def test_what_is_small_stays(self) -> None:
        """What is under way is given up for its size only."""
        account = Account(0)
        account.enter(SMALL, SMALL)
        with self.assertRaises(AttemptFailed):
            account.enter(1, SMALL + 1)
        self.assertEqual(account.held, SMALL + 1)


class RoomCase(ProxyCase):
    """A proxy with little memory."""

    def serve_with(self, *script: Answer, room: int = ROOM, **settings: Any) -> None:
        """Serve the model m."""
        self.serve(self.fake("m", *script, **settings), limits=Limits(max_buffered_bytes=room))

    @property
    def account(self) -> Account:
        """The proxy's."""
        assert self.parts is not None
        return self.parts.site.account

    def body(self, size: int) -> bytes:
        """A request of exactly so many bytes."""
        start = b'{"model": "m", "messages": [{"role": "user", "content": "'
        return start + b"x" * (size - len(start) - 4) + b'"}]}'

    def assert_shed(self, data: bytes) -> None:
        """It was told 503, and when to come back."""
        self.assertEqual(parsed(data)[0], 503)
        self.assertEqual(parsed(data)[1]["code"], "proxy_overloaded")
        self.assertIn(b"\r\nretry-after: 1\r\n", data)


class BodyTests(RoomCase):
    """Bodies of requests."""

    def test_a_declared_one(self) -> None:
        """One that fits is read; of one more byte nothing is, not even asked for."""
        self.serve_with(silent, room=ROOM)
        fits = self.raw(HEAD % b"Content-Length: 1000000" + b"x" * 10)
        self.assertEqual(fits.data, b"")
        for more in (b"", b"\r\nExpect: 100-continue"):
            self.assert_shed(self.raw(HEAD % (b"Content-Length: 999991" + more)).data)
        self.assertEqual(self.account.held, 10)

    def test_a_chunked_one(self) -> None:
        """It is counted as it comes; what it held is free at once when it is too much."""
        self.serve_with(silent)
        part = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
        client = self.raw(HEAD % b"Transfer-Encoding: chunked" + part * 10)
        self.assertEqual((client.data, self.account.held), (b"", ROOM))
        client.transport.write(b"1\r\nx\r\n")
        self.net.pump()
        self.assert_shed(client.data)
        self.assertEqual(self.account.held, 0)

    def test_a_plain_one(self) -> None:
        """Also one that comes in one read with its head; then there is room again."""
        self.serve_with(good, room=3000)
        small = HEAD % b"Content-Length: 1000" + self.body(1000)
        self.account.held += 2001
        self.assert_shed(self.raw(small).data)
        self.account.held -= 1
        self.assertIn(b"HTTP/1.1 200 OK", self.raw(small).data)
        self.account.held -= 2000
        self.assertEqual(self.account.held, 0)

    def test_what_is_sent(self) -> None:
        """It counts as well, before a backend has any of it."""
        self.serve_with(good, room=599_999)
        asked = HEAD % b"Content-Length: 200000" + self.body(200_000)
        self.assert_shed(self.raw(asked).data)
        self.assertEqual(self.fakes["m"].requests, [])

    def test_without_a_body(self) -> None:
        """Whoever asks how we are is told, whatever is held."""
        self.serve_with(good)
        self.account.held += 2 * ROOM
        got = self.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"HTTP/1.1 200 OK", got.data)
        self.account.held -= 2 * ROOM


class AnswerTests(RoomCase):
    """Answers and streams."""

    def test_a_whole_answer(self) -> None:
        """Up to the limit it is served, above it nobody else is asked."""
        self.serve(
            self.fake("m", large(400_000), large(2 * ROOM)),
            self.fake("b"),
            fallbacks=[("m", ("b",))],
            limits=Limits(max_buffered_bytes=ROOM),
        )
        self.assertEqual(self.finish(self.ask()).status, 200)
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.json["error"]["code"]), (503, "proxy_overloaded"))
        self.assertEqual(got.header("retry-after"), "1")
        self.assertEqual(self.fakes["b"].requests, [])
        self.assertEqual(self.account.held, 0)

    def test_an_event_that_is_large(self) -> None:
        """What of it has come is held, and let go when it is whole."""
        self.serve_with(huge_event)
        got = self.ask(stream=True)
        self.net.pass_time(1)
        self.assertGreater(self.account.held, 300_000)
        self.finish(got)
        self.assertEqual((len(got.text), got.events[-1]), (400_002, "[DONE]"))
        self.assertEqual(self.account.held, 0)

    def test_an_event_that_is_too_large(self) -> None:
        """The stream is broken off with an error event, and not begun anew."""
        self.serve(
            self.fake("m", huge_event),
            self.fake("b"),
            fallbacks=[("m", ("b",))],
            limits=Limits(max_buffered_bytes=200_000),
        )
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.events[-1]["error"]["code"], "proxy_overloaded")
        self.assertFalse(got.clean)
        self.assertEqual(self.fakes["b"].requests, [])
        self.assertEqual(self.account.held, 0)

    def test_a_stream_that_is_held(self) -> None:
        """One that is to be whole before any of it goes on."""
        self.serve_with(stream([ROLE, chunk("x" * 300_000)], end="hang"), stream_commit="complete")
        got = self.ask(stream=True)
        self.net.pass_time(1)
        self.assertGreater(self.account.held, 300_000)
        got.leave()
        self.net.pump()
        self.assertEqual(self.account.held, 0)

    def test_a_client_that_does_not_read(self) -> None:
        """What waits for it is held until it leaves, although its request is over."""
        self.serve_with(large(300_000))
        body = json.dumps({"model": "m", "messages": [{}]}).encode()
        client = self.raw(HEAD % (b"Content-Length: %d" % len(body)))
        client.transport.pauseProducing()
        client.transport.write(body)
        self.net.pump()
        self.assertEqual(len(self.fakes["m"].requests), 1)
        client.transport.abortConnection()
        self.net.pump()
        self.assertEqual(self.account.held, 0)
