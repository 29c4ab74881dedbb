"""
``parameters``: how they are written, and what they change in a request.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import backend, entry, parsed, problems
from yallmp.api_types.openai import OpenAI
from yallmp.core.asked import CHAT, COMPLETIONS, EMBEDDINGS, RERANK, RESPONSES, Endpoint, understand
from yallmp.core.backend import Backend
from yallmp.core.jsonbody import Document
from yallmp.core.parameters import Parameter

BASE = "api_base: https://b.example/v1\n"
GENERATED = "belongs to the client: it gets as many answers as it asked for"
TYPO = "stands beside default and allow_override; did you mean allow_override?"


def messages(params: str) -> list[str]:
    """What is wrong with an entry, without its place."""
    return [p.partition("litellm_params.")[2] for p in problems(entry(BASE + params))]


class WrittenTests(SynchronousTestCase):
    """In the configuration."""

    def test_ways_to_say_it(self) -> None:
        """A value, a default, a nested one by its path or as a mapping."""
        found = backend(
            BASE + "parameters:\n  temperature: 0.2\n"
            "  top_p: {default: 1.0, allow_override: false}\n"
            "  stop: [a, b]\n  thinking.budget_tokens: {default: 5}\n"
            "  kwargs: {a: {default: {x: 1}, allow_override: true}, b.c: on, d: null}\n"
        )  # fmt: skip
        self.assertEqual(
            found.parameters,
            (
                Parameter(("temperature",), "0.2"),
                Parameter(("top_p",), "1.0", fixed=True),
                Parameter(("stop",), '["a", "b"]'),
                Parameter(("thinking", "budget_tokens"), "5"),
                Parameter(("kwargs", "a"), '{"x": 1}'),
                Parameter(("kwargs", "b", "c"), "true"),
            ),
        )

    def test_mistakes(self) -> None:
        """Each with its place."""
        for written, message in (
            ("[a]", "parameters: a list is not a mapping (key: value)"),
            ("{model: x}", "parameters.model: is set by target_model"),
            ("{n: 2}", f"parameters.n: {GENERATED}"),
            ("{a..b: 1}", 'parameters.a..b: "a..b" has an empty name in it'),
            ("{a: {}}", "parameters.a: is empty; write default: {} if that is to be sent"),
            ("{a: {allow_override: false}}",
             "parameters.a: has no default; what is not to be sent at all goes to drop_params"),
            ("{a: {default: 1, allow_overide: false}}",
             f"parameters.a.allow_overide: {TYPO}"),
            ("{a: {default: 1, allow_override: 2}}",
             "parameters.a.allow_override: 2 is not true or false"),
            ("{a: 1, a.b: 2}", "parameters.a.b: a.b and a set the same"),
            ("{a.b: 1, a: {b: 2}}", "parameters.a.b: a.b and a.b set the same"),
        ):  # fmt: skip
            self.assertEqual(messages(f"parameters: {written}"), [message])

    def test_defaults_of_all(self) -> None:
        """Those of ``router_settings`` are merged with an entry's own, path by path."""
        config = parsed("""\
            model_list:
              - model_name: a
                litellm_params: {api_base: 'http://a/v1', parameters: {a.b: 3, e: 4}}
            router_settings: {parameters: {a: {b: 1, c: 2}, d: {default: 5, allow_override: false}}}
        """)
        found = [(p.name, p.value, p.fixed) for p in config.backends[0].parameters]
        self.assertEqual(
            found, [("a.c", "2", False), ("d", "5", True), ("a.b", "3", False), ("e", "4", False)]
        )


def sent(body: str, *parameters: Parameter, endpoint: Endpoint = CHAT, **settings: Any) -> str:
    """*body* (without its braces, and the model and messages) as the backend gets it."""
    start = '{"model":"m","messages":[1],"prompt":"p"'
    asked = understand(endpoint, Document.parse(f"{start}{body}}}".encode()))
    to = Backend("b", "m", api_base="http://b/v1", parameters=parameters, **settings)
    put = OpenAI().put(asked, "m", to).body.decode()
    assert put.startswith(start) and put.endswith("}"), put
    return put[len(start) : -1]


def default(name: str, value: str = "1") -> Parameter:
    """One that may be overridden."""
    return Parameter(tuple(name.split(".")), value)


def fixed(name: str, value: str = "1") -> Parameter:
    """One that may not."""
    return Parameter(tuple(name.split(".")), value, fixed=True)


class SentTests(SynchronousTestCase):
    """In the request; every other byte stays."""

    def test_defaults(self) -> None:
        """Where the client says nothing; null is nothing."""
        for body, expected in (
            ("", ', "a": 1'),
            (',"a":null', ',"a":1'),
            (',"a": 2.0', ',"a": 2.0'),
            (',"a":{"x":1}', ',"a":{"x":1}'),
        ):
            self.assertEqual(sent(body, default("a")), expected)

    def test_fixed(self) -> None:
        """Whatever the client says, in whatever letters."""
        for body, expected in (
            ("", ', "a": 1'),
            (',"a" : 2.0', ',"a" : 1'),
            (',"a" : 1', ',"a" : 1'),
            (',"A":2', ', "a": 1'),
            (',"A":2,"b":3', ',"b":3, "a": 1'),
        ):
            self.assertEqual(sent(body, fixed("a")), expected)

    def test_nested_defaults(self) -> None:
        """Inside of what the client says, or with all that is around it."""
        for body, expected in (
            ("", ', "a": {"b": {"c": 1}}'),
            (',"a":null', ',"a":{"b": {"c": 1}}'),
            (',"a":{"x" : 1.0}', ',"a":{"x" : 1.0, "b": {"c": 1}}'),
            (',"a":{"b":{"c":2 }}', ',"a":{"b":{"c":2 }}'),
            (',"a":{"b":{"c":null,"d":1}}', ',"a":{"b":{"c":1,"d":1}}'),
            (',"a":"x"', ',"a":"x"'),
            (',"a":{"b":[]}', ',"a":{"b":[]}'),
        ):
            self.assertEqual(sent(body, default("a.b.c")), expected)

    def test_nested_fixed(self) -> None:
        """The same, and what is in the way goes; a member that stands twice does not help."""
        for body, expected in (
            (',"a":{"b":{"c":2 ,"d":1.0}}', ',"a":{"b":{"c":1 ,"d":1.0}}'),
            (',"a":{"b":{"C":2,"d":1.0}}', ',"a":{"b":{"d":1.0, "c": 1}}'),
            (',"a":{"B":{"c":2}}', ',"a":{"b": {"c": 1}}'),
            (',"a":"x"', ',"a":{"b": {"c": 1}}'),
            (',"a":{"b":[]}', ',"a":{"b":{"c": 1}}'),
            (',"a":{"b":{"c":2,"c":3}}', ',"a":{"b":{"c": 1}}'),
            (',"a":{"b":{"c":1}}', ',"a":{"b":{"c":1}}'),
        ):
            self.assertEqual(sent(body, fixed("a.b.c")), expected)

    def test_other_names(self) -> None:
        """The longest answer has three names: one is enough, and none evades."""
        said = ',"max_completion_tokens":9'
        self.assertEqual(sent(said, default("max_tokens")), said)
        self.assertEqual(sent(said, fixed("max_tokens")), ', "max_tokens": 1')
        self.assertEqual(
            sent(said, fixed("max_tokens"), fixed("max_completion_tokens", "2")),
            ',"max_completion_tokens":2, "max_tokens": 1',
        )

    def test_beside_other_settings(self) -> None:
        """extra_body and supports_reasoning come first, drop_params last."""
        self.assertEqual(
            sent("", default("thinking.budget_tokens", "9"), supports_reasoning=True),
            ', "thinking": {"type": "enabled", "budget_tokens": 9}',
        )
        extra = (("a", "5"),)
        self.assertEqual(sent("", default("a"), extra_body=extra), ', "a": 5')
        self.assertEqual(sent("", fixed("a"), extra_body=extra), ', "a": 1')
        self.assertEqual(sent(',"a":3', fixed("a"), drop_params=("a",)), "")

    def test_endpoints(self) -> None:
        """Where something is generated."""
        for endpoint in (CHAT, COMPLETIONS, RESPONSES):
            self.assertEqual(sent("", fixed("a"), endpoint=endpoint), ', "a": 1')
        for endpoint in (EMBEDDINGS, RERANK):
            self.assertEqual(sent("", fixed("a"), endpoint=endpoint), "")

    values = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "é", '"']),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["a", "b", "c", "A"]), inner, max_size=3)
        ),
        max_leaves=8,
    )

    @given(values, st.booleans(), st.integers(0, 2))
    def test_any_value(self, value: Any, plain: bool, depth: int) -> None:
        """A fixed one is there whatever the client says, a default where it says nothing."""
        path = "abc"[: depth + 1]
        body = f',"a":{json.dumps(value, ensure_ascii=plain)}'
        for parameter in (fixed(".".join(path)), default(".".join(path))):
            found = json.loads("{" + sent(body, parameter).lstrip(", ") + "}")
            self.assertEqual(found, expected({"a": value}, path, parameter.fixed))


def expected(said: Any, path: str, is_fixed: bool) -> Any:
    """What is sent in place of what a client *said*."""
    if not path:
        return 1 if is_fixed or said is None else said
    if not isinstance(said, dict):
        return {path[0]: expected(None, path[1:], True)} if is_fixed or said is None else said
    kept = {
        k: v for k, v in said.items() if k == path[0] or not (is_fixed and k == path[0].upper())
    }
    return {**kept, path[0]: expected(said.get(path[0]), path[1:], is_fixed)}
