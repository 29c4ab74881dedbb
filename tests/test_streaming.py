"""
Streams over the wire: what goes on when, and what a client sees when a backend breaks.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any

from tests.fakes import (
    DONE,
    GOOD_STREAM,
    ROLE,
    Got,
    ProxyCase,
    answer,
    chunk,
    silent,
    stream,
)
from tests.network import BUFFER
from yallmp.core.exchange import AttemptEnd, End, Head, Note, Read
from yallmp.core.settings import Limits, Logging, Router

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
USAGE = b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'


def chunked(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Paced:
    """A backend that sends one thing after another, each after a pause."""

    def __init__(self, case: ProxyCase, *steps: tuple[float, bytes], end: str = "finish") -> None:
        self.case, self.steps, self.end = case, steps, end

    def __call__(self, request: Any) -> None:
        request.setHeader("content-type", "text/event-stream")
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        self._go_on(request, list(self.steps), gone)

    def _go_on(self, request: Any, steps: list[tuple[float, bytes]], gone: list[object]) -> None:
        if steps:
            pause, data = steps.pop(0)
            self.case.net.callLater(pause, self._write, request, data, steps, gone)
        elif self.end == "finish":
            request.finish()

    def _write(
        self, request: Any, data: bytes, steps: list[tuple[float, bytes]], gone: list[object]
    ) -> None:
        if not gone:
            request.write(data)
            self._go_on(request, steps, gone)


class StreamCase(ProxyCase):
    """With what streaming tests share."""

    def start_over(self) -> None:
        self.tearDown()
        self.setUp()

    def stream_of(self, *script: Any, **settings: Any) -> Got:
        """Ask for a stream of a backend that does *script*; a break is not mended."""
        self.serve(self.fake("m", *script, **{"stream_rescue": "off", **settings}))
        return self.ask(stream=True)

    def assert_broken(self, got: Got, code: str) -> None:
        """One error event at the end, no [DONE], no clean end of the body."""
        self.finish(got)
        self.assertFalse(got.clean, "the body must not end as if it were whole")
        self.assertNotIn("[DONE]", got.events)
        self.assertEqual([e["error"]["code"] for e in got.events if "error" in e], [code])
        self.assertIn("error", got.events[-1])
        (end,) = self.events_told(End)
        self.assertEqual(end.outcome, "incomplete")


class PassThroughTests(StreamCase):
    """What goes on, and when."""

    def test_bytes_pass_untouched(self) -> None:
        """Comments, ids, line ends and spacing are the backend's."""
        odd = b'data:{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}'
        sent = b": hi\r\n\r\n" + ROLE + odd + b"\r\r" + USAGE + DONE
        got = self.finish(self.stream_of(stream([sent])))
        self.assertEqual(got.body, sent)
        self.assertTrue(got.clean)

    def test_headers_of_a_stream(self) -> None:
        """Content type, no cache, no buffering, and ours."""
        got = self.finish(self.stream_of(stream(GOOD_STREAM)))
        self.assertEqual(got.header("content-type"), "text/event-stream; charset=utf-8")
        self.assertEqual(got.header("cache-control"), "no-cache")
        self.assertEqual(got.header("x-accel-buffering"), "no")
        self.assertEqual(got.header("x-yallmp-backend"), "m")
        self.assertIsNone(got.header("content-length"))

    def test_the_first_token_goes_on_at_once(self) -> None:
        """Each event is passed on in the moment that it came, however small."""
        got = self.stream_of(
            Paced(
                self,
                (1, ROLE),
                (1, chunk("a")),
                (1, chunk("b")),
                (1, chunk(finish="stop")),
                (0, DONE),
            )
        )
        self.finish(got)
        times = sorted({round(time) for time, _ in got.parts})
        self.assertEqual(times, [2, 3, 4])
        self.assertEqual(got.parts[0][1], ROLE + chunk("a"))

    def test_nothing_goes_on_before_the_first_content(self) -> None:
        """Roles, empty deltas and comments are held, headers too."""
        got = self.stream_of(
            Paced(self, (0, ROLE), (1, b": ping\n\n"), (3, chunk("a")), end="hang")
        )
        self.net.pass_time(2)
        self.assertEqual((got.status, got.body), (0, b""))
        self.net.pass_time(3)
        self.assertEqual(got.body, ROLE + b": ping\n\n" + chunk("a"))
        got.leave()
        self.net.pump()

    def test_many_small_things_without_content_commit_in_the_end(self) -> None:
        """More than 64 KiB are not held."""
        got = self.stream_of(stream([ROLE] * 1000, "hang"))
        self.assertGreater(len(got.body), 64 * 1024)
        got.leave()
        self.net.pump()

    def test_usage_after_the_finish_reason_passes(self) -> None:
        """The last chunk with usage, and every choice of several, arrive."""
        second = chunk("two").replace(b'"index": 0', b'"index": 1')
        end = chunk(finish="stop").replace(b'"index": 0', b'"index": 1')
        sent = [chunk("one"), chunk(finish="stop"), second, end, USAGE, DONE]
        self.serve(self.fake("m", stream(sent)))
        got = self.finish(self.ask(stream=True, n=2))
        self.assertEqual(got.body, b"".join(sent))

    def test_every_split_gives_the_same(self) -> None:
        """A stream split at every byte of its wire form gives the same bytes to the client."""
        body = "".join(e.decode() for e in (ROLE, chunk("é€"), chunk(finish="stop"), DONE)).encode()
        wire = HEAD + chunked(body[:50]) + chunked(body[50:]) + b"0\r\n\r\n"
        for at in range(1, len(wire), 1):
            self.start_over()

            def split(request: Any, at: int = at) -> None:
                request.notifyFinish().addErrback(lambda _: None)
                request.channel.transport.write(wire[:at])
                self.net.callLater(0.1, request.channel.transport.write, wire[at:])
                self.net.callLater(0.2, request.channel.transport.loseConnection)

            got = self.finish(self.stream_of(split))
            self.assertEqual((got.body, got.clean), (body, True), at)

    def test_compressed_streams_are_read(self) -> None:
        """A backend that compresses unasked is read all the same."""
        packed = gzip.compress(b"".join(GOOD_STREAM))

        def send(request: Any) -> None:
            request.setHeader("content-encoding", "gzip")
            stream([packed[:30], packed[30:]])(request)

        got = self.finish(self.stream_of(send))
        self.assertEqual((got.text, got.header("content-encoding")), ("Hello", None))

    def test_a_compressed_answer_is_read_up_to_the_limit(self) -> None:
        """A bomb is refused; an encoding that is not known leads on."""
        bomb = zlib.compress(b"0" * 10_000_000)
        for encoding, body in (("deflate", bomb), ("br", b"x"), ("gzip", b"not gzip")):
            self.start_over()
            self.serve(
                self.fake("m", answer(body, headers={"content-encoding": encoding})),
                self.fake("b"), fallbacks=[("m", ("b",))],
                limits=Limits(max_response_bytes=1_000_000),
            )  # fmt: skip
            got = self.finish(self.ask())
            self.assertEqual(got.header("x-yallmp-route"), "m:invalid_response,b:200", encoding)

    def test_the_record_has_each_read(self) -> None:
        """Head, reads with their bytes, the end with the time of the first content."""
        self.finish(
            self.stream_of(
                Paced(self, (1, ROLE), (1, chunk("a")), (1, chunk(finish="stop") + DONE))
            )
        )
        self.assertEqual([e.data for e in self.events_told(Read)],
                         [ROLE, chunk("a"), chunk(finish="stop") + DONE])  # fmt: skip
        (head,) = self.events_told(Head)
        self.assertEqual((head.status, head.reused), (200, False))
        (end,) = self.events_told(AttemptEnd)
        self.assertAlmostEqual(end.first_content, 2000, -2)

    def test_reads_are_told_where_a_log_may_be_kept(self) -> None:
        """Each read is an event, unless nobody would write it down."""
        for everywhere, here, told in (
            ("off", None, False), ("off", "errors", True), ("errors", None, True),
            ("on", "off", False),
        ):  # fmt: skip
            backend = self.fake("m", stream(GOOD_STREAM), log_requests=here)
            self.serve(backend, logging=Logging(requests=everywhere))
            got = self.finish(self.ask(stream=True))
            self.assertEqual(got.body, b"".join(GOOD_STREAM))
            self.assertEqual(bool(self.events_told(Read)), told, (everywhere, here))
            self.start_over()


class CommitTests(StreamCase):
    """Before the first content every failure leads on; afterwards none does."""

    def test_an_error_before_the_first_content_fails_over(self) -> None:
        """Headers, a role and then an error: the fallback answers, the client sees one stream."""
        self.serve(
            self.fake("m", stream([ROLE, b'data: {"error": {"message": "overloaded"}}\n\n'])),
            self.fake("b", stream(GOOD_STREAM)), fallbacks=[("m", ("b",))],
        )  # fmt: skip
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.body, b"".join(GOOD_STREAM))
        self.assertEqual(got.header("x-yallmp-backend"), "b")

    def test_error_null_is_no_error(self) -> None:
        """Some backends send ``"error": null`` with every chunk."""
        got = self.finish(
            self.stream_of(stream([chunk("a", error=None), chunk(finish="stop"), DONE]))
        )
        self.assertEqual(got.text, "a")

    def test_first_content_timeout(self) -> None:
        """Headers at once and then nothing: the fallback, after the explicit time."""
        self.serve(self.fake("m", stream([ROLE], "hang"), first_content_timeout=10), self.fake("b"),
                   fallbacks=[("m", ("b",))])  # fmt: skip
        got = self.ask(stream=True)
        self.assertApproximates(self.net.until(lambda: got.over), 10, 0.2)
        self.assertEqual(got.header("x-yallmp-route"), "m:timeout,b:200")

    def test_comments_extend_the_default_only(self) -> None:
        """A ping each second keeps a held stream for 300 s, but not beyond an explicit time."""
        for settings, seconds in (({}, 300), ({"first_content_timeout": 10}, 10)):
            self.start_over()
            pings = Paced(self, *[(1, b": ping\n\n")] * 400, end="hang")
            self.serve(self.fake("m", pings, **settings), self.fake("b"), fallbacks=[("m", ("b",))],
                       router=Router(stream_headers_after=None))  # fmt: skip
            got = self.ask(stream=True)
            self.assertApproximates(self.net.until(lambda got=got: got.over, step=0.5), seconds, 1)
            self.net.pass_time(150, step=1)

    def test_bytes_dripped_one_at_a_time_satisfy_no_timeout(self) -> None:
        """A byte a second of an event that never ends is not content."""
        drip = Paced(self, *[(1, bytes([b])) for b in b'data: {"choices": [' * 4], end="hang")
        self.serve(self.fake("m", drip, first_content_timeout=10), self.fake("b"),
                   fallbacks=[("m", ("b",))])  # fmt: skip
        got = self.ask(stream=True)
        self.assertApproximates(self.net.until(lambda: got.over), 10, 0.2)
        self.net.pass_time(80, step=1)


class BrokenTests(StreamCase):
    """After the commit a failure is one error event and no [DONE]."""

    def test_cut(self) -> None:
        """A reset after some tokens."""
        self.assert_broken(self.stream_of(stream([chunk("a")], "cut")), "upstream_disconnected")

    def test_closed_without_the_last_chunk(self) -> None:
        """A close where chunks were promised."""
        self.assert_broken(self.stream_of(stream([chunk("a")], "close")), "upstream_disconnected")

    def test_early_end(self) -> None:
        """A clean end without a finish reason."""
        self.assert_broken(self.stream_of(stream([chunk("a")])), "upstream_incomplete")

    def test_done_without_a_finish_reason(self) -> None:
        """[DONE] does not make a truncated answer whole."""
        self.assert_broken(self.stream_of(stream([chunk("a"), DONE])), "upstream_incomplete")

    def test_error_event(self) -> None:
        """The backend's own words go on, its error event does not."""
        told = b'data: {"error": {"message": "engine died, key sk-secret-of-m"}}\n\n'
        got = self.stream_of(stream([chunk("a"), told]))
        self.assert_broken(got, "upstream_error")
        self.assertIn("engine died", got.events[-1]["error"]["message"])
        self.assertNotIn("sk-secret", got.body.decode())

    def test_silence(self) -> None:
        """Nothing for ``idle_timeout`` after some tokens."""
        got = self.stream_of(stream([chunk("a")], "hang"), idle_timeout=10)
        self.assertApproximates(self.net.until(lambda: got.over), 10, 0.2)
        self.assert_broken(got, "upstream_idle_timeout")

    def test_comments_are_life_but_not_for_ever(self) -> None:
        """Pings alone keep a stream for ``ping_timeout``; an explicit idle time is final."""
        for settings, seconds in (({"ping_timeout": 150}, 150), ({"idle_timeout": 10}, 10)):
            self.start_over()
            pings = Paced(self, (0, chunk("a")), *[(5, b": ping\n\n")] * 40, end="hang")
            got = self.stream_of(pings, **settings)
            took = self.net.until(lambda got=got: got.over, step=0.5)
            self.assertApproximates(took, seconds, 1)
            self.assert_broken(got, "upstream_idle_timeout")
            self.net.pass_time(60, step=1)

    def test_lifetime_of_a_stream_that_nobody_reads(self) -> None:
        """It ends all the same."""
        self.serve(self.fake("m", stream([chunk("x" * BUFFER)] * 4, "hang"), stream_lifetime=60,
                             stream_rescue="off"))  # fmt: skip
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(61, step=1)
        self.assertEqual(len(self.fakes["m"].left), 1)
        got.leave()

    def test_lifetime(self) -> None:
        """A stream that never ends is ended."""
        tokens = Paced(self, *[(1, chunk("a"))] * 40, end="hang")
        got = self.stream_of(tokens, stream_lifetime=20)
        self.assertApproximates(self.net.until(lambda: got.over), 20, 0.5)
        self.assert_broken(got, "stream_lifetime_exceeded")
        self.net.pass_time(30, step=1)

    def test_malformed_line_with_content(self) -> None:
        """A line that may have carried content breaks the stream."""
        self.assert_broken(
            self.stream_of(stream([chunk("a"), b'data: {"delta": "b\n\n', chunk("c")])),
            "upstream_error",
        )

    def test_harmless_malformed_line(self) -> None:
        """A line that carried nothing is dropped, and the record says so."""
        got = self.finish(self.stream_of(stream([chunk("a"), b"data: oops\n\n", *GOOD_STREAM[2:]])))
        self.assertEqual((got.text, got.clean), ("alo", True))
        (note,) = self.events_told(Note)
        self.assertIn("dropped", note.text)

    def test_an_event_over_the_limit(self) -> None:
        """An event without end is not gathered."""
        endless = Paced(self, (0, chunk("a")), (0.1, b"data: " + b"x" * 5000), end="hang")
        self.serve(self.fake("m", endless, stream_rescue="off"),
                   limits=Limits(max_event_bytes=4000))  # fmt: skip
        self.assert_broken(self.ask(stream=True), "upstream_error")

    def test_cut_at_every_byte(self) -> None:
        """Cut anywhere: never a clean end that is not whole, never half an event."""
        sent = b"".join(GOOD_STREAM)
        whole_from = len(sent) - len(DONE)
        for at in range(len(sent)):
            self.start_over()
            self.serve(self.fake("m", stream([sent[:at]], "cut"), request_timeout=30))
            got = self.finish(self.ask(stream=True))
            if got.status != 200:
                self.assertEqual(got.json["error"]["code"], "upstream_incomplete", at)
                continue
            whole = at >= whole_from
            if not whole or not got.clean:
                self.assertEqual(got.events[-1]["error"]["code"], "upstream_disconnected", at)
                self.assertNotIn("[DONE]", got.events, at)

    def test_a_missing_done_is_added(self) -> None:
        """Every choice has its finish reason: the end of the body is the end."""
        got = self.finish(self.stream_of(stream(GOOD_STREAM[:-1])))
        self.assertEqual((got.body, got.clean), (b"".join(GOOD_STREAM), True))

    def test_a_missing_end_is_not_waited_for(self) -> None:
        """Finished, but the connection stays open: complete after ``tail_timeout``."""
        got = self.stream_of(stream(GOOD_STREAM[:-1], "hang"))
        self.assertApproximates(self.net.until(lambda: got.over), 2, 0.2)
        self.assertEqual((got.body, got.clean), (b"".join(GOOD_STREAM), True))

    def test_done_ends_the_answer_at_once(self) -> None:
        """What follows [DONE] is not waited for, and the connection is not kept open."""
        got = self.stream_of(stream([*GOOD_STREAM, chunk("more")], "hang"))
        self.assertEqual((got.body, got.clean), (b"".join(GOOD_STREAM), True))
        self.net.pass_time(1.2)
        self.assertEqual(len(self.fakes["m"].left), 1)


class FinishedTests(StreamCase):
    """A finished answer, and its formal end."""

    def test_the_tail_does_not_run_while_the_client_does_not_read(self) -> None:
        """Usage that comes behind a pause of the client's is not lost."""
        big = chunk("x" * 3 * BUFFER)
        first = [big, chunk(finish="stop")]
        late = Paced(self, (0, b"".join(first)), (1, USAGE), (0.1, DONE))
        self.serve(self.fake("m", late))
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(10, step=0.5)
        got.transport.resumeProducing()
        self.finish(got)
        self.assertEqual((got.body[-len(USAGE + DONE) :], got.clean), (USAGE + DONE, True))


class HeldLongTests(StreamCase):
    """A client is kept while its stream is held."""

    def test_headers_and_comments_go_out(self) -> None:
        """After 20 s the headers, then a comment each 15 s; failover stays open."""
        self.serve(self.fake("m", silent, first_byte_timeout=60), self.fake("b"),
                   fallbacks=[("m", ("b",))])  # fmt: skip
        got = self.ask(stream=True)
        self.net.pass_time(19)
        self.assertEqual(got.status, 0)
        self.net.pass_time(32)
        self.assertEqual((got.status, got.body), (200, b": keep-alive\n\n" * 3))
        self.assertIsNone(got.header("x-yallmp-backend"))
        self.finish(got)
        self.assertEqual((got.text, got.clean), ("Hello", True))
        route = got.body.index(b": x-yallmp-route: m:timeout,b:200\n")
        self.assertLess(route, got.body.index(DONE), "what the headers could not tell")

    def test_when_all_fails_the_error_is_an_event(self) -> None:
        """The status is gone already."""
        self.serve(self.fake("m", silent, first_byte_timeout=30))
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.events[-1]["error"]["code"], "upstream_timeout")
        self.assertFalse(got.clean)

    def test_off(self) -> None:
        """Nothing goes out early."""
        self.serve(self.fake("m", silent, first_byte_timeout=40),
                   router=Router(stream_headers_after=None))  # fmt: skip
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.status, 504)

    def test_a_whole_answer_is_never_begun_early(self) -> None:
        """Only streams are."""
        self.serve(self.fake("m", silent, answer_timeout=40))
        got = self.finish(self.ask())
        self.assertEqual(got.status, 504)


class BackpressureTests(StreamCase):
    """A client that does not read holds its backend back."""

    def test_the_backend_is_held_back_and_goes_on(self) -> None:
        """At most a few buffers are between them; nothing is lost when the client reads again."""
        big = [chunk("x" * 8000) for _ in range(200)]
        end = [chunk(finish="stop"), DONE]
        sent = b"".join([*big, *end])

        class Producer:
            def __init__(self, request: Any) -> None:
                self.request, self.left, self.paused = request, [*big, *end], False

            def resumeProducing(self) -> None:
                self.paused = False
                while self.left and not self.paused:
                    self.request.write(self.left.pop(0))
                if not self.left and self.request is not None:
                    request, self.request = self.request, None
                    request.unregisterProducer()
                    request.finish()

            def pauseProducing(self) -> None:
                self.paused = True

            def stopProducing(self) -> None:
                self.left = []

        made: list[Producer] = []

        def produce(request: Any) -> None:
            request.setHeader("content-type", "text/event-stream")
            made.append(Producer(request))
            request.registerProducer(made[0], True)
            made[0].resumeProducing()

        self.serve(self.fake("m", produce, idle_timeout=5))
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(200, step=0.5)
        (ours,) = [e for e in self.net.ends if e.host.port == 8000]
        self.assertLess(ours.written, 5 * BUFFER, "the proxy went on reading")
        self.assertGreater(len(made[0].left), 100, "the backend was not held back")
        got.transport.resumeProducing()
        self.finish(got)
        self.assertEqual((got.body, got.clean), (sent, True))


class ResponsesTests(StreamCase):
    """The Responses API has its own beginning and end."""

    BEGIN = b'data: {"type": "response.created", "response": {"status": "queued"}}\n\n'
    TEXT = (
        b"event: response.output_text.delta\n"
        b'data: {"type": "response.output_text.delta", "delta": "a"}\n\n'
    )
    END = (
        b'event: response.completed\ndata: {"type": "response.completed", "response":'
        b' {"status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}}}\n\n'
    )

    def respond(self, *script: Any) -> Got:
        self.serve(self.fake("m", *script), enable_responses_endpoint=True)
        return self.finish(self.ask({"model": "m", "input": "hi", "stream": True}, "/v1/responses"))

    def test_passes(self) -> None:
        """Untouched, and complete with its last event."""
        sent = [self.BEGIN, self.TEXT, self.END]
        got = self.respond(stream(sent))
        self.assertEqual((got.body, got.clean), (b"".join(sent), True))
        (end,) = self.events_told(End)
        self.assertEqual((end.finish_reason, end.usage.completion), ("completed", 2))

    def test_early_end(self) -> None:
        """Its error event has the shape that the SDK expects."""
        got = self.respond(stream([self.BEGIN, self.TEXT]))
        self.assertEqual(got.events[-1]["type"], "error")
        self.assertEqual(got.events[-1]["code"], "upstream_incomplete")
        self.assertFalse(got.clean)

    def test_a_failed_response_before_content_leads_on(self) -> None:
        """``response.failed`` is an error like any other."""
        failed = b'data: {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "x"}}}\n\n'  # noqa: E501
        self.serve(self.fake("m", stream([self.BEGIN, failed])), enable_responses_endpoint=True,
                   router=Router(num_retries=0))  # fmt: skip
        got = self.finish(self.ask({"model": "m", "input": "hi", "stream": True}, "/v1/responses"))
        self.assertEqual((got.status, got.json["error"]["code"]), (500, "server_error"))


class ManyTests(StreamCase):
    """Many at once."""

    def test_a_hundred_streams(self) -> None:
        """All of them end complete, and nothing is left of them (a thousand: test_live)."""
        steps = [(0.1, e) for e in GOOD_STREAM]
        self.serve(self.fake("m", Paced(self, *steps)))
        every = [self.ask_quietly() for _ in range(100)]
        self.net.until(lambda: all(got.over for got in every))
        self.assertEqual({got.body for got in every}, {b"".join(GOOD_STREAM)})
        self.assertTrue(all(got.clean for got in every))
        self.assertEqual(len(self.events_told(End)), 100)
        self.assertEqual(self.parts.registry.in_flight.total, 0)

    def ask_quietly(self) -> Got:
        """Ask without letting anything happen yet."""
        pump, self.net.pump = self.net.pump, lambda: None  # type: ignore[method-assign]
        try:
            return self.ask(stream=True)
        finally:
            self.net.pump = pump  # type: ignore[method-assign]
