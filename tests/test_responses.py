"""
Responses, to the neutral model and back; OpenAI's own types and accumulator are the judges.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.errors import RequestFault
from yallmp.core.sse import Parser, ServerEvent
from yallmp.dialects.answer import Answer, CallBegan, CallDelta, Choice, Stop, Tokens
from yallmp.dialects.chat import Chat
from yallmp.dialects.conversation import Reasoning, Refusal, Text, ToolCall
from yallmp.dialects.growing import Growing, deltas_of
from yallmp.dialects.responses import Responses
from yallmp.interfaces import IDialect, Occasion

RESPONSES: IDialect = Responses()
CHAT: IDialect = Chat()
PATCH = {"type": "custom", "name": "apply_patch", "format": {"type": "text"}}
OCCASION = Occasion("0123456789ab", 1_700_000_000, "m", echo={"instructions": "be brief",
                                                               "tools": [PATCH]})  # fmt: skip
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
RICH: dict[str, Any] = {
    "model": "m",
    "instructions": "be brief",
    "input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "what?"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
         "encrypted_content": "xx"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "***"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        PATCH,
        {"type": "web_search"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "a", "schema": {}}, "verbosity": "low"},
    "max_output_tokens": 9,
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "stream": True,
}  # fmt: skip

TEXTS = st.text(min_size=1, max_size=8)
PARTS = (
    st.builds(Text, TEXTS)
    | st.builds(Reasoning, TEXTS, encrypted=st.just("e"))
    | st.builds(Reasoning, summary=st.tuples(TEXTS, TEXTS))
    | st.builds(ToolCall, TEXTS, TEXTS, st.just('{"a": 1}'))
    | st.builds(Refusal, TEXTS)
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Answers as Responses can have them."""
    parts = tuple(draw(st.lists(PARTS, max_size=5)))
    stop = draw(st.sampled_from([Stop("stop"), Stop("length"), Stop("content_filter")]))
    return Answer("x", "id", "up", 5, (Choice(parts, stop),), Tokens(3, 4, 1, 1, 2))


def events(data: bytes) -> list[ServerEvent]:
    """The events in *data*."""
    parser = Parser(1 << 20)
    return parser.feed(data) + parser.close()


def written(answer: Answer) -> list[ServerEvent]:
    """The stream that *answer* makes."""
    writer = RESPONSES.writer(OCCASION)
    return events(b"".join(map(writer.write, deltas_of(answer))) + writer.end())


class RequestTests(SynchronousTestCase):
    """Requests."""

    def test_there_and_back(self) -> None:
        """What was read is written with the same meaning."""
        again = RESPONSES.body(RESPONSES.request(RICH))
        self.assertEqual(again.dropped, ())
        first = RESPONSES.request(RICH)
        second = RESPONSES.request(again.body)
        self.assertEqual([t.parts for t in second.turns], [t.parts for t in first.turns])
        for name in ("tools", "tool_choice", "format", "thinking", "max_tokens", "extra"):
            self.assertEqual(getattr(second, name), getattr(first, name), name)

    def test_for_chat(self) -> None:
        """A custom tool is a function there, and what chat has no place for is named."""
        request = CHAT.body(RESPONSES.request(RICH))
        body = request.body
        self.assertEqual([m["role"] for m in body["messages"]],
                         ["system", "user", "assistant", "tool", "tool"])  # fmt: skip
        self.assertEqual([t["function"]["name"] for t in body["tools"]], ["f", "apply_patch"])
        calls = body["messages"][2]["tool_calls"]
        self.assertEqual(json.loads(calls[1]["function"]["arguments"]), {"input": "***"})
        self.assertEqual(body["reasoning_effort"], "low")
        for path in ("tools[].web_search", "include", "text", "reasoning.summary"):
            self.assertIn(path, request.dropped)

    def test_what_lives_elsewhere(self) -> None:
        """It is refused by its name."""
        for members, path in (
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"background": True}, "background"),
            ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
            ({"input": [{"role": "x"}]}, "input[0].role"),
            ({"input": 1}, "input"),
        ):
            fault = self.assertRaises(RequestFault, RESPONSES.request, {"input": "q", **members})
            self.assertEqual(fault.param, path)


class AnswerTests(SynchronousTestCase):
    """Answers."""

    @settings(max_examples=80)
    @given(answers())
    def test_streams_and_wholes(self, answer: Answer) -> None:
        """Every event has the SDK's type and its number; the last holds the whole answer."""
        whole = RESPONSES.whole(answer, OCCASION)
        Response.model_validate(whole)
        values = [json.loads(event.data or b"") for event in written(answer)]
        for at, value in enumerate(values):
            EVENT.validate_python(value)
            self.assertEqual(value["sequence_number"], at)
        self.assertEqual(values[-1]["response"], whole)
        self.assertEqual([v["type"] for v in values[:2]],
                         ["response.created", "response.in_progress"])  # fmt: skip
        self.check_deltas(values, whole)

    def check_deltas(self, values: list[dict[str, Any]], whole: dict[str, Any]) -> None:
        """The deltas of each item come to what it is at the end."""
        for number, item in enumerate(whole["output"]):
            own = [v for v in values if v.get("output_index") == number]
            self.assertEqual(own[0]["type"], "response.output_item.added")
            self.assertEqual(own[-1]["item"], item)
            told = "".join(v["delta"] for v in own if v["type"].endswith(".delta"))
            parts = [*item.get("content", ()), *item.get("summary", ())]
            words = "".join(p.get("text") or p.get("refusal") or "" for p in parts)
            self.assertEqual(told, words or item.get("arguments") or item.get("input") or "")

    @settings(max_examples=80)
    @given(answers())
    def test_there_and_back(self, answer: Answer) -> None:
        """What was written is read alike, whole and streamed."""
        whole = RESPONSES.answer(RESPONSES.whole(answer, OCCASION))
        grown, reader = Growing("responses"), RESPONSES.reader()
        for event in written(answer):
            for delta in reader.read(event):
                grown.add(delta)
        told = grown.answer()
        if whole.choices[0].parts:
            self.assertEqual(
                [type(p) for p in told.choices[0].parts], [type(p) for p in whole.choices[0].parts]
            )
        self.assertEqual(told.tokens, answer.tokens)
        self.assertEqual(told.choices[0].stop, whole.choices[0].stop)

    def test_custom_tools(self) -> None:
        """A call of a function that stands for a custom tool is turned back."""
        call = ToolCall("c", "apply_patch", '{"input": "*** Begin"}')
        (item,) = RESPONSES.whole(
            Answer("chat", choices=(Choice((call,), Stop("tool_calls")),)), OCCASION
        )["output"]
        self.assertEqual((item["type"], item["input"]), ("custom_tool_call", "*** Begin"))

    def test_signatures_come_back(self) -> None:
        """What Messages sign is sealed, and opened when a client brings it back."""
        part = Reasoning("hm", signature="sig")
        answer = Answer("messages", choices=(Choice((part,)),))
        (item,) = RESPONSES.whole(answer, OCCASION)["output"]
        (turn,) = RESPONSES.request({"input": [item]}).turns
        self.assertEqual(turn.parts, (part,))

    def test_calls_side_by_side(self) -> None:
        """Each keeps its place."""
        writer, data = RESPONSES.writer(OCCASION), b""
        for delta in (CallBegan(0, "a", "f"), CallBegan(1, "b", "g"), CallDelta(1, "{}"),
                      CallDelta(0, "{}")):  # fmt: skip
            data += writer.write(delta)
        last = json.loads(events(data + writer.end())[-1].data or b"")
        self.assertEqual([i["arguments"] for i in last["response"]["output"]], ["{}", "{}"])

    @settings(max_examples=60)
    @given(st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) |
                        st.dictionaries(st.sampled_from(["type", "output", "item", "delta",
                        "response", "usage", "content", "output_index"]), inner)),
           st.sampled_from(["response.created", "response.output_item.added",
                            "response.output_item.done", "response.completed",
                            "response.output_text.delta"]))  # fmt: skip
    def test_anything(self, value: Any, kind: str) -> None:
        """Whatever a backend sends, nothing raises."""
        RESPONSES.whole(RESPONSES.answer({"output": value, "usage": value}), OCCASION)
        reader = RESPONSES.reader()
        body = {"item": value, "response": value, "delta": value, "output_index": value}
        for each in ({**body, "type": kind}, value):
            list(reader.read(ServerEvent(b"", json.dumps(each).encode())))
