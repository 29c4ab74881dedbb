"""
Backends that rest, requests that go no further, and no storms: over the wire.
"""

from __future__ import annotations

from typing import Any

from tests.fakes import (
    GOOD_STREAM,
    ROLE,
    Got,
    ProxyCase,
    answer,
    chunk,
    completion,
    error,
    good,
    reset,
    silent,
    stream,
)
from yallmp.core.exchange import Note
from yallmp.core.settings import Limits, Router

FALLBACK = (("m", ("f",)),)


class RestingCase(ProxyCase):
    """A primary ``m`` and a fallback ``f``."""

    def two(self, *script: Any, f: tuple[Any, ...] = (good,), **settings: Any) -> None:
        """Serve them; the primary answers from *script*."""
        self.serve(self.fake("m", *script, **settings), self.fake("f", *f), fallbacks=FALLBACK)

    def asked(self, name: str) -> int:
        """How many requests the backend had."""
        return len(self.fakes[name].requests)

    def one(self, **fields: Any) -> Got:
        """One request, to its end."""
        return self.finish(self.ask(**fields))


class RestingTests(RestingCase):
    """Passive breakers."""

    def test_three_failures_in_a_row(self) -> None:
        """After three failed requests the primary is left alone, and the fallback asked at once."""
        self.two(error(503))
        for _ in range(3):
            self.one()
        self.assertEqual(self.asked("m"), 6)
        got = self.one()
        self.assertEqual((got.status, got.header("x-yallmp-route")), (200, "f:200"))
        self.assertEqual(self.asked("m"), 6)

    def test_one_probe_brings_it_back(self) -> None:
        """When its rest is over one request asks it, without an S; an answer closes it."""
        self.two(*[error(503)] * 7, good)
        for _ in range(3):
            self.one()
        self.net.pass_time(7, step=0.5)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:503,f:200")
        self.assertEqual(self.one().header("x-yallmp-route"), "f:200")
        self.net.pass_time(13, step=0.5)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:200")
        self.assertEqual(self.one().header("x-yallmp-route"), "m:200")

    def test_only_one_probe_at_a_time(self) -> None:
        """While one request asks it, others go elsewhere."""
        self.two(*[error(503)] * 6, silent)
        for _ in range(3):
            self.one()
        self.net.pass_time(7, step=0.5)
        probe, other = self.ask(), self.ask()
        self.assertEqual(self.finish(other).header("x-yallmp-route"), "f:200")
        self.assertFalse(probe.over)
        probe.leave()
        self.net.pump()
        another = self.ask()
        self.assertEqual(self.asked("m"), 8, "a client that leaves gives the probe's place back")
        another.leave()

    def test_all_rest(self) -> None:
        """If all of a route rest they are tried anyway, in order, without an S."""
        self.two(error(503), f=(error(503),))
        for _ in range(3):
            self.one()
        before = self.asked("m"), self.asked("f")
        got = self.one()
        self.assertEqual(got.header("x-yallmp-route"), "m:503,f:503")
        self.assertEqual((self.asked("m"), self.asked("f")), (before[0] + 1, before[1] + 1))

    def test_one_that_rests_is_the_last_resort(self) -> None:
        """A request is not lost while a backend that rests has not been asked."""
        self.two(*[error(503)] * 6, good, f=(good, good, good, error(503)))
        for _ in range(3):
            self.one()
        got = self.one()
        self.assertEqual((got.status, got.header("x-yallmp-backend")), (200, "m"))
        self.assertEqual(got.header("x-yallmp-route"), "f:503,f:503,m:200")

    def test_refused_keys_rest_a_minute(self) -> None:
        """A backend that refuses our key is not asked again for 60 s."""
        self.two(error(401), good)
        self.one()
        self.assertEqual(self.one().header("x-yallmp-route"), "f:200")
        self.net.pass_time(61, step=1)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:200")
        self.flushLoggedErrors()

    def test_a_long_wait_is_kept(self) -> None:
        """A backend that asks for a minute gets it."""
        self.two(error(429, retry_after="60"), good)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:429,f:200")
        self.net.pass_time(58, step=1)
        self.assertEqual(self.one().header("x-yallmp-route"), "f:200")
        self.net.pass_time(3, step=1)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:200")

    def test_a_rest_after_timeouts_is_as_long_as_they_were(self) -> None:
        """Six times all that was waited in vain, also behind a head, or pings."""
        head = stream([b": ping\n\n"], end="hang")
        self.two(head, first_content_timeout=20)
        for _ in range(2):
            self.one(stream=True)
        breaker = self.parts.registry.breakers.of("m")  # type: ignore[union-attr]
        self.assertApproximates(breaker.rest_left(self.net.seconds()), 120, 3)

    def test_a_probes_long_stream_keeps_nobody_out(self) -> None:
        """From its first content on others may try the backend, too."""
        self.two(*[error(503)] * 6, stream([ROLE, chunk("Hel")], end="hang"), good)
        for _ in range(3):
            self.one()
        self.net.pass_time(7, step=0.5)
        probe = self.ask(stream=True)
        self.assertEqual(probe.text, "Hel")
        self.assertEqual(self.one().header("x-yallmp-route"), "m:200")
        probe.leave()

    def test_a_hanging_primary_is_paid_for_twice(self) -> None:
        """Of 20 requests one after the other at most 3 wait for it."""
        self.two(silent, request_timeout=10)
        for _ in range(20):
            self.assertEqual(self.one(stream=True).status, 200)
        self.assertLessEqual(self.asked("m"), 3)

    def test_faults_of_the_request_do_not_count(self) -> None:
        """A hundred bad requests say nothing of the backend."""
        self.two(*[error(400)] * 12, good)
        for _ in range(12):
            self.assertEqual(self.one().status, 400)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:200")

    def test_a_broken_stream_counts(self) -> None:
        """Streams that the backend breaks open it as failures do."""
        self.two(stream([ROLE, chunk("Hel")], end="cut"), stream_rescue="off")
        for _ in range(3):
            self.one(stream=True)
        self.assertEqual(self.one().header("x-yallmp-route"), "f:200")

    def test_a_request_counts_once(self) -> None:
        """However often it was tried there: two requests with an S each do not open it."""
        self.two(error(503))
        for _ in range(2):
            self.one()
        self.assertEqual(self.asked("m"), 4)
        self.one()
        self.assertEqual(self.asked("m"), 6)

    def test_registration_resets_it(self) -> None:
        """A model that is registered again is asked again."""
        self.two(error(503))
        for _ in range(3):
            self.one()
        url = "http://10.0.0.1/v1"
        self.one_post({"model_name": "m", "api_base": url})
        self.one()
        self.assertEqual(self.asked("m"), 8)

    def one_post(self, body: Any) -> None:
        """Register a model."""
        got = self.finish(self.ask(body, path="/admin/models"))
        self.assertEqual(got.status, 200, got.body)

    def test_what_was_begun_before_says_nothing_of_the_new_one(self) -> None:
        """Requests that fail at the old address do not let the new backend rest."""
        self.two(silent, stream_rescue="off")
        old = [self.ask() for _ in range(3)]
        self.one_post({"model_name": "m", "api_base": "http://10.0.0.2/v1"})
        for connection in [end for end in self.net.ends if end.host.host == "10.0.0.1"]:
            connection.abortConnection()
        for got in old:
            self.finish(got)
        self.assertTrue(self.parts.registry.breakers.of("m").is_closed)  # type: ignore[union-attr]

    def test_a_key_that_was_replaced(self) -> None:
        """An answer that refuses the old key does not let the new backend rest."""
        self.two(lambda request: self.net.callLater(1, error(401), request))
        got = self.ask()
        self.one_post(
            {"model_name": "m", "api_base": "http://10.0.0.1/v1", "api_key": "sk-new-key"}
        )
        self.finish(got)
        self.assertTrue(self.parts.registry.breakers.of("m").is_closed)  # type: ignore[union-attr]
        self.flushLoggedErrors()

    def test_the_state_is_shown(self) -> None:
        """The administration and the record say who rests, for how long, and why."""
        self.two(error(503))
        for _ in range(3):
            self.one()
        got = self.finish(self.ask(path="/admin/models", method="GET"))
        shown = {each["name"]: each for each in got.json["data"]}
        self.assertEqual(shown["m"]["state"], "open")
        self.assertGreater(shown["m"]["rests_for"], 3)
        self.assertTrue(shown["m"]["why"])
        self.assertEqual((shown["f"]["state"], shown["f"]["rests_for"]), ("closed", 0))
        self.one()
        notes = [note.text for note in self.events_told(Note)]
        self.assertTrue(any(text.startswith("m rests for") for text in notes), notes)


class NoStormTests(RestingCase):
    """S are few when everything fails."""

    def test_all_answer_500(self) -> None:
        """Forty clients, 25 requests each: at most 2.2 attempts a request."""
        self.two(error(500), f=(error(500),))
        for _ in range(25):
            everyone = [self.ask() for _ in range(40)]
            for got in everyone:
                self.assertEqual(self.finish(got).status, 500)
        self.assertLessEqual(self.asked("m") + self.asked("f"), 2.2 * 1000)

    def test_a_fifth_at_most(self) -> None:
        """Of forty active requests eight are tried again; the others go on at once."""
        self.two(lambda request: self.net.callLater(1, error(500), request))
        everyone = [self.ask() for _ in range(40)]
        self.assertEqual(self.asked("m"), 40)
        for got in everyone:
            self.finish(got)
        self.assertEqual(self.asked("m"), 40, "by the time of the S it rests")
        self.assertEqual(self.parts.registry.retries.under_way, 0)  # type: ignore[union-attr]
        self.assertEqual(self.parts.registry.retries.active, 0)  # type: ignore[union-attr]

    def test_an_s_counts_until_its_answer_begins(self) -> None:
        """A stream that flows takes no room from others."""
        self.two(error(500), stream([ROLE, chunk("Hel")], end="hang"))
        got = self.ask(stream=True)
        self.net.pass_time(1)
        self.assertEqual(got.text, "Hel")
        self.assertEqual(self.parts.registry.retries.under_way, 0)  # type: ignore[union-attr]
        got.leave()

    def test_a_lonely_request_may_be_tried_again(self) -> None:
        """Three at once are always allowed."""
        self.two(error(500), good)
        self.assertEqual(self.one().header("x-yallmp-route"), "m:500,m:200")


class PoisonTests(ProxyCase):
    """Requests that backends die of."""

    def test_two_deaths_are_enough(self) -> None:
        """A third backend is not asked, and the client is told not to try again."""
        names = ("m", "f", "g")
        self.serve(
            *(self.fake(name, reset) for name in names[:2]),
            self.fake("g", good),
            fallbacks=(("m", ("f", "g")),),
        )
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.json["error"]["code"]), (502, "upstream_disconnected"))
        self.assertEqual(got.header("x-should-retry"), "false")
        self.assertEqual(self.fakes["g"].requests, [])

    def test_one_backend_twice_is_no_proof(self) -> None:
        """The same backend's second reset still leads on."""
        self.serve(self.fake("m", reset), self.fake("f", good), fallbacks=(("m", ("f",)),))
        got = self.finish(self.ask())
        route = got.header("x-yallmp-route")
        self.assertEqual(route, "m:disconnected,m:disconnected,f:200")


class BoundTests(ProxyCase):
    """Requests that depend on what one provider keeps."""

    def test_nobody_else_is_asked(self) -> None:
        """No N, and no S once it was sent."""
        self.serve(self.fake("m", error(503)), self.fake("f", good), fallbacks=FALLBACK)
        for fields in ({"store": True}, {"previous_response_id": "r1"}):
            before = len(self.fakes["m"].requests)
            got = self.finish(self.ask(**fields))
            self.assertEqual((got.status, got.header("x-yallmp-route")), (503, "m:503"))
            self.assertEqual(len(self.fakes["m"].requests), before + 1)
        self.assertEqual(self.fakes["f"].requests, [])

    def test_a_member_that_does_not_rest(self) -> None:
        """Of a group the first that is awake gets it; never a fallback."""
        self.serve(
            self.fake("m", error(401), order=0),
            self.fake("m2", good, model_name="m", order=1),
            self.fake("f", good),
            fallbacks=FALLBACK,
        )
        self.finish(self.ask())
        got = self.finish(self.ask(store=True))
        self.assertEqual(got.header("x-yallmp-route"), "m2:200")
        self.flushLoggedErrors()

    def test_a_connection_that_is_refused_is_tried_again(self) -> None:
        """Nothing was sent, so that it can do no harm."""
        self.serve(
            self.backend("m", "http://10.9.9.9/v1"), self.fake("f", good), fallbacks=FALLBACK
        )
        got = self.finish(self.ask(store=True))
        self.assertEqual(got.header("x-yallmp-route"), "m:unreachable,m:unreachable")

    def test_their_streams_are_not_rescued(self) -> None:
        """Another provider has no such conversation to go on with."""
        self.serve(
            self.fake("m", stream([ROLE, chunk("Hel")], end="cut")),
            self.fake("f", stream(GOOD_STREAM)),
            fallbacks=FALLBACK,
        )
        got = self.finish(self.ask(stream=True, store=True))
        self.assertIn("error", got.events[-1])
        self.assertEqual(self.fakes["f"].requests, [])


class StatusTests(ProxyCase):
    """The table as ``router_settings`` changes it."""

    def test_retry_statuses(self) -> None:
        """Only what is listed is tried again; failures without a status are as before."""
        router = Router(retry_statuses=frozenset({404}))
        self.serve(
            self.fake("m", error(404), error(503), error(503), good), self.fake("f", good),
            fallbacks=FALLBACK, router=router,
        )  # fmt: skip
        self.assertEqual(self.finish(self.ask()).header("x-yallmp-route"), "m:404,m:503,f:200")
        self.assertEqual(self.finish(self.ask()).header("x-yallmp-route"), "m:503,f:200")
        self.flushLoggedErrors()

    def test_failover_statuses(self) -> None:
        """Only what is listed leads on, also what would be the request's fault."""
        router = Router(failover_statuses=frozenset({422}), num_retries=0)
        self.serve(
            self.fake("m", error(422), error(503)), self.fake("f", good),
            fallbacks=FALLBACK, router=router,
        )  # fmt: skip
        self.assertEqual(self.finish(self.ask()).header("x-yallmp-route"), "m:422,f:200")
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.header("x-yallmp-route")), (503, "m:503"))


class WholeStreamTests(ProxyCase):
    """``stream_commit: complete``."""

    def two(self, *script: Any) -> None:
        """A primary whose streams are held back, and a fallback."""
        self.serve(
            self.fake("m", *script, stream_commit="complete", idle_timeout=10),
            self.fake("f", stream(GOOD_STREAM)),
            fallbacks=FALLBACK,
            router=Router(num_retries=0),
        )

    def test_a_whole_stream_is_released_as_it_came(self) -> None:
        """Nothing is changed, only later."""
        self.two(stream(GOOD_STREAM))
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.body, b"".join(GOOD_STREAM))
        self.assertEqual(len(got.parts), 1)

    def test_a_cut_is_retried_like_any_failure(self) -> None:
        """The client never sees the beginning of the answer that broke."""
        self.two(stream([ROLE, chunk("Other")], end="cut"))
        got = self.finish(self.ask(stream=True))
        self.assertEqual((got.text, got.header("x-yallmp-route")), ("Hello", "m:incomplete,f:200"))

    def test_a_stall_is_retried(self) -> None:
        """Silence in the middle counts from the last read, and leads on."""
        self.two(stream([ROLE, chunk("Other")], end="hang"))
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.text, "Hello")
        self.assertEqual(got.header("x-yallmp-route"), "m:timeout,f:200")

    def test_comments_flow_meanwhile(self) -> None:
        """What stands between the client and us sees life."""
        steady = [ROLE, *[chunk("x")] * 3]
        self.two(stream(steady, end="hang"))
        self.fakes["m"].script = [self.slow]
        got = self.ask(stream=True)
        self.net.pass_time(41, step=1)
        self.assertEqual(got.status, 200)
        self.assertIn(b": keep-alive", got.body)
        self.assertEqual(got.text, "")
        self.assertEqual(self.finish(got).text, "x" * 10)

    def slow(self, request: Any) -> None:
        """A token every five seconds."""
        request.setHeader("content-type", "text/event-stream")
        request.write(ROLE)
        for number in range(10):
            self.net.callLater(5.0 * number, request.write, chunk("x"))
        self.net.callLater(50, request.write, chunk(finish="stop"))
        self.net.callLater(50.1, request.finish)

    def test_too_large(self) -> None:
        """An answer over the limit is none; nothing of it was seen."""
        big = [ROLE, *[chunk("x" * 1000)] * 30, chunk(finish="stop")]
        self.serve(
            self.fake("m", stream(big), stream_commit="complete"),
            self.fake("f", stream(GOOD_STREAM)),
            fallbacks=FALLBACK,
            limits=Limits(max_response_bytes=20_000),
        )
        got = self.finish(self.ask(stream=True))
        self.assertEqual(got.text, "Hello")
        self.assertEqual(got.header("x-yallmp-route"), "m:invalid_response,f:200")

    def test_clean_early_ends_are_no_deaths(self) -> None:
        """Two backends that end too early do not keep the third from answering."""
        early = stream([ROLE, chunk("Other")])
        self.serve(
            self.fake("m", early, stream_commit="complete"),
            self.fake("f", early, stream_commit="complete"),
            self.fake("g", stream(GOOD_STREAM)),
            fallbacks=(("m", ("f", "g")),),
        )
        got = self.finish(self.ask(stream=True))
        self.assertEqual((got.text, got.header("x-yallmp-backend")), ("Hello", "g"))

    def test_missing_formal_end(self) -> None:
        """``[DONE]`` is added behind what was held."""
        self.two(stream(GOOD_STREAM[:-1]))
        got = self.finish(self.ask(stream=True))
        self.assertEqual((got.text, got.events[-1]), ("Hello", "[DONE]"))

    def test_json_in_place_of_a_stream(self) -> None:
        """It becomes a stream all the same."""
        self.two(answer(completion("hello")))
        got = self.finish(self.ask(stream=True))
        self.assertEqual((got.text, got.events[-1]), ("hello", "[DONE]"))
