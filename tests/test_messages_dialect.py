"""
Messages, to the neutral model and back; the SDK's own types and accumulator are the judges.
"""

from __future__ import annotations

import json
from typing import Any

from anthropic import NOT_GIVEN
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from twisted.trial.unittest import SynchronousTestCase

from tests.conversations_messages import plainly, requests
from yallmp.core.errors import RequestFault
from yallmp.core.sse import Parser, ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import (
    Answer,
    CallBegan,
    CallDelta,
    Choice,
    Stop,
    TextDelta,
    Tokens,
)
from yallmp.dialects.chat import Chat
from yallmp.dialects.conversation import Part, Reasoning, Refusal, Text, ToolCall
from yallmp.dialects.growing import Growing, deltas_of
from yallmp.dialects.messages import Messages
from yallmp.interfaces import IDialect, Occasion

MESSAGES: IDialect = Messages()
CHAT: IDialect = Chat()
OCCASION = Occasion("0123456789ab", 1_700_000_000, "m")
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
EPHEMERAL = {"type": "ephemeral"}
RICH: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 4096,
    "system": [{"type": "text", "text": "be brief", "cache_control": EPHEMERAL}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image",
                 "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "document", "title": "a",
                 "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xx"},
                {"type": "text", "text": "I look"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": [
                    {"type": "text", "text": "1"},
                    {"type": "image",
                     "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ]},
                {"type": "text", "text": "go on", "cache_control": EPHEMERAL},
            ],
        },
    ],
    "tools": [
        {"name": "f", "description": "d", "input_schema": {"type": "object"},
         "cache_control": EPHEMERAL},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "top_k": 5,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "stream": True,
}  # fmt: skip

TEXTS = st.text(min_size=1, max_size=8)
NAMES = st.text("abc_-", min_size=1, max_size=6)
CITED = {"type": "url_citation", "url": "https://example.com", "title": "t"}
PARTS = (
    st.builds(Text, TEXTS)
    | st.builds(Reasoning, TEXTS, signature=st.just("sig"))
    | st.builds(Reasoning, encrypted=st.just("e"), redacted=st.just(True))
)
#: What other dialects have, too.
FOREIGN = (
    st.builds(Text, st.just("") | TEXTS)
    | st.builds(Text, TEXTS, annotations=st.just((CITED,)))
    | st.builds(
        Reasoning,
        st.just("") | TEXTS,
        st.lists(TEXTS, max_size=3).map(tuple),
        st.none() | st.just("sig"),
        st.none() | st.just("e"),
        st.none() | st.just("rs_1"),
    )
    | st.builds(Reasoning, TEXTS, encrypted=st.just("e"), redacted=st.just(True))
    | st.builds(Refusal, TEXTS)
    | st.builds(ToolCall, st.text(max_size=3), TEXTS, TEXTS, st.just(True))
    | st.builds(
        ToolCall,
        NAMES,
        NAMES,
        st.sampled_from(['{"a": "}"}', "", " ", "[1]", "so", '"{}"', '{"a": 1}{}', "{}x"]),
    )
)


def refused_once(parts: list[Part]) -> list[Part]:
    """*parts* with one refusal at most: the deltas of two would be those of one."""
    first = next((part for part in parts if isinstance(part, Refusal)), None)
    return [part for part in parts if part is first or not isinstance(part, Refusal)]


FOREIGN_ANSWERS = st.builds(
    lambda parts, stop, tokens: Answer(
        "chat", "chatcmpl-1", "m", 1, (Choice(tuple(parts), stop),), tokens
    ),
    st.lists(FOREIGN, max_size=5).map(refused_once),
    st.none()
    | st.sampled_from(["stop", "tool_calls", "content_filter", "context", "other"]).map(Stop),
    st.none() | st.builds(Tokens, st.just(9), st.just(4), st.none() | st.just(3)),
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Answers as Messages can have them."""
    parts = tuple(draw(st.lists(PARTS, max_size=4)))
    calls = draw(st.lists(st.builds(ToolCall, NAMES, NAMES, st.just('{"a": 1}')), max_size=3))
    stop = draw(st.sampled_from([
        Stop("stop"), Stop("length"), Stop("stop_sequence", "END"), Stop("tool_calls"),
        Stop("refusal"), Stop("pause"),
    ]))  # fmt: skip
    tokens = Tokens(9, 4, 3, 2)
    return Answer("messages", "msg_1", "claude", None, (Choice((*parts, *calls), stop),), tokens)


def events(data: bytes) -> list[ServerEvent]:
    """The events in *data*."""
    parser = Parser(1 << 20)
    return parser.feed(data) + parser.close()


def written(answer: Answer) -> list[ServerEvent]:
    """The stream that *answer* makes."""
    writer = MESSAGES.writer(OCCASION)
    return events(b"".join(map(writer.write, deltas_of(answer))) + writer.end())


def gathered(stream: list[ServerEvent]) -> dict[str, Any]:
    """What the SDK makes of *stream*, each event of which has its type."""
    snapshot: Any = None
    bufs: dict[int, bytes] = {}
    for each in stream:
        value = EVENT.validate_json(each.data or b"")
        snapshot = accumulate_event(
            event=value, current_snapshot=snapshot, json_bufs=bufs, output_format=NOT_GIVEN
        )
    found: dict[str, Any] = json.loads(snapshot.to_json(exclude_none=True))
    return found


def of_whole(answer: Answer) -> dict[str, Any]:
    """The same of the whole answer."""
    message = Message.model_validate(MESSAGES.whole(answer, OCCASION))
    found: dict[str, Any] = json.loads(message.to_json(exclude_none=True))
    return found


class RequestTests(SynchronousTestCase):
    """Requests."""

    def test_there_and_back(self) -> None:
        """What was read from Messages is written as it was."""
        again = MESSAGES.body(MESSAGES.request(RICH))
        self.assertEqual(again.body, RICH)
        self.assertEqual(again.dropped, ())

    @settings(max_examples=150)
    @given(requests())
    def test_any_there_and_back(self, body: dict[str, Any]) -> None:
        """The same of all that the reference has; a text may stand for one block of it."""
        again = MESSAGES.body(MESSAGES.request(body))
        self.assertEqual(again.body, plainly(body))
        self.assertEqual(again.dropped, ())

    def test_through_chat(self) -> None:
        """What both dialects have survives the way through chat and back."""
        body = CHAT.body(MESSAGES.request(RICH))
        again = MESSAGES.body(CHAT.request(body.body)).body
        self.assertEqual(again["system"], "be brief")
        roles = [message["role"] for message in again["messages"]]
        self.assertEqual(roles, ["user", "assistant", "user"])
        uses = [b for b in again["messages"][1]["content"] if b["type"] == "tool_use"]
        self.assertEqual(uses, [RICH["messages"][1]["content"][3]])
        self.assertEqual(again["stop_sequences"], ["END"])
        for path in ("system[].cache_control", "tools[].cache_control", "top_k",
                     "thinking.budget_tokens", "messages[].content[].is_error",
                     "tools[].web_search_20250305"):  # fmt: skip
            self.assertIn(path, body.dropped)

    def test_what_the_api_needs(self) -> None:
        """Roles alternate, the user begins, there is a limit, no text is empty."""
        chat = {
            "model": "claude-sonnet-4-5",
            "messages": [
                {"role": "assistant", "content": "hi"},
                {"role": "user", "content": "a"},
                {"role": "user", "content": ""},
                {"role": "user", "content": "b"},
            ],
        }
        body = MESSAGES.body(CHAT.request(chat)).body
        self.assertEqual([m["role"] for m in body["messages"]], ["user", "assistant", "user"])
        self.assertGreater(body["max_tokens"], 0)
        self.assertEqual(len(body["messages"][2]["content"]), 2)

    def test_what_cannot_be_understood(self) -> None:
        """It is named by its path."""
        for messages, path in (
            ([{"role": "x", "content": "a"}], "messages[0]"),
            ([{"role": "user", "content": 1}], "messages[0].content"),
            ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ):
            fault = self.assertRaises(RequestFault, MESSAGES.request, {"messages": messages})
            self.assertEqual(fault.param, path)


class AnswerTests(SynchronousTestCase):
    """Answers."""

    @settings(max_examples=80)
    @given(answers())
    def test_streams_and_wholes(self, answer: Answer) -> None:
        """Every event has the SDK's type, and what it gathers is the whole answer."""
        self.assertEqual(gathered(written(answer)), of_whole(answer))

    @settings(max_examples=150)
    @given(FOREIGN_ANSWERS)
    def test_streams_and_wholes_of_others(self, answer: Answer) -> None:
        """The same, whatever another dialect's answer has."""
        self.assertEqual(gathered(written(answer)), of_whole(answer))

    @settings(max_examples=100)
    @given(FOREIGN_ANSWERS)
    def test_thoughts_come_back(self, answer: Answer) -> None:
        """The thoughts of others are read back as they were from what a client returns."""
        told = [part for part in answer.choices[0].parts if isinstance(part, Reasoning)]
        content = MESSAGES.whole(answer, OCCASION)["content"]
        turn = {"role": "assistant", "content": content}
        parts = MESSAGES.request({"messages": [turn]}).turns[0].parts
        back = [each for each in parts if isinstance(each, Reasoning)]
        unsigned = [each for each in back if each.signature is None and not each.redacted]
        shown = [Reasoning(each.text) if each.redacted else each for each in told]
        self.assertEqual(
            unsigned, [each for each in shown if not each.signature and each != Reasoning()]
        )

    @settings(max_examples=80)
    @given(answers())
    def test_there_and_back(self, answer: Answer) -> None:
        """What was written is read as what it was, whole and streamed."""
        grown, reader = Growing("messages"), MESSAGES.reader()
        for event in written(answer):
            for delta in reader.read(event):
                grown.add(delta)
        whole = MESSAGES.answer(MESSAGES.whole(answer, OCCASION))
        self.assertEqual(grown.answer().choices[0].parts, whole.choices[0].parts)
        self.assertEqual(grown.answer().tokens, whole.tokens)

    def test_calls_side_by_side(self) -> None:
        """The blocks of calls that are told side by side come one after the other."""
        writer, data = MESSAGES.writer(OCCASION), b""
        for delta in (
            CallBegan(0, "a", "f"), CallBegan(1, "b", "g"), CallDelta(1, '{"x":'),
            CallDelta(0, "{}"), CallDelta(1, "1}"),
        ):  # fmt: skip
            data += writer.write(delta)
        blocks = gathered(events(data + writer.end()))["content"]
        self.assertEqual([b["input"] for b in blocks], [{}, {"x": 1}])

    def test_calls_one_after_the_other(self) -> None:
        """A call flows as soon as the arguments before it are whole."""
        writer = MESSAGES.writer(OCCASION)
        for delta in (CallBegan(0, "a", "f"), CallDelta(0, '{"s": "}\\"'), CallDelta(0, '}"}')):
            writer.write(delta)
        self.assertIn(b"content_block_start", writer.write(CallBegan(1, "b", "g")))
        self.assertIn(b"input_json_delta", writer.write(CallDelta(1, '{"y"')))

    def test_words_between_calls(self) -> None:
        """What comes while a call is open waits, and nothing of either is lost."""
        writer, data = MESSAGES.writer(OCCASION), b""
        for delta in (
            CallBegan(0, "a", "f"), CallDelta(0, '{"x":'), TextDelta("so"), CallDelta(0, "1} {}"),
            TextDelta(" on"),
        ):  # fmt: skip
            data += writer.write(delta)
        blocks = gathered(events(data + writer.end()))["content"]
        self.assertEqual([b.get("input") or b.get("text") for b in blocks], [{"x": 1}, "so on"])

    def test_thoughts_without_a_signature(self) -> None:
        """They get a seal, so that a client can bring them back."""
        answer = Answer(
            "chat",
            "c",
            "m",
            1,
            (
                Choice(
                    (Reasoning("hm"), Text("x")),
                ),
            ),
        )
        stream = gathered(written(answer))
        self.assertEqual(stream, of_whole(answer))
        self.assertTrue(stream["content"][0]["signature"])

    @settings(max_examples=80)
    @given(st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) |
                        st.dictionaries(st.sampled_from(["type", "content", "index", "delta",
                        "content_block", "message", "usage", "text", "input"]), inner)),
           st.sampled_from(["message_start", "content_block_start", "content_block_delta",
                            "content_block_stop", "message_delta", "message_stop"]))  # fmt: skip
    def test_anything(self, value: Any, kind: str) -> None:
        """Whatever a backend sends, nothing raises."""
        body = {"content_block": value, "delta": value, "usage": value, "message": value}
        MESSAGES.whole(MESSAGES.answer({"content": value, **body}), OCCASION)
        reader = MESSAGES.reader()
        for each in ({**body, "type": kind}, value):
            list(reader.read(ServerEvent(b"", json.dumps(each).encode())))

    def test_going_on(self) -> None:
        """A stream that was passed on untouched is gone on with in its open block."""
        place = {"open": 1, "kind": "text", "next": 2}
        writer = MESSAGES.resumed(OCCASION, Transcript(id="msg_1", place=place))
        (event,) = events(writer.write(TextDelta("x")))
        value = json.loads(event.data or b"")
        self.assertEqual((value["type"], value["index"]), ("content_block_delta", 1))

    def test_going_on_twice(self) -> None:
        """An attempt that comes to nothing leaves no trace in the next one."""
        writer = MESSAGES.writer(OCCASION)
        writer.write(TextDelta("x"))
        delivered = Transcript(place=writer)
        MESSAGES.resumed(OCCASION, delivered).write(CallBegan(0, "a", "f"))
        (event,) = events(MESSAGES.resumed(OCCASION, delivered).write(TextDelta("y")))
        value = json.loads(event.data or b"")
        self.assertEqual((value["type"], value["index"]), ("content_block_delta", 0))
