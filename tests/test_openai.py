"""
OpenAI's dialect: what is sent, what an answer is, and one kind of answer made of the other.

The judge of shapes is the official SDK.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import ResponseErrorEvent
from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types.openai import OpenAI
from yallmp.core.asked import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MODERATIONS,
    RERANK,
    RESPONSES,
    Asked,
    Endpoint,
    understand,
)
from yallmp.core.backend import Backend
from yallmp.core.errors import BackendFault
from yallmp.core.exchange import Usage
from yallmp.core.gate import Gate
from yallmp.core.inspector import Checked, Kind
from yallmp.core.jsonbody import Document
from yallmp.core.problems import Problem, Reason
from yallmp.core.sse import Parser, ServerEvent
from yallmp.core.voice import spoken_event

OPENAI = OpenAI()
BASE = "https://b.example/v1"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def asked(body: bytes | None = None, endpoint: Endpoint = CHAT, **members: Any) -> Asked:
    """A request; *members* go beside a model and a message."""
    value = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return understand(endpoint, Document.parse(body or json.dumps(value).encode()))


def backend(**settings: Any) -> Backend:
    """A backend with *settings*."""
    return Backend("b", "m", api_base=BASE, **settings)


def answer(*choices: dict[str, Any], **extra: Any) -> dict[str, Any]:
    """A whole chat answer."""
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "up",
            "choices": [*choices], **extra}  # fmt: skip


def choice(content: Any = "a", index: int = 0, reason: str = "stop", **more: Any) -> dict[str, Any]:
    """A choice of a whole chat answer; *more* goes into its message."""
    message = {"role": "assistant", "content": content, **more}
    return {"index": index, "message": message, "finish_reason": reason}


def events(stream: bytes) -> list[ServerEvent]:
    """The events of a stream."""
    parser = Parser(1 << 24)
    return parser.feed(stream) + parser.close()


def stream(*chunks: Any) -> list[ServerEvent]:
    """A stream of *chunks*, and its end."""
    lines = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks]
    return events(b"".join([*lines, b"data: [DONE]\n\n"]))


def chunk(delta: Any = None, reason: str | None = None, index: int = 0, **extra: Any) -> Any:
    """A chunk of a chat stream; *extra* goes into its choice."""
    part = {"index": index, "delta": delta or {}, "finish_reason": reason, **extra}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [part]}  # fmt: skip


def values(stream: bytes | None) -> list[Any]:
    """The values of a stream's events, without its end."""
    found = events(stream or b"")
    assert found[-1].data == b"[DONE]"
    return [json.loads(event.data or b"") for event in found[:-1]]


class TargetTests(SynchronousTestCase):
    """Where a request goes."""

    def target(self, query: str, *own: tuple[str, str], endpoint: Endpoint = CHAT) -> str:
        """The URL for a client's *query*."""
        return OPENAI.target(asked(endpoint=endpoint), query, backend(query=own))

    def test_paths(self) -> None:
        """The path without its /v1 behind api_base."""
        for endpoint in (CHAT, COMPLETIONS, EMBEDDINGS, RERANK, MODERATIONS, RESPONSES):
            self.assertEqual(self.target("", endpoint=endpoint), BASE + endpoint.path)
        self.assertEqual(self.target(""), "https://b.example/v1/chat/completions")

    def test_the_clients_query(self) -> None:
        """Verbatim, escapes and oddities too."""
        for query in ("a=1&b=%20+&c", "a=&a=2", "x=/?:@!$'()*,;[]|~", "&&", "a=%zz"):
            self.assertEqual(self.target(query).partition("?")[2], query)

    def test_the_backends_query(self) -> None:
        """Encoded, behind the client's, which wins."""
        own = ("api-version", "2024-10-21"), ("x y", "é&")
        self.assertTrue(self.target("", *own).endswith("?api-version=2024-10-21&x+y=%C3%A9%26"))
        self.assertTrue(self.target("a=1", *own).endswith("?a=1&api-version=2024-10-21"
                                                          "&x+y=%C3%A9%26"))  # fmt: skip
        self.assertTrue(self.target("api-version=", own[0]).endswith("?api-version="))

    @given(st.text(max_size=12))
    def test_any_query(self, query: str) -> None:
        """What a URL cannot have is encoded, and means the same."""
        query = query.encode("utf-8", "backslashreplace").decode()
        target = self.target(query)
        self.assertTrue(target.isascii() and target.isprintable() and " " not in target)
        self.assertNotIn("#", target)
        found = parse_qsl(target.partition("?")[2], keep_blank_values=True)
        self.assertEqual(found, parse_qsl(query, keep_blank_values=True))


class SplicesTests(SynchronousTestCase):
    """What changes in a body."""

    def sent(self, body: bytes, model: str = "m", endpoint: Endpoint = CHAT, **own: Any) -> bytes:
        """*body* as the backend gets it."""
        request = asked(body, endpoint)
        return OPENAI.put(request, model, backend(**own)).body

    def reasoned(self, thinking: bytes) -> bytes:
        """The thinking block that a supports_reasoning backend gets for the client's."""
        prefix = b'{"model":"m","messages":[1],"thinking":'
        sent = self.sent(prefix + thinking + b"}", supports_reasoning=True)
        self.assertTrue(sent.startswith(prefix) and sent.endswith(b"}"))
        return sent[len(prefix) : -1]

    def test_nothing(self) -> None:
        """A body that needs no change has no splice: it goes byte for byte."""
        body = b' {"model":"m", "messages":[1],"temperature":1.0e0,"x":{"a":1,"a":2}}\n'
        self.assertEqual(OPENAI.put(asked(body), "m", backend()).splices, ())
        self.assertEqual(self.sent(body, extra_body=(("x", "2"),), drop_params=("y",)), body)

    def test_model(self) -> None:
        """Only its value, and only when it is another."""
        body = b'{"messages":[1] , "model" : "m","seed":1.50}'
        self.assertEqual(self.sent(body, 'a"b'), body.replace(b'"m"', b'"a\\"b"'))

    def test_thinking_is_switched_on(self) -> None:
        """For chat with supports_reasoning, if the request says nothing of it."""
        body = b'{"model":"m","messages":[1]}'
        thinks = b'{"model":"m","messages":[1], "thinking": {"type": "enabled"}}'
        self.assertEqual(self.sent(body, supports_reasoning=True), thinks)
        self.assertEqual(self.sent(body), body)
        for endpoint in (COMPLETIONS, EMBEDDINGS, RESPONSES):
            self.assertEqual(self.sent(body, endpoint=endpoint, supports_reasoning=True), body)

    def test_a_type_of_the_clients_own_stays(self) -> None:
        """Whatever it names."""
        for block in (b'{"type":"disabled"}', b'{ "type" : "enabled", "budget_tokens":1.0 }'):
            self.assertEqual(self.reasoned(block), block)

    def test_a_block_without_a_type_gets_one(self) -> None:
        """Its other fields keep their bytes."""
        for block, expected in (
            (b"null", b'{"type": "enabled"}'),
            (b"{}", b'{"type": "enabled"}'),
            (b"true", b'{"type": "enabled"}'),
            (b'{"budget_tokens":1.0e3}', b'{"budget_tokens":1.0e3, "type": "enabled"}'),
            (b'{"type":null,"x":"\xc3\xa9"}', b'{"type":"enabled","x":"\xc3\xa9"}'),
            (b'{"type":""}', b'{"type":"enabled"}'),
            (b'{"a":1,"a":2}', b'{"a": 2, "type": "enabled"}'),
        ):
            self.assertEqual(self.reasoned(block), expected)

    def test_extra_body(self) -> None:
        """Set where absent, also to null; what the client says counts."""
        body = b'{"model":"m","messages":[1],"top_k":null}'
        extra = ("top_k", "5"), ("min_p", "null"), ("model", '"evil"')
        self.assertEqual(self.sent(body, extra_body=extra), body[:-1] + b', "min_p": null}')

    def test_extra_body_knows_better_than_supports_reasoning(self) -> None:
        """A thinking block of the configuration's own is the one that is sent."""
        block = '{"type": "enabled", "budget_tokens": 9}'
        sent = self.sent(b'{"model":"m","messages":[1]}', supports_reasoning=True,
                         extra_body=(("thinking", block),))  # fmt: skip
        self.assertEqual(json.loads(sent)["thinking"], json.loads(block))

    def test_drop_params(self) -> None:
        """Left out, whoever set them."""
        body = b'{"user":"u","model":"m","messages":[1],"seed":1}'
        sent = self.sent(body, drop_params=("user", "seed", "thinking"), supports_reasoning=True,
                         extra_body=(("seed", "2"),))  # fmt: skip
        self.assertEqual(sent, b'{"model":"m","messages":[1]}')

    def test_all_together(self) -> None:
        """Splices are in order and do not overlap."""
        body = b'{"thinking":{"budget_tokens":1},"drop":0,"messages":[1],"model":"m"}'
        sent = self.sent(body, "up", supports_reasoning=True, drop_params=("drop",),
                         extra_body=(("x", "1"),))  # fmt: skip
        self.assertEqual(json.loads(sent), {
            "thinking": {"budget_tokens": 1, "type": "enabled"}, "messages": [1], "model": "up",
            "x": 1,
        })  # fmt: skip


class CheckTests(SynchronousTestCase):
    """Whether a whole answer is one."""

    def check(self, value: Any, endpoint: Endpoint = CHAT) -> Checked:
        """What *value* is as an answer."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return OPENAI.check(asked(endpoint=endpoint, prompt="p", input="i"), body)

    def test_good(self) -> None:
        """What each endpoint promises."""
        for endpoint, value in (
            (CHAT, answer(choice(), usage=None)),
            (CHAT, answer(choice(None, tool_calls=[{"id": "1"}]), choice(index=1), error=None)),
            (COMPLETIONS, {"choices": [{"text": "", "index": 0}]}),
            (EMBEDDINGS, {"data": [{"embedding": [0.1]}]}),
            (EMBEDDINGS, {"data": []}),
            (RERANK, {"results": [{"index": 0, "relevance_score": 0.5}]}),
            (MODERATIONS, {"results": [{"flagged": True}]}),
            (RESPONSES, {"output": [], "status": "completed", "error": None}),
            (RESPONSES, {"output": [], "status": "incomplete"}),
        ):
            self.assertTrue(self.check(value, endpoint).ok, value)

    def test_long_numbers(self) -> None:
        """A number that Python makes no integer of spoils neither an answer nor a stream."""
        created = b'"created":' + b"1" * 5000
        body = json.dumps(answer(choice())).encode().replace(b'"created": 1', created)
        self.assertTrue(self.check(body).ok)
        stream = OPENAI.exploded(asked(), body)
        assert stream is not None
        self.assertIn(
            "1" * 5000, [json.loads(e.data or b"")["created"] for e in events(stream)[:1]]
        )
        (event, *_) = events(b'data: {%b, "choices":[{"delta":{"content":"a"}}]}\n\n' % created)
        self.assertEqual(OPENAI.inspector(asked()).see(event).kind, Kind.CONTENT)
        self.assertIsNotNone(OPENAI.assembled(asked(), [event]))

    def test_bad(self) -> None:
        """Empty, HTML, broken, or without what is promised; the message says which."""
        for endpoint, value, word in (
            (CHAT, b"", "empty"), (CHAT, b" \r\n", "empty"), (CHAT, b"<html>", "JSON"),
            (CHAT, b'{"choices": [', "JSON"), (CHAT, b"\xff", "JSON"), (CHAT, [], "object"),
            (CHAT, 7, "object"), (CHAT, b"[" * 100_000, "JSON"), (CHAT, {}, "choices"),
            (CHAT, answer(), "choices"), (CHAT, {"choices": None}, "choices"),
            (CHAT, {"choices": {"0": choice()}}, "choices"), (CHAT, {"choices": [7]}, "choices"),
            (CHAT, {"choices": [{"index": 0}]}, "choices"),
            (CHAT, {"choices": [{"message": "hi"}]}, "choices"),
            (COMPLETIONS, {"choices": [{"text": 5}]}, "choices"),
            (EMBEDDINGS, {"choices": []}, "data"), (RERANK, {"data": []}, "results"),
            (RESPONSES, {"choices": []}, "output"),
        ):  # fmt: skip
            found = self.check(value, endpoint)
            self.assertFalse(found.ok, value)
            self.assertIsNone(found.error)
            self.assertIn(word, found.message)

    def test_errors(self) -> None:
        """An error in a 200, wherever it hides."""
        error = {"message": "m", "code": 503}
        failed: dict[str, Any] = {"output": [], "status": "failed", "error": None}
        values: list[Any] = [
            {"error": error}, answer(choice(), error=error), {"error": "m"}, {"error": {}},
            answer({**choice(), "error": error}), answer(choice(reason="error")), failed,
            {**failed, "error": error}, {"type": "error", "error": error},
            {"object": "error", "message": "m", "code": 40303},
        ]  # fmt: skip
        for value in values:
            found = self.check(value)
            self.assertFalse(found.ok)
            self.assertIsNotNone(found.error, value)

    def test_what_is_told(self) -> None:
        """Finish reason and usage, in either of OpenAI's spellings."""
        found = self.check(answer(choice(reason="length"), usage=USAGE))
        self.assertEqual((found.finish_reason, found.usage), ("length", Usage(1, 2, 3)))
        usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
        value = {"output": [], "status": "completed", "usage": usage}
        found = self.check(value, RESPONSES)
        self.assertEqual((found.finish_reason, found.usage), ("completed", Usage(1, 2, 3)))
        strange = {"prompt_tokens": "1", "completion_tokens": True}
        found = self.check({"data": [], "usage": strange}, EMBEDDINGS)
        self.assertEqual((found.finish_reason, found.usage), (None, Usage()))


class AssembledTests(SynchronousTestCase):
    """One answer of a stream's events."""

    def whole(self, *chunks: Any, endpoint: Endpoint = CHAT) -> Any:
        """The answer that *chunks* amount to; the SDK accepts it."""
        body = OPENAI.assembled(asked(endpoint=endpoint), stream(*chunks))
        value = json.loads(body or b"null")
        if value is not None and endpoint is CHAT:
            ChatCompletion.model_validate(value)
        if value is not None and endpoint is COMPLETIONS:
            Completion.model_validate(value)
        return value

    def test_chat(self) -> None:
        """Texts are joined, usage is kept, the object is a whole one's."""
        found = self.whole(
            chunk({"role": "assistant", "content": ""}), chunk({"content": "a"}),
            chunk({"content": "b", "role": "assistant"}), chunk(reason="stop"),
            {**chunk(), "choices": [], "usage": USAGE},
        )  # fmt: skip
        self.assertEqual(found, answer(choice("ab"), usage=USAGE))

    def test_tool_calls(self) -> None:
        """Their pieces are told apart by index, whatever it starts with."""

        def call(index: int, **fields: Any) -> Any:
            return chunk({"tool_calls": [{"index": index, **fields}]})

        found = self.whole(
            call(1, id="x", type="function", function={"name": "f", "arguments": ""}),
            call(1, function={"arguments": '{"a"'}),
            call(2, id="y", function={"name": "g", "arguments": "{}"}),
            call(1, function={"arguments": ":1}"}),
            chunk(reason="tool_calls"),
        )  # fmt: skip
        message = found["choices"][0]["message"]
        self.assertEqual(message["content"], None)
        self.assertEqual(message["tool_calls"], [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "y", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ])  # fmt: skip

    def test_tool_calls_without_an_index(self) -> None:
        """An id begins one, what has none goes on with the last."""

        def call(**fields: Any) -> Any:
            return chunk({"tool_calls": [fields]})

        found = self.whole(
            call(id="x", function={"name": "f", "arguments": "1"}),
            call(function={"arguments": "2"}),
            call(id="y", function={"name": "g", "arguments": "3"}),
            chunk(reason="tool_calls"),
        )
        calls = found["choices"][0]["message"]["tool_calls"]
        self.assertEqual([c["function"]["arguments"] for c in calls], ["12", "3"])

    def test_several_choices(self) -> None:
        """Each for itself, in order."""
        found = self.whole(
            chunk({"content": "b"}, index=1), chunk({"content": "a"}), chunk(reason="length"),
            chunk({"content": "!"}, "stop", index=1),
        )  # fmt: skip
        self.assertEqual(found["choices"], [choice("a", 0, "length"), choice("b!", 1)])

    def test_reasoning_refusals_logprobs_and_lists(self) -> None:
        """Everything that comes in pieces adds up."""
        first, second = ({"token": t, "logprob": -1.0, "top_logprobs": []} for t in "ab")
        found = self.whole(
            chunk({"reasoning_content": "h", "content": None}, logprobs={"content": [first]}),
            chunk({"reasoning_content": "m", "images": [1]}, logprobs=None),
            chunk({"refusal": "n", "images": [2]}, logprobs={"content": [second]}),
            chunk({"refusal": "o"}, "stop", stop_reason=None),
        )["choices"][0]
        message = found["message"]
        self.assertEqual((message["reasoning_content"], message["refusal"]), ("hm", "no"))
        self.assertEqual(message["images"], [1, 2])
        self.assertEqual(found["logprobs"], {"content": [first, second]})

    def test_what_azure_says_around_it(self) -> None:
        """Its empty id and model give way to those of the answer."""
        empty = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        found = self.whole(empty, chunk({"content": "a"}), chunk(reason="stop"), empty)
        self.assertEqual(found, answer(choice("a")))

    def test_completions(self) -> None:
        """Texts and their log probabilities."""

        def text(text: str, reason: str | None = None, **extra: Any) -> Any:
            part = {"index": 0, "text": text, "finish_reason": reason, **extra}
            return {"id": "c", "object": "text_completion", "created": 1, "model": "up",
                    "choices": [part]}  # fmt: skip

        found = self.whole(
            text("a", logprobs={"tokens": ["a"], "text_offset": [0]}),
            text("b", "stop", logprobs={"tokens": ["b"], "text_offset": [1]}),
            endpoint=COMPLETIONS,
        )
        self.assertEqual(found, text("ab", "stop", logprobs={
            "tokens": ["a", "b"], "text_offset": [0, 1]}))  # fmt: skip

    def test_responses(self) -> None:
        """The response that the last event holds."""
        last = {"id": "r", "status": "completed", "output": [1]}
        found = self.whole({"response": {"status": "in_progress"}}, {"delta": "a"},
                           {"response": last}, endpoint=RESPONSES)  # fmt: skip
        self.assertEqual(found, last)

    def test_nothing_to_assemble(self) -> None:
        """A stream that makes no answer makes none."""
        for endpoint in (CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS):
            self.assertIsNone(self.whole(endpoint=endpoint))
            self.assertIsNone(self.whole(1, None, {"x": 1}, {"choices": []}, endpoint=endpoint))

    def test_nothing_after_the_end(self) -> None:
        """What follows [DONE] is not part of the answer."""
        parts = stream(chunk({"content": "a"}), chunk(reason="stop")) + stream(
            chunk({"content": "b"})
        )
        body = OPENAI.assembled(asked(), parts)
        self.assertEqual(json.loads(body or b""), answer(choice("a")))

    @given(st.lists(st.text(max_size=4), max_size=6), st.lists(st.text(max_size=4), max_size=6))
    def test_any_cutting(self, content: list[str], arguments: list[str]) -> None:
        """However a backend cuts its answer, the whole is the same."""
        parts = [chunk({"content": text}) for text in content]
        parts += [chunk({"tool_calls": [{"index": 0, "id": "x", "function": {
            "name": "", "arguments": text}}]}) for text in arguments]  # fmt: skip
        found = self.whole(*parts, chunk(reason="stop"))["choices"][0]["message"]
        self.assertEqual(found["content"] or "", "".join(content))
        joined = [call["function"]["arguments"] for call in found.get("tool_calls", ())]
        self.assertEqual(joined, ["".join(arguments)] if arguments else [])


TEXTS = st.text(max_size=8)
CALLS = st.lists(
    st.fixed_dictionaries({"id": TEXTS.filter(bool), "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS})}),
    min_size=1, max_size=3)  # fmt: skip
TOKENS = st.lists(
    st.fixed_dictionaries({"token": TEXTS, "logprob": st.floats(-9, 0),
        "bytes": st.none(), "top_logprobs": st.just([])}), max_size=2)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | TEXTS},
    optional={"refusal": st.none() | TEXTS, "reasoning_content": TEXTS, "tool_calls": CALLS},
)
CHOICES = st.fixed_dictionaries(
    {"message": MESSAGES, "finish_reason": st.sampled_from(["stop", "length", "tool_calls"])},
    optional={"logprobs": st.none() | st.fixed_dictionaries({"content": TOKENS})},
)
ANSWERS = st.fixed_dictionaries(
    {"id": TEXTS.filter(bool), "created": st.integers(1, 2**31), "model": TEXTS.filter(bool),
     "object": st.just("chat.completion"), "choices": st.lists(CHOICES, min_size=1, max_size=3),
     "usage": st.none() | st.just(USAGE)},
    optional={"system_fingerprint": st.none() | TEXTS, "x": st.just({"a": [1]})})  # fmt: skip


class ExplodedTests(SynchronousTestCase):
    """A stream of one answer."""

    def exploded(self, value: Any, endpoint: Endpoint = CHAT, usage: bool = False) -> bytes | None:
        """The stream of *value*."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        options = {"include_usage": usage}
        return OPENAI.exploded(asked(endpoint=endpoint, stream_options=options), body)

    def test_chat(self) -> None:
        """One chunk with what it says, one with why it ended, then the end."""
        found = values(self.exploded(answer(choice("hello"), usage=USAGE)))
        self.assertEqual([part["choices"] for part in found], [
            [{"index": 0, "delta": {"role": "assistant", "content": "hello"},
              "finish_reason": None}],
            [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        ])  # fmt: skip
        self.assertEqual({part["object"] for part in found}, {"chat.completion.chunk"})
        self.assertEqual({part["id"] for part in found}, {"c"})

    def test_usage(self) -> None:
        """Only for who asked for it, in a chunk of its own, if the backend told it."""
        told = answer(choice(), usage=USAGE)
        self.assertTrue(all("usage" not in part for part in values(self.exploded(told))))
        last = values(self.exploded(told, usage=True))[-1]
        self.assertEqual((last["choices"], last["usage"]), ([], USAGE))
        self.assertEqual(len(values(self.exploded(answer(choice()), usage=True))), 2)

    def test_a_missing_finish_reason(self) -> None:
        """The answer was whole, so its stream has an end."""
        for more, expected in (({}, "stop"), ({"tool_calls": [{"id": "x"}]}, "tool_calls")):
            whole = {"message": {"role": "assistant", "content": "a", **more}}
            found = values(self.exploded(answer(whole)))
            self.assertEqual(found[-1]["choices"][0]["finish_reason"], expected)
            self.assertEqual(found[-1]["choices"][0]["index"], 0)

    def test_completions(self) -> None:
        """Their chunks have the shape of the whole."""
        part = {"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop"}
        value = {"id": "c", "object": "text_completion", "created": 1, "model": "up",
                 "choices": [part, {**part, "index": 1}]}  # fmt: skip
        found = values(self.exploded(value, COMPLETIONS))
        for each in found:
            Completion.model_validate(each)
        self.assertEqual([each["choices"] for each in found], [[part], [{**part, "index": 1}]])

    def test_no_stream(self) -> None:
        """What has none, or is no answer, makes none."""
        for endpoint in (EMBEDDINGS, RERANK, MODERATIONS, RESPONSES):
            self.assertIsNone(self.exploded({"choices": [{"text": "a"}], "data": []}, endpoint))
        answers: list[Any] = [b"", b"[", [], {}, {"choices": []}, {"choices": [1]}]
        for value in [*answers, answer({"index": 0})]:
            self.assertIsNone(self.exploded(value))

    @settings(max_examples=60)
    @given(ANSWERS, st.booleans())
    def test_round_trip(self, value: dict[str, Any], usage: bool) -> None:
        """Taken apart and joined again it is the same answer; the SDK accepts every piece."""
        value["choices"] = [{"index": i, **each} for i, each in enumerate(value["choices"])]
        exploded = self.exploded(value, usage=usage) or b""
        for part in values(exploded):
            ChatCompletionChunk.model_validate(part)
        body = OPENAI.assembled(asked(), events(exploded)) or b""
        found = json.loads(body)
        ChatCompletion.model_validate(found)
        self.assertEqual(found.pop("usage", None), value.pop("usage") if usage else None)
        value.pop("usage", None)
        self.assertEqual(found, value)

    @settings(max_examples=30)
    @given(ANSWERS)
    def test_our_own_gate_agrees(self, value: dict[str, Any]) -> None:
        """What is made of a good answer is a good stream, byte for byte."""
        count = len(value["choices"])
        stream = self.exploded(value, usage=True) or b""
        gate = Gate(OPENAI.inspector(asked(n=count)), 1 << 20, lambda _: Problem(Reason.INVALID))
        release = gate.feed(stream)
        self.assertEqual((release.data, release.done, release.problem), (stream, True, None))


class ErrorEventTests(SynchronousTestCase):
    """How a client in mid-stream is told of an error."""

    error = BackendFault("The stream broke.", code="upstream_disconnected")

    def test_chat(self) -> None:
        """One data event with OpenAI's error object."""
        for endpoint in (CHAT, COMPLETIONS):
            (event,) = events(spoken_event(self.error, endpoint))
            self.assertEqual((event.name, json.loads(event.data or b"")), (b"", {"error": {
                "message": "The stream broke.", "type": "upstream_error", "param": None,
                "code": "upstream_disconnected"}}))  # fmt: skip

    def test_responses(self) -> None:
        """An event of the API's own kind."""
        (event,) = events(spoken_event(self.error, RESPONSES))
        self.assertEqual(event.name, b"error")
        told = ResponseErrorEvent.model_validate_json(event.data or b"")
        self.assertEqual((told.type, told.code), ("error", "upstream_disconnected"))
        self.assertEqual(told.message, "The stream broke.")
