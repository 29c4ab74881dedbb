"""
Whether, by whom and how a stream that broke is made whole: the decisions.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.asked import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Asked, understand
from yallmp.core.backend import Backend, Patience
from yallmp.core.jsonbody import Document
from yallmp.core.problems import Problem, Reason
from yallmp.core.rescue import (
    LOOKED_AT,
    Agreement,
    Repetition,
    Said,
    compares,
    may_ever_rescue,
    may_rescue,
    prefills,
    repeats,
    rescue_seconds,
    rescuers,
)
from yallmp.core.routing import Route
from yallmp.core.transcript import MOST, Transcript

A, B, C = Backend("a", "m"), Backend("b", "f"), Backend("c", "g")
ROUTE = Route("m", "m", "exact", (A, B, C))
CUT = Problem(Reason.INCOMPLETE, code="upstream_disconnected")


def asked(endpoint: Any = CHAT, **fields: Any) -> Asked:
    """A request with *fields*."""
    needed = {"messages": [{"role": "user", "content": "hi"}]} if endpoint is CHAT else {}
    body = {"model": "m", **needed, "stream": True, **fields}
    return understand(endpoint, Document.parse(json.dumps(body).encode()))


def said(**fields: str) -> Transcript:
    """What a client has."""
    transcript = Transcript()
    for name, text in fields.items():
        transcript.add(name, text)
    return transcript


class MayTests(SynchronousTestCase):
    """Whether a stream may be told on."""

    def may(self, problem: Problem = CUT, route: Route = ROUTE, **fields: Any) -> bool:
        """Whether a chat stream with some content may be."""
        return may_rescue(A, problem, said(content="x"), asked(**fields), route)

    def test_breaks(self) -> None:
        """A cut, silence, an early end, an event that cannot be read, a backend's error."""
        for reason in (Reason.INCOMPLETE, Reason.TIMEOUT, Reason.INVALID, Reason.ANSWER_ERROR,
                       Reason.SERVER_ERROR, Reason.RATE_LIMIT):  # fmt: skip
            self.assertTrue(self.may(Problem(reason)), reason)

    def test_ends_that_are_right(self) -> None:
        """A filter, a fault of the request, a lifetime, our shutdown, the deadline."""
        for reason in (Reason.CONTENT_FILTER, Reason.AT_FAULT, Reason.DEADLINE):
            self.assertFalse(self.may(Problem(reason)), reason)
        for code in ("stream_lifetime_exceeded", "proxy_shutdown"):
            self.assertFalse(self.may(Problem(Reason.TIMEOUT, code=code)), code)

    def test_requests(self) -> None:
        """One choice of text, no server-side tools, nothing bound."""
        function = {"type": "function", "function": {"name": "f"}}
        for good in ({}, {"tools": [function]}, {"tools": []}, {"logprobs": False}, {"n": 1}):
            self.assertTrue(self.may(**good), good)
        bad: tuple[dict[str, Any], ...] = (
            {"n": 2}, {"logprobs": True}, {"tools": [{"type": "web_search"}]},
            {"tools": [function, {"type": "code_interpreter"}]}, {"web_search_options": {}},
            {"modalities": ["text", "audio"]}, {"audio": {"voice": "x"}},
        )  # fmt: skip
        for fields in bad:
            self.assertFalse(self.may(**fields), fields)
        self.assertFalse(self.may(route=ROUTE.to_one()))

    def test_switched_off(self) -> None:
        """By the setting of the backend that broke; prefill does not change that."""
        silent = Backend("a", "m", stream_rescue="off")
        self.assertFalse(may_rescue(silent, CUT, said(content="x"), asked(), ROUTE))

    def test_endpoints(self) -> None:
        """Wherever a model talks; what cannot be gone on with, its inspector says."""
        for endpoint, good in ((CHAT, True), (COMPLETIONS, True), (RESPONSES, True),
                               (EMBEDDINGS, False)):  # fmt: skip
            self.assertIs(may_rescue(A, CUT, said(content="x"), asked(endpoint), ROUTE), good)

    def test_what_is_more_than_text(self) -> None:
        """A transcript that is not plain is the end."""
        self.assertFalse(may_rescue(A, CUT, Transcript(plain=False), asked(), ROUTE))

    def test_very_long_answers(self) -> None:
        """So much is not kept."""
        transcript = said(content="x" * MOST)
        self.assertTrue(transcript.plain)
        transcript.add("content", "x")
        self.assertFalse(transcript.plain)
        self.assertEqual(transcript.fields, {})

    def test_pieces_are_joined(self) -> None:
        """A long answer is not thousands of pieces."""
        transcript = Transcript()
        for number in range(1000):
            transcript.add("content", f"{number} ")
        self.assertEqual(transcript.fields["content"], "".join(f"{n} " for n in range(1000)))
        self.assertLess(len(transcript._parts["content"]), 300)


class HowTests(SynchronousTestCase):
    """By comparison or by prefill, by whom, for how long."""

    def test_auto(self) -> None:
        """Small requests, and those that have one answer."""
        big = {"messages": [{"role": "user", "content": "x" * 40000}]}
        self.assertTrue(compares(A, asked()))
        self.assertFalse(compares(A, asked(**big)))
        for settled in ({"temperature": 0}, {"temperature": 0.0}, {"seed": 0}):
            self.assertTrue(compares(A, asked(**big, **settled)), settled)
        for open_ in ({"temperature": 1}, {"temperature": False}, {"seed": None}):
            self.assertFalse(compares(A, asked(**big, **open_)), open_)

    def test_on_and_off(self) -> None:
        """Whatever the request is."""
        big = asked(messages=[{"role": "user", "content": "x" * 40000}])
        self.assertTrue(compares(Backend("a", "m", stream_rescue="on"), big))
        self.assertFalse(compares(Backend("a", "m", stream_rescue="off"), asked(seed=1)))

    def test_time(self) -> None:
        """30 s, or as long as it took, at most 120 s; an explicit time is final."""
        for took, seconds in ((1, 30), (60, 60), (600, 120)):
            self.assertEqual(rescue_seconds(Patience(), took), seconds)
        self.assertEqual(rescue_seconds(Patience(rescue_timeout=5), 600), 5)
        self.assertEqual(rescue_seconds(Patience(request_timeout=5), 1), 30)

    def test_order(self) -> None:
        """Those that rest after the others, the broken last of all."""
        self.assertEqual(rescuers(ROUTE, {"a"}, ()), (B, C, A))
        self.assertEqual(rescuers(ROUTE, {"a"}, {"b"}), (C, B, A))
        self.assertEqual(rescuers(ROUTE, {"a", "b"}, {"c"}), (C, A, B))

    def test_prefill(self) -> None:
        """The same model, chat, content alone, and nothing that shapes the answer."""
        willing = Backend("b", "f", prefill="plain")
        self.assertTrue(prefills(willing, "x", "x", asked(), said(content="so far so")))
        self.assertFalse(prefills(B, "x", "x", asked(), said(content="so far so")))
        self.assertFalse(prefills(willing, "x", "z", asked(), said(content="so far so")))
        self.assertFalse(prefills(willing, "x", "x", asked(COMPLETIONS), said(text="y")))
        thought = said(reasoning_content="hm", content="so far so")
        self.assertFalse(prefills(willing, "x", "x", asked(), thought))
        shaping: tuple[dict[str, Any], ...] = (
            {"max_tokens": 9}, {"max_completion_tokens": 1}, {"stop": "x"},
            {"response_format": {"type": "text"}}, {"tools": [{"type": "function"}]},
            {"guided_json": {}, "guided_regex": "a+"}, {"grammar": "root ::= x"},
            {"structured_outputs": {"choice": ["a"]}},
        )  # fmt: skip
        for fields in shaping:
            self.assertFalse(
                prefills(willing, "x", "x", asked(**fields), said(content="so far so"))
            )

    def test_prefill_that_could_not_be_watched(self) -> None:
        """Too short a text, a beginning of the client's own, and what the backend adds."""
        willing, enough = Backend("b", "f", prefill="plain"), said(content="so far so")
        self.assertFalse(prefills(willing, "x", "x", asked(), said(content="so far")))
        begun = asked(messages=[{"role": "user", "content": "a"}, {"role": "assistant"}])
        self.assertFalse(prefills(willing, "x", "x", begun, enough))
        limiting = Backend("b", "f", prefill="plain", extra_body=(("max_tokens", "9"),))
        self.assertFalse(prefills(limiting, "x", "x", asked(), enough))

    def test_whether_anything_is_kept(self) -> None:
        """Only what might be told on: not large requests, unless somebody could go on."""
        big = asked(messages=[{"role": "user", "content": "x" * 40000}])
        self.assertTrue(may_ever_rescue(A, asked(), ROUTE))
        self.assertFalse(may_ever_rescue(A, big, ROUTE))
        self.assertFalse(may_ever_rescue(A, asked(n=2), ROUTE))
        self.assertFalse(may_ever_rescue(A, asked(), ROUTE.to_one()))
        self.assertFalse(may_ever_rescue(Backend("a", "m", stream_rescue="off"), asked(), ROUTE))
        willing = Route("m", "m", "exact", (A, Backend("b", "f", prefill="plain")))
        self.assertTrue(may_ever_rescue(A, big, willing))


class AgreementTests(SynchronousTestCase):
    """Comparing, piece by piece."""

    def heard(self, delivered: dict[str, str], *pieces: dict[str, str]) -> list[Any]:
        """What each piece is."""
        agreement = Agreement(delivered)
        return [agreement.hear(piece) for piece in pieces]

    def test_known_then_new(self) -> None:
        """A piece that crosses the seam is cut there."""
        told = self.heard(
            {"content": "abc"}, {"content": "ab"}, {"content": "cd"}, {"content": "e"}
        )
        self.assertEqual(
            told,
            [(Said.KNOWN, {}), (Said.NEW, {"content": "d"}), (Said.NEW, {"content": "e"})],
        )

    def test_exactly_to_the_end(self) -> None:
        """Then the next piece is new."""
        told = self.heard({"content": "abc"}, {"content": "abc"}, {"content": "d"})
        self.assertEqual(told, [(Said.KNOWN, {}), (Said.NEW, {"content": "d"})])

    def test_the_first_difference(self) -> None:
        """Anywhere in a piece."""
        for piece in ("x", "abx", "abcx"[:2] + "x"):
            self.assertIs(self.heard({"content": "abc"}, {"content": piece})[0][0], Said.DIFFERENT)

    def test_fields_by_themselves(self) -> None:
        """Reasoning first, then content."""
        both = {"reasoning": "hm", "content": "ab"}
        told = self.heard(both, {"reasoning": "hm"}, {"content": "abc"})
        self.assertEqual(told[1], (Said.NEW, {"content": "c"}))

    def test_more_in_a_field_that_was_over(self) -> None:
        """Longer reasoning than the client has, before the content is covered, is different."""
        both = {"reasoning": "hm", "content": "ab"}
        self.assertIs(self.heard(both, {"reasoning": "hmm"})[0][0], Said.DIFFERENT)

    def test_another_field(self) -> None:
        """A refusal in place of content is different; behind the seam it flows."""
        self.assertIs(self.heard({"content": "ab"}, {"refusal": "no"})[0][0], Said.DIFFERENT)
        told = self.heard({"reasoning": "hm"}, {"reasoning": "hm"}, {"content": "a"})
        self.assertEqual(told[1], (Said.NEW, {"content": "a"}))

    @given(st.text("ab"), st.text("ab"), st.integers(0, 9))
    def test_all_or_nothing(self, delivered: str, text: str, size: int) -> None:
        """What is new is the text behind what was delivered, and only if that is its start."""
        agreement, news = Agreement({"content": delivered} if delivered else {}), ""
        for at in range(0, len(text), size + 1):
            said_, new = agreement.hear({"content": text[at : at + size + 1]})
            if said_ is Said.DIFFERENT:
                self.assertFalse(text.startswith(delivered))
                self.assertEqual(news, "")
                return
            news += new.get("content", "")
        self.assertTrue(text.startswith(delivered) or delivered.startswith(text))
        self.assertEqual(news, text[len(delivered) :])


class RepetitionTests(SynchronousTestCase):
    """Prefill: one that begins anew is found out."""

    START = "The quick brown fox jumps over the lazy dog"

    def test_what_repeats(self) -> None:
        """The start, or the tail, by sixteen characters."""
        self.assertTrue(repeats(self.START, self.START + " again"))
        self.assertTrue(repeats(self.START, self.START[-16:] + " and on"))
        self.assertFalse(repeats(self.START, self.START[-15:] + " and on"))
        self.assertFalse(repeats(self.START, " and then it sleeps for a while"))
        self.assertTrue(repeats("One, two", "One, two, three"))
        self.assertFalse(repeats("One", "One more thing that is not the same"))

    def test_space_in_front(self) -> None:
        """Whoever begins anew may do so on a new line."""
        self.assertTrue(repeats(self.START, "\n\n" + self.START))
        self.assertTrue(repeats("\n" + self.START, self.START))
        self.assertTrue(repeats(self.START, "\n" + self.START[-18:] + " again"))

    def test_short_ones(self) -> None:
        """The whole of a continuation of eight characters or more is looked at too."""
        self.assertTrue(repeats(self.START, "The quick"))
        self.assertTrue(repeats(self.START, "lazy dog"))
        self.assertFalse(repeats(self.START, "azy dog"))
        self.assertFalse(repeats(self.START, " and yawns."))

    def test_it_is_held_first(self) -> None:
        """Until two hundred characters, or the end."""
        watch = Repetition(self.START)
        self.assertEqual(watch.hear(" and on"), (Said.KNOWN, ""))
        self.assertEqual(watch.hear("!", over=True), (Said.NEW, " and on!"))
        watch = Repetition(self.START)
        text = "x" * LOOKED_AT
        self.assertEqual(watch.hear(text), (Said.NEW, text))
        self.assertEqual(watch.hear(self.START), (Said.NEW, self.START))

    def test_nothing_is_no_continuation(self) -> None:
        """The backend took the text for a whole answer, which it may not be."""
        for held in ("", " \n"):
            watch = Repetition(self.START)
            self.assertEqual(watch.hear(held, over=True), (Said.DIFFERENT, ""))

    def test_one_that_repeats_is_dropped(self) -> None:
        """Nothing of it was seen."""
        watch = Repetition(self.START)
        self.assertEqual(watch.hear(self.START, over=True), (Said.DIFFERENT, ""))
