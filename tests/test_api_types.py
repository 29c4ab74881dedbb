"""
The contract of every api type, run over the table by itself.

A new dialect is tested here by standing in ``API_TYPES``: its methods are pure, they bear
whatever a backend sends, and what they make can be sent.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from yallmp.api_types import API_TYPES
from yallmp.api_types.anthropic import Anthropic
from yallmp.core.asked import COUNT_TOKENS, ENDPOINTS, MESSAGES, Asked, Endpoint, understand
from yallmp.core.backend import Backend
from yallmp.core.errors import BackendFault
from yallmp.core.gate import Gate
from yallmp.core.inspector import Checked, Seen
from yallmp.core.jsonbody import Document, apply
from yallmp.core.problems import Problem, Reason
from yallmp.core.sse import Parser, ServerEvent, event_bytes
from yallmp.core.voice import spoken_event
from yallmp.interfaces import IApiType

NAMES = st.sampled_from(
    ["choices", "delta", "message", "text", "index", "finish_reason", "tool_calls", "function",
     "arguments", "id", "usage", "error", "status", "type", "object", "response", "output", "data",
     "results", "logprobs", "content", "role", "item", "code"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["stop", "error", "failed", "completed", "response.completed"])
)  # fmt: skip


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What JSON can wrap around *inner*."""
    return st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)


VALUES = st.recursive(LEAVES, containers, max_leaves=12)
#: Nearly an answer: what is wrong is wrong deep inside.
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(
            st.fixed_dictionaries(
                {}, optional={"message": VALUES, "delta": VALUES, "text": VALUES, "index": VALUES,
                              "finish_reason": VALUES, "logprobs": VALUES}),
            max_size=3),
        "usage": VALUES, "output": VALUES, "data": VALUES, "results": VALUES, "response": VALUES,
        "type": VALUES, "status": VALUES,
    },
)  # fmt: skip
BODIES = (VALUES | ANSWERS).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20)
EVENTS = st.builds(ServerEvent, raw=st.just(b"data: {}\n\n"), data=st.none() | BODIES,
                   name=st.sampled_from([b"", b"error", b"ping", b"x"]))  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"model": st.text(min_size=1, max_size=5), "messages": st.just([1])},
    optional={"thinking": VALUES, "n": VALUES, "stream_options": VALUES, "x": VALUES},
)


def asked(endpoint: Endpoint, **members: Any) -> Asked:
    """A request to *endpoint*."""
    body = json.dumps({"model": "m", "messages": [1], **members})
    return understand(endpoint, Document.parse(body.encode()))


def backend(dialect: str, **settings: Any) -> Backend:
    """A backend of *dialect*."""
    return Backend("b", "m", api_base="https://b.example/v1", api_type=dialect, **settings)


def served(api_type: IApiType) -> list[Endpoint]:
    """The endpoints that *api_type* passes on untouched."""
    own = isinstance(api_type, Anthropic)
    others = [each for each in ENDPOINTS if each not in (MESSAGES, COUNT_TOKENS)]
    return [MESSAGES] if own else others


class ContractTests(SynchronousTestCase):
    """What forwarding relies on."""

    def test_interface(self) -> None:
        """Every entry provides IApiType."""
        for api_type in API_TYPES.values():
            self.assertTrue(verifyObject(IApiType, api_type))

    def test_targets(self) -> None:
        """A URL below api_base with the client's and the backend's query, fit for the wire."""
        for dialect, api_type in API_TYPES.items():
            to = backend(dialect, query=(("v", "1 2"),))
            for endpoint in served(api_type):
                for query in ("", "a=1", "é=\\xff&#"):
                    target = api_type.target(asked(endpoint), query, to)
                    self.assertTrue(target.startswith(to.api_base + "/"), target)
                    self.assertTrue(target.isascii() and target.isprintable(), target)
                    self.assertNotIn(" ", target)
                    self.assertIn("v=1", target)

    @settings(max_examples=50)
    @given(REQUESTS, st.text(min_size=1, max_size=4), st.booleans())
    def test_splices(self, members: dict[str, Any], model: str, reasons: bool) -> None:
        """They fit the client's body, leave JSON behind, and name the backend's model."""
        members = json.loads(json.dumps(members).replace("NaN", "0").replace("Infinity", "0"))
        for dialect, api_type in API_TYPES.items():
            to = backend(dialect, supports_reasoning=reasons, extra_body=(("x", "[1]"),))
            for endpoint in served(api_type):
                request = asked(endpoint, **members)
                put = api_type.put(request, model, to)
                splices = put.splices
                body, done = request.document.body, 0
                for splice in splices:
                    self.assertGreaterEqual(splice.offset, done)
                    done = splice.offset + len(splice.old)
                    self.assertEqual(body[splice.offset : done], splice.old)
                self.assertEqual(apply(body, splices), put.body)
                self.assertEqual(json.loads(put.body)["model"], model)

    def test_what_needs_no_change_is_not_changed(self) -> None:
        """The same model, nothing configured: byte for byte."""
        for dialect, api_type in API_TYPES.items():
            for endpoint in served(api_type):
                put = api_type.put(asked(endpoint), "m", backend(dialect))
                self.assertEqual(put.splices, ())

    @settings(max_examples=60)
    @given(BODIES)
    def test_whole_answers(self, body: bytes) -> None:
        """Whatever comes is checked; what is no answer says why; what is good can be streamed."""
        for api_type in API_TYPES.values():
            for endpoint in served(api_type):
                request = asked(endpoint)
                checked = api_type.check(request, body)
                self.assertIsInstance(checked, Checked)
                self.assertTrue(checked.ok or checked.message)
                self.assertFalse(checked.ok and checked.error is not None)
                stream = api_type.exploded(request, body)
                if stream is not None and checked.ok:
                    self.assert_complete(api_type, request, stream)

    def assert_complete(self, api_type: IApiType, request: Asked, stream: bytes) -> None:
        """*stream* is an answer in the eyes of its own inspector, and can be joined again."""
        gate = Gate(api_type.inspector(request), 1 << 20, lambda _: Problem(Reason.ANSWER_ERROR))
        release = gate.feed(stream)
        self.assertTrue(release.done, stream)
        self.assertEqual(release.data, stream)
        events = Parser(1 << 20).feed(stream)
        whole = api_type.assembled(request, events)
        assert whole is not None
        self.assertTrue(api_type.check(request, whole).ok, whole)

    @settings(max_examples=60)
    @given(st.lists(EVENTS, max_size=5))
    def test_events(self, events: list[ServerEvent]) -> None:
        """Whatever comes is seen, and an answer can be asked of it."""
        for api_type in API_TYPES.values():
            for endpoint in served(api_type):
                request = asked(endpoint)
                inspector = api_type.inspector(request)
                for event in events:
                    self.assertIsInstance(inspector.see(event), Seen)
                self.assertIsInstance(inspector.finished, bool)
                self.assertTrue(inspector.finished or not inspector.expects_no_more)
                self.assertIsInstance(inspector.finish_reason, str | None)
                whole = api_type.assembled(request, events)
                self.assertIsInstance(json.loads(whole or b"{}"), dict)

    def test_deep_nesting(self) -> None:
        """Nesting to the limits of the parser, and beyond, is borne."""
        for depth in (200, *range(900, 1000, 9), 100_000):
            deep = b"[" * depth + b"]" * depth
            objects = b'{"a":' * depth + b"1" + b"}" * depth
            for body in (
                deep,
                b'{"error":%b}' % deep,
                b'{"choices":[{"index":0,"finish_reason":"stop","text":"","message":{"x":%b},'
                b'"delta":{"x":%b}}],"usage":%b}' % (objects, objects, deep),
                b'{"choices":[{"finish_reason":%b,"message":{},"delta":{}}]}' % deep,
                b'{"type":"response.completed","output":[],"response":{"status":"completed",'
                b'"x":%b}}' % deep,
                b'{"type":%b,"output":[],"status":%b}' % (deep, deep),
            ):
                self.bear(body)

    def bear(self, body: bytes) -> None:
        """Do with *body* all that is done with answers."""
        (event,) = Parser(1 << 20).feed(event_bytes(body))
        for api_type in API_TYPES.values():
            for endpoint in served(api_type):
                request = asked(endpoint)
                api_type.check(request, body)
                api_type.exploded(request, body)
                api_type.inspector(request).see(event)
                api_type.assembled(request, [event, event])

    def test_error_events(self) -> None:
        """Events that any parser reads and that the dialect's own inspector takes for errors."""
        error = BackendFault("It broke.\n\nBadly: 'é'", code="upstream_disconnected")
        for api_type in API_TYPES.values():
            for endpoint in served(api_type):
                stream = spoken_event(error, endpoint)
                (event,) = Parser(10_000).feed(stream)
                self.assertIn("It broke.", json.dumps(json.loads(event.data or b"")))
                seen = api_type.inspector(asked(endpoint)).see(event)
                self.assertIsNotNone(seen.error)

    def test_the_formal_end(self) -> None:
        """What closes a stream is a whole event, or nothing."""
        for api_type in API_TYPES.values():
            for endpoint in served(api_type):
                closing = api_type.inspector(asked(endpoint)).closing
                self.assertTrue(not closing or closing.endswith(b"\n\n"))

    def test_inspectors_are_fresh(self) -> None:
        """One answer's state is not another's."""
        done = Parser(1000).feed(event_bytes(b"[DONE]"))
        for api_type in API_TYPES.values():
            for endpoint in served(api_type):
                first, second = (api_type.inspector(asked(endpoint)) for _ in range(2))
                self.assertIsNot(first, second)
                first.see(done[0])
                self.assertFalse(second.finished)
