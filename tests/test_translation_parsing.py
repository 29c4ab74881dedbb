"""
A backend with ``parse`` is translated for every client, its own dialect's too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types import translation
from yallmp.api_types.openai import OpenAI
from yallmp.api_types.speaking import native, spoken
from yallmp.api_types.translation import Translation
from yallmp.core.asked import CHAT, EMBEDDINGS, MESSAGES, Asked, Endpoint, understand
from yallmp.core.backend import Backend, Parse
from yallmp.core.jsonbody import Document
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import Answer, Choice, Delta, Stop, Stopped, TextDelta
from yallmp.dialects.conversation import Reasoning, Request, Text, Tool, Turn
from yallmp.dialects.growing import Growing
from yallmp.dialects.losses import Written
from yallmp.interfaces import IApiType, Occasion

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "q"}]}'


def chosen(endpoint: Endpoint, backend: Backend) -> IApiType:
    """Who asks *backend*."""
    asked: Asked = understand(endpoint, Document.parse(BODY))
    passing = native(endpoint.dialect, backend)
    if passing is not None:
        return passing
    found = spoken(asked, backend, lambda *_: False, Occasion("0123456789ab", 1, "m"))
    assert found is not None
    return found.api_type


class ChosenTests(SynchronousTestCase):
    """Who is chosen."""

    def test_parsed(self) -> None:
        """Whatever the client speaks, as far as there are dialects."""
        parsed = Backend("b", "m", parse=Parse("think_tags"))
        for endpoint in (CHAT, MESSAGES):
            found = chosen(endpoint, parsed)
            assert isinstance(found, Translation)
            self.assertEqual(found.heard, endpoint.dialect)
            assert found.parsing is not None
            self.assertTrue(found.parsing.tags.thinks)
        self.assertIsInstance(chosen(EMBEDDINGS, parsed), OpenAI)

    def test_not_parsed(self) -> None:
        """All others are passed on untouched."""
        self.assertIsInstance(chosen(CHAT, Backend("b", "m")), OpenAI)


CALL = '<tool_call>{"name": "now"}</tool_call>'
OCCASION = Occasion("0123456789ab", 1, "m")


@define
class Plain:
    """
    A dialect as small as one can be: one choice, in the shape of chat completions.

    :ivar asked: what was put last.
    :ivar heard: what was written last, whole or streamed.
    """

    asked: Request | None = None
    heard: Answer | None = None
    growing: Growing = field(factory=lambda: Growing("chat"))
    id: str | None = None

    def request(self, body: Mapping[str, Any]) -> Request:
        """A turn that thought, and a tool."""
        turns = (Turn("assistant", (Reasoning("t"), Text("a"))),)
        return Request("chat", "m", turns, tools=(Tool("now"),))

    def body(self, request: Request) -> Written:
        """Keeps *request*."""
        self.asked = request
        return Written(json.loads(BODY))

    def echo(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """The text of the first choice."""
        text = body["choices"][0]["message"]["content"]
        return Answer("chat", choices=(Choice((Text(text),), Stop("stop")),))

    def whole(self, answer: Answer, occasion: Occasion) -> dict[str, Any]:
        """Keeps *answer*."""
        self.heard = answer
        return {}

    def reader(self) -> Plain:
        """It reads itself."""
        return self

    def read(self, event: ServerEvent) -> Iterator[Delta]:
        """The text, or the end."""
        if event.data and event.data != b"[DONE]":
            choice = json.loads(event.data)["choices"][0]
            yield TextDelta(choice["delta"].get("content", ""))
            if choice["finish_reason"]:
                yield Stopped(Stop("stop"))

    def writer(self, occasion: Occasion) -> Plain:
        """It writes itself."""
        return self

    def resumed(self, occasion: Occasion, delivered: Transcript) -> Plain:
        """Likewise."""
        return self

    def write(self, delta: Delta) -> bytes:
        """Keeps *delta*."""
        self.growing.add(delta)
        return b""

    def end(self) -> bytes:
        """Nothing."""
        return b""


def event(content: str, reason: str | None = None) -> ServerEvent:
    """A chunk."""
    chunk = {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]}
    data = json.dumps(chunk).encode()
    return ServerEvent(b"data: " + data + b"\n\n", data)


class ParsedTests(SynchronousTestCase):
    """What goes through one that parses."""

    def setUp(self) -> None:
        """A dialect, and whoever understands the answers to a request that was put."""
        self.dialect = Plain()
        self.patch(translation, "DIALECTS", {"chat": self.dialect})
        self.asked = understand(CHAT, Document.parse(BODY))
        backend = Backend("b", "m", api_base="http://b/v1", parse=Parse("think_tags", "auto"))
        found = spoken(self.asked, backend, lambda *_: False, OCCASION)
        assert found is not None
        self.answers: IApiType = found.api_type.put(self.asked, "m", backend).api_type

    def assert_parsed(self, answer: Answer | None) -> None:
        """A thought, words and a call."""
        assert answer is not None
        (choice,) = answer.choices
        thought, words, call = choice.parts
        self.assertEqual((thought, words), (Reasoning("t"), Text("a")))
        self.assertEqual((call.name, call.id), ("now", "call_0123456789ab0"))  # type: ignore[union-attr]
        self.assertEqual(choice.stop, Stop("tool_calls"))

    def test_history(self) -> None:
        """Thoughts are put as text."""
        assert self.dialect.asked is not None
        (turn,) = self.dialect.asked.turns
        self.assertEqual(turn.parts, (Text("<think>\nt\n</think>\n\na"),))

    def test_whole(self) -> None:
        """A whole answer, with the tools that were offered."""
        message = {"content": f"<think>t</think>a{CALL}"}
        body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        self.assertTrue(self.answers.check(self.asked, json.dumps(body).encode()).ok)
        self.assert_parsed(self.dialect.heard)

    def test_streamed(self) -> None:
        """A stream."""
        inspector = self.answers.inspector(self.asked)
        for text in ("<thi", "nk>t</think>a<tool", CALL.removeprefix("<tool")):
            inspector.see(event(text))
        inspector.see(event("", "stop"))
        self.assert_parsed(self.dialect.growing.answer())
