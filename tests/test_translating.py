"""
Clients of one dialect and backends of another, over the wire: answers, streams, errors, failover.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve

from tests.fakes import (
    DONE,
    ROLE,
    Answer,
    Got,
    ProxyCase,
    answer,
    chunk,
    completion,
    error,
    stream,
)
from tests.test_messages_dialect import gathered
from yallmp.core.backend import Parse
from yallmp.core.exchange import Attempt, End, Note
from yallmp.core.sse import Parser, event_bytes

WORDS = ("One ", "two ", "three.")
TEXT = "".join(WORDS)
ANSWER = {
    "id": "msg_up", "type": "message", "role": "assistant", "model": "claude",
    "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}  # fmt: skip


def event(kind: str, **members: Any) -> bytes:
    """An event of Messages."""
    return event_bytes(json.dumps({"type": kind, **members}).encode(), kind.encode())


def told(*words: str, whole: bool = True) -> list[bytes]:
    """A stream of Messages that says *words*."""
    head = {**ANSWER, "content": [], "stop_reason": None}
    events = [
        event("message_start", message=head),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
    ]
    for word in words:
        delta = {"type": "text_delta", "text": word}
        events.append(event("content_block_delta", index=0, delta=delta))
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        events
        + [
            event("content_block_stop", index=0),
            event("message_delta", delta=ending, usage={"output_tokens": 4}),
            event("message_stop"),
        ]
        * whole
    )


def chatted(*words: str) -> list[bytes]:
    """A stream of chat completions that says *words*."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    last = b'data: {"choices": [], "usage": %s}\n\n' % json.dumps(usage).encode()
    return [ROLE, *map(chunk, words), chunk(finish="stop"), last, DONE]


class TranslatingCase(ProxyCase):
    """Backends by their names: ``a…`` speak Messages, ``c…`` chat completions."""

    def route(self, **scripts: Answer) -> None:
        """Serve the backends, the first of which falls back to the others."""
        backends = [
            self.fake(name, script, api_type="anthropic" if name[0] == "a" else "openai")
            for name, script in scripts.items()
        ]
        first, *others = scripts
        self.serve(*backends, fallbacks=((first, tuple(others)),) if others else ())
        self.first = first

    def messages(self, **fields: Any) -> Got:
        """What a client of Messages gets."""
        body = {
            "model": self.first,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "q"}],
            "temperature": 0,
        }
        return self.finish(self.ask(body, "/v1/messages", **fields))

    def chat(self, **fields: Any) -> Got:
        """What a client of chat completions gets."""
        return self.finish(self.ask(model=self.first, temperature=0, **fields))

    def said(self, got: Got) -> dict[str, Any]:
        """What the SDK makes of a stream of Messages."""
        parser = Parser(1 << 20)
        events = parser.feed(got.body) + parser.close()
        return gathered([each for each in events if each.data is not None and each.name != b"ping"])


class MessagesTests(TranslatingCase):
    """Clients of Messages."""

    def test_untouched(self) -> None:
        """A backend that speaks Messages is passed on byte for byte, with its own key."""
        self.route(a=answer(ANSWER))
        got = self.messages()
        self.assertEqual(got.json, ANSWER)
        headers = self.fakes["a"].requests[0][2]
        self.assertEqual(headers.getRawHeaders("x-api-key"), ["sk-secret-of-a"])
        self.assertEqual(headers.getRawHeaders("anthropic-version"), ["2023-06-01"])
        self.assertIsNone(headers.getRawHeaders("authorization"))

    def test_untouched_stream(self) -> None:
        """So are its streams."""
        self.route(a=stream(told(*WORDS)))
        self.assertEqual(self.messages(stream=True).body.partition(b": x-yallmp")[0][:99],
                         b"".join(told(*WORDS))[:99])  # fmt: skip
        self.assertEqual(self.events_told(End)[-1].usage.completion, 4)

    def test_by_chat(self) -> None:
        """A chat backend is asked in its dialect, and answers as a message."""
        self.route(c=answer(completion(TEXT)))
        got = self.messages(top_k=3)
        self.assertEqual(got.json["content"], [{"type": "text", "text": TEXT}])
        self.assertEqual(got.json["usage"]["output_tokens"], 2)
        (attempt,) = self.events_told(Attempt)
        self.assertTrue(attempt.url.endswith("/v1/chat/completions"))
        self.assertEqual(json.loads(attempt.body)["messages"], [{"role": "user", "content": "q"}])
        self.assertIn("has no place for top_k", self.events_told(Note)[-1].text)

    def test_streamed_by_chat(self) -> None:
        """Its stream is one that the SDK gathers to the same message."""
        self.route(c=stream(chatted(*WORDS)))
        said = self.said(self.messages(stream=True))
        self.assertEqual(said["content"], [{"type": "text", "text": TEXT}])
        self.assertEqual(said["stop_reason"], "end_turn")
        self.assertEqual(said["usage"]["output_tokens"], 4)

    def test_mismatches(self) -> None:
        """A stream that nobody asked for, and one answer in place of a stream."""
        self.route(c=stream(chatted(*WORDS)))
        self.assertEqual(self.messages().json["content"][0]["text"], TEXT)
        self.fakes["c"].script[:] = [answer(completion(TEXT))]
        self.assertEqual(self.said(self.messages(stream=True))["content"][0]["text"], TEXT)

    def test_large(self) -> None:
        """Large requests and answers are translated elsewhere, and come to the same."""
        long = "word " * 80_000
        self.route(c=answer(completion(long)))
        body = {"model": "c", "max_tokens": 9, "messages": [{"role": "user", "content": long}]}
        got = self.finish(self.ask(body, "/v1/messages"))
        self.assertEqual(got.json["content"], [{"type": "text", "text": long}])
        self.assertEqual(self.fakes["c"].bodies[0]["messages"][0]["content"], long)
        got = self.finish(self.ask({**body, "stream": True}, "/v1/messages"))
        self.assertEqual(self.said(got)["content"], [{"type": "text", "text": long}])

    def test_errors(self) -> None:
        """Ours and a backend's have Anthropic's shape."""
        self.route(c=error(429, "slow down", retry_after="9"))
        got = self.messages()
        self.assertEqual((got.status, got.json["error"]["type"]), (429, "rate_limit_error"))
        self.assertEqual(got.json["error"]["message"], "slow down")
        got = self.finish(self.ask({"model": "x", "messages": [1]}, "/v1/messages"))
        self.assertEqual((got.status, got.json["error"]["type"]), (404, "not_found_error"))

    def test_failover(self) -> None:
        """A backend of the other dialect answers where the first fails."""
        self.route(a=error(500), c=answer(completion(TEXT)))
        got = self.messages()
        self.assertEqual(got.json["content"][0]["text"], TEXT)
        self.assertEqual(got.header("x-yallmp-backend"), "c")

    def test_rescue(self) -> None:
        """A stream that breaks is gone on with by a backend of the other dialect."""
        self.route(a=stream(told(*WORDS[:2], whole=False), end="cut"), c=stream(chatted(*WORDS)))
        got = self.messages(stream=True)
        self.assertTrue(got.clean)
        self.assertEqual(self.said(got)["content"], [{"type": "text", "text": TEXT}])

    def test_rescue_the_other_way(self) -> None:
        """The same where the broken one was translated, and the other is not."""
        broken = [ROLE, *map(chunk, WORDS[:2])]
        self.route(c=stream(broken, end="cut"), a=stream(told(*WORDS)))
        got = self.messages(stream=True)
        self.assertTrue(got.clean)
        self.assertEqual(self.said(got)["content"], [{"type": "text", "text": TEXT}])

    def test_no_mixture(self) -> None:
        """One that says something else is dropped; the client gets an error event."""
        self.route(
            a=stream(told(*WORDS[:2], whole=False), end="cut"), c=stream(chatted("One ", "more"))
        )
        got = self.messages(stream=True)
        self.assertFalse(got.clean)
        self.assertEqual(got.events[-1]["type"], "error")
        self.assertNotIn(b"more", got.body)


class CountTests(TranslatingCase):
    """``/v1/messages/count_tokens``."""

    def count(self, text: str = "q" * 400) -> Got:
        """What a client is told."""
        body = {"model": self.first, "messages": [{"role": "user", "content": text}]}
        return self.finish(self.ask(body, "/v1/messages/count_tokens"))

    def test_counted(self) -> None:
        """A backend that speaks Messages counts itself, also as a fallback."""
        for scripts in ({"a": answer({"input_tokens": 7})},
                        {"c": answer({}), "a": answer({"input_tokens": 7})}):  # fmt: skip
            self.setUp()
            self.route(**scripts)
            got = self.count()
            self.assertEqual((got.status, got.json), (200, {"input_tokens": 7}))
            self.assertIsNone(got.header("x-yallmp-estimate"))
            self.assertTrue(self.fakes["a"].requests[0][1].endswith(b"/v1/messages/count_tokens"))

    def test_estimated(self) -> None:
        """Where none does, it is estimated, and said so; nobody is asked."""
        self.route(c=answer(completion()))
        for text, least in (("q " * 400, 50), ("q " * 400_000, 50_000)):
            got = self.count(text)
            self.assertEqual(got.status, 200)
            self.assertGreater(got.json["input_tokens"], least)
            self.assertEqual(got.header("x-yallmp-estimate"), "true")
            self.assertEqual(self.events_told(End)[-1].outcome, "success")
        self.assertEqual(self.fakes["c"].requests, [])

    def test_errors(self) -> None:
        """They have Anthropic's shape."""
        self.route(c=answer(completion()))
        body = {"model": self.first, "messages": [{"role": "x", "content": "q"}]}
        got = self.finish(self.ask(body, "/v1/messages/count_tokens"))
        self.assertEqual((got.status, got.json["error"]["type"]), (400, "invalid_request_error"))


class ResponsesTests(TranslatingCase):
    """Clients of Responses."""

    def responses(self, **fields: Any) -> Got:
        """What such a client gets."""
        body = {"model": self.first, "input": "q", "temperature": 0, "instructions": "be brief"}
        return self.finish(self.ask(body, "/v1/responses", **fields))

    def route(self, **scripts: Any) -> None:
        """A chat backend has no such path, unless its script has it."""
        super().route(**scripts)
        registry = self.parts.registry
        registry.replace(evolve(registry.catalog.config, enable_responses_endpoint=True))

    def test_a_server_without_the_path(self) -> None:
        """It is asked once, and by chat completions from then on; no failure is counted."""
        self.route(c=error(404, "Not Found"))
        fake = self.fakes["c"]
        fake.script.append(answer(completion(TEXT)))
        got = self.responses()
        self.assertEqual(got.json["output"][0]["content"][0]["text"], TEXT)
        self.assertEqual(got.json["instructions"], "be brief")
        self.assertEqual(self.events_told(End)[-1].outcome, "success")
        self.assertEqual(self.responses().status, 200)
        paths = [path for _, path, _, _ in fake.requests]
        self.assertEqual(
            paths, [b"/v1/responses", b"/v1/chat/completions", b"/v1/chat/completions"]
        )
        self.net.advance(3601)
        fake.script[:] = [error(404, "Not Found")] * 4 + [answer(completion(TEXT))]
        self.assertEqual(self.responses().status, 200)
        self.assertEqual(fake.requests[-2][1], b"/v1/responses")

    def test_another_404(self) -> None:
        """That a model is unknown there is no sign of that."""
        self.route(c=error(404, "The model up does not exist", code="model_not_found"))
        self.assertEqual(self.responses().status, 404)
        self.assertEqual(len(self.fakes["c"].requests), 1)

    def test_streams(self) -> None:
        """Of Messages, as events of Responses."""
        self.route(a=stream(told(*WORDS)))
        events = self.responses(stream=True).events
        self.assertEqual([e["sequence_number"] for e in events], list(range(len(events))))
        self.assertEqual(events[-1]["type"], "response.completed")
        (message,) = events[-1]["response"]["output"]
        self.assertEqual(message["content"][0]["text"], TEXT)

    def test_rescue(self) -> None:
        """A translated stream that breaks is gone on with by a backend of another dialect."""
        self.route(a=stream(told(*WORDS[:2], whole=False), end="cut"), a2=stream(told(*WORDS)))
        got = self.responses(stream=True)
        self.assertTrue(got.clean)
        (message,) = got.events[-1]["response"]["output"]
        self.assertEqual(message["content"][0]["text"], TEXT)

    def test_what_lives_elsewhere(self) -> None:
        """It is refused, and nobody is asked."""
        self.route(a=answer(ANSWER))
        got = self.responses(previous_response_id="resp_1")
        self.assertEqual((got.status, got.json["error"]["param"]), (400, "previous_response_id"))
        self.assertEqual(self.fakes["a"].requests, [])


class ChatTests(TranslatingCase):
    """Clients of chat completions."""

    def test_by_messages(self) -> None:
        """A Messages backend is asked in its dialect, and answers as a completion."""
        self.route(a=answer(ANSWER))
        got = self.chat(seed=7)
        self.assertEqual(got.json["choices"][0]["message"]["content"], TEXT)
        self.assertEqual(got.json["usage"]["total_tokens"], 7)
        (attempt,) = self.events_told(Attempt)
        self.assertTrue(attempt.url.endswith("/v1/messages"))
        self.assertGreater(json.loads(attempt.body)["max_tokens"], 0)
        self.assertIn("seed", self.events_told(Note)[-1].text)

    def test_streamed_by_messages(self) -> None:
        """Its stream is chunks; usage comes if it was asked for."""
        self.route(a=stream(told(*WORDS)))
        got = self.chat(stream=True, stream_options={"include_usage": True})
        self.assertEqual(got.text, TEXT)
        self.assertEqual(got.events[-1], "[DONE]")
        self.assertEqual(got.events[-2]["usage"]["completion_tokens"], 4)
        self.fakes["a"].script[:] = [stream(told(*WORDS))]
        self.assertNotIn(b"usage", self.chat(stream=True).body)

    def test_errors(self) -> None:
        """A backend's error is put in OpenAI's shape; one in a stream fails over."""
        refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}
        self.route(a=answer(refused, 400))
        got = self.chat()
        self.assertEqual((got.status, got.json["error"]["message"]), (400, "bad"))
        self.assertIn("param", got.json["error"])

    def test_overloaded(self) -> None:
        """An error event before any content leads on to the next."""
        overloaded = {"type": "overloaded_error", "message": "busy"}
        self.route(a=stream([event("error", error=overloaded)]), c=stream(chatted(*WORDS)))
        self.assertEqual(self.chat(stream=True).text, TEXT)

    def test_rescue(self) -> None:
        """A stream that breaks is gone on with by a backend of the other dialect."""
        for scripts in (
            {"a": stream(told(*WORDS[:2], whole=False), end="cut"), "c": stream(chatted(*WORDS))},
            {"c": stream([ROLE, *map(chunk, WORDS[:2])], end="cut"), "a": stream(told(*WORDS))},
        ):
            self.setUp()
            self.route(**scripts)
            got = self.chat(stream=True)
            self.assertEqual(got.text, TEXT)
            self.assertTrue(got.clean)
            self.assertEqual(got.events[-1], "[DONE]")
            self.assertEqual(len({e["id"] for e in got.events[:-1] if "id" in e}), 1)

    def test_local_models(self) -> None:
        """Thoughts in the text of a local model are thoughts for any client."""
        thinking = ["<thi", "nk>hm</th", "ink>", *WORDS]
        backend = self.fake("c", stream(chatted(*thinking)), parse=Parse("think_tags"))
        self.serve(backend)
        self.first = "c"
        got = self.chat(stream=True)
        deltas = [e["choices"][0]["delta"] for e in got.events[:-1] if e["choices"]]
        self.assertEqual("".join(d.get("reasoning_content", "") for d in deltas), "hm")
        self.assertEqual(got.text, TEXT)
        said = self.said(self.messages(stream=True))
        self.assertEqual([block["type"] for block in said["content"]], ["thinking", "text"])

    def test_what_the_other_has_not(self) -> None:
        """Embeddings of a Messages backend are a clear 404, or another backend's."""
        self.route(a=answer(ANSWER))
        got = self.finish(self.ask({"model": "a", "input": "x"}, "/v1/embeddings"))
        self.assertEqual(got.status, 404)
        self.assertIn("have no /embeddings", got.json["error"]["message"])
        self.assertEqual(self.fakes["a"].requests, [])
