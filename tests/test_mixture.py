"""
A stream that another one finishes is never a mixture of two answers.

Two made-up answers, the first cut anywhere, the second compared with what came of it: what
the client got is the start of the first, one whole answer, or a start and an error.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from attrs import frozen
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types import API_TYPES
from yallmp.core.asked import CHAT, understand
from yallmp.core.gate import Gate
from yallmp.core.jsonbody import Document
from yallmp.core.problems import Problem, Reason
from yallmp.core.sse import Parser
from yallmp.core.transcript import Transcript

OPENAI = API_TYPES["openai"]
ASKED = understand(
    CHAT, Document.parse(b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}')
)
LARGEST = 1 << 20


@frozen
class Answer:
    """
    A made-up answer: pieces of reasoning, then pieces of content.

    ``ending`` is how it ends: with a finish reason, usage, ``[DONE]``.
    """

    thoughts: tuple[str, ...]
    words: tuple[str, ...]
    id: str
    role: bool = True
    usage: bool = True

    @property
    def text(self) -> dict[str, str]:
        """What it says, by field."""
        said = {"reasoning_content": "".join(self.thoughts), "content": "".join(self.words)}
        return {name: text for name, text in said.items() if text}

    @property
    def stream(self) -> bytes:
        """As a backend streams it."""
        deltas = [{"role": "assistant", "content": ""}] if self.role else []
        deltas += [{"reasoning_content": thought} for thought in self.thoughts]
        deltas += [{"content": word} for word in self.words]
        chunks: list[dict[str, Any]] = [self.chunk(delta) for delta in deltas]
        chunks.append(self.chunk({}, "stop"))
        if self.usage:
            chunks.append({"id": self.id, "choices": [], "usage": {"total_tokens": 3}})
        events = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        return b"".join([*events, b"data: [DONE]\n\n"])

    def chunk(self, delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        """One chunk."""
        return {"id": self.id, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@frozen
class Course:
    """What came of reading a stream."""

    sent: bytes
    transcript: Transcript
    whole: bool
    problem: Problem | None


def follow(gate: Gate, data: bytes, cuts: list[int], *, ends: bool) -> Course:
    """Read *data*, split at *cuts*; ``ends`` tells that its body ends as it should."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in pairwise(edges)]
    releases = [gate.feed(piece) for piece in pieces]
    if ends and not gate.over:
        releases.append(gate.end())
    sent = b"".join(release.data for release in releases)
    problem = next((release.problem for release in releases if release.problem), None)
    whole = any(release.done for release in releases)
    return Course(sent, gate.inspector.transcript, whole, problem)


def fresh(inspector: Any) -> Gate:
    """A gate."""
    return Gate(inspector, LARGEST, lambda error: Problem(Reason.ANSWER_ERROR, str(error)))


def first(answer: Answer, at: int) -> Course:
    """*answer*, cut behind *at* bytes."""
    return follow(fresh(OPENAI.inspector(ASKED)), answer.stream[:at], [], ends=False)


def second(delivered: Transcript, answer: Answer, cuts: list[int], at: int | None = None) -> Course:
    """*answer* in the place of one that broke off; cut itself behind *at* bytes."""
    data = answer.stream if at is None else answer.stream[:at]
    gate = fresh(OPENAI.comparison(ASKED, delivered))
    return follow(gate, data, cuts, ends=at is None)


def said_in(data: bytes) -> dict[str, str]:
    """What a client has of the bytes *data*, by field."""
    found: dict[str, str] = {}
    parser = Parser(LARGEST)
    for event in parser.feed(data):
        if event.data in (None, b"[DONE]"):
            continue
        for choice in json.loads(event.data or b"")["choices"]:
            for name, text in (choice.get("delta") or {}).items():
                if name != "role" and text:
                    found[name] = found.get(name, "") + text
    return found


def is_start(part: dict[str, str], whole: dict[str, str]) -> bool:
    """Whether *part* is how *whole* starts: a later field only behind all of an earlier one."""
    names = list(whole)
    for name in part:
        if not whole.get(name, "").startswith(part[name]):
            return False
    reached = [name for name in names if part.get(name)]
    return (
        all(part.get(n) == whole[n] for n in names[: names.index(reached[-1])]) if reached else True
    )


WORDS = st.lists(st.text("ab é🙂\n", min_size=1, max_size=4), max_size=5).map(tuple)


@st.composite
def answers(draw: Any, *, id: str) -> Answer:  # noqa: A002
    """Any answer."""
    thoughts = draw(st.one_of(st.just(()), WORDS))
    return Answer(thoughts, draw(WORDS), id, draw(st.booleans()), draw(st.booleans()))


@st.composite
def retold(draw: Any) -> tuple[Answer, Answer]:
    """An answer, and the same in other pieces, or another that begins as it does."""
    one = draw(answers(id="one"))
    text = "".join(one.words) + draw(st.sampled_from(["", "", "a", "é"]))
    cuts = draw(st.lists(st.integers(0, max(len(text), 1)), max_size=4))
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    words = tuple(text[a:b] for a, b in pairwise(edges))
    return one, Answer(one.thoughts, words, "two", draw(st.booleans()), draw(st.booleans()))


class RefusedTests(SynchronousTestCase):
    """An answer that is refused is not whole, however far it was."""

    def test_a_last_chunk_that_cannot_be_passed_on(self) -> None:
        """It has the finish reason; without it, and its text, the answer is no whole one."""
        choice = b'{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}'
        odd = b'data: {"choices": [%s], "x": 1e400}\n\n' % choice
        for make in (OPENAI.comparison, OPENAI.continuation):
            delivered = Transcript()
            delivered.add("content", "ab")
            release = fresh(make(ASKED, delivered)).feed(
                b'data: {"choices": [{"index": 0, "delta": {"content": "ab"}}]}\n\n' + odd
            )
            self.assertFalse(release.done)
            self.assertNotIn(b"[DONE]", release.data)
            assert release.problem is not None
            self.assertIs(release.problem.reason, Reason.DIVERGED)


class MixtureTests(SynchronousTestCase):
    """Prefill is off: by comparison."""

    @given(st.one_of(st.tuples(answers(id="one"), answers(id="two")), retold()),
           st.integers(0, 2000), st.lists(st.integers(0, 5000), max_size=6),
           st.one_of(st.none(), st.integers(0, 3000)))  # fmt: skip
    @example((Answer((), ("ab",), "one"), Answer((), ("ab",), "two")), 200, [], None)
    def test_never_a_mixture(
        self, two: tuple[Answer, Answer], at: int, cuts: list[int], dies: int | None
    ) -> None:
        """Whatever both say, wherever the first is cut, however the second is read or dies."""
        one, other = two
        broke = first(one, at)
        if broke.whole or not broke.transcript.plain or not broke.sent:
            return
        course = second(broke.transcript, other, cuts, dies)
        had, got = said_in(broke.sent), said_in(broke.sent + course.sent)
        self.assertTrue(is_start(had, one.text))
        if course.sent:
            self.assertTrue(is_start(got, other.text), (had, got, other.text))
        if course.whole:
            self.assertEqual(got, other.text)
        else:
            self.assertTrue(dies is not None or course.problem is not None)
        self.assertEqual(course.transcript.fields, got)

    @given(retold(), st.integers(0, 2000), st.lists(st.integers(0, 5000), max_size=6))
    def test_reads_do_not_matter(
        self, two: tuple[Answer, Answer], at: int, cuts: list[int]
    ) -> None:
        """The second stream may come in any pieces."""
        broke = first(two[0], at)
        once = second(broke.transcript.copy(), two[1], [])
        pieces = second(broke.transcript.copy(), two[1], cuts)
        self.assertEqual((once.sent, once.whole), (pieces.sent, pieces.whole))

    @given(answers(id="one"), st.integers(0, 2000), st.booleans())
    def test_the_same_answer_makes_it_whole(self, one: Answer, at: int, role: bool) -> None:
        """A backend that says the same finishes it, with the client's id and usage once."""
        broke = first(one, at)
        if broke.whole or not broke.sent:
            return
        other = Answer(one.thoughts, one.words, "two", role)
        course = second(broke.transcript, other, [])
        finished = b'"finish_reason": "stop"' in broke.sent
        if finished:
            return  # nothing is missing: the relay adds the formal end by itself
        self.assertTrue(course.whole, course)
        self.assertEqual(said_in(broke.sent + course.sent), one.text)
        self.assertNotIn(b'"two"', course.sent)


class EveryByteTests(SynchronousTestCase):
    """One answer with all there is in it, cut behind each of its bytes."""

    ONE = Answer(("hm ", "é"), ("Once ", "🙂", " upon"), "one")
    #: The end at which nothing is missing any more.
    FINISH = ONE.stream.index(b'"stop"')

    def cuts(self) -> list[Course]:
        """What came of the first stream, for every place where it can break."""
        courses = [first(self.ONE, at) for at in range(self.FINISH)]
        return [course for course in courses if course.sent]

    def test_the_same_again(self) -> None:
        """It becomes the whole answer, of one id and one end."""
        again = Answer(("hm é",), ("Once 🙂", " up", "on"), "two", role=False)
        for broke in self.cuts():
            course = second(broke.transcript, again, [])
            both = broke.sent + course.sent
            self.assertEqual((course.whole, said_in(both)), (True, self.ONE.text))
            self.assertEqual((both.count(b'"stop"'), both.count(b"[DONE]")), (1, 1))
            self.assertNotIn(b'"two"', both)

    def test_another_answer(self) -> None:
        """Different at its first character, or shorter: nothing of it is sent but its own."""
        others = (Answer(("Hm é",), ("Once",), "two"), Answer((), ("Once 🙂 upon",), "two"),
                  Answer(("hm é",), (), "two"))  # fmt: skip
        for broke in self.cuts():
            for other in others:
                course = second(broke.transcript, other, [])
                agreed = is_start(broke.transcript.fields, other.text)
                self.assertEqual(course.whole, agreed, (broke.transcript.fields, other.text))
                if not agreed:
                    self.assertEqual(course.sent, b"")
                    assert course.problem is not None
                    self.assertIn(course.problem.reason, (Reason.DIVERGED, Reason.INCOMPLETE))

    def test_three_answers(self) -> None:
        """A rescue that breaks, wherever it does, can be rescued once more."""
        broke = first(self.ONE, self.ONE.stream.index(b"Once ") + 40)
        again = Answer(("hm é",), ("Once 🙂 u", "pon"), "two")
        for at in range(again.stream.index(b'"stop"')):
            rescue = second(broke.transcript, again, [], at)
            third = second(rescue.transcript, Answer(("hm é",), ("Once 🙂 upon",), "three"), [])
            both = broke.sent + rescue.sent + third.sent
            self.assertEqual((third.whole, said_in(both)), (True, self.ONE.text))
            self.assertNotIn(b'"three"', both)


#: How backends write the chunk with the finish reason.
ENDS = st.sampled_from([{}, {"delta": {}}, {"delta": None}, {"delta": {"content": ""}},
                        {"delta": {"role": "assistant", "content": None}}])  # fmt: skip


class ContinuationTests(SynchronousTestCase):
    """By prefill, where no other answer is compared."""

    START = "Once upon a time there was"

    @given(WORDS, st.integers(0, 300), ENDS, st.lists(st.integers(0, 5000), max_size=6))
    def test_nothing_is_lost(
        self, words: tuple[str, ...], length: int, end: dict[str, Any], cuts: list[int]
    ) -> None:
        """However it is written: all of what goes on is sent, or nothing."""
        pieces = [*words, "." * length]
        told = Answer((), tuple(piece for piece in pieces if piece), "two").stream
        finish = {"index": 0, "finish_reason": "stop", **end}
        said = told[: told.index(b'"stop"')].rpartition(b"data: ")[0]
        data = said + f"data: {json.dumps({'choices': [finish]})}\n\ndata: [DONE]\n\n".encode()
        delivered = Transcript(id="one")
        delivered.add("content", self.START)
        course = follow(fresh(OPENAI.continuation(ASKED, delivered)), data, cuts, ends=True)
        text = "".join(pieces)
        self.assertEqual(said_in(course.sent).get("content", ""), text if course.whole else "")
        self.assertEqual(course.whole, bool(text.strip()))
        self.assertEqual(course.transcript.fields["content"], self.START + text * course.whole)
