"""
Streams of chunks that go on with others: named cases, and what is kept of a stream.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.test_rescue import asked, said
from yallmp.api_types import API_TYPES
from yallmp.core.asked import CHAT, COMPLETIONS, RESPONSES, is_bound
from yallmp.core.backend import Backend
from yallmp.core.inspector import Kind, Seen
from yallmp.core.jsonbody import Document
from yallmp.core.sse import Parser, ServerEvent
from yallmp.core.transcript import Transcript

OPENAI = API_TYPES["openai"]
NOTHING = b""


def event(value: Any) -> ServerEvent:
    """An event with *value* as its data."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    (parsed,) = Parser(1 << 20).feed(b"data: " + data + b"\n\n")
    return parsed


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of one choice."""
    return {"id": "new", "model": "other",
            "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}  # fmt: skip


def text(**fields: str) -> Transcript:
    """What a client has, with its id."""
    transcript = said(**fields)
    transcript.id = "old"
    return transcript


def passed(seen: Seen) -> Any:
    """What goes on in place of an event."""
    if not seen.instead:
        return seen.instead
    (parsed,) = Parser(1 << 20).feed(seen.instead)
    return json.loads(parsed.data or b"")


class TranscriptTests(SynchronousTestCase):
    """What is kept of a stream while it is looked at."""

    def kept(self, *chunks: Any, endpoint: Any = CHAT) -> Transcript:
        """The transcript behind *chunks*."""
        inspector = OPENAI.inspector(asked(endpoint))
        for chunk in chunks:
            inspector.see(event(chunk))
        return inspector.transcript

    def test_text_by_field(self) -> None:
        """Content, reasoning in both spellings, refusals; and the id."""
        kept = self.kept(
            delta(role="assistant", content=""), delta(reasoning_content="h"),
            delta(reasoning_content="m"), delta(content="a"), delta(content="b"), delta("stop"),
        )  # fmt: skip
        self.assertEqual(kept.fields, {"reasoning_content": "hm", "content": "ab"})
        self.assertEqual((kept.id, kept.plain), ("new", True))

    def test_completions(self) -> None:
        """Their text."""
        chunk = {"choices": [{"index": 0, "text": "a", "finish_reason": None}]}
        self.assertEqual(self.kept(chunk, chunk, endpoint=COMPLETIONS).fields, {"text": "aa"})

    def test_null_is_nothing(self) -> None:
        """Many backends send every field with every chunk."""
        kept = self.kept(delta(content="a", tool_calls=None, refusal=None, function_call=None))
        self.assertTrue(kept.plain)

    def test_more_than_text(self) -> None:
        """Nobody can go on with these."""
        odd: tuple[Any, ...] = (
            delta(tool_calls=[{"index": 0}]), delta(function_call={"name": "f"}),
            delta(audio={"id": "x"}), delta(annotations=[{"type": "url"}]), delta(content=["x"]),
            delta(something="new"),
            {"choices": [{"index": 1, "delta": {"content": "a"}}]},
            {"choices": [{"index": 0, "delta": {}}, {"index": 1, "delta": {}}]},
            {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": []}}]},
            {"choices": [{"index": 0, "message": {"content": "a"}}]},
            {"choices": [7]}, {"type": "citation", "at": 3},
        )  # fmt: skip
        for chunk in odd:
            self.assertFalse(self.kept(delta(content="a"), chunk).plain, chunk)
        self.assertFalse(self.kept({"type": "response.created"}, endpoint=RESPONSES).plain)


class ComparisonTests(SynchronousTestCase):
    """What goes on of an answer that is given anew."""

    def seen(self, delivered: Transcript, *chunks: Any) -> list[Seen]:
        """What each of *chunks* is."""
        self.inspector = OPENAI.comparison(asked(), delivered)
        return [self.inspector.see(event(chunk)) for chunk in chunks]

    def test_the_seam(self) -> None:
        """Nothing before it, the rest of its event, then all, with the client's id."""
        told = self.seen(
            text(content="abc"), delta(role="assistant", content=""), delta(content="ab"),
            delta(content="cd"), delta(content="e"), delta("stop"),
        )  # fmt: skip
        self.assertEqual([each.instead for each in told[:2]], [NOTHING, NOTHING])
        self.assertEqual(told[1].kind, Kind.CONTENT, "a sign of life")
        self.assertEqual(passed(told[2]), {**delta(content="d"), "id": "old"})
        self.assertEqual(passed(told[3]), {**delta(content="e"), "id": "old"})
        self.assertEqual(passed(told[4]), {**delta("stop"), "id": "old"})
        self.assertTrue(self.inspector.finished)
        self.assertEqual(self.inspector.transcript.fields, {"content": "abcde"})

    def test_only_the_finish_was_missing(self) -> None:
        """It flows by itself."""
        told = self.seen(text(content="ab"), delta(content="ab"), delta("stop"))
        self.assertEqual((told[0].instead, passed(told[1])["id"]), (NOTHING, "old"))

    def test_an_end_too_early(self) -> None:
        """A finish reason or [DONE] before all was said again; usage may come first."""
        usage = {"choices": [], "usage": {"a": 1}}
        self.assertEqual(self.seen(text(content="abc"), usage)[0].instead, NOTHING)
        for end in (delta("stop"), delta("length", content="b")):
            told = self.seen(text(content="abc"), delta(content="a"), end)
            self.assertIs(told[1].kind, Kind.DIFFERENT, end)
        self.seen(text(content="abc"), delta(content="a"), b"[DONE]")
        self.assertFalse(self.inspector.finished)

    def test_other_content_too_early(self) -> None:
        """A tool call, another field, a second choice."""
        for chunk in (
            delta(tool_calls=[{"index": 0}]), delta(refusal="no"),
            {"choices": [{"index": 1, "delta": {"content": "a"}}]}, {"type": "unknown"},
        ):  # fmt: skip
            self.assertIs(self.seen(text(content="ab"), chunk)[0].kind, Kind.DIFFERENT, chunk)

    def test_a_tool_call_behind_the_seam(self) -> None:
        """It flows, and from there on nobody else can go on."""
        call = delta(tool_calls=[{"index": 0, "id": "t"}])
        told = self.seen(text(content="ab"), delta(content="ab"), call)
        self.assertEqual(passed(told[1]), {**call, "id": "old"})
        self.assertFalse(self.inspector.transcript.plain)

    def test_usage_and_model_are_the_finishers(self) -> None:
        """Everything but the id."""
        usage = {"id": "new", "choices": [], "usage": {"total_tokens": 3}, "model": "other"}
        told = self.seen(text(content="ab"), delta(content="ab"), delta("stop"), usage)
        self.assertEqual(passed(told[2]), {**usage, "id": "old"})

    def test_escapes(self) -> None:
        """How characters are written does not matter; halves of one stay what they are."""
        escaped = b'{"choices": [{"index": 0, "delta": {"content": "\\u00e9\\ud83d\\ude42!"}}]}'
        told = self.seen(text(content="é🙂"), escaped)
        self.assertEqual(passed(told[0])["choices"][0]["delta"], {"content": "!"})
        half = b'{"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}'
        told = self.seen(text(content="a"), delta(content="a"), half)
        self.assertIn(b"\\ud83d", told[1].instead or b"")

    def test_comments_and_errors(self) -> None:
        """A comment is nobody's; an error is one; a broken line is as harmless as ever."""
        self.inspector = OPENAI.comparison(asked(), text(content="ab"))
        (comment,) = Parser(99).feed(b": ping\n\n")
        self.assertEqual(self.inspector.see(comment).instead, NOTHING)
        self.assertIs(self.inspector.see(event({"error": {"message": "no"}})).kind, Kind.ERROR)
        self.assertTrue(self.inspector.see(event(b"{oops")).harmless)

    def test_comments_behind_the_seam(self) -> None:
        """A sign of life is the client's again, once text flows."""
        (comment,) = Parser(99).feed(b": ping\n\n")
        self.seen(text(content="ab"), delta(content="ab"))
        self.assertEqual(self.inspector.see(comment).instead, NOTHING)
        self.inspector.see(event(delta(content="c")))
        self.assertIsNone(self.inspector.see(comment).instead)

    def test_without_an_id(self) -> None:
        """A client that has none keeps what comes, also if that breaks too."""
        told = self.seen(said(content="a"), delta(content="ab"))
        self.assertEqual(passed(told[0])["id"], "new")
        third = {**delta(content="abc"), "id": "third"}
        told = self.seen(self.inspector.transcript, third)
        self.assertEqual(passed(told[0])["id"], "new")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", "ab", "abc", "stop"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "content", "text", "index", "finish_reason", "usage", "tool_calls",
             "logprobs", "message", "role", "id", "type", "error", "refusal"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


class AnythingTests(SynchronousTestCase):
    """Whatever a backend sends, it is looked at."""

    @given(st.lists(JSON | JSON.map(lambda value: {"choices": [value]}), max_size=4))
    def test_any_json(self, values: list[Any]) -> None:
        """No inspector raises, and what it passes on are events."""
        for make in (OPENAI.comparison, OPENAI.continuation):
            inspector = make(asked(), text(content="ab"))
            for value in values:
                seen = inspector.see(event(value))
                if seen.instead:
                    self.assertTrue(seen.instead.endswith(b"\n\n"))

    def test_a_number_that_json_does_not_have(self) -> None:
        """A chunk that cannot be written again is another answer."""
        for make in (OPENAI.comparison, OPENAI.continuation):
            inspector = make(asked(), text(content="ab"))
            inspector.see(event(delta(content="ab")))
            choice = b'{"index": 0, "delta": {"content": "c"}, "finish_reason": "stop"}'
            odd = b'{"choices": [%s], "x": 1e400}' % choice
            self.assertIs(inspector.see(event(odd)).kind, Kind.DIFFERENT)

    def test_a_delta_that_is_none(self) -> None:
        """A rescuer's malformed choice is another answer."""
        for chunk in ({"choices": ["x"]}, {"choices": [{"delta": "x"}]}, {"choices": "abc"}):
            inspector = OPENAI.comparison(asked(), text(content="ab"))
            self.assertIs(inspector.see(event(chunk)).kind, Kind.DIFFERENT, chunk)


class ContinuationTests(SynchronousTestCase):
    """What goes on of an answer that was prefilled."""

    def seen(self, *chunks: Any) -> list[Seen]:
        """What each of *chunks* is."""
        delivered = text(content="The quick brown fox jumps")
        self.inspector = OPENAI.continuation(asked(), delivered)
        return [self.inspector.see(event(chunk)) for chunk in chunks]

    def test_held_then_released(self) -> None:
        """With the end, if it is short; usage is left out."""
        usage = {"id": "new", "choices": [], "usage": {"total_tokens": 3}}
        told = self.seen(delta(role="assistant"), delta(content=" over"), delta("stop"), usage)
        self.assertEqual([each.instead for each in (*told[:2], told[3])], [NOTHING] * 3)
        released = {**delta("stop", content=" over"), "id": "old"}
        self.assertEqual(passed(told[2]), released)
        self.assertEqual(
            self.inspector.transcript.fields, {"content": "The quick brown fox jumps over"}
        )

    def test_an_end_without_a_delta(self) -> None:
        """What was held goes out with it all the same."""
        for bare in ({}, {"delta": None}, {"text": ""}):
            end = {"id": "new", "choices": [{"index": 0, "finish_reason": "stop", **bare}]}
            told = self.seen(delta(content=" over"), end)
            released = passed(told[1])["choices"][0]
            self.assertEqual(released["delta"], {"content": " over"})
            self.assertEqual(released["finish_reason"], "stop")

    def test_long_ones_flow(self) -> None:
        """Behind two hundred characters."""
        told = self.seen(delta(content="x" * 199), delta(content="yz"), delta(content="!"))
        self.assertEqual(told[0].instead, NOTHING)
        self.assertEqual(passed(told[1])["choices"][0]["delta"], {"content": "x" * 199 + "yz"})
        self.assertEqual(passed(told[2])["choices"][0]["delta"], {"content": "!"})

    def test_one_that_begins_anew(self) -> None:
        """It is different, before anything of it went on."""
        told = self.seen(delta(content="The quick brown fox jumps over"), delta("stop"))
        self.assertEqual((told[0].instead, told[1].kind), (NOTHING, Kind.DIFFERENT))

    def test_one_that_reasons_first(self) -> None:
        """The client has seen content already."""
        self.assertIs(self.seen(delta(reasoning_content="hm"))[0].kind, Kind.DIFFERENT)


class PrefilledTests(SynchronousTestCase):
    """The request with the text in it."""

    def sent(self, body: bytes, prefill: str, **settings: Any) -> bytes:
        """What a backend gets for *body*."""
        request = asked()
        request = type(request)(CHAT, Document.parse(body), "m")
        backend = Backend("b", "f", prefill=prefill, **settings)
        return OPENAI.put(request, "up", backend, "Once é").body

    def test_every_way(self) -> None:
        """One more message, and what else the backend needs."""
        body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}] , "stream": true}'
        message = {"role": "assistant", "content": "Once é"}
        for way, marks, more in (
            ("plain", {}, {}),
            ("prefix", {"prefix": True}, {}),
            ("vllm", {}, {"add_generation_prompt": False, "continue_final_message": True}),
        ):
            value = json.loads(self.sent(body, way))
            self.assertEqual(value.pop("messages")[-1], {**message, **marks})
            self.assertEqual(value, {"model": "up", "stream": True, **more})

    def test_with_other_changes(self) -> None:
        """``extra_body`` and ``drop_params`` keep their places; odd characters theirs."""
        body = '{"messages" :[ {"role":"user","content":"é]🙂"} ],"model":"m","user":"u"}'.encode()
        sent = self.sent(body, "vllm", extra_body=(("top_k", "1"),), drop_params=("user",))
        value = json.loads(sent)
        self.assertEqual(len(value["messages"]), 2)
        self.assertEqual((value["model"], value["top_k"], "user" in value), ("up", 1, False))
        self.assertIs(value["continue_final_message"], True)
        self.assertIn('{"role":"user","content":"é]🙂"}'.encode(), sent)

    def test_what_is_dropped_stays_dropped(self) -> None:
        """A parameter that the backend is not to get, even if this way needs it."""
        body = b'{"model": "m", "messages": [{}], "add_generation_prompt": true}'
        value = json.loads(self.sent(body, "vllm", drop_params=("add_generation_prompt",)))
        self.assertNotIn("add_generation_prompt", value)
        self.assertIs(value["continue_final_message"], True)


class BoundTests(SynchronousTestCase):
    """Requests that depend on what one provider keeps."""

    def bound(self, **fields: Any) -> bool:
        """Whether a request with *fields* is."""
        return is_bound(Document.parse(json.dumps({"model": "m", **fields}).encode()))

    def test_bound(self) -> None:
        """Ids of what is kept there, and requests to keep something."""
        for fields in (
            {"previous_response_id": "r"}, {"conversation": "c"}, {"conversation": {"id": "c"}},
            {"background": True}, {"store": True},
            {"input": [{"content": [{"type": "input_file", "file_id": "f"}]}]},
            {"messages": [{"content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
            {"tools": [{"type": "code_interpreter", "container": "cntr"}]},
            {"tools": [{"type": "code_interpreter", "container": {"file_ids": ["f"]}}]},
        ):  # fmt: skip
            self.assertTrue(self.bound(**fields), fields)

    def test_not_bound(self) -> None:
        """Nulls, false, words inside texts, names in schemas."""
        schema = {"properties": {"file_id": {"type": "string"}, "file_ids": {"type": "array"}}}
        for fields in (
            {"previous_response_id": None, "store": False, "background": False},
            {"messages": [{"content": '{"file_id": "f", "container": "c"}'}]},
            {"tools": [{"function": {"parameters": schema}}]},
            {"tools": [{"container": {"type": "auto"}, "file_ids": []}]},
        ):  # fmt: skip
            self.assertFalse(self.bound(**fields), fields)
