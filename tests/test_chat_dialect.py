"""
Chat completions, to the neutral model and back; OpenAI's own types and accumulator are the judges.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.errors import RequestFault
from yallmp.core.sse import Parser, ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import Answer, Choice, Delta, Stop, TextDelta, Tokens
from yallmp.dialects.chat import Chat
from yallmp.dialects.conversation import (
    Media,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.growing import Growing, deltas_of
from yallmp.interfaces import IDialect, Occasion

CHAT: IDialect = Chat()
OCCASION = Occasion("0123456789ab", 1_700_000_000, "m", wants_usage=True)
PNG = "data:image/png;base64,iVBORw0KGgo="
RICH: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "what is it?", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA",
                                          "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}
            ],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": "2"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"},
                                          "strict": True}},
        {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
    ],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "max_tokens": 10,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "stop": ["a", "b"],
    "logprobs": True,
    "top_logprobs": 3,
    "seed": 7,
    "user": "u",
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
}  # fmt: skip

TEXTS = st.text(min_size=1, max_size=8)
CALLS = st.builds(ToolCall, TEXTS, TEXTS, st.just('{"a": 1}'))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Answers as chat completions can have them."""
    thoughts = draw(st.lists(st.builds(Reasoning, TEXTS), max_size=1))
    texts = draw(st.lists(st.builds(Text, TEXTS), max_size=2))
    calls = draw(st.lists(CALLS, max_size=2, unique_by=lambda call: call.id))
    stop = Stop("tool_calls" if calls else "stop")
    parts = (*thoughts, *texts, *calls)
    return Answer("chat", "id", "up", 5, (Choice(parts, stop),), Tokens(3, 4, 1, None, 2))


def events(data: bytes) -> list[ServerEvent]:
    """The events in *data*."""
    parser = Parser(1 << 20)
    return parser.feed(data) + parser.close()


def written(answer: Answer) -> list[ServerEvent]:
    """The stream that *answer* makes."""
    writer = CHAT.writer(OCCASION)
    return events(b"".join(map(writer.write, deltas_of(answer))) + writer.end())


def read(stream: list[ServerEvent]) -> list[Delta]:
    """What a *stream* of a backend says."""
    reader = CHAT.reader()
    return [delta for event in stream for delta in reader.read(event)]


class RequestTests(SynchronousTestCase):
    """Requests."""

    def test_there_and_back(self) -> None:
        """What was read from chat is written as it was."""
        again = CHAT.body(CHAT.request(RICH))
        self.assertEqual(again.body, RICH)
        self.assertEqual(again.dropped, ())

    def test_the_older_api(self) -> None:
        """Functions are tools, their calls and results too."""
        body = {
            "model": "m",
            "functions": [{"name": "f"}],
            "function_call": "auto",
            "messages": [
                {"role": "assistant", "content": None,
                 "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
            ],
        }  # fmt: skip
        request = CHAT.request(body)
        self.assertEqual([tool.name for tool in request.tools], ["f"])
        (call,), (result,) = (turn.parts for turn in request.turns)
        assert isinstance(call, ToolCall) and isinstance(result, ToolResult)
        self.assertEqual(call.id, result.id)

    def test_what_cannot_be_understood(self) -> None:
        """It is named by its path."""
        for body, path in (
            ({"messages": [{"role": "x"}]}, "messages[0].role"),
            ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
             "messages[0].content[0].text"),
            ({"stop": [1]}, "stop"),
            ({"tools": [{"type": "function", "function": 1}]}, "tools[0].function"),
            ({"max_tokens": "1"}, "max_tokens"),
        ):  # fmt: skip
            fault = self.assertRaises(RequestFault, CHAT.request, {"messages": [], **body})
            self.assertEqual(fault.param, path)

    def test_from_another_dialect(self) -> None:
        """What chat has no place for is noted in the client's words; media follow results."""
        shown = ToolResult("c", (Text("t"), Media("image", "image/png", "AAAA")), failed=True)
        request = Request(
            "messages",
            "m",
            (
                Turn("system", (Text("s", cache={"type": "ephemeral"}),), place="system"),
                Turn("assistant", (Reasoning("r", signature="s"), ToolCall("c", "f", "{}"))),
                Turn("tool", (shown,)),
            ),
            (Tool("f", schema={}), Tool("w", kind="web_search", dialect="messages")),
            top_k=4,
            stream=True,
            extra={"container": "x"},
        )  # fmt: skip
        body, dropped = CHAT.body(request).body, CHAT.body(request).dropped
        self.assertEqual([m["role"] for m in body["messages"]],
                         ["system", "assistant", "tool", "user"])  # fmt: skip
        self.assertEqual(body["messages"][1]["reasoning_content"], "r")
        self.assertNotIn("signature", json.dumps(body))
        self.assertEqual(body["stream_options"], {"include_usage": True})
        for path in ("system[].cache_control", "tools[].web_search", "top_k", "container",
                     "messages[].content[].is_error"):  # fmt: skip
            self.assertIn(path, dropped)

    def test_custom_tools(self) -> None:
        """Another dialect's tool with free text is a function with one text."""
        tool = Tool("patch", kind="custom", dialect="responses", value={"name": "patch"})
        call = Turn("assistant", (ToolCall("c", "patch", "*** Begin", custom=True),))
        body = CHAT.body(Request("responses", "m", (call,), (tool,))).body
        self.assertEqual(body["tools"][0]["function"]["parameters"]["required"], ["input"])
        arguments = body["messages"][0]["tool_calls"][0]["function"]["arguments"]
        self.assertEqual(json.loads(arguments), {"input": "*** Begin"})


class AnswerTests(SynchronousTestCase):
    """Answers."""

    @settings(max_examples=60)
    @given(answers())
    def test_streams_and_wholes(self, answer: Answer) -> None:
        """Every chunk has the SDK's type, and what it gathers is the whole answer."""
        whole = ChatCompletion.model_validate(CHAT.whole(answer, OCCASION))
        state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
        *chunks, last = written(answer)
        for event in chunks:
            state.handle_chunk(ChatCompletionChunk.model_validate_json(event.data or b""))
        self.assertEqual(last.data, b"[DONE]")
        gathered = json.loads(state.get_final_completion().to_json())
        said, had = gathered["choices"][0], json.loads(whole.to_json())["choices"][0]
        for name in ("content", "reasoning_content", "refusal"):
            self.assertEqual(said["message"].get(name) or "", had["message"].get(name) or "")
        self.assertEqual(said["finish_reason"], had["finish_reason"])
        for one, other in zip(
            said["message"].get("tool_calls") or (),
            had["message"].get("tool_calls") or (),
            strict=True,
        ):
            self.assertEqual(one["function"]["name"], other["function"]["name"])
            self.assertEqual(one["function"]["arguments"], other["function"]["arguments"])
        self.assertEqual(gathered["usage"]["total_tokens"], 7)

    @settings(max_examples=60)
    @given(answers())
    def test_there_and_back(self, answer: Answer) -> None:
        """What was written is read as what it was, whole and streamed."""
        again = CHAT.answer(CHAT.whole(answer, OCCASION))
        grown = Growing("chat")
        for delta in read(written(answer)):
            grown.add(delta)
        for found in (again, grown.answer()):
            self.assertEqual(_told(found), _told(answer))
            self.assertEqual(found.tokens, answer.tokens)

    @settings(max_examples=80)
    @given(st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) |
                        st.dictionaries(st.sampled_from(["choices", "delta", "message", "content",
                        "tool_calls", "function", "usage", "index", "reasoning_details"]),
                        inner)))  # fmt: skip
    def test_anything(self, value: Any) -> None:
        """Whatever a backend sends, nothing raises."""
        body = value if isinstance(value, dict) else {"choices": value}
        CHAT.whole(CHAT.answer(body), OCCASION)
        read([ServerEvent(b"", json.dumps({"choices": [body], "usage": value}).encode())])
        read([ServerEvent(b"", json.dumps(value).encode()), ServerEvent(b"", b"{")])

    def test_signed_thoughts(self) -> None:
        """What has to come back is told behind the thoughts, and comes back."""
        part = Reasoning("hm", signature="sig")
        answer = Answer("messages", "i", "m", 1, (Choice((part, Text("x")), Stop("stop")),))
        details = [{"type": "reasoning.text", "text": "hm", "signature": "sig", "index": 0}]
        whole = CHAT.whole(answer, OCCASION)["choices"][0]["message"]
        self.assertEqual(whole["reasoning_details"], details)
        grown = Growing("chat")
        for delta in read(written(answer)):
            grown.add(delta)
        self.assertEqual(grown.answer().choices[0].parts, (part, Text("x")))

    def test_calls_of_all_kinds_of_servers(self) -> None:
        """Side by side, without index, without id, all at once, ending with ``stop``."""
        beside = [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{"}},
            {"index": 0, "function": {"arguments": "{}"}},
            {"index": 1, "function": {"arguments": "}"}},
        ]
        bare = [
            {"function": {"name": "f", "arguments": "{}"}},
            {"function": {"name": "g", "arguments": "{"}},
            {"function": {"arguments": "}"}},
        ]
        for pieces in (beside, bare):
            grown = Growing("chat")
            chunks = [{"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces]
            chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            for delta in read([ServerEvent(b"", json.dumps(c).encode()) for c in chunks]):
                grown.add(delta)
            choice = grown.answer().choices[0]
            calls = [p for p in choice.parts if isinstance(p, ToolCall)]
            self.assertEqual([(c.name, c.arguments) for c in calls], [("f", "{}"), ("g", "{}")])
            assert choice.stop is not None
            self.assertEqual(choice.stop.reason, "tool_calls")

    def test_refusals(self) -> None:
        """They are told as such."""
        answer = Answer("chat", "i", "m", 1, (Choice((Refusal("no"),), Stop("stop")),))
        self.assertEqual(CHAT.whole(answer, OCCASION)["choices"][0]["message"]["refusal"], "no")

    def test_going_on(self) -> None:
        """A stream that is gone on with keeps its id, and nobody speaks up anew."""
        writer = CHAT.resumed(OCCASION, Transcript(id="chatcmpl-1"))
        (event,) = events(writer.write(TextDelta("x")))
        chunk = json.loads(event.data or b"")
        self.assertEqual(chunk["id"], "chatcmpl-1")
        self.assertEqual(chunk["choices"][0]["delta"], {"content": "x"})
        again = CHAT.resumed(OCCASION, Transcript(place=writer))
        self.assertEqual(again, writer)
        self.assertIsNot(again, writer)


def _told(answer: Answer) -> list[Any]:
    """What an answer says: its texts joined, for chat completions know one."""
    parts = answer.choices[0].parts if answer.choices else ()
    texts = "".join(part.text for part in parts if isinstance(part, Text))
    return [texts, *(part for part in parts if not isinstance(part, Text))]
