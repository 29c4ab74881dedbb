"""
The official Python SDK against the proxy, as processes on loopback sockets.

What an application sees: answers, streams, errors as the SDK's own exceptions.  What the
proxy does under load and at its end is in ``test_live_process.py``.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAI
from openai.types.chat import ChatCompletionToolParam
from pydantic import BaseModel

from tests.live_backend import ARGUMENTS, TEXT, VECTOR, WORDS
from tests.live_proxy import (
    BACKEND_KEY,
    CLIENT_KEY,
    NARROW_KEY,
    PATIENCE,
    LiveCase,
    eventually,
)

HELLO: Any = [{"role": "user", "content": "Hello."}]
FORECAST: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "forecast",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


class Trip(BaseModel):
    """What the structured answers hold."""

    city: str
    days: int


def delta(event: Any) -> str:
    """The text that an event of a chat stream adds."""
    return event.choices[0].delta.content or "" if event.choices else ""


class AnswerTests(LiveCase):
    """Everything that the SDK asks for and gets."""

    def test_chat(self) -> None:
        """A whole answer; the backend gets its own key and never the client's."""
        answer = self.client().chat.completions.create(model="chat", messages=HELLO, user=self.tag)
        self.assertEqual(answer.choices[0].message.content, TEXT)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        assert answer.usage is not None
        self.assertEqual(answer.usage.total_tokens, 8)
        self.assertEqual(self.seen()["authorization"], [f"Bearer {BACKEND_KEY}"])

    def test_stream(self) -> None:
        """All words in their order, then usage, which was asked for."""
        events = list(
            self.client().chat.completions.create(
                model="chat",
                messages=HELLO,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        self.assertEqual(tuple(filter(None, map(delta, events))), WORDS)
        self.assertEqual(events[-2].choices[0].finish_reason, "stop")
        assert events[-1].usage is not None
        self.assertEqual((events[-1].choices, events[-1].usage.completion_tokens), ([], 4))

    def test_first_token_is_not_held_back(self) -> None:
        """It is here while the backend still works on the rest."""
        stream = self.client().chat.completions.create(
            model="gated", messages=HELLO, stream=True, user=self.tag
        )
        text = ""
        while text != "".join(WORDS[:2]):
            text += delta(next(stream))
        self.assertEqual(self.seen()["open"], 1)
        self.backend.release(self.tag)
        self.assertEqual(text + "".join(map(delta, stream)), TEXT)

    def test_tool_call(self) -> None:
        """A function is called with its arguments."""
        answer = self.client().chat.completions.create(
            model="tools", messages=HELLO, tools=[FORECAST]
        )
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.type == "function"
        self.assertEqual((call.function.name, call.function.arguments), ("forecast", ARGUMENTS))

    def test_streamed_tool_call(self) -> None:
        """The SDK puts the arguments together from their parts."""
        request = self.client().chat.completions.stream(
            model="tools", messages=HELLO, tools=[FORECAST]
        )
        with request as stream:
            parts = [
                event.arguments_delta
                for event in stream
                if event.type == "tool_calls.function.arguments.delta"
            ]
            final = stream.get_final_completion()
        self.assertGreater(len(parts), 5)
        (call,) = final.choices[0].message.tool_calls or []
        self.assertEqual("".join(parts), ARGUMENTS)
        self.assertEqual((call.id, call.function.arguments), ("call_1", ARGUMENTS))
        self.assertEqual(final.choices[0].finish_reason, "tool_calls")

    def test_structured_output(self) -> None:
        """The schema arrives at the backend, and its answer becomes an object."""
        answer = self.client().chat.completions.parse(
            model="structured", messages=HELLO, response_format=Trip
        )
        self.assertEqual(answer.choices[0].message.parsed, Trip(**json.loads(ARGUMENTS)))

    def test_embeddings(self) -> None:
        """As numbers, and as the base64 that the SDK asks for by itself."""
        embeddings = self.client().embeddings
        for form in (openai.omit, "float"):
            answer = embeddings.create(model="chat", input=["a", "b"], encoding_format=form)
            self.assertEqual([each.embedding for each in answer.data], [VECTOR, VECTOR])

    def test_completions(self) -> None:
        """The old endpoint for plain text."""
        answer = self.client().completions.create(model="chat", prompt="Once")
        self.assertEqual(answer.choices[0].text, TEXT)

    def test_moderations(self) -> None:
        """Classification."""
        answer = self.client().moderations.create(model="chat", input="Once")
        self.assertIs(answer.results[0].flagged, False)

    def test_responses(self) -> None:
        """The Responses API, whole and streamed."""
        responses = self.client().responses
        self.assertEqual(responses.create(model="chat", input="Hello.").output_text, TEXT)
        events = list(responses.create(model="chat", input="Hello.", stream=True))
        texts = [e.delta for e in events if e.type == "response.output_text.delta"]
        self.assertEqual(tuple(texts), WORDS)
        self.assertEqual(events[-1].type, "response.completed")

    def test_models(self) -> None:
        """Listed in their order, and one by one; names may have slashes."""
        models = self.client().models
        ids = [model.id for model in models.list()]
        self.assertEqual(ids[0], "chat")
        self.assertIn("vendor/one", ids)
        self.assertEqual(models.retrieve("vendor/one").id, "vendor/one")

    def test_failover_is_told(self) -> None:
        """Two backends fail, the third answers; the headers say so."""
        raw = self.client().chat.completions.with_raw_response.create(
            model="rescued", messages=HELLO
        )
        self.assertEqual(raw.parse().choices[0].message.content, TEXT)
        self.assertEqual(raw.headers["x-yallmp-backend"], "chat")
        self.assertEqual(raw.headers["x-yallmp-attempts"], "3")
        route = "rescued:unreachable,error-503:503,chat:200"
        self.assertEqual(raw.headers["x-yallmp-route"], route)

    def test_failover_of_a_stream(self) -> None:
        """The same for a stream."""
        raw = self.client().chat.completions.with_raw_response.create(
            model="rescued", messages=HELLO, stream=True
        )
        self.assertEqual(raw.headers["x-yallmp-backend"], "chat")
        self.assertEqual("".join(map(delta, raw.parse())), TEXT)

    def test_a_stream_that_breaks_is_mended(self) -> None:
        """The SDK sees one whole answer under one id, though two backends gave it."""
        stream = self.client().chat.completions.create(
            model="mended", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        events = list(stream)
        self.assertEqual("".join(map(delta, events)), TEXT)
        self.assertEqual(len({event.id for event in events if event.id}), 1)
        self.assertEqual(events[-2].choices[0].finish_reason, "stop")
        assert events[-1].usage is not None
        self.assertEqual(events[-1].usage.total_tokens, 8)

    def test_a_stream_that_cannot_be_mended(self) -> None:
        """A fallback that says something else is not seen; the SDK raises."""
        texts: list[str] = []
        stream = self.client().chat.completions.create(
            model="never-mended", messages=HELLO, stream=True
        )
        self.assertRaises(openai.APIError, lambda: texts.extend(map(delta, stream)))
        self.assertEqual("".join(texts), "".join(WORDS[:2]))

    def test_many_at_once(self) -> None:
        """The asynchronous client has fifty streams open."""
        texts = asyncio.run(self._many(50))
        self.assertEqual(set(texts), {TEXT})

    async def _many(self, count: int) -> list[str]:
        http = DefaultAsyncHttpxClient(trust_env=False)
        url, timeout = self.proxy.base_url, PATIENCE
        client = AsyncOpenAI(base_url=url, api_key=CLIENT_KEY, http_client=http, timeout=timeout)
        async with client:
            return await asyncio.gather(*(self._streamed(client) for _ in range(count)))

    async def _streamed(self, client: AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(model="chat", messages=HELLO, stream=True)
        return "".join([delta(event) async for event in stream])


class ErrorTests(LiveCase):
    """Errors are the SDK's own exceptions, and say what is wrong."""

    #: What a backend answers, and what the SDK raises.
    PASSED_ON: ClassVar[dict[int, type[openai.APIStatusError]]] = {
        400: openai.BadRequestError,
        404: openai.NotFoundError,
        409: openai.ConflictError,
        422: openai.UnprocessableEntityError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        503: openai.InternalServerError,
    }
    #: How a backend fails without an answer, and what the proxy says of it.
    OURS: ClassVar[dict[str, tuple[int, str]]] = {
        "dead": (502, "upstream_unreachable"),
        "resets": (502, "upstream_disconnected"),
        "garbage": (502, "upstream_invalid_response"),
        "silent": (504, "upstream_timeout"),
        "error-401": (502, "upstream_auth"),
    }
    #: How a stream breaks, and the code of the error that ends it.
    BROKEN: ClassVar[dict[str, str]] = {
        "breaks-with-event": "upstream_error",
        "breaks-off": "upstream_disconnected",
        "ends-early": "upstream_incomplete",
    }

    def ask(self, client: OpenAI | None = None, model: str = "chat", **fields: Any) -> Any:
        """A small chat request."""
        given = {"messages": HELLO, "user": self.tag, **fields}
        return (client or self.client()).chat.completions.create(model=model, **given)

    def test_wrong_key(self) -> None:
        """A key that is none of ours."""
        error = self.assertRaises(openai.AuthenticationError, self.ask, self.client("sk-wrong"))
        self.assertEqual((error.status_code, error.code), (401, "invalid_api_key"))

    def test_key_for_other_models(self) -> None:
        """A key that may not ask for this model."""
        error = self.assertRaises(openai.PermissionDeniedError, self.ask, self.client(NARROW_KEY))
        self.assertEqual(error.status_code, 403)
        self.assertEqual(self.seen()["requests"], 0)

    def test_unknown_model(self) -> None:
        """A name that is none of ours, with the closest that is."""
        error = self.assertRaises(openai.NotFoundError, self.ask, model="gatet")
        self.assertEqual((error.code, error.param), ("model_not_found", "model"))
        self.assertIn("gated", error.message)
        retrieve = self.client().models.retrieve
        self.assertRaises(openai.NotFoundError, retrieve, "no/such/model")

    def test_request_at_fault(self) -> None:
        """A request that the proxy itself refuses."""
        error = self.assertRaises(openai.BadRequestError, self.ask, messages=[])
        self.assertEqual((error.code, error.param), ("missing_parameter", "messages"))

    def test_what_a_backend_says(self) -> None:
        """Its error answers, with their words."""
        for status, kind in self.PASSED_ON.items():
            error = self.assertRaises(kind, self.ask, model=f"error-{status}")
            self.assertEqual(error.status_code, status)
            self.assertIn(f"refused with {status}", error.message)

    def test_codes_and_waits_are_kept(self) -> None:
        """What applications match on, and how long they are to wait."""
        error = self.assertRaises(openai.BadRequestError, self.ask, model="error-400")
        self.assertEqual(error.code, "context_length_exceeded")
        late = self.assertRaises(openai.RateLimitError, self.ask, model="error-429")
        self.assertEqual(late.code, "rate_limit_exceeded")
        self.assertEqual(late.response.headers["retry-after"], "7")

    def test_what_we_say_of_a_backend(self) -> None:
        """A backend that gave no answer, by a code; its address and our key stay here."""
        for model, expected in self.OURS.items():
            error = self.assertRaises(openai.InternalServerError, self.ask, model=model)
            self.assertEqual((error.status_code, error.code), expected, model)
            self.assertNotIn("127.0.0.1", str(error.body))

    def test_trying_again_where_it_is_pointless(self) -> None:
        """The SDK would ask three times; the answer tells it not to."""
        error = self.assertRaises(
            openai.InternalServerError, self.ask, self.client(max_retries=2), "error-401"
        )
        self.assertEqual(error.response.headers["x-should-retry"], "false")
        self.assertEqual(self.seen()["requests"], 1)

    def test_broken_streams(self) -> None:
        """The words so far, and then an error: never an end that looks like one."""
        for model, code in self.BROKEN.items():
            texts: list[str] = []
            stream = self.ask(model=model, stream=True)
            error = self.assertRaises(openai.APIError, self._read, stream, texts)
            self.assertEqual("".join(texts), "".join(WORDS[:2]), model)
            self.assertEqual(error.code, code, model)

    def _read(self, stream: Any, texts: list[str]) -> None:
        texts.extend(map(delta, stream))

    def test_stream_that_never_began(self) -> None:
        """Its error is an answer with a status, as for any other request."""
        error = self.assertRaises(openai.RateLimitError, self.ask, model="error-429", stream=True)
        self.assertEqual(error.status_code, 429)


class LeavingTests(LiveCase):
    """Clients that go, by themselves or for lack of patience, free the backend."""

    def test_close_in_mid_stream(self) -> None:
        """The application closes a stream that it has read the beginning of."""
        stream = self.client().chat.completions.create(
            model="gated", messages=HELLO, stream=True, user=self.tag
        )
        next(stream)
        self.assertEqual(self.seen()["open"], 1)
        stream.close()
        eventually(self.left_alone, "free")

    def test_timeout_of_a_request(self) -> None:
        """The client waits for an answer no longer."""
        completions = self.client(timeout=0.4).chat.completions
        self.assertRaises(
            openai.APITimeoutError,
            completions.create,
            model="patient",
            messages=HELLO,
            user=self.tag,
        )
        eventually(self.left_alone, "free")
        self.assertEqual(self.seen()["requests"], 1)

    def test_timeout_of_a_stream(self) -> None:
        """The client waits for the next token no longer."""
        stream = self.client(timeout=0.6).chat.completions.create(
            model="gated", messages=HELLO, stream=True, user=self.tag
        )
        self.assertRaises((openai.APITimeoutError, openai.APIConnectionError), list, stream)
        eventually(self.left_alone, "free")
