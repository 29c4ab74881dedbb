"""
Responses, to the neutral model and back; OpenAI's own types and accumulator are the judges.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from twisted.trial.unittest import SynchronousTestCase

from tests.conversations_responses import OFFERED, normal, requests
from yallmp.core.errors import RequestFault
from yallmp.core.sse import Parser, ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import (
    Answer,
    Began,
    CallBegan,
    CallDelta,
    Choice,
    Delta,
    ReasoningDelta,
    ReasoningEnd,
    Stop,
    Stopped,
    TextDelta,
    Tokens,
)
from yallmp.dialects.conversation import (
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from yallmp.dialects.growing import Growing, deltas_of
from yallmp.dialects.responses import Responses
from yallmp.dialects.table import DIALECTS
from yallmp.interfaces import IDialect, Occasion

RESPONSES: IDialect = Responses()
OCCASION = Occasion("0123456789ab", 1_700_000_000, "m")
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
PATCHED = '{"input": "*** Begin"}'
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}},
    {"type": "local_shell"},
    *OFFERED,
]
OFFERING = Occasion(
    OCCASION.id, OCCASION.time, "m", echo=RESPONSES.echo({"tools": TOOLS, "instructions": "be"})
)
TEXTS = st.text(min_size=1, max_size=8)
TOP = {"token": "b", "logprob": -2.0, "bytes": [98]}
LOGPROBS = [{"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": [TOP]}]
URL = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "t"}}
FOUND = {"type": "web_search_result_location", "url": "https://b", "cited_text": "x"}
CALLS = st.one_of(
    st.builds(ToolCall, TEXTS, st.just("f"), st.sampled_from(["", "{}", '{"a": 1}', "{"])),
    st.builds(ToolCall, TEXTS, st.just("patch"), st.sampled_from(["", PATCHED, "free"])),
    st.builds(ToolCall, TEXTS, st.just("agents__spawn"), st.just('{"a": 2}')),
    st.builds(ToolCall, TEXTS, st.just("local_shell"), st.just('{"command": ["ls"]}')),
    st.builds(ToolCall, TEXTS, st.just("patch"), TEXTS, custom=st.just(True)),
)
THOUGHTS = st.one_of(
    st.builds(Reasoning, TEXTS, signature=st.none() | TEXTS),
    st.builds(Reasoning, summary=st.lists(TEXTS, min_size=1, max_size=2).map(tuple),
              encrypted=st.none() | TEXTS, id=st.just("rs_1")),
    st.builds(Reasoning, encrypted=TEXTS, redacted=st.just(True)),
)  # fmt: skip
SAID = st.one_of(
    st.builds(Text, TEXTS, annotations=st.sampled_from([(), (URL,), (FOUND, URL)])),
    st.builds(Refusal, TEXTS),
)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Answers of whatever backend."""
    parts = tuple(draw(st.lists(st.one_of(THOUGHTS, SAID, CALLS), max_size=5)))
    stop = Stop(draw(st.sampled_from(["stop", "tool_calls", "length", "content_filter"])))
    logprobs = LOGPROBS if any(isinstance(part, Text) for part in parts) else None
    return Answer("chat", "id", "up", 5, (Choice(parts, stop, logprobs),), Tokens(3, 4, 1, 0, 2))


def events(data: bytes) -> list[ServerEvent]:
    """The events in *data*."""
    parser = Parser(1 << 20)
    return parser.feed(data) + parser.close()


def written(deltas: Any, occasion: Occasion = OFFERING) -> list[Any]:
    """The events that *deltas* make, as JSON."""
    writer = RESPONSES.writer(occasion)
    stream = events(b"".join(map(writer.write, deltas)) + writer.end())
    return [json.loads(event.data or b"") for event in stream]


def kinds(stream: list[Any]) -> list[str]:
    """What the events of *stream* are."""
    return [event["type"].removeprefix("response.") for event in stream]


def read(stream: list[Any]) -> list[Delta]:
    """What a *stream* of a backend says."""
    reader = RESPONSES.reader()
    raw = [ServerEvent(b"", json.dumps(event).encode()) for event in stream]
    return [delta for event in raw for delta in reader.read(event)]


def one(*parts: Any, stop: str = "stop") -> Answer:
    """An answer of *parts*."""
    return Answer("chat", "id", "up", 5, (Choice(parts, Stop(stop)),))


def output(*parts: Any, occasion: Occasion = OFFERING) -> Any:
    """The output that *parts* are to a client."""
    return RESPONSES.whole(one(*parts), occasion)["output"]


def items(*turns: Turn, tools: tuple[Tool, ...] = ()) -> Any:
    """The input that a backend gets for *turns* of a Messages client."""
    return RESPONSES.body(Request("messages", "m", turns, tools)).body["input"]


class RequestTests(SynchronousTestCase):
    """Requests."""

    @settings(deadline=None, max_examples=60)
    @given(requests())
    def test_there_and_back(self, body: dict[str, Any]) -> None:
        """What was read is written as it was, but for what is kept."""
        request = RESPONSES.request(body)
        again = RESPONSES.body(request)
        self.assertEqual(again.dropped, ())
        self.assertEqual(normal({**again.body}), {**normal(body), "store": False})
        self.assertEqual(RESPONSES.request(again.body), request)

    @settings(deadline=None, max_examples=40)
    @given(requests())
    def test_into_other_dialects(self, body: dict[str, Any]) -> None:
        """Whatever is asked for can be asked in the others."""
        for name in ("chat", "messages"):
            self.assertIn("model", DIALECTS[name].body(RESPONSES.request(body)).body)

    def test_the_model_speaks_in_one_turn(self) -> None:
        """Thoughts, a message and calls are one turn; a second message begins another."""
        message = {"role": "assistant", "content": "a", "id": "m1"}
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
        thought = {"type": "reasoning", "id": "r", "summary": []}
        turns = RESPONSES.request({"model": "m", "input": [thought, message, call, message]}).turns
        self.assertEqual([len(turn.parts) for turn in turns], [3, 1])

    def test_what_only_the_provider_has_is_refused(self) -> None:
        """Background, conversations and prompts name the member at fault."""
        for name, value in (("background", True), ("conversation", "c"), ("prompt", {"id": "p"})):
            with self.assertRaises(RequestFault) as caught:
                RESPONSES.request({"model": "m", "input": "x", name: value})
            self.assertEqual(caught.exception.param, name)

    def test_faults_name_where(self) -> None:
        """What cannot be understood is an error with its place."""
        for wrong, where in (
            ([1], "input[0]"),
            ([{"role": "nobody", "content": ""}], "input[0].role"),
            ([{"role": "user", "content": [1]}], "input[0].content[0]"),
            ([{"type": "function_call", "name": "f"}], "input[0].call_id"),
            (7, "input"),
        ):
            with self.assertRaises(RequestFault) as caught:
                RESPONSES.request({"model": "m", "input": wrong})
            self.assertEqual(caught.exception.param, where)

    def test_tools_of_the_client_become_functions(self) -> None:
        """A chat backend is offered the client's own tools as functions."""
        found = DIALECTS["chat"].body(
            RESPONSES.request({"model": "m", "input": "x", "tools": [*TOOLS, {"type": "mcp"}]})
        )
        names = [tool["function"]["name"] for tool in found.body["tools"]]
        self.assertEqual(names, ["f", "local_shell", "patch", "agents__spawn"])
        self.assertEqual(found.dropped, ("tools[].mcp",))

    def test_calls_of_them_too(self) -> None:
        """What was called before is called by the same names."""
        request = RESPONSES.request({"model": "m", "tools": TOOLS, "input": [
            {"type": "function_call", "call_id": "1", "name": "spawn", "namespace": "agents",
             "arguments": "{}"},
            {"type": "local_shell_call", "call_id": "2", "id": "x", "status": "completed",
             "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "local_shell_call_output", "id": "2", "output": "a"},
        ]})  # fmt: skip
        calls = request.turns[0].parts
        self.assertEqual([call.name for call in calls if isinstance(call, ToolCall)],
                         ["agents__spawn", "local_shell"])  # fmt: skip
        self.assertEqual(request.turns[1].parts, (ToolResult("2", (Text("a"),)),))

    def test_a_chat_backend_gets_what_it_can_take(self) -> None:
        """Developers speak as the system; calls around a message stay together."""
        call = {"type": "function_call", "name": "f", "arguments": "{}"}
        request = RESPONSES.request({"model": "m", "input": [
            {"role": "developer", "content": "d"},
            {"role": "assistant", "content": "a"}, {**call, "call_id": "1"},
            {"role": "assistant", "content": "b"}, {**call, "call_id": "2"},
            {"type": "function_call_output", "call_id": "1", "output": "x"},
        ]})  # fmt: skip
        messages = DIALECTS["chat"].body(request).body["messages"]
        self.assertEqual([each["role"] for each in messages], ["system", "assistant", "tool"])
        self.assertEqual([each["id"] for each in messages[1]["tool_calls"]], ["1", "2"])

    def test_system_blocks_are_instructions(self) -> None:
        """What Messages says beside the conversation is said so here; its caching is lost."""
        turns = (
            Turn("system", (Text("a", cache={"type": "ephemeral"}), Text("b")), place="system"),
            Turn("user", (Text("x"),)),
        )
        found = RESPONSES.body(Request("messages", "m", turns))
        self.assertEqual(found.body["instructions"], "a\n\nb")
        self.assertEqual(found.body["input"], [{"role": "user", "content": "x"}])
        self.assertEqual(found.dropped, ("system[].cache_control",))

    def test_a_foreign_function_is_not_strict(self) -> None:
        """Here functions are strict unless said otherwise, elsewhere it is the other way round."""
        body = RESPONSES.body(Request("chat", "m", (), (Tool("f"),))).body
        self.assertEqual(body["tools"][0]["strict"], False)
        self.assertEqual(body["tools"][0]["parameters"], {"type": "object", "properties": {}})

    def test_a_custom_tool_of_chat(self) -> None:
        """It is one here, its grammar one level further up; so are the allowed ones."""
        chat = {"model": "m", "messages": [], "tools": [{"type": "custom", "custom": {
            "name": "g", "format": {"type": "grammar", "grammar": {
                "syntax": "regex", "definition": "a"}}}}],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {
                "mode": "required", "tools": [{"type": "custom", "custom": {"name": "g"}}]}},
        }  # fmt: skip
        body = RESPONSES.body(DIALECTS["chat"].request(chat)).body
        form = {"type": "grammar", "syntax": "regex", "definition": "a"}
        self.assertEqual(body["tools"], [{"type": "custom", "name": "g", "format": form}])
        self.assertEqual(body["tool_choice"], {
            "type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "g"}],
        })  # fmt: skip

    def test_only_its_own_thoughts_go_to_a_backend(self) -> None:
        """Encrypted ones do; what Anthropic signed, and what nobody signed, does not."""
        own = Reasoning(summary=("s",), encrypted="e", id="rs_1")
        foreign = (
            Reasoning("t", signature="s"),
            Reasoning("t"),
            Reasoning(encrypted="x", redacted=True),
        )
        turns = (Turn("assistant", (own, *foreign, Text("a"))),)
        found = RESPONSES.body(Request("messages", "m", turns))
        self.assertEqual([item.get("type") for item in found.body["input"]], ["reasoning", None])
        self.assertEqual(found.body["include"], ["reasoning.encrypted_content"])
        self.assertEqual(found.dropped, ("messages[].content[]",))

    def test_results_and_media(self) -> None:
        """Tool results keep their images; documents their names, plain ones are text."""
        image, plain = Media("image", "image/png", "AAAA"), Media("document", text="t", name="n")
        found = items(
            Turn("tool", (ToolResult("c", (Text("a"), image)),)),
            Turn("user", (plain, Media("document", "application/pdf", "AAAA"))),
        )
        self.assertEqual(found[0]["output"][1]["image_url"], "data:image/png;base64,AAAA")
        self.assertEqual(found[1]["content"][0], {"type": "input_text", "text": "t"})
        self.assertEqual(found[1]["content"][1]["filename"], "document.pdf")

    def test_losses(self) -> None:
        """What has no place here is noted as the client calls it."""
        request = Request(
            "chat", "m", (Turn("user", (Text("x"),), name="ann"),), stop=("a",), choices=2, top_k=3,
            extra={"seed": 1, "metadata": {}, "store": True},
        )  # fmt: skip
        found = RESPONSES.body(request)
        self.assertEqual(found.dropped, ("messages[].name", "stop", "top_k", "n", "seed", "store"))
        self.assertEqual(found.body["metadata"], {})
        self.assertIs(found.body["store"], False)

    def test_thinking(self) -> None:
        """A budget is an effort, roughly; thoughts that are to be shown are summed up."""
        thinking = Thinking(enabled=True, budget=10_000)
        found = RESPONSES.body(Request("messages", "m", thinking=thinking))
        self.assertEqual(found.body["reasoning"], {"effort": "medium", "summary": "auto"})
        self.assertEqual(found.dropped, ("thinking.budget_tokens",))

    def test_choices(self) -> None:
        """A named tool, or any."""
        for choice, value in (
            (ToolChoice("required"), "required"),
            (ToolChoice("named", "f"), {"type": "function", "name": "f"}),
        ):
            request = Request("messages", "m", tools=(Tool("f"),), tool_choice=choice)
            self.assertEqual(RESPONSES.body(request).body["tool_choice"], value)


class AnswerTests(SynchronousTestCase):
    """Answers, whole and streamed, as clients get them."""

    @settings(deadline=None, max_examples=100)
    @given(answers())
    def test_streams_are_what_the_sdk_understands(self, answer: Answer) -> None:
        """Every event is of a strict type; together they come to the whole answer."""
        whole = RESPONSES.whole(answer, OFFERING)
        Response.model_validate(whole, strict=True)
        stream = written(deltas_of(answer))
        self.assertEqual([event["sequence_number"] for event in stream], [*range(len(stream))])
        state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
        for event in stream:
            EVENT.validate_python(event, strict=True)
            state.handle_event(construct_type(type_=ResponseStreamEvent, value=event))
        self.assertEqual(stream[-1]["response"], whole)
        if whole["status"] == "completed":
            found = state._completed_response.to_dict(mode="json")
            self.assertEqual(_without_parsed(found["output"]), whole["output"])

    @settings(deadline=None, max_examples=100)
    @given(answers())
    def test_items_are_told_one_after_the_other(self, answer: Answer) -> None:
        """Pieces come to what is done, within an item that was added."""
        done: list[Any] = []
        for event in written(deltas_of(answer)):
            if event["type"] == "response.output_item.added":
                self.assertEqual(event["output_index"], len(done))
            elif event["type"] == "response.output_item.done":
                done.append(event["item"])
            elif "item_id" in event:
                self.assertEqual(event["output_index"], len(done))

    def test_the_order_of_events(self) -> None:
        """It is the API's."""
        deltas = (Began("x", "up"), ReasoningDelta("hm"), ReasoningEnd(), TextDelta("a"),
                  CallBegan(0, "c", "f"), CallDelta(0, "{}"),
                  Stopped(Stop("tool_calls")))  # fmt: skip
        self.assertEqual(kinds(written(deltas)), [
            "created", "in_progress",
            "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
            "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
            "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
            "content_part.done", "output_item.done",
            "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
            "output_item.done", "completed",
        ])  # fmt: skip

    def test_calls_side_by_side(self) -> None:
        """All but the first wait until that has its arguments."""
        deltas = (CallBegan(0, "c0", "f"), CallBegan(1, "c1", "f"), CallDelta(1, '{"b"'),
                  CallDelta(0, '{"a": 1'), CallDelta(1, ": 2}"), CallDelta(0, "}"),
                  TextDelta("x"))  # fmt: skip
        stream = written(deltas)
        found = stream[-1]["response"]["output"]
        self.assertEqual([item.get("arguments") for item in found], ['{"a": 1}', '{"b": 2}', None])
        words = [event["delta"] for event in stream if event["type"].endswith(".delta")]
        self.assertEqual(words, ['{"a": 1', "}", '{"b"', ": 2}", "x"])

    def test_calls_are_turned_back(self) -> None:
        """A function that stood for another tool is called as that tool."""
        shell, patch, spawn = output(
            ToolCall("1", "local_shell", '{"command": ["ls"]}'),
            ToolCall("2", "patch", PATCHED),
            ToolCall("3", "agents__spawn", "{}"),
        )
        self.assertEqual(shell["action"], {"type": "exec", "env": {}, "command": ["ls"]})
        self.assertEqual((patch["type"], patch["input"]), ("custom_tool_call", "*** Begin"))
        self.assertEqual((spawn["namespace"], spawn["name"]), ("agents", "spawn"))

    def test_thoughts_come_back(self) -> None:
        """What was sealed for the client is what the backend gets again."""
        for thought in (
            Reasoning("hm", signature="sig"),
            Reasoning(encrypted="data", redacted=True),
            Reasoning("hm"),
            Reasoning(summary=("s",), encrypted="e", id="rs_0123456789ab_0"),
        ):
            item = output(thought)[0]
            item["summary"] = item["summary"] and [{"type": "summary_text", "text": "short"}]
            back = RESPONSES.request({"model": "m", "input": [item]}).turns[0].parts[0]
            wanted = Reasoning(summary=("short",), encrypted="e", id=thought.id)
            self.assertEqual(back, wanted if thought.summary else thought)

    def test_the_request_is_repeated(self) -> None:
        """As far as the API would have taken it."""
        body = {"model": "m", "input": "x", "instructions": "be", "temperature": 0.5,
                "metadata": 7, "tool_choice": 9, "text": {"verbosity": "low"}}  # fmt: skip
        occasion = Occasion("i", 1, "m", echo=RESPONSES.echo(body))
        found = RESPONSES.whole(one(), occasion)
        self.assertEqual(found["instructions"], "be")
        self.assertEqual(found["temperature"], 0.5)
        self.assertEqual(found["metadata"], {})
        self.assertEqual(found["tool_choice"], "auto")
        self.assertEqual(found["text"], {"format": {"type": "text"}, "verbosity": "low"})
        self.assertNotIn("input", found)

    def test_cut_answers_are_incomplete(self) -> None:
        """The reason is told, and the event is another one."""
        stream = written(deltas_of(one(Text("a"), stop="length")))
        self.assertEqual(stream[-1]["type"], "response.incomplete")
        response = stream[-1]["response"]
        self.assertEqual(response["incomplete_details"], {"reason": "max_output_tokens"})
        self.assertEqual(response["output"][0]["status"], "incomplete")

    def test_a_writer_goes_on(self) -> None:
        """Where one answer broke, another is written on by the same writer."""
        writer = RESPONSES.writer(OCCASION)
        self.assertIsNone(writer.id)
        writer.write(TextDelta("a"))
        self.assertEqual(writer.id, "resp_0123456789ab")
        again = RESPONSES.resumed(OCCASION, Transcript(place=writer))
        again.write(TextDelta("b"))
        for each, words in ((writer, "a"), (again, "ab")):
            each.end()
            self.assertIn(f'"text": "{words}"', json.dumps(each.response))


class ReaderTests(SynchronousTestCase):
    """What backends say."""

    @settings(deadline=None, max_examples=100)
    @given(answers())
    def test_streams_and_wholes_are_read_alike(self, answer: Answer) -> None:
        """The deltas of a stream come to what is read of the whole answer."""
        stream = written(deltas_of(answer), OCCASION)
        growing = Growing("responses")
        for delta in read(stream):
            growing.add(delta)
        whole = RESPONSES.answer(RESPONSES.whole(answer, OCCASION))
        self.assertEqual(growing.answer(), whole)

    @settings(deadline=None, max_examples=60)
    @given(answers())
    def test_what_is_not_streamed_is_told_at_the_end(self, answer: Answer) -> None:
        """A server may tell items only when they are done, or all of them in its last event."""
        stream = written(deltas_of(answer), OCCASION)
        whole = RESPONSES.answer(RESPONSES.whole(answer, OCCASION))
        plain = Choice(whole.choices[0].parts, whole.choices[0].stop)
        for kept in ("created output_item.done", "created"):
            some = [e for e in stream[:-1] if kinds([e])[0] in kept.split()]
            growing = Growing("responses")
            for delta in read([*some, stream[-1]]):
                growing.add(delta)
            self.assertEqual(growing.answer().choices, (plain,))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "item", "delta", "output_index", "response", "output",
                                 "content", "call_id", "arguments", "usage", "status", "text"]),
                inner, max_size=4,
            ),
            max_leaves=12,
        ),
        st.sampled_from(["output_item.added", "output_item.done", "output_text.delta", "completed",
                         "function_call_arguments.delta", "created", "incomplete",
                         "output_text.annotation.added", "reasoning_summary_text.delta"]),
        st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "x", 7]),
    )  # fmt: skip
    @settings(deadline=None, max_examples=200)
    def test_nothing_makes_a_reader_raise(self, value: Any, kind: str, item: Any) -> None:
        """Whatever it is."""
        inner = {**value, "type": item} if isinstance(value, dict) else value
        told = {"type": f"response.{kind}", "item": inner, "response": value, "delta": value,
                "annotation": value, "output_index": value}  # fmt: skip
        reader = RESPONSES.reader()
        for data in (told, value, {**told, "output_index": 0}):
            for delta in reader.read(ServerEvent(b"", json.dumps(data).encode())):
                self.assertIsNotNone(delta)
        body = {"output": [inner], "usage": value, "status": value, "created_at": value}
        self.assertEqual(len(RESPONSES.answer(body).choices), 1)
        self.assertEqual(list(reader.read(ServerEvent(b"", b"{"))), [])

    def test_items_of_the_providers_own(self) -> None:
        """They stay what they are."""
        item = {"type": "web_search_call", "id": "ws", "status": "completed"}
        found = RESPONSES.answer({"output": [item], "status": "completed"})
        self.assertEqual(found.choices[0].parts, (Opaque("responses", item),))
        self.assertEqual(output(Opaque("responses", item)), [item])


def _without_parsed(found: Any) -> Any:
    """What the accumulator adds on its own account, taken away."""
    if isinstance(found, list):
        return [_without_parsed(each) for each in found]
    if isinstance(found, dict):
        kept = {k: v for k, v in found.items() if k not in ("parsed", "parsed_arguments")}
        return {name: _without_parsed(member) for name, member in kept.items()}
    return found
