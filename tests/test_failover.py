"""
The decision table, over the wire: streamed and not, in every position of a route.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.error import ConnectionDone

from tests.fakes import (
    DONE,
    GOOD_STREAM,
    ROLE,
    Answer,
    Got,
    ProxyCase,
    answer,
    chunk,
    completion,
    error,
    good,
    good_either,
    raw,
    reset,
    silent,
    stream,
)
from yallmp import attempts as attempts_module
from yallmp.core.exchange import AttemptEnd, End
from yallmp.core.headers import media_type
from yallmp.core.settings import Fallbacks, Router

#: name: (answers, attempts there, fallback asked, status and code if it was the last);
#: no code: as is.
#: Attempts count one S (num_retries is 1).
ROWS: dict[str, tuple[Answer, int, bool, int, str | None]] = {
    "reset without a byte": (reset, 2, True, 502, "upstream_disconnected"),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), 1, True, 502, "upstream_protocol"),
    "half a head": (raw(b"HTTP/1.1 200 OK\r\nContent-"), 1, True, 502, "upstream_protocol"),
    "silence": (silent, 1, True, 504, "upstream_timeout"),
    "context length 400": (error(400, code="context_length_exceeded"), 1, True, 400, None),
    "413": (error(413), 1, True, 413, None),
    "429 request too large": (error(429, "Request too large for model"), 1, True, 429, None),
    "content filter 400": (error(400, code="content_filter"), 1, False, 400, None),
    "content policy 400": (error(400, code="content_policy_violation"), 1, False, 400, None),
    "moderation 403": (error(403, "flagged by moderation"), 1, False, 403, None),
    "400 naming credit": (error(400, "credit balance is too low"), 1, True, 502, "upstream_auth"),
    "401": (error(401), 1, True, 502, "upstream_auth"),
    "402": (error(402), 1, True, 502, "upstream_auth"),
    "403": (error(403), 1, True, 502, "upstream_auth"),
    "404": (error(404), 1, True, 404, None),
    "405": (error(405), 1, True, 405, None),
    "410": (error(410), 1, True, 410, None),
    "400 otherwise": (error(400), 1, False, 400, None),
    "422": (error(422), 1, False, 422, None),
    "451": (error(451), 1, False, 451, None),
    "408": (error(408), 2, True, 408, None),
    "409": (error(409), 2, True, 409, None),
    "425": (error(425), 2, True, 425, None),
    "429 with a short wait": (error(429, retry_after="1"), 2, True, 429, None),
    "429 with a long wait": (error(429, retry_after="60"), 1, True, 429, None),
    "503 with a long wait": (error(503, retry_after="60"), 1, True, 503, None),
    "429 without": (error(429), 2, True, 429, None),
    "429 insufficient quota": (error(429, code="insufficient_quota"), 1, True, 429, None),
    "500": (error(500), 2, True, 500, None),
    "502": (error(502), 2, True, 502, None),
    "503": (error(503), 2, True, 503, None),
    "504": (error(504), 2, True, 504, None),
    "524": (error(524), 2, True, 524, None),
    "529": (error(529), 2, True, 529, None),
    "501": (error(501), 1, True, 501, None),
    "505": (error(505), 1, True, 505, None),
    "redirect": (
        answer({}, 302, {"location": "http://10.9.9.9/"}), 1, True, 502, "upstream_redirect"),
    "200 with an error": (answer({"error": {"message": "odd"}}), 1, True, 502, "upstream_error"),
    "200 with a rate limit": (
        answer({"error": {"message": "slow", "code": "rate_limit_exceeded"}}), 2, True, 429, None),
    "200 empty": (answer(b""), 1, True, 502, "upstream_invalid_response"),
    "200 HTML": (answer(b"<html>", headers={"content-type": "text/html"}), 1, True, 502,
                 "upstream_invalid_response"),
    "200 broken JSON": (answer(b'{"choices": ['), 1, True, 502, "upstream_invalid_response"),
    "200 without choices": (answer({"id": "x"}), 1, True, 502, "upstream_invalid_response"),
    "body cut short": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), 1, True, 502,
                       "upstream_incomplete"),
}  # fmt: skip

STREAM_ROWS: dict[str, tuple[Answer, int, bool, int, str | None]] = {
    "stream with an error first": (
        stream([b'data: {"error": {"message": "odd"}}\n\n']), 1, True, 502, "upstream_error"),
    "stream with a server error first": (
        stream([ROLE, b'data: {"error": {"message": "odd", "code": "server_error"}}\n\n']),
        2, True, 500, None),
    "event: error first": (
        stream([b'event: error\ndata: {"message": "odd"}\n\n']), 1, True, 502, "upstream_error"),
    "stream without content": (stream([ROLE, DONE]), 1, True, 502, "upstream_invalid_response"),
    "stream without events": (stream([]), 1, True, 502, "upstream_invalid_response"),
    "stream cut before content": (stream([ROLE], "cut"), 1, True, 502, "upstream_incomplete"),
    "stream silent before content": (stream([ROLE], "hang"), 1, True, 504, "upstream_timeout"),
    "stream with a first event that is not JSON": (
        stream([b'data: {"delta": "x\n\n']), 1, True, 502, "upstream_invalid_response"),
}  # fmt: skip


class TableTests(ProxyCase):
    """Each row, as the only backend, the first, the middle one and the last of a route."""

    def route(self, *scripts: list[Answer], **settings: Any) -> None:
        """A model ``m`` that falls back to one model after another."""
        names = ["m", "b", "c"][: len(scripts)]
        backends = [
            self.fake(name, *script, request_timeout=8)
            for name, script in zip(names, scripts, strict=True)
        ]
        self.serve(*backends, fallbacks=[("m", tuple(names[1:]))] if names[1:] else (), **settings)

    def asked(self) -> list[int]:
        """How often each backend was asked."""
        return [len(fake.requests) for fake in self.fakes.values()]

    def fresh(self) -> None:
        """Start anew within a test."""
        self.tearDown()
        self.setUp()

    def done(self, streamed: bool) -> Got:
        return self.finish(self.ask(model="m", stream=streamed))

    def assert_last_word(self, got: Got, status: int, code: str | None, name: str) -> None:
        self.assertEqual(got.status, status, name)
        self.assertTrue(got.clean, name)
        self.assertIn("error", got.json, name)
        if code is not None:
            self.assertEqual(got.json["error"]["code"], code, name)
        self.assertNotIn("10.0.0.", got.body.decode())

    def rows(self, streamed: bool) -> Any:
        return {**ROWS, **(STREAM_ROWS if streamed else {})}.items()

    def test_the_only_backend(self) -> None:
        """With nothing else to try, the client gets the row's last word."""
        for streamed in (False, True):
            for name, (answers, attempts, _, status, code) in self.rows(streamed):
                self.fresh()
                self.route([answers])
                got = self.done(streamed)
                self.assert_last_word(got, status, code, name)
                self.assertEqual(self.asked(), [attempts], name)
                self.assertEqual(got.header("x-yallmp-attempts"), str(attempts), name)
                self.assertEqual(len(self.events_told(AttemptEnd)), attempts, name)

    def test_the_first_of_two(self) -> None:
        """The next backend answers, unless the row says that the request is at fault."""
        for streamed in (False, True):
            for name, (answers, attempts, leads_on, status, code) in self.rows(streamed):
                self.fresh()
                self.route([answers], [good_either])
                got = self.done(streamed)
                self.assertEqual(self.asked(), [attempts, int(leads_on)], name)
                if leads_on:
                    self.assertEqual(got.status, 200, name)
                    self.assertEqual(got.header("x-yallmp-backend"), "b", name)
                    said = got.text if streamed else got.json["choices"][0]["message"]["content"]
                    self.assertEqual(said.lower(), "hello", name)
                else:
                    self.assert_last_word(got, status, code, name)

    def test_in_the_middle(self) -> None:
        """After another failure every row but a content filter leads on."""
        for streamed in (False, True):
            for name, (answers, attempts, leads_on, status, _) in self.rows(streamed):
                self.fresh()
                self.route([error(501)], [answers], [good_either])
                got = self.done(streamed)
                filtered = not leads_on and status in (400, 403) and "4" in name and (
                    "content" in name or "moderation" in name)  # fmt: skip
                self.assertEqual(self.asked(), [1, attempts, 0 if filtered else 1], name)
                self.assertEqual(got.status, status if filtered else 200, name)

    def test_the_last_of_two(self) -> None:
        """When the fallback fails too, the client gets the most useful of both failures."""
        for streamed in (False, True):
            for name, (answers, attempts, _, status, _) in self.rows(streamed):
                self.fresh()
                self.route([error(501, "first")], [answers])
                got = self.done(streamed)
                self.assertEqual(self.asked(), [1, attempts], name)
                self.assertIn(got.status, {501, status}, name)

    def test_refused_connections(self) -> None:
        """Nobody listens: once more, then on; as the last word 502."""
        for streamed in (False, True):
            self.fresh()
            self.serve(
                self.backend("m", "http://10.1.1.1/v1"), self.fake("b"), fallbacks=[("m", ("b",))]
            )
            got = self.finish(self.ask(stream=streamed))
            self.assertEqual(got.header("x-yallmp-route"), "m:unreachable,m:unreachable,b:200")
            self.fresh()
            self.serve(self.backend("m", "http://10.1.1.1/v1"))
            self.assert_last_word(
                self.finish(self.ask(stream=streamed)), 502, "upstream_unreachable", "refused"
            )

    def test_names_and_connects_that_take_too_long(self) -> None:
        """No such name, a name that never resolves, a port that never answers: on, no S."""
        for base, word, code, status in (
            ("http://nowhere.test/v1", "dns", "upstream_dns", 502),
            ("http://slow.test/v1", "connect_timeout", "upstream_connect_timeout", 504),
            ("http://10.1.1.2/v1", "connect_timeout", "upstream_connect_timeout", 504),
        ):
            self.fresh()
            self.net.nameResolver.names["slow.test"] = None
            self.net.deaf.add(("10.1.1.2", 80))
            self.serve(self.backend("m", base), self.fake("b"), fallbacks=[("m", ("b",))])
            got = self.ask()
            self.assertLess(self.net.until(lambda got=got: got.over), 5.2)
            self.assertEqual(got.header("x-yallmp-route"), f"m:{word},b:200")
            self.fresh()
            self.net.nameResolver.names["slow.test"] = None
            self.net.deaf.add(("10.1.1.2", 80))
            self.serve(self.backend("m", base))
            self.assert_last_word(self.finish(self.ask()), status, code, base)


class PauseTests(ProxyCase):
    """When the same backend is asked again."""

    def times(self, name: str) -> list[float]:
        return [time for time, *_ in self.fakes[name].requests]

    def test_a_wait_that_the_backend_names_is_kept(self) -> None:
        """Retry-After: 2 is waited for, not a moment less, at most a tenth more."""
        for header in ({"retry_after": "2"}, {"retry_after_ms": "2000"}):
            for self.chance in (0.0, 0.999):
                self.tearDown()
                self.setUp()
                self.serve(self.fake("m", error(429, **header), good))
                self.assertEqual(self.finish(self.ask()).status, 200)
                first, second = self.times("m")
                self.assertGreaterEqual(second - first, 2.0)
                self.assertLessEqual(second - first, 2.3)

    def test_the_wait_goes_to_the_client_with_the_last_answer(self) -> None:
        """A client that is told 429 is told how long, too."""
        self.serve(self.fake("m", error(429, retry_after="7")))
        self.assertEqual(self.finish(self.ask()).header("retry-after"), "7")

    def test_no_second_try_after_a_failure_that_took_long(self) -> None:
        """A backend that took 11 s to fail is not asked again."""

        def slow_500(request: Any) -> None:
            self.net.callLater(11, error(500), request)

        self.serve(self.fake("m", slow_500))
        self.finish(self.ask())
        self.assertEqual(len(self.times("m")), 1)

    def test_num_retries(self) -> None:
        """So many further tries, with growing pauses; none at 0."""
        for retries, pauses in ((0, []), (3, [0.25, 0.5, 1.0])):
            self.tearDown()
            self.setUp()
            self.serve(self.fake("m", error(500)), router=Router(num_retries=retries))
            self.finish(self.ask())
            times = self.times("m")
            self.assertEqual(len(times), 1 + retries)
            for (a, b), pause in zip(pairwise(times), pauses, strict=True):
                self.assertApproximates(b - a, pause, 0.06)

    def test_again_is_on_another_member_of_the_group(self) -> None:
        """A group of two: the second try goes to the other one."""
        one = self.fake("one", error(500), model_name="m", order=0)
        two = self.fake("two", good, model_name="m", order=1)
        self.serve(one, two)
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "one:500,two:200")

    def test_deadline(self) -> None:
        """When the deadline passes, the client is told so, and the attempt is over."""
        for streamed in (False, True):
            self.tearDown()
            self.setUp()
            self.serve(
                self.fake("m", silent, answer_timeout=50, first_byte_timeout=50),
                self.fake("b"), fallbacks=[("m", ("b",))], router=Router(deadline=20.0),
            )  # fmt: skip
            got = self.ask(stream=streamed)
            self.assertApproximates(self.net.until(lambda got=got: got.over), 20, 0.2)
            self.assertEqual((got.status, got.json["error"]["code"]), (504, "deadline_exceeded"))
            self.assertEqual(got.header("x-should-retry"), "false")
            self.assertEqual(len(self.fakes["m"].left), 1)

    def test_deadline_in_a_queue(self) -> None:
        """It ends the wait for a place, and nothing begins behind it."""
        backend = self.fake("m", silent, max_in_flight=1, queue_timeout=30)
        self.serve(backend, router=Router(deadline=2))
        self.fakes["m"].script = [silent]
        first = self.ask()
        self.net.pass_time(1)
        second = self.ask(stream=True)
        first.leave()
        self.net.pump()
        self.assertEqual(len(self.fakes["m"].requests), 2)
        third = self.ask(stream=True)
        for got in (second, third):
            self.finish(got, 5)
            self.assertEqual(got.json["error"]["code"], "deadline_exceeded")
        self.assertEqual(len(self.fakes["m"].requests), 2)

    def test_a_larger_request_timeout_raises_the_deadline(self) -> None:
        """An explicit time beyond the deadline is meant."""
        self.serve(self.fake("m", silent, request_timeout=700))
        got = self.ask()
        self.assertApproximates(self.net.until(lambda: got.over, step=1), 700, 2)

    def test_a_silent_backend_is_asked_once_and_given_its_time(self) -> None:
        """Explicit and default times, streamed and not."""
        for streamed, settings, seconds in (
            (False, {}, 120), (False, {"answer_timeout": 7}, 7), (True, {}, 60),
            (True, {"first_byte_timeout": 9}, 9), (True, {"request_timeout": 4}, 4),
            (False, {"request_timeout": 4}, 4),
        ):  # fmt: skip
            self.tearDown()
            self.setUp()
            self.serve(
                self.fake("m", silent, **settings), self.fake("b"), fallbacks=[("m", ("b",))]
            )
            got = self.ask(stream=streamed)
            took = self.net.until(lambda got=got: got.over, step=0.25)
            self.assertApproximates(took, seconds, 0.6)
            self.assertEqual(len(self.times("m")), 1)


class ConnectionTests(ProxyCase):
    """Connections that are kept."""

    def test_connections_are_used_again(self) -> None:
        """Two requests, one connection."""
        self.serve(self.fake("m"))
        for _ in range(2):
            self.finish(self.ask())
        self.assertEqual(self.net.connections, 2, "one to us, one from us")

    def test_a_used_connection_that_died_costs_nothing(self) -> None:
        """Closed without a byte: once more on a fresh one, and it is not a second attempt."""

        def close_silently(request: Any) -> None:
            request.notifyFinish().addErrback(lambda _: None)
            request.channel.loseConnection()

        self.serve(self.fake("m", good, close_silently, good))
        self.finish(self.ask())
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:200")
        self.assertEqual(len(self.fakes["m"].requests), 3)

    def test_only_once_more(self) -> None:
        """A fresh connection that dies the same way is a failure."""
        self.serve(self.fake("m", good, reset), router=Router(num_retries=0))
        self.finish(self.ask())
        got = self.finish(self.ask())
        self.assertEqual(got.json["error"]["code"], "upstream_disconnected")
        self.assertEqual(len(self.fakes["m"].requests), 3)

    def test_connections_with_other_settings_are_not_shared(self) -> None:
        """A registered backend never uses the connection of a configured one."""
        one = self.fake("m")
        self.serve(one, self.backend("r", one.api_base, registered=True))
        self.finish(self.ask())
        self.finish(self.ask(model="r"))
        self.assertEqual(self.net.connections, 3)


class SpecialFallbackTests(ProxyCase):
    """Fallbacks for a context that is too long, and for content filters."""

    def test_context_window_fallbacks_come_first(self) -> None:
        """A prompt that is too long goes to the model that is named for it."""
        self.serve(
            self.fake("m", error(400, code="context_length_exceeded")), self.fake("b"),
            self.fake("long"),
            fallbacks=Fallbacks(by_model=(("m", ("b",)),), context_window=(("m", ("long",)),)),
        )  # fmt: skip
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:400,long:200")

    def test_content_policy_fallbacks(self) -> None:
        """A content filter leads to them, and to nothing else."""
        self.serve(
            self.fake("m", error(400, code="content_filter")), self.fake("b"),
            self.fake("bold", error(500)),
            fallbacks=Fallbacks(by_model=(("m", ("b",)),), content_policy=(("m", ("bold",)),)),
            router=Router(num_retries=0),
        )  # fmt: skip
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:400,bold:500")
        self.assertEqual(got.status, 400)
        self.assertEqual(self.fakes["b"].requests, [])

    def test_the_fallbacks_own_400_never_reaches_the_client(self) -> None:
        """The earliest backend's error is the answer when a fallback finds the request at fault."""
        self.serve(self.fake("m", error(503, "mine")), self.fake("b", error(400, "theirs")),
                   fallbacks=[("m", ("b",))])  # fmt: skip
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.json["error"]["message"]), (503, "mine"))


class CancelTests(ProxyCase):
    """A client that leaves frees the backend, in every phase."""

    def assert_gone(self, got: Got, attempts: int, kept: int = 0) -> None:
        made = [len(fake.requests) for fake in self.fakes.values()]
        got.leave()
        self.net.pass_time(0.1)
        self.assertEqual([len(fake.requests) for fake in self.fakes.values()], made)
        (end,) = self.events_told(End)
        self.assertEqual((end.outcome, end.attempts), ("client_gone", attempts))
        self.assertEqual(len([e for e in self.net.ends if e.host.host != "127.0.0.1"]), kept)
        self.net.pass_time(120, step=1)
        self.assertEqual([len(fake.requests) for fake in self.fakes.values()], made)

    def test_while_waiting_for_headers(self) -> None:
        """Nothing has come yet."""
        for streamed in (False, True):
            self.tearDown()
            self.setUp()
            self.serve(self.fake("m", silent), self.fake("b"), fallbacks=[("m", ("b",))])
            got = self.ask(stream=streamed)
            self.net.pass_time(1)
            self.assert_gone(got, 1)
            self.assertEqual(len(self.fakes["m"].left), 1)

    def test_while_resolving_and_connecting(self) -> None:
        """The name or the port does not answer."""
        for base in ("http://slow.test/v1", "http://10.1.1.2/v1"):
            self.tearDown()
            self.setUp()
            self.net.nameResolver.names["slow.test"] = None
            self.net.deaf.add(("10.1.1.2", 80))
            self.serve(self.backend("m", base), self.fake("b"), fallbacks=[("m", ("b",))])
            self.assert_gone(self.ask(), 1)

    def test_while_the_stream_is_held(self) -> None:
        """Headers came, no content yet."""
        self.serve(self.fake("m", stream([ROLE], "hang")))
        self.assert_gone(self.ask(stream=True), 1)

    def test_while_the_stream_flows(self) -> None:
        """After the commit."""
        self.serve(self.fake("m", stream([chunk("a")], "hang")))
        got = self.ask(stream=True)
        self.assertEqual(got.text, "a")
        self.assert_gone(got, 1)

    def test_while_backing_off(self) -> None:
        """In the pause before the next try."""
        self.serve(self.fake("m", error(429, retry_after="2")))
        got = self.ask()
        self.net.pass_time(0.5)
        self.assert_gone(got, 1, kept=1)

    def test_while_reading_a_whole_answer(self) -> None:
        """Half the body is there."""
        half = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")

        def half_and_wait(request: Any) -> None:
            request.channel.loseConnection = lambda: None
            half(request)

        self.serve(self.fake("m", half_and_wait))
        self.assert_gone(self.ask(), 1)

    def test_while_queued(self) -> None:
        """The backend has as many requests as it may."""
        self.serve(self.fake("m", silent, max_in_flight=1, queue_timeout=60))
        first = self.ask()
        second = self.ask()
        second.leave()
        self.net.pass_time(0.2)
        (end,) = self.events_told(End)
        self.assertEqual((end.outcome, end.attempts), ("client_gone", 0))
        self.assertEqual(len(self.fakes["m"].requests), 1)
        first.leave()
        self.net.pass_time(0.2)


class QueueTests(ProxyCase):
    """``max_in_flight``."""

    def test_one_after_the_other(self) -> None:
        """A place that is given back goes to the first who waits."""

        def slowly(request: Any) -> None:
            self.net.callLater(1, good, request)

        self.serve(self.fake("m", slowly, max_in_flight=1))
        for got in [self.ask() for _ in range(4)]:
            self.finish(got)
            self.assertEqual(got.status, 200)
        times = [round(time) for time, *_ in self.fakes["m"].requests]
        self.assertEqual(times, [0, 1, 2, 3])

    def test_a_full_backend_leads_to_the_next(self) -> None:
        """After ``queue_timeout`` the fallback is asked; without one 503 with Retry-After."""
        self.serve(self.fake("m", silent, max_in_flight=1), self.fake("b"),
                   self.fake("n", silent, max_in_flight=1), fallbacks=[("m", ("b",))])  # fmt: skip
        held = [self.ask(), self.ask(model="n")]
        got, alone = self.ask(), self.ask(model="n")
        self.assertApproximates(self.net.until(lambda: got.over), 5, 0.2)
        self.assertEqual(got.header("x-yallmp-route"), "m:full,b:200")
        self.finish(alone)
        self.assertEqual((alone.status, alone.json["error"]["code"]), (503, "overloaded"))
        self.assertEqual(alone.header("retry-after"), "1")
        for each in held:
            each.leave()
        self.net.pass_time(0.2)


class UnforeseenTests(ProxyCase):
    """An error of our own in reading a backend's answer."""

    def test_it_leads_on_like_any_other(self) -> None:
        """The next backend answers; the record has the attempt's end; the log the traceback."""
        self.patch(attempts_module, "media_type", self.fail_once)
        self.failed = False
        self.serve(self.fake("m"), self.fake("b"), fallbacks=[("m", ("b",))])
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:invalid_response,b:200")
        self.assertEqual(len(self.events_told(AttemptEnd)), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def fail_once(self, headers: Any) -> bytes:
        if not self.failed:
            self.failed = True
            raise ZeroDivisionError
        return media_type(headers)


class ShapeTests(ProxyCase):
    """Answers of the other kind than was asked for."""

    def test_a_json_answer_becomes_a_stream(self) -> None:
        """A backend that does not stream still serves a streaming client."""
        self.serve(self.fake("m", good))
        got = self.finish(self.ask(stream=True, stream_options={"include_usage": True}))
        self.assertEqual((got.text, got.events[-1]), ("hello", "[DONE]"))
        self.assertEqual(got.header("content-type"), "text/event-stream; charset=utf-8")
        self.assertEqual(got.events[-2]["usage"]["total_tokens"], 3)

    def test_a_stream_becomes_an_answer(self) -> None:
        """A backend that always streams still serves a plain client."""
        self.serve(self.fake("m", stream(GOOD_STREAM)))
        got = self.finish(self.ask())
        self.assertEqual(got.json["choices"][0]["message"]["content"], "Hello")
        self.assertEqual(got.header("content-type"), "application/json")

    def test_an_unasked_stream_that_is_cut_leads_on(self) -> None:
        """A truncated stream never becomes an answer that looks whole."""
        self.serve(
            self.fake("m", stream([chunk("Hel")])), self.fake("b"), fallbacks=[("m", ("b",))]
        )
        self.assertEqual(self.finish(self.ask()).header("x-yallmp-backend"), "b")

    def test_bodies_that_are_not_json_become_our_shape(self) -> None:
        """An error page goes on with its status, in OpenAI's shape."""
        self.serve(self.fake("m", answer(b"<h1>no</h1>", 502, {"content-type": "text/html"})))
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.header("content-type")), (502, "application/json"))
        self.assertEqual(got.json["error"]["type"], "upstream_error")

    def test_known_secrets_in_errors_are_replaced(self) -> None:
        """A backend that repeats our key does not tell it to the client."""
        self.serve(self.fake("m", error(404, "bad key sk-secret-of-m")))
        self.assertNotIn("sk-secret", self.finish(self.ask()).body.decode())

    def test_completed_answers_tell_usage(self) -> None:
        """The end of the exchange has finish reason, usage and bytes."""
        self.serve(self.fake("m", answer(completion("x"))))
        got = self.finish(self.ask())
        (end,) = self.events_told(End)
        self.assertEqual((end.outcome, end.finish_reason, end.usage.total), ("success", "stop", 3))
        self.assertEqual(end.sent, len(got.body))
        self.assertIsNotNone(got.end.check(ConnectionDone) or got.clean)
