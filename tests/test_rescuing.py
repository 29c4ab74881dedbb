"""
Streams that break after the commit, made whole by another backend: over the wire.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes import (
    DONE,
    ROLE,
    Answer,
    Got,
    ProxyCase,
    answer,
    chunk,
    completion,
    error,
    silent,
    stream,
)
from yallmp.api_types import openai_rescue
from yallmp.core.exchange import AttemptEnd, End, Note, Read
from yallmp.core.settings import Router

WORDS = ("One ", "two ", "three: ", "é", "🙂", " four.")
TEXT = "".join(WORDS)
USAGE = b'data: {"id": "c", "choices": [], "usage": {"total_tokens": 9}, "model": "up"}\n\n'


def told(*words: str, id: str = "c", finish: str | None = "stop") -> list[bytes]:  # noqa: A002
    """A stream that says *words*."""
    events = [ROLE.replace(b'{"choices"', b'{"id": "%s", "choices"' % id.encode())]
    events += [chunk(word, id=id) for word in words]
    return [*events, chunk(finish=finish, id=id), USAGE, DONE] if finish else events


def one_cut(data: bytes) -> Answer:
    """A stream that is cut behind *data*."""
    return stream([data], end="cut")


class RescueCase(ProxyCase):
    """A primary that breaks, and others."""

    def route(self, *scripts: Answer, router: Router | None = None, **settings: Any) -> None:
        """Serve backends ``m``, ``f``, ``g`` that answer from *scripts*; settings are of ``m``."""
        names = ("m", "f", "g")[: len(scripts)]
        backends = [
            self.fake(name, script, **(settings if name == "m" else {}))
            for name, script in zip(names, scripts, strict=True)
        ]
        fallbacks = (("m", names[1:]),) if names[1:] else ()
        self.serve(*backends, fallbacks=fallbacks, router=router or Router())

    def stream_of(self, **fields: Any) -> Got:
        """A stream, to its end."""
        return self.finish(self.ask(stream=True, **fields))

    def check_whole(self, got: Got, text: str = TEXT) -> None:
        """It is a whole answer, and looks like one."""
        self.assertEqual(got.text, text)
        self.assertEqual(got.events[-1], "[DONE]")
        self.assertTrue(got.clean)
        self.assertEqual({e["id"] for e in got.events[:-1] if "id" in e}, {"c"})
        self.assertEqual(self.events_told(End)[-1].outcome, "success")

    def check_broken(self, got: Got, text: str, code: str = "upstream_disconnected") -> None:
        """It has the beginning *text* and an error, and does not look whole."""
        self.assertEqual(got.text, text)
        self.assertEqual(got.events[-1]["error"]["code"], code)
        self.assertNotIn(b"[DONE]", got.body)
        self.assertFalse(got.clean)
        self.assertEqual(self.events_told(End)[-1].outcome, "incomplete")


class ComparisonTests(RescueCase):
    """Another backend says the same again."""

    def test_cut_at_every_byte(self) -> None:
        """Wherever the first stream is cut, the client has the whole answer, once."""
        whole = b"".join(told(*WORDS))
        self.route(silent, stream(told(*WORDS, id="other")))
        registry = self.parts.registry  # type: ignore[union-attr]
        for at in range(len(whole) + 1):
            registry.breakers.forget(["m", "f"])
            self.fakes["m"].script = [one_cut(whole[:at])]
            got = self.stream_of()
            self.assertEqual((got.text, got.events[-1]), (TEXT, "[DONE]"), at)
            self.assertTrue(got.clean, at)
            usages = [e for e in got.events if isinstance(e, dict) and e.get("usage")]
            self.assertLessEqual(len(usages), 1, at)

    def test_the_clients_id_stays(self) -> None:
        """From the seam on everything is the finisher's but the id."""
        self.route(
            one_cut(b"".join(told("One ", "two ", finish=None))),
            stream([e.replace(b'"up"', b'"other"') for e in told(*WORDS, id="x")]),
        )
        got = self.stream_of()
        self.check_whole(got)
        self.assertEqual(got.events[-2]["usage"], {"total_tokens": 9})
        self.assertEqual(got.events[-2]["model"], "other")
        self.assertIn(b": x-yallmp-route: m:incomplete,f:200\n", got.body)
        self.assertLess(got.body.index(b"x-yallmp-route"), got.body.index(b"[DONE]"))

    def test_the_record_has_everything(self) -> None:
        """Both attempts with all their reads, and notes that say what happened."""
        self.route(one_cut(b"".join(told("One ", finish=None))), stream(told(*WORDS, id="x")))
        self.stream_of()
        reads = {r.number for r in self.events_told(Read)}
        self.assertEqual(reads, {1, 2})
        ends = [(e.backend, e.error) for e in self.events_told(AttemptEnd)]
        self.assertEqual(ends, [("m", "incomplete"), ("f", None)])
        notes = " ".join(note.text for note in self.events_told(Note))
        self.assertIn("f is asked to go on, by comparison", notes)
        self.assertEqual(self.events_told(End)[-1].backend, "f")

    def test_a_stall(self) -> None:
        """A primary that falls silent is left, and the stream goes on."""
        self.route(
            stream(told("One ", "two ", finish=None), end="hang"),
            stream(told(*WORDS, id="x")),
            idle_timeout=10,
        )
        got = self.stream_of()
        self.check_whole(got)
        self.assertLess(got.parts[-1][0], 12)

    def test_an_error_event(self) -> None:
        """One in the middle of a stream is a break like any other."""
        event = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'
        self.route(stream([*told("One ", finish=None), event]), stream(told(*WORDS, id="x")))
        self.check_whole(self.stream_of())

    def test_an_early_end(self) -> None:
        """So is a clean end without a finish reason."""
        self.route(stream(told("One ", finish=None)), stream(told(*WORDS, id="x")))
        self.check_whole(self.stream_of())

    def test_a_fallback_that_answers_differently(self) -> None:
        """Nothing of it reaches the client, which is told that its answer broke."""
        self.route(
            one_cut(b"".join(told("One ", "two ", finish=None))),
            stream(told("One ", "too many", id="x")),
        )
        got = self.stream_of()
        self.check_broken(got, "One two ")
        self.assertNotIn(b"too many", got.body)
        ends = [(e.backend, e.error) for e in self.events_told(AttemptEnd)]
        self.assertEqual(ends, [("m", "incomplete"), ("f", "diverged"), ("m", "incomplete")])

    def test_a_shorter_answer(self) -> None:
        """An end before the delivered length is another answer."""
        self.route(
            one_cut(b"".join(told("One ", "two ", finish=None))),
            stream(told("One ", id="x")),
        )
        self.check_broken(self.stream_of(), "One two ")

    def test_the_third_finishes(self) -> None:
        """A fallback that differs is followed by the next."""
        self.route(
            one_cut(b"".join(told("One ", "two ", finish=None))),
            stream(told("Uno ", id="x")),
            stream(told(*WORDS, id="y")),
        )
        self.check_whole(self.stream_of())

    def test_a_fallback_that_dies_too(self) -> None:
        """Two backends that die of a request are enough; the client is told."""
        self.route(
            one_cut(b"".join(told("One ", finish=None))),
            one_cut(b"".join(told("One ", "two ", id="x", finish=None))),
            stream(told(*WORDS, id="y")),
        )
        self.check_broken(self.stream_of(), "One two ")
        self.assertEqual(self.fakes["g"].requests, [])

    def test_a_fallback_that_stalls_too(self) -> None:
        """A rescue that falls silent is rescued once more, by the next."""
        self.route(
            stream(told("One ", finish=None), end="hang"),
            stream(told("One ", "two ", id="x", finish=None), end="hang"),
            stream(told(*WORDS, id="y")),
            idle_timeout=10,
        )
        self.fakes["f"].script = [stream(told("One ", "two ", id="x", finish=None), end="hang")]
        self.check_whole(self.stream_of())

    def test_at_most_two_attempts(self) -> None:
        """Then the client is told."""
        self.route(
            stream(told("One ", finish=None), end="hang"), error(503), error(503),
            idle_timeout=10,
        )  # fmt: skip
        self.check_broken(self.stream_of(), "One ", "upstream_idle_timeout")
        self.assertEqual(len(self.fakes["f"].requests), 1)
        self.assertEqual(len(self.fakes["g"].requests), 1)
        self.assertEqual(len(self.fakes["m"].requests), 1)

    def test_the_only_backend(self) -> None:
        """The one that broke is asked once more, last."""
        self.route(one_cut(b"".join(told("One ", finish=None))))
        self.fakes["m"].script.append(stream(told(*WORDS)))
        self.check_whole(self.stream_of())

    def test_comments_flow_and_time_is_bounded(self) -> None:
        """While nothing new comes the client sees life, until ``rescue_timeout``."""
        self.route(
            one_cut(b"".join(told("One ", finish=None))),
            silent,
            router=Router(sse_keepalive=5),
            rescue_timeout=20,
        )
        got = self.stream_of()
        self.check_broken(got, "One ")
        self.assertGreaterEqual(got.body.count(b": keep-alive"), 3)
        self.assertApproximates(got.parts[-1][0], 20, 1)

    def test_a_client_that_leaves_during_the_rescue(self) -> None:
        """It ends the rescue at once, and nobody else is asked."""
        self.route(one_cut(b"".join(told("One ", finish=None))), silent, stream(told(*WORDS)))
        got = self.ask(stream=True)
        self.net.pass_time(1)
        self.assertEqual(len(self.fakes["f"].requests), 1)
        got.leave()
        self.net.pass_time(0.1)
        self.assertEqual(len(self.fakes["f"].left), 1)
        self.assertEqual(self.fakes["g"].requests, [])
        self.assertEqual(self.events_told(End)[-1].outcome, "client_gone")

    def test_one_answer_in_place_of_a_stream(self) -> None:
        """A fallback that does not stream can go on too."""
        self.route(one_cut(b"".join(told("One ", finish=None))), answer(completion(TEXT)))
        self.assertEqual(self.stream_of().text, TEXT)

    def test_reasoning_goes_before_content(self) -> None:
        """Both are compared, each by itself."""
        thought = chunk().replace(b'"delta": {}', b'"delta": {"reasoning_content": "hm"}')
        self.route(
            one_cut(b"".join([ROLE, thought, chunk("One ")])),
            stream([ROLE, thought, *told(*WORDS)[1:]]),
        )
        self.assertEqual(self.stream_of().text, TEXT)


class TimeTests(RescueCase):
    """Waiting for a place, and times that are ours."""

    def test_a_fallback_without_a_free_place(self) -> None:
        """``rescue_timeout`` ends the wait for a place, too; nothing begins after it."""
        self.serve(
            self.fake("m", one_cut(b"".join(told("One ", finish=None))), rescue_timeout=2),
            self.fake("f", silent, max_in_flight=1, queue_timeout=10),
            fallbacks=(("m", ("f",)),),
        )
        held = self.ask(model="f")
        got = self.ask(stream=True)
        self.net.pass_time(1)
        self.assertEqual(len(self.fakes["m"].requests), 1)
        self.finish(got, 30)
        self.check_broken(got, "One ")
        self.assertLess(got.parts[-1][0], 3.5)
        held.leave()
        self.net.pass_time(12, step=0.5)
        self.assertEqual(len(self.fakes["f"].requests), 1)

    def test_a_rescue_out_of_time_is_not_the_fallbacks_fault(self) -> None:
        """A backend that was saying the same all the while does not rest for it."""
        slow = stream(told("One ", finish=None), end="hang")
        self.route(one_cut(b"".join(told("One ", "two ", finish=None))), slow, rescue_timeout=2)
        for _ in range(3):
            self.stream_of()
        registry = self.parts.registry  # type: ignore[union-attr]
        self.assertTrue(registry.breakers.of("f").is_closed)


class PaceTests(RescueCase):
    """A client that does not read, across a rescue."""

    def test_the_rescuer_is_held_back_too(self) -> None:
        """What the client does not read is not gathered, whoever sends it."""
        words = ["x" * 8000 for _ in range(400)]
        self.route(stream(told(*words[:40], finish=None), end="cut"), stream(told(*words)))
        got = self.ask(stream=True, reading=False)
        self.net.pass_time(5, step=0.5)
        buffered = [len(end.sent) for end in self.net.ends if hasattr(end, "sent")]
        self.assertFalse(got.over, buffered)
        self.assertTrue(self.backend_is_held(), "the rescuer goes on sending")
        got.transport.resumeProducing()
        self.finish(got)
        self.assertEqual(got.text, "".join(words))

    def backend_is_held(self) -> bool:
        """Whether some of the answer is still at the rescuer."""
        return self.parts.registry.in_flight.count("f") == 1  # type: ignore[union-attr]


class CountedTests(RescueCase):
    """What a rescue means to the backends' breakers."""

    def breaker(self, name: str) -> Any:
        """The breaker of a backend."""
        return self.parts.registry.breakers.of(name)  # type: ignore[union-attr]

    def test_a_rescuer_that_fails(self) -> None:
        """Its failures count, and let it rest."""
        self.route(one_cut(b"".join(told("One ", finish=None))), error(401))
        self.stream_of()
        self.assertEqual(self.breaker("f").why, "auth")
        self.flushLoggedErrors()

    def test_a_rescuer_that_breaks(self) -> None:
        """Three streams that it broke after it went on let it rest."""
        self.route(
            stream(told("One ", finish=None)),
            stream(told("One ", "two ", id="x", finish=None)),
        )
        for _ in range(3):
            self.breaker("m").rest(1000, 0.0, "for the test")
            self.parts.registry.breakers.forget(["m"])  # type: ignore[union-attr]
            self.stream_of()
        self.assertFalse(self.breaker("f").is_closed)

    def test_two_clean_early_ends_are_no_deaths(self) -> None:
        """The third backend makes it whole."""
        self.route(
            stream(told("One ", finish=None)), stream(told("One ", finish=None)),
            stream(told(*WORDS, id="y")),
        )  # fmt: skip
        self.check_whole(self.stream_of())


class FinishedTests(RescueCase):
    """Answers that are whole, whatever comes behind them."""

    def test_an_error_behind_a_finished_answer(self) -> None:
        """It is complete: nobody else is asked, and there is one finish reason."""
        whole = told(*WORDS)[:-2]
        for behind in (
            b'data: {"error": {"message": "no", "code": 503}}\n\n',
            b'data: {"choices": [{"delta": \n\n',
        ):
            with self.subTest(behind=behind):
                self.tearDown()
                self.setUp()
                self.route(stream([*whole, behind]), stream(told(*WORDS, " And more.")))
                got = self.stream_of()
                self.check_whole(got)
                self.assertEqual(got.body.count(b'"stop"'), 1)
                self.assertEqual(self.fakes["f"].requests, [])


class UnreadableTests(RescueCase):
    """An unforeseen error in looking at a rescuer's last chunk."""

    def test_it_does_not_make_a_part_look_whole(self) -> None:
        """The chunk was seen, but did not go on."""

        def broken(*_: object) -> bytes:
            raise RuntimeError("unforeseen")

        self.patch(openai_rescue._Following, "_passed", broken)
        self.route(one_cut(b"".join(told("One ", finish=None))), stream(told("One ")[:-1]))
        got = self.stream_of()
        self.check_broken(got, "One ")
        self.assertTrue(self.flushLoggedErrors(RuntimeError))


class NoRescueTests(RescueCase):
    """Answers that nobody can go on with."""

    def refused(self, event: bytes, text: str = "One ", **fields: Any) -> None:
        """A stream with *event* in it ends with an error, and nobody is asked."""
        self.route(
            one_cut(b"".join([*told("One ", finish=None), event])), stream(told(*WORDS, id="x"))
        )
        self.check_broken(self.stream_of(**fields), text)
        self.assertEqual(self.fakes["f"].requests, [])

    def test_two_choices(self) -> None:
        """Which is which cannot be told."""
        self.refused(b'data: {"choices": [{"index": 1, "delta": {"content": ""}}]}\n\n', n=2)

    def test_tool_calls(self) -> None:
        """A call that has begun cannot be compared."""
        call = b'{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}'
        self.refused(b'data: {"choices": [{"index": 0, "delta": {"tool_calls": [%s]}}]}\n\n' % call)

    def test_logprobs(self) -> None:
        """They differ from one backend to the next."""
        self.refused(
            b'data: {"choices": [{"index": 0, "delta": {"content": "x"},'
            b' "logprobs": {"content": []}}]}\n\n', text="One x", logprobs=True,
        )  # fmt: skip

    def test_switched_off(self) -> None:
        """``stream_rescue: off``."""
        self.route(
            one_cut(b"".join(told("One ", finish=None))), stream(told(*WORDS)),
            stream_rescue="off",
        )  # fmt: skip
        self.check_broken(self.stream_of(), "One ")

    def test_switched_off_with_prefill(self) -> None:
        """``off`` is off, also where a backend could go on with the text."""
        self.serve(
            self.fake("m", one_cut(b"".join(told("One ", finish=None))), stream_rescue="off"),
            self.fake("f", stream(told("two", id="x")), prefill="plain"),
            fallbacks=(("m", ("f",)),),
        )
        self.check_broken(self.stream_of(), "One ")
        self.assertEqual(self.fakes["f"].requests, [])

    def test_large_prompts(self) -> None:
        """``auto`` spends a large prompt again only if the same answer is to be expected."""
        big = [{"role": "user", "content": "x" * 33000}]
        self.route(one_cut(b"".join(told("One ", finish=None))), stream(told(*WORDS)))
        self.check_broken(self.stream_of(messages=big), "One ")
        self.assertEqual(self.stream_of(messages=big, temperature=0).text, TEXT)
        self.assertEqual(self.stream_of(messages=big, seed=7).text, TEXT)

    def test_a_content_filter_in_the_middle(self) -> None:
        """What a filter stops nobody else goes on with."""
        event = b'data: {"error": {"message": "content_filter", "code": "content_filter"}}\n\n'
        self.route(stream([*told("One ", finish=None), event]), stream(told(*WORDS)))
        got = self.stream_of()
        self.assertEqual((got.text, self.fakes["f"].requests), ("One ", []))
        self.assertIn("error", got.events[-1])


class PrefillTests(RescueCase):
    """Another backend goes on with the text."""

    def setUp(self) -> None:
        super().setUp()
        self.begun = one_cut(b"".join(told("One ", "two ", finish=None)))

    def route_with(self, prefill: str, *scripts: Answer) -> None:
        """A primary, and a fallback with *prefill*."""
        self.serve(
            self.fake("m", self.begun),
            self.fake("f", *scripts, prefill=prefill),
            self.fake("g", stream(told(*WORDS, id="y"))),
            fallbacks=(("m", ("f", "g")),),
        )

    def test_it_goes_on(self) -> None:
        """The client sees one text; usage, which counts something else, is left out."""
        self.route_with("plain", stream(told("three: é", "🙂", " four.", id="x")))
        got = self.stream_of()
        self.check_whole(got)
        self.assertNotIn(b'"usage"', got.body)
        messages = self.fakes["f"].bodies[0]["messages"]
        self.assertEqual(messages[-1], {"role": "assistant", "content": "One two "})
        self.assertEqual(messages[0]["role"], "user")

    def test_a_marked_prefix(self) -> None:
        """``prefix`` marks the message."""
        self.route_with("prefix", stream(told("three: é🙂 four.", id="x")))
        self.check_whole(self.stream_of())
        self.assertIs(self.fakes["f"].bodies[0]["messages"][-1]["prefix"], True)

    def test_vllm(self) -> None:
        """``vllm`` sets two more members."""
        self.route_with("vllm", stream(told("three: é🙂 four.", id="x")))
        self.check_whole(self.stream_of())
        body = self.fakes["f"].bodies[0]
        self.assertIs(body["continue_final_message"], True)
        self.assertIs(body["add_generation_prompt"], False)

    def test_a_fallback_that_refuses_it(self) -> None:
        """Its 400 never reaches the client; the next goes on by comparison."""
        self.route_with("plain", error(400, "the last message must not be the assistant's"))
        got = self.stream_of()
        self.check_whole(got)
        self.assertNotIn(b"must not be", got.body)

    def test_one_that_takes_the_text_for_whole(self) -> None:
        """A continuation of nothing is none: a part would look like all of it."""
        self.route_with("plain", stream(told(id="x")))
        got = self.stream_of()
        self.check_whole(got)
        self.assertEqual(self.events_told(AttemptEnd)[1].error, "diverged")

    def test_one_that_begins_anew(self) -> None:
        """A backend that repeats the beginning is dropped before any of it is seen."""
        start = "One two three and a half, which is a long beginning. "
        self.begun = one_cut(b"".join(told(start, finish=None)))
        self.route_with("plain", stream(told(start, "and on", id="x")))
        self.fakes["g"].script = [stream(told(start, "and on.", id="y"))]
        self.check_whole(self.stream_of(), start + "and on.")

    def test_not_with_tools(self) -> None:
        """Then it is compared."""
        self.route_with("plain", stream(told(*WORDS, id="x")))
        tools = [{"type": "function", "function": {"name": "t", "parameters": {}}}]
        self.check_whole(self.stream_of(tools=tools))
        self.assertEqual(self.fakes["f"].bodies[0]["messages"][-1]["role"], "user")

    def test_json_is_kept(self) -> None:
        """Every other byte of the client's request is what it was."""
        self.route_with("plain", stream(told("three: é🙂 four.", id="x")))
        message = b'{"role":"user","content":"\\u00e9 1.0"}'
        body = b'{"model":"m",  "messages" : [ %s ], "stream":true}' % message
        self.check_whole(self.finish(self.ask(body)))
        sent = self.fakes["f"].requests[0][3]
        self.assertIn(message, sent)
        self.assertEqual(len(json.loads(sent)["messages"]), 2)
