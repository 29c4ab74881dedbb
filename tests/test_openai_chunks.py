"""
The fast way through a stream comes to the same as the slow one, wherever reads split it.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from attrs import asdict, define, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.test_gate import DONE, POOL, ROLE, STOP, USAGE, chunk, data, gate, said
from yallmp.api_types.openai_streams import ChoiceStream
from yallmp.core.gate import Gate
from yallmp.core.inspector import Seen
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import MOST

#: What a stream mostly consists of, in the ways that backends write it.
USUAL = {
    "content": said("a"),
    "more than ASCII": data('{"choices":[{"delta":{"content":"é€🙂"}}]}'.encode()),
    "an escape": data(rb'{"choices":[{"delta":{"content":"\ud83d\ude42\n\"}\\"}}]}'),
    "a role beside it": chunk({"role": "assistant", "content": "a", "refusal": None}),
    "no calls": chunk({"content": "a", "tool_calls": [], "function_call": None}),
    "reasoning": chunk({"reasoning_content": "hm", "content": None}),
    "the other reasoning": chunk({"reasoning": "hm", "content": ""}),
    "text": data({"object": "text_completion", "choices": [{"index": 0, "text": "a"}]}),
    "text beside an empty delta": data({"choices": [{"index": 0, "text": "a", "delta": {}}]}),
    "all that OpenAI says": data(
        {"id": "i", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "system_fingerprint": None, "service_tier": "x", "obfuscation": "y", "usage": None,
         "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": None,
                      "finish_reason": None}]}),
    "what nobody knows": data({"x": {"y": [1e3, "}"]}, "choices": [{"delta": {"content": "a"}}]}),
    "null for an error": chunk({"content": "a"}, error=None),
}  # fmt: skip
#: What looks like it and is not, each for one reason.
UNUSUAL = {
    "a finish reason": STOP,
    "an empty one": chunk({"content": "a"}, ""),
    "an error": chunk({"content": "a"}, error={"message": "m"}),
    "an error that is spelt oddly": data(
        rb'{"\u0065rror":"m","choices":[{"delta":{"content":"a"}}]}'
    ),
    "an error's type": chunk({"content": "a"}, type="error"),
    "an error's object": chunk({"content": "a"}, object="error"),
    "a failed response": chunk({"content": "a"}, response={"status": "failed"}),
    "a failure": chunk({"content": "a"}, status="failed"),
    "an error in the choice": data({"choices": [{"delta": {"content": "a"}, "error": {}}]}),
    "usage": chunk({"content": "a"}, usage={"total_tokens": 1}),
    "two choices": data({"choices": [{"delta": {"content": "a"}}] * 2}),
    "no choice": data({"choices": []}),
    "another index": said("a", 1),
    "a call": chunk({"content": "a", "tool_calls": [{"index": 0}]}),
    "a field that nobody knows": chunk({"content": "a", "audio": {"id": 1}}),
    "logprobs": data({"choices": [{"delta": {"content": "a"}, "logprobs": {"content": []}}]}),
    "two fields": chunk({"content": "a", "reasoning": "b"}),
    "a refusal": chunk({"content": "a", "refusal": "b"}),
    "a message": data({"choices": [{"delta": {"content": "a"}, "message": {"content": "b"}}]}),
    "content of another kind": chunk({"content": ["a"]}),
    "an id of another kind": data({"id": 1, "choices": [{"delta": {"content": "a"}}]}),
    "not UTF-8 where nobody looks": data(b'{"x":"\xff","choices":[{"delta":{"content":"a"}}]}'),
    "half a pair": data(rb'{"x":"\ud83d","choices":[{"delta":{"content":"\ud83d"}}]}'),
    "two values": data(b'{"choices":[{"delta":{"content":"a"}}]}' * 2),
    "not JSON": data(b'{"choices":[{"delta":{"content":"a"}}],}'),
    "a value over two events": data(b'{"choices":[{}') + data(b'{"delta":{"content":"a"}}]}'),
    "no number": chunk({"content": "a"}, x=float("nan")),
    "a name": data({"choices": [{"delta": {"content": "a"}}]}, "message"),
    "an id": b"id: 7\n" + said("a"),
    "a line more": said("a").replace(b"\n\n", b"\nretry: 1\n\n"),
    "two lines": b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n',
    "a line of its own inside": said("a").replace(b", ", b"\n, ", 1),
    "two of them": said("a").replace(b", ", b"\n, ", 2),
    "lines that end in braces": data(b'{"x":{}\n,"choices":[{"delta":{"content":"a"}\n}]}'),
    "no blank": said("a").replace(b"data: ", b"data:"),
    "two blanks": said("a").replace(b"data: ", b"data:  "),
    "a blank behind": said("a").replace(b"\n\n", b" \n\n"),
    "an empty line before": b"\n" + said("a"),
    "a comment": b": ping\n\n",
    "CRLF": said("a").replace(b"\n", b"\r\n"),
    "CR": said("a").replace(b"\n", b"\r"),
}
EVENTS = st.sampled_from([*USUAL.values(), *USUAL.values(), *UNUSUAL.values(), *POOL])
STREAMS = st.lists(EVENTS, max_size=8).map(b"".join)
CUTS = st.lists(st.integers(0, 2000), max_size=6)
#: Bytes that mean something to JSON or to events, to be strewn into a stream.
GRIT = st.sampled_from([b"{", b"}", b",", b'"', b"\\", b"\n", b"\n\n", b"\r", b"\xff", b"]",
                        b"\x01", b"0", b" ", b"data: ", b"}\n\ndata: {"])  # fmt: skip


@frozen
class Found:
    """All that a stream has come to; what was sent and whether it was content, by read."""

    sent: tuple[bytes, ...]
    problem: Any
    done: bool
    dropped: int
    inspector: dict[str, Any]
    texts: dict[str, str]
    flags: tuple[tuple[bool, bool], ...]


class Careful(ChoiceStream):
    """Looks at each event by itself."""

    def follow(self, lines: bytes, count: int) -> bool:
        """Nothing is beyond doubt."""
        return False


@define
class Counting(ChoiceStream):
    """
    Counts what it has to look at by itself.

    :ivar times: how often.
    """

    times: int = 0

    def see(self, event: ServerEvent) -> Seen:
        """Look and count."""
        self.times += 1
        return ChoiceStream.see(self, event)


def begun(choices: int = 1, limit: int = 1 << 20, kind: Any = ChoiceStream) -> Gate:
    """A gate that is open: content has come, without an id."""
    made = gate(kind(choices), limit)
    made.feed(data({"choices": [{"index": 0, "delta": {"content": "first"}}]}))
    return made


def follow(made: Gate, parts: list[bytes]) -> Found:
    """What *made* makes of *parts*, taking the fast way where it can."""
    problem, done, dropped = None, False, 0
    sent, flags = [], []
    for part in parts:
        usual = made.pass_usual(part)
        release = None if usual else made.feed(part)
        sent.append(usual if release is None else release.data)
        alive = (True, True) if release is None else (release.alive, release.content)
        flags.append(alive)
        if release is not None:
            problem, dropped = problem or release.problem, dropped + release.dropped
            done = done or release.done
    end = made.end()
    inspector = made.inspector
    assert isinstance(inspector, ChoiceStream)
    texts = inspector.transcript.fields
    inspector.transcript._parts.clear()
    inspector.transcript._size = 0
    return Found(
        (*sent, end.data), problem or end.problem, done or end.done, dropped + end.dropped,
        asdict(inspector), texts, tuple(flags),
    )  # fmt: skip


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """*stream* in parts."""
    edges = sorted({0, len(stream), *(at % (len(stream) + 1) for at in cuts)})
    return [stream[a:b] for a, b in pairwise(edges)]


class SameTests(SynchronousTestCase):
    """Both ways decide the same."""

    def assert_same(self, parts: list[bytes], choices: int = 1, limit: int = 1 << 20) -> None:
        """All that *parts* come to is the same both ways."""
        slow = follow(begun(choices, limit, Careful), parts)
        self.assertEqual(follow(begun(choices, limit), parts), slow, parts)

    def test_each_event(self) -> None:
        """Alone, and between others."""
        for event in (*USUAL.values(), *UNUSUAL.values(), *POOL):
            self.assert_same([event])
            self.assert_same([said("x") + event + said("y"), STOP + USAGE + DONE])
            self.assert_same([event + event, event])

    @settings(max_examples=300)
    @given(STREAMS, CUTS, st.integers(1, 2))
    def test_split_anywhere(self, stream: bytes, cuts: list[int], choices: int) -> None:
        """Whatever comes, however it comes."""
        self.assert_same(cut(stream, cuts), choices)

    @settings(max_examples=200)
    @given(st.lists(st.tuples(EVENTS, st.integers(1, 40)), max_size=6), CUTS)
    def test_many_in_a_read(self, events: list[tuple[bytes, int]], cuts: list[int]) -> None:
        """Runs of the same; also before anything is known of the stream."""
        stream = b"".join(event * times for event, times in events)
        self.assert_same(cut(stream, cuts))
        for parts in ([stream], [ROLE + stream], cut(stream, cuts)):
            slow, fast = follow(gate(Careful()), parts), follow(gate(ChoiceStream()), parts)
            self.assertEqual(fast, slow, parts)

    @settings(max_examples=300)
    @given(STREAMS, st.lists(st.tuples(st.integers(0, 2000), GRIT), max_size=4), CUTS)
    def test_broken_anywhere(
        self, stream: bytes, grit: list[tuple[int, bytes]], cuts: list[int]
    ) -> None:
        """Also where bytes are strewn into it."""
        for at, bit in grit:
            place = at % (len(stream) + 1)
            stream = stream[:place] + bit + stream[place:]
        self.assert_same(cut(stream, cuts))

    @given(st.integers(40, 200), CUTS)
    def test_the_limit_of_an_event(self, limit: int, cuts: list[int]) -> None:
        """What is pending is bounded as ever."""
        stream = said("x" * 60) + said("y") + b"data: " + b"z" * 150
        self.assert_same(cut(stream, cuts), limit=limit)

    def test_the_bound_of_a_transcript(self) -> None:
        """More than is kept is kept by neither."""
        self.assert_same([said("x" * (MOST - 20)), said("y" * 9) + said("z" * 99), said("a")])

    def test_line_ends_behind_usual_events(self) -> None:
        """What another line end completes does not wait."""
        for end in (b"\r\n", b"\r"):
            self.assert_same([said("a") + said("b").replace(b"\n", end)])

    def test_a_line_end_that_waits(self) -> None:
        """A CR ends a line also where the rest of its event comes in another read."""
        event = b'data: {"choices":[{"index":0,\r"delta":{"content":"a"}}]}\n\n'
        for place in range(len(event)):
            self.assert_same([event[:place], event[place:]])

    def test_before_the_commit(self) -> None:
        """What is held is looked at closely, and so is what is over."""
        made = gate()
        self.assertEqual(made.pass_usual(said("a")), b"")
        made.feed(ROLE + said("a") + STOP + DONE)
        self.assertEqual(made.pass_usual(said("b")), b"")


class FastTests(SynchronousTestCase):
    """What takes the fast way, so that it is one."""

    def test_usual_events(self) -> None:
        """Each, alone and in a read with others, is passed on as it is."""
        for name, event in USUAL.items():
            self.assertEqual(begun().pass_usual(event), event, name)
            several = event + said("x") + event
            self.assertEqual(begun().pass_usual(several), several, name)

    def test_unusual_events(self) -> None:
        """None of them is, not even between usual ones; nothing was done then."""
        for name, event in UNUSUAL.items():
            made = begun()
            self.assertEqual(made.pass_usual(event), b"", name)
            self.assertEqual(made.pass_usual(said("x") + event + said("y")), b"", name)
            self.assertEqual(made.inspector.transcript.fields, {"content": "first"}, name)

    def test_a_read_goes_on_as_it_is(self) -> None:
        """Not even its bytes are copied."""
        read = said("a") + said("b")
        self.assertIs(begun().pass_usual(read), read)

    def test_what_lies_between_others(self) -> None:
        """Of a long read only a few events are looked at by themselves."""
        for unusual in (STOP, USAGE, b": ping\n\n", said("a").replace(b"\n", b"\r\n")):
            counting = Counting()
            read = ROLE + said("x") * 300 + unusual + said("y") * 300 + DONE
            self.assertTrue(gate(counting).feed(read).content)
            self.assertLess(counting.times, 60, unusual)

    def test_an_event_in_two_reads(self) -> None:
        """The half of one waits, and goes on with its rest, still the fast way."""
        made, stream = begun(), said("a") + said("b") + said("c")
        first, second = stream[: len(stream) // 2], stream[len(stream) // 2 :]
        passed = made.pass_usual(first)
        self.assertEqual(passed, said("a"))
        self.assertEqual(passed + made.pass_usual(second), stream)

    def test_nothing_said(self) -> None:
        """Where nobody says anything, it is looked at whether that is life."""
        self.assertEqual(begun().pass_usual(ROLE), b"")
        self.assertEqual(begun().pass_usual(chunk({"content": ""})), b"")

    @given(st.lists(st.text(max_size=3), min_size=1, max_size=9), st.booleans())
    def test_any_text(self, texts: list[str], ascii_only: bool) -> None:
        """Any text but half a pair is usual, as any way of JSON writes it."""
        stream = b"".join(
            data(json.dumps({"choices": [{"delta": {"content": text}}]},
                            ensure_ascii=ascii_only).encode("utf-8", "replace"))
            for text in [*texts, "."]
        )  # fmt: skip
        self.assertEqual(begun().pass_usual(stream), stream)
