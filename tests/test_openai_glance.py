"""
What is judged at a glance is judged as if it had been read whole.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types.openai import OpenAI, read_whole
from yallmp.api_types.openai_glance import judged
from yallmp.core.asked import (
    CHAT,
    COUNT_TOKENS,
    ENDPOINTS,
    MESSAGES,
    RESPONSES,
    Asked,
    Endpoint,
    understand,
)
from yallmp.core.exchange import Usage
from yallmp.core.inspector import Checked
from yallmp.core.jsonbody import Document

OPENAI = OpenAI()
ODD = st.sampled_from(
    [None, "error", "failed", "stop", "é", "", 0, 1.0, True, [], {}, {"a": 1}, ["x"]]
)
COUNTS = st.none() | st.booleans() | st.integers(-1, 2**70) | st.floats() | st.text(max_size=2)
USAGE = ODD | st.dictionaries(
    st.sampled_from(["prompt_tokens", "input_tokens", "output_tokens", "total_tokens", "x"]), COUNTS
)
MESSAGE = st.sampled_from([{"role": "assistant", "content": "hi"}, {"content": None}, {}]) | ODD
ITEM = ODD | st.fixed_dictionaries(
    {},
    optional={
        "index": st.just(0),
        "message": MESSAGE,
        "text": st.sampled_from(["a", None]) | ODD,
        "embedding": st.just([0.5, -1e-5]),
        "finish_reason": st.sampled_from(["stop", "length", None]) | ODD,
        "error": st.none() | ODD,
        "logprobs": st.none() | st.just({"content": [{"token": "[", "logprob": float("-inf")}]}),
    },
)
GOOD = st.fixed_dictionaries(
    {"message": st.just({"role": "assistant", "content": "é"}), "text": st.just("")},
    optional={"finish_reason": st.sampled_from(["stop", "length", None])},
)
LISTED = st.lists(GOOD, max_size=3) | st.lists(GOOD | ITEM, max_size=3) | ODD
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("x"),
        "choices": LISTED,
        "data": LISTED,
        "results": LISTED,
        "output": LISTED,
        "usage": USAGE,
        "error": st.none() | ODD,
        "type": ODD,
        "object": st.sampled_from(["chat.completion", "error"]) | ODD,
        "status": st.sampled_from(["completed", "failed"]) | ODD,
        "response": st.none() | st.just({"status": "failed"}) | ODD,
    },
)
BREAKS = st.sampled_from(
    [
        (b"", b""), (b"hi", b"\xff"), (b"hi", b"\xc3\xa9"), (b"hi", b"\\ud800"), (b"hi", b"\x01"),
        (b'"error"', b'"err\\u006fr"'), (b'"choices"', b'"choic\\u0065s"'),
        (b"stop", b"\xed\xa0\x80"), (b'"id"', b'"error": {"a": 1}, "id"'),
        (b'"id"', b'"error": 7, "error": null, "id"'), (b'"id"', b'"choices": [], "id"'),
        (b"null", b"NaN"), (b"0.5", b"1e999"), (b"0.5", b"0" * 9), (b"0.5", b"9" * 5000),
        (b"}", b",}"), (b"}", b"} x"), (b"{", b"\xef\xbb\xbf{"), (b"]", b"]]"),
    ]
)  # fmt: skip


def asked(endpoint: Endpoint) -> Asked:
    """A request to *endpoint*."""
    return understand(endpoint, Document.parse(b'{"model": "m", "messages": [1]}'))


#: Messages are judged elsewhere.
SERVED = [endpoint for endpoint in ENDPOINTS if endpoint not in (MESSAGES, COUNT_TOKENS)]


class AgreementTests(SynchronousTestCase):
    """A glance says nothing that the whole would not say."""

    def agree(self, endpoint: Endpoint, body: bytes) -> None:
        """Both say the same of *body*."""
        expected = read_whole(asked(endpoint), body)
        self.assertEqual(repr(OPENAI.check(asked(endpoint), body)), repr(expected))

    @given(ANSWERS, BREAKS, st.booleans())
    @example({"choices": [{"message": {}, "text": "hi"}], "id": 1}, (b"hi", b"\xff"), True)
    @example({"choices": [{"message": {}, "text": "hi"}], "id": 1}, (b"hi", b"\\ud800"), True)
    def test_any_answer(self, answer: Any, broken: tuple[bytes, bytes], ascii_: bool) -> None:
        """Good ones, errors wherever they hide, strange ones and broken ones."""
        body = json.dumps(answer, ensure_ascii=ascii_).encode()
        for each in (body, body.replace(*broken, 1)):
            for endpoint in SERVED:
                self.agree(endpoint, each)

    @given(st.binary(max_size=30))
    def test_anything(self, body: bytes) -> None:
        """Also what is no answer at all."""
        self.agree(CHAT, body)

    def test_other_encodings(self) -> None:
        """What Python's decoder takes for JSON is let pass."""
        text = json.dumps({"choices": [{"message": {"content": "é"}}]})
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"):
            self.agree(CHAT, text.encode(encoding))

    def test_errors_in_choices_that_nobody_promised(self) -> None:
        """An error is one wherever it stands."""
        for name in ("data", "results", "output"):
            answer = {name: [{"a": 1}], "choices": [{"error": "m"}]}
            for endpoint in SERVED:
                self.agree(endpoint, json.dumps(answer).encode())

    def test_depth(self) -> None:
        """An answer of a hundred thousand levels is none."""
        deep = b'{"choices":[{"message":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}]}"
        self.assertFalse(OPENAI.check(asked(CHAT), deep).ok)
        self.agree(CHAT, deep.replace(b"[" * 99_800, b"").replace(b"]" * 99_800, b""))


class JudgedTests(SynchronousTestCase):
    """Ordinary answers need no more than a glance."""

    def test_what_is_usual(self) -> None:
        """As OpenAI, vLLM and others say it."""
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "details": {"a": 0}}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {}}],
        }
        chat = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}
        self.assertEqual(
            judged(asked(CHAT), json.dumps(chat).encode()),
            Checked(True, "", None, "tool_calls", Usage(1, 2, 3)),
        )
        response = {"object": "response", "status": "completed", "error": None, "output": [message]}
        self.assertEqual(
            judged(asked(RESPONSES), json.dumps(response).encode()),
            Checked(True, "", None, "completed", None),
        )

    def test_doubts(self) -> None:
        """What is not good beyond doubt is left to be read whole."""
        for body in (b"", b"{}", b'{"choices": []}', b'{"choices": [{"message": {}}], "error": 1}'):
            self.assertIsNone(judged(asked(CHAT), body))
