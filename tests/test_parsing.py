"""
Thoughts and calls in the texts of local models: what they come to, wherever the text is cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from attrs import define
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend, Parse
from yallmp.core.sse import ServerEvent
from yallmp.dialects.answer import (
    Answer,
    Began,
    CallBegan,
    CallDelta,
    Choice,
    Delta,
    ReasoningDelta,
    Stop,
    Stopped,
    TextDelta,
    Tokens,
    Told,
)
from yallmp.dialects.callblocks import Offered
from yallmp.dialects.conversation import (
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from yallmp.dialects.growing import Growing
from yallmp.dialects.parsing import Parsing, parsing_of
from yallmp.dialects.tagged import Tagged, Tags

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "wind": {"type": "boolean"},
        "where": {"type": "object"},
        "any": {},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
}
REQUEST = Request("chat", "m", tools=(Tool("weather", schema=WEATHER), Tool("now", schema=None)))
EVENT = ServerEvent(b"", b"")


def parsing(reasoning: str = "think_tags", calls: str = "auto", **request: Any) -> Parsing:
    """One that knows the two tools."""
    found = parsing_of(Backend("b", "m", parse=Parse(reasoning, calls)))
    assert found is not None
    return found.knowing(request.get("request", REQUEST), "0123456789ab")


@define
class Scripted:
    """A reader of deltas that are given."""

    deltas: list[Delta]

    def read(self, event: ServerEvent) -> Iterator[Delta]:
        """The next one."""
        yield self.deltas.pop(0)


def streamed(how: Parsing, deltas: Iterable[Delta]) -> Answer:
    """What a stream of *deltas* comes to."""
    script = list(deltas)
    reader, growing = how.reader(Scripted(script)), Growing("chat")
    while script:
        for delta in reader.read(EVENT):
            growing.add(delta)
    return growing.answer()


def whole(text: str, how: Parsing | None = None, reason: str = "stop") -> Choice:
    """What an answer with *text* comes to."""
    answer = Answer("chat", choices=(Choice((Text(text),), Stop(reason)),))
    return (how or parsing()).answer(answer).choices[0]


def told(choice: Choice) -> list[Any]:
    """The parts of *choice*, in short."""
    return [
        ("think", part.text) if isinstance(part, Reasoning)
        else (part.name, json.loads(part.arguments)) if isinstance(part, ToolCall)
        else part.text if isinstance(part, Text) else part
        for part in choice.parts
    ]  # fmt: skip


class ThoughtTests(SynchronousTestCase):
    """``<think>``."""

    def test_thoughts(self) -> None:
        """They come out of the text, without the white space around them."""
        for text, expected in (
            ("<think>a\nb</think>c", [("think", "a\nb"), "c"]),
            ("\n <think>\n a \n</think>\n\nc d\n", [("think", "a"), "c d\n"]),
            ("<think>\n\n</think>\n\nc", ["c"]),
            ("<think>a", [("think", "a")]),
            ("<think>a</think>", [("think", "a")]),
            (
                "<think>a</think>b\n<think>c</think>\nd",
                [("think", "a"), "b", ("think", "c"), "\nd"],
            ),
            ("<think><think>a</think>b", [("think", "a"), "b"]),
        ):
            self.assertEqual(told(whole(text)), expected, text)

    def test_opened_by_the_template(self) -> None:
        """The answer begins inside, whether the tag is there or not."""
        how = parsing("open_think_tags")
        for text, expected in (
            ("a</think>\n\nb", [("think", "a"), "b"]),
            ("\n<think>\na</think>b", [("think", "a"), "b"]),
            ("</think>b", ["b"]),
            ("a", [("think", "a")]),
        ):
            self.assertEqual(told(whole(text, how)), expected, text)

    def test_a_backend_that_does_it_itself(self) -> None:
        """Where thoughts come in their own field, the text is text, template or not."""
        deltas = [ReasoningDelta("a"), TextDelta("b"), Stopped(Stop("stop"))]
        (choice,) = streamed(parsing("open_think_tags"), deltas).choices
        self.assertEqual(told(choice), [("think", "a"), "b"])

    def test_what_is_only_spoken_of(self) -> None:
        """A tag inside a line, one that closes nothing, the beginning of one: words."""
        for text in (
            "the <think> tag",
            "a</think>b",
            "a <thin",
            "<",
            " ",
            "x <b> y",
            "<thinking>a",
        ):
            self.assertEqual(told(whole(text)), [text])
            self.assertEqual(told(whole(text, parsing("off"))), [text])
        self.assertEqual(told(whole("<think>a</think>", parsing("off"))), ["<think>a</think>"])

    def test_nothing_waits(self) -> None:
        """Words are passed on as they come, but for what may become a tag."""
        tagged = Tagged(Tags(thinks=True))
        said = [tagged.feed(text) for text in ("Hello", " wor", "ld <", "b", " <thi", "ng")]
        words = ["".join(piece.text for piece in each) for each in said]  # type: ignore[union-attr]
        self.assertEqual(words, ["Hello", " wor", "ld", " <b", "", " <thing"])

    def test_history(self) -> None:
        """Thoughts go back as the text that they were."""
        turns = (
            Turn("user", (Text("q"),)),
            Turn("assistant", (Reasoning("t"), Text("a"))),
            Turn("assistant", (Reasoning(summary=("s",)), ToolCall("i", "now"))),
            Turn("assistant", (Reasoning(encrypted="x", redacted=True), Text("a"))),
        )
        request = Request("chat", "m", turns)
        found = parsing().request(request).turns
        self.assertEqual(found[1].parts, (Text("<think>\nt\n</think>\n\na"),))
        self.assertEqual(found[2].parts, (Text("<think>\ns\n</think>\n\n"), ToolCall("i", "now")))
        self.assertEqual((found[0], found[3]), (turns[0], turns[3]))
        self.assertEqual(parsing("off").request(request), request)


class CallTests(SynchronousTestCase):
    """Calls of tools."""

    def assert_called(self, text: str, *calls: tuple[str, Any], calls_as: str = "auto") -> None:
        """*text* is these calls, behind a word, and the answer ends for them."""
        choice = whole(f"ok\n{text}\n", parsing(calls=calls_as))
        self.assertEqual(told(choice), ["ok", *calls], text)
        self.assertEqual(choice.stop, Stop("tool_calls"))

    def test_hermes(self) -> None:
        """JSON; arguments may be called parameters, be missing, or be a text."""
        call = ("weather", {"city": "Köln"})
        for inside in (
            '{"name": "weather", "arguments": {"city": "K\\u00f6ln"}}',
            '\n{"name": "weather", "parameters": {"city": "Köln"}}\n',
            '{"name": "weather", "arguments": "{\\"city\\": \\"Köln\\"}"}',
            '[{"name": "weather", "arguments": {"city": "Köln"}}]',
        ):
            for form in ("auto", "hermes"):
                self.assert_called(f"<tool_call>{inside}</tool_call>", call, calls_as=form)
            self.assert_called(f"<tool_call>{inside}", call)
            self.assert_called(f"<tool_call>{inside}<tool_call>{inside}</tool_call>", call, call)
        self.assert_called('<tool_call>{"name": "now"}</tool_call>', ("now", {}))

    def test_tags_inside_texts(self) -> None:
        """A tag in an argument does not end the call."""
        city = "a</tool_call>b<tool_call>c"
        inside = json.dumps({"name": "weather", "arguments": {"city": city}})
        self.assert_called(f"<tool_call>{inside}</tool_call>", ("weather", {"city": city}))

    def test_qwen(self) -> None:
        """Values are what the schema wants; line breaks around them do not count."""
        text = (
            "<tool_call>\n<function=weather>\n<parameter=city>\n12\n</parameter>\n"
            "<parameter=days>\n3\n</parameter>\n<parameter=wind>True</parameter>\n"
            '<parameter=where>{"a": [1]}</parameter>\n<parameter=any>x < y\n\nz</parameter>\n'
            "<parameter=maybe>None</parameter>\n</function>\n</tool_call>"
        )
        values = {"city": "12", "days": 3, "wind": True, "where": {"a": [1]}, "any": "x < y\n\nz",
                  "maybe": None}  # fmt: skip
        for form in ("auto", "qwen"):
            self.assert_called(text, ("weather", values), calls_as=form)
        self.assert_called("<tool_call><function=now></function></tool_call>", ("now", {}))

    def test_glm(self) -> None:
        """A name, then keys and values; with line breaks or without."""
        for gap in ("\n", ""):
            text = gap.join((
                "<tool_call>weather", "<arg_key>city</arg_key>", "<arg_value>Köln</arg_value>",
                "<arg_key>days</arg_key>", "<arg_value>3</arg_value>", "</tool_call>",
            ))  # fmt: skip
            for form in ("auto", "glm"):
                call = ("weather", {"city": "Köln", "days": 3})
                self.assert_called(text, call, calls_as=form)
        self.assert_called("<tool_call>now\n</tool_call>", ("now", {}))

    def test_kimi(self) -> None:
        """A section of calls."""
        one = "<|tool_call_begin|>functions.{}:{}<|tool_call_argument_begin|>{}<|tool_call_end|>"
        calls = one.format("weather", 0, '{"city": "Köln"}') + one.format("now", 1, "{}")
        text = f"<|tool_calls_section_begin|>{calls}<|tool_calls_section_end|>"
        for form in ("auto", "kimi"):
            self.assert_called(text, ("weather", {"city": "Köln"}), ("now", {}), calls_as=form)

    def test_what_is_no_call(self) -> None:
        """It comes out as the text that it was, and the answer ends as it did."""
        for text in (
            "a\n<tool_call>",
            "<tool_call></tool_call>",
            "<tool_call> is the tag, </tool_call> ends it",
            '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
            '<tool_call>{"name": "weather", "arguments": [1]}</tool_call>',
            '<tool_call>{"name": "weather", "arguments": {"days": NaN}}</tool_call>',
            '<tool_call>{"name": "weather", "arguments": {"city": "x',
            "<tool_call>" + "[" * 100_000 + "</tool_call>",
            "<tool_call><function=weather>lost</function></tool_call>",
            "<tool_call>weather\nlost<arg_key>city</arg_key></tool_call>",
            "<|tool_calls_section_begin|>lost<|tool_calls_section_end|>",
            "<|tool_calls_section_begin|>",
            "</tool_call>",
        ):
            choice = whole(text)
            self.assertEqual((told(choice), choice.stop), ([text], Stop("stop")), text[:80])

    def test_only_what_is_asked_for(self) -> None:
        """Not in another form, not without tools, not where they must not be used."""
        text = '<tool_call>{"name": "now"}</tool_call>'
        bare = Request("chat", "m")
        forbidden = Request("chat", "m", tools=REQUEST.tools, tool_choice=ToolChoice("none"))
        for how in (
            parsing(calls="off"), parsing(calls="kimi"), parsing(calls="glm"),
            parsing(request=bare), parsing(request=forbidden),
        ):  # fmt: skip
            self.assertEqual(told(whole(text, how)), [text])

    def test_a_call_behind_what_is_no_call(self) -> None:
        """Both are what they are."""
        text = 'The <tool_call> tag: <tool_call>{"name": "now"}</tool_call>'
        self.assertEqual(told(whole(text)), ["The <tool_call> tag:", ("now", {})])

    def test_an_answer_that_was_cut_off(self) -> None:
        """It ends for its length, whatever calls are in it."""
        choice = whole('<tool_call>{"name": "now"}</tool_call>', reason="length")
        self.assertEqual((told(choice), choice.stop), ([("now", {})], Stop("length")))

    def test_ids(self) -> None:
        """Made of the exchange's, each another one; the backend's own calls keep theirs."""
        text = '<tool_call>{"name": "now"}</tool_call>'
        deltas = [
            Began("i", "m"), TextDelta(text), CallBegan(0, "own", "now"), CallDelta(0, "{}"),
            TextDelta(text), TextDelta(text, 1), Stopped(Stop("tool_calls")),
            Stopped(Stop("stop"), 1), Told(Tokens(1, 2)),
        ]  # fmt: skip
        answer = streamed(parsing(), deltas)
        ids = [[part.id for part in choice.parts if isinstance(part, ToolCall)]
               for choice in answer.choices]  # fmt: skip
        before = "call_0123456789ab"
        self.assertEqual(ids, [[f"{before}0", "own", f"{before}2"], [f"{before}1000"]])
        self.assertEqual((answer.id, answer.tokens), ("i", Tokens(1, 2)))

    def test_many_tags_in_a_text(self) -> None:
        """A text that goes on for ever is not read again and again."""
        text = '<tool_call>{"name": "' + "</tool_call>" * 5000
        self.assertEqual(told(whole(text)), [text])

    def test_a_very_long_call(self) -> None:
        """What is too long to be one is text."""
        text = '<tool_call>{"name": "' + "x" * (1024 * 1024) + '"}</tool_call>'
        self.assertEqual(told(whole(text)), [text])
        pieces = [text[at : at + 50_000] for at in range(0, len(text), 50_000)]
        deltas = [*map(TextDelta, pieces), Stopped(Stop("stop"))]
        self.assertEqual(told(streamed(parsing(), deltas).choices[0]), [text])


class OfferedTests(SynchronousTestCase):
    """What a value is."""

    def test_any_schema(self) -> None:
        """A schema that is none says nothing."""
        for schema in (None, 1, [], {"properties": 1}, {"properties": {"a": 1}},
                       {"properties": {"a": {"type": [1], "anyOf": [2]}}}):  # fmt: skip
            offered = Offered({"t": schema})
            self.assertEqual(offered.value("t", "a", "1"), 1)
            self.assertEqual(offered.value("t", "a", "x"), "x")

    def test_texts_that_look_like_numbers(self) -> None:
        """They stay texts where a text is possible; null does not."""
        offered = Offered({"t": {"properties": {"a": {"type": ["string", "null"]}}}})
        for text, expected in (("1", "1"), ('"x"', '"x"'), ("null", None), ("x", "x")):
            self.assertEqual(offered.value("t", "a", text), expected)


SCRAPS = [
    "<think>", "</think>", "<tool_call>", "</tool_call>", "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>", "<|tool_call_begin|>functions.now:0",
    "<|tool_call_argument_begin|>", "{}", "<|tool_call_end|>", '{"name": "now"}',
    '{"name": "weather", "arguments": {"city": "', '"}}', "now", "<arg_key>city</arg_key>",
    "<arg_value>x</arg_value>", "<function=now>", "</function>", "\n", " ", "a", "<", "b c",
    '<tool_call>{"name": "now"}</tool_call>', "<think>x</think>",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(SCRAPS), max_size=14).map("".join)
HOW = st.sampled_from(["think_tags", "open_think_tags", "off"])


class SplitTests(SynchronousTestCase):
    """Wherever it is cut."""

    def pieces(self, text: str, cuts: Sequence[int]) -> list[str]:
        """*text* in pieces."""
        places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
        return [text[a:b] for a, b in pairwise(places)]

    @given(TEXTS, HOW, st.lists(st.integers(0, 500), max_size=30))
    def test_cut_anywhere(self, text: str, how: str, cuts: list[int]) -> None:
        """A stream comes to what the whole answer comes to."""
        used = parsing(how)
        deltas = [*map(TextDelta, self.pieces(text, cuts)), Stopped(Stop("stop"))]
        (choice,) = streamed(used, deltas).choices
        self.assertEqual(choice, whole(text, used))

    @given(TEXTS, HOW)
    def test_nothing_is_lost(self, text: str, how: str) -> None:
        """What is neither tag nor white space comes out, in order."""
        used = parsing(how, calls="off")
        said = "".join(part.text for part in whole(text, used).parts if hasattr(part, "text"))
        for tag in ("<think>", "</think>"):
            text, said = text.replace(tag, ""), said.replace(tag, "")
        self.assertEqual("".join(said.split()), "".join(text.split()))

    @given(TEXTS)
    def test_off_is_off(self, text: str) -> None:
        """Nothing is read where nothing is to be read."""
        found = told(whole(text, Parsing(Tags())))
        self.assertEqual(found, [text] if text else [])
