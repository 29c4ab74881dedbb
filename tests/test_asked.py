"""
What a request asks for, and what every request must have.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.asked import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    ENDPOINTS,
    MODERATIONS,
    RERANK,
    RESPONSES,
    Asked,
    Endpoint,
    understand,
)
from yallmp.core.errors import DuplicateKey, MissingParameter, RequestFault
from yallmp.core.jsonbody import Document

MESSAGES = [{"role": "user", "content": "hi"}]
#: Neither a name, nor a list with something in it, nor a boolean.
WRONG: list[Any] = [None, "", 5, [], {}]


def asked(endpoint: Endpoint = COMPLETIONS, **members: Any) -> Asked:
    """A request understood; ``None`` for a model leaves it out."""
    body = {"model": "m", "messages": MESSAGES, **members}
    return understand(endpoint, Document.parse(json.dumps(body).encode()))


class RequiredTests(SynchronousTestCase):
    """What is refused."""

    def test_model(self) -> None:
        """Every endpoint needs the name of a model."""
        for endpoint in ENDPOINTS:
            for model in WRONG:
                error = self.assertRaises(MissingParameter, asked, endpoint, model=model)
                self.assertEqual((error.param, error.status), ("model", 400))
        without = Document.parse(b'{"messages": [1]}')
        self.assertRaises(MissingParameter, understand, CHAT, without)

    def test_the_model_in_another_case(self) -> None:
        """Backends written in Go read it as well: then a key's limit would not hold there."""
        for other in ("Model", "MODEL", "modeL"):
            for members in ({other: "n"}, {other: None}):
                error = self.assertRaises(DuplicateKey, asked, **members)
                self.assertEqual((error.param, error.status), ("model", 400))
        asked(models=["n"], MODELS=["n"], mode="x")

    def test_messages(self) -> None:
        """Chat needs messages, and only chat."""
        for messages in [*WRONG, {"role": "user"}]:
            error = self.assertRaises(MissingParameter, asked, CHAT, messages=messages)
            self.assertEqual((error.param, error.code), ("messages", "missing_parameter"))
            asked(RESPONSES, messages=messages)

    def test_stream(self) -> None:
        """A boolean or null."""
        for value in [*WRONG[1:], 0, 1, "true"]:
            for endpoint in ENDPOINTS:
                error = self.assertRaises(RequestFault, asked, endpoint, stream=value)
                self.assertEqual((error.param, error.code), ("stream", "invalid_value"))


class UnderstoodTests(SynchronousTestCase):
    """What is told."""

    def test_plain(self) -> None:
        """Without more it is one answer, not streamed."""
        found = asked(CHAT)
        self.assertEqual((found.model, found.endpoint), ("m", CHAT))
        self.assertEqual((found.stream, found.choices, found.wants_usage), (False, 1, False))

    def test_stream(self) -> None:
        """Where streams exist they are streams, elsewhere the word means nothing."""
        for endpoint in (CHAT, COMPLETIONS, RESPONSES):
            self.assertTrue(asked(endpoint, stream=True).stream)
            self.assertFalse(asked(endpoint, stream=None).stream)
        for endpoint in (EMBEDDINGS, RERANK, MODERATIONS):
            self.assertFalse(asked(endpoint, stream=True).stream, endpoint.name)

    def test_choices(self) -> None:
        """As many as n says, for each of several prompts; a list of tokens is one prompt."""
        for members, expected in (
            ({"n": 3}, 3), ({"n": 0}, 1), ({"n": "3"}, 1), ({"n": None}, 1), ({"n": True}, 1),
            ({"prompt": "a"}, 1), ({"prompt": ["a", "b"]}, 2), ({"prompt": ["a", "b"], "n": 2}, 4),
            ({"prompt": [1, 2, 3]}, 1), ({"prompt": [[1], [2, 3]]}, 2), ({"prompt": []}, 1),
        ):  # fmt: skip
            self.assertEqual(asked(**members).choices, expected, members)

    def test_usage(self) -> None:
        """Only where it is asked for."""
        for options, expected in (
            ({"include_usage": True}, True), ({"include_usage": False}, False), ({}, False),
            (None, False), ([], False), ({"include_usage": 1}, False),
        ):  # fmt: skip
            self.assertEqual(asked(stream_options=options).wants_usage, expected, options)

    def test_the_body_is_not_shown(self) -> None:
        """A traceback does not repeat what a user said."""
        self.assertNotIn("hi", repr(asked(CHAT)))
