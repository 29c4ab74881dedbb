"""
What another provider thought is taken out of requests that pass untouched, and nothing else is.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.conversations_messages import requests
from yallmp.api_types import API_TYPES
from yallmp.core.asked import ENDPOINTS, understand
from yallmp.core.backend import Backend
from yallmp.core.jsonbody import Document
from yallmp.dialects.foreign import cleared
from yallmp.dialects.sealed import TRACE, sealed
from yallmp.interfaces import Put

SEAL = sealed({"id": "rs_1", "encrypted": "e"})
FOREIGN = {"type": "thinking", "thinking": "hm", "signature": SEAL}
OWN = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}
PAGE = {"type": "web_search_result_location", "url": "u", "encrypted_index": SEAL}
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.sampled_from(["text", SEAL, "enabled"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "signature", "citations", "type", "encrypted_content"]),
            inner,
        )
    ),
)


def messages(*contents: Any, **members: Any) -> dict[str, Any]:
    """A request in which user and assistant say *contents* in turn."""
    roles = ("user", "assistant")
    turns = [{"role": roles[at % 2], "content": each} for at, each in enumerate(contents)]
    return {"model": "m", "max_tokens": 9, "messages": turns, **members}


def put(kind: str, path: str, body: dict[str, Any]) -> Put:
    """What a backend of a *kind* gets that is asked at *path*."""
    endpoint = next(each for each in ENDPOINTS if each.path == path)
    asked = understand(endpoint, Document.parse(json.dumps(body).encode()))
    backend = Backend("b", "m", "https://b.example.com/v1", api_type=kind)
    given: Put = API_TYPES[kind].put(asked, "m", backend)
    return given


class MessagesTests(SynchronousTestCase):
    """Requests of Messages."""

    def test_thoughts(self) -> None:
        """Those of others go, Claude's own stay."""
        text = {"type": "text", "text": "a"}
        written = cleared("messages", messages("q", [FOREIGN, OWN, text], "q"))
        self.assertEqual(written.body, messages("q", [OWN, text], "q"))
        self.assertEqual(written.dropped, ("messages[].content[].thinking",))

    def test_nothing_else_said(self) -> None:
        """A message of nothing but such thoughts goes whole."""
        written = cleared("messages", messages("q", [FOREIGN], "go on"))
        self.assertEqual([each["role"] for each in written.body["messages"]], ["user", "user"])

    def test_pages(self) -> None:
        """So do citations that are none of the provider's."""
        own = {**PAGE, "encrypted_index": "Eo8B"}
        text = {"type": "text", "text": "a"}
        answers = [{**text, "citations": [PAGE, own]}, {**text, "citations": [PAGE]}]
        written = cleared("messages", messages("q", answers, "q"))
        self.assertEqual(written.body, messages("q", [{**text, "citations": [own]}, text], "q"))

    def test_behind_a_tool(self) -> None:
        """A budget to think needs the thoughts before the tool; without them it goes, too."""
        budget = {"type": "enabled", "budget_tokens": 2048}
        written = cleared("messages", messages("q", [FOREIGN, USE], [RESULT], thinking=budget))
        self.assertEqual(written.body, messages("q", [USE], [RESULT]))
        self.assertIn("thinking", written.dropped)
        for stays in (
            messages("q", [FOREIGN, USE], [RESULT], thinking={"type": "adaptive"}),
            messages("q", [FOREIGN, USE], [RESULT], "a", "q", thinking=budget),
            messages("q", [FOREIGN, OWN, USE], [RESULT], thinking=budget),
        ):
            self.assertIn("thinking", cleared("messages", stays).body)

    @settings(max_examples=50)
    @given(requests())
    def test_without_seals(self, body: dict[str, Any]) -> None:
        """A request without any stays as it is."""
        self.assertEqual(cleared("messages", body), cleared("none", body))

    @settings(max_examples=100)
    @given(ANYTHING)
    def test_anything(self, value: Any) -> None:
        """Whatever stands there, nothing raises."""
        for dialect in ("messages", "responses"):
            cleared(dialect, {"messages": value, "input": value, "thinking": value})

    def test_put(self) -> None:
        """The backend gets it so; a body without seals keeps its bytes."""
        sealed_one = put("anthropic", "/messages", messages("q", [FOREIGN, USE], [RESULT]))
        self.assertNotIn(TRACE, sealed_one.body)
        self.assertEqual(sealed_one.dropped, ("messages[].content[].thinking",))
        own = messages("q", [OWN, USE], [RESULT], system=SEAL)
        plain = put("anthropic", "/messages", own)
        self.assertEqual(plain.body, json.dumps(own).encode())
        self.assertEqual(plain.splices, ())


class ResponsesTests(SynchronousTestCase):
    """Requests of Responses."""

    def test_put(self) -> None:
        """Items with the thoughts of others go."""
        said = {"role": "user", "content": "q"}
        own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
        foreign = {**own, "encrypted_content": SEAL}
        body = {"model": "m", "input": [said, foreign, own]}
        given = put("openai", "/responses", body)
        self.assertEqual(json.loads(given.body), {"model": "m", "input": [said, own]})
        self.assertEqual(given.dropped, ("input[].encrypted_content",))
