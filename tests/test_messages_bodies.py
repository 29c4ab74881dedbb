"""
What a backend that speaks Messages is sent for clients of chat completions, and what is noted.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.dialects.losses import Written
from yallmp.dialects.messages_models import Traits, traits_of
from yallmp.dialects.messages_words import coded_id, coded_name, decoded_name, input_of
from yallmp.dialects.table import DIALECTS

CHAT, MESSAGES = DIALECTS["chat"], DIALECTS["messages"]
OLD, NEW = "claude-sonnet-4-5", "claude-opus-5"
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USED = [
    {"role": "user", "content": "q"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "1"},
]


def put(*messages: Any, model: str = OLD, **members: Any) -> Written:
    """What the backend is sent for *messages*."""
    said = list(messages) or [{"role": "user", "content": "q"}]
    return MESSAGES.body(CHAT.request({"model": model, "messages": said, **members}))


def contents(written: Written) -> list[Any]:
    """What its messages say."""
    return [each["content"] for each in written.body["messages"]]


class ThinkingTests(SynchronousTestCase):
    """How much is to be thought."""

    def test_budget(self) -> None:
        """An effort is a budget for models that know no efforts, on top of the answer."""
        written = put(reasoning_effort="high")
        self.assertEqual(written.body["thinking"], {"type": "enabled", "budget_tokens": 16384})
        self.assertEqual(written.body["max_tokens"], 32_000 + 16384)
        self.assertEqual(written.dropped, ())

    def test_half_at_most(self) -> None:
        """Of a limit that the client set, half may be thought."""
        written = put(reasoning_effort="high", max_completion_tokens=8000)
        self.assertEqual(written.body["thinking"]["budget_tokens"], 4000)
        self.assertEqual(written.body["max_tokens"], 8000)

    def test_as_much_as_the_model_can(self) -> None:
        """An answer and its thoughts are no longer together than the model takes."""
        written = put(model="claude-opus-4-1", reasoning_effort="xhigh")
        self.assertEqual(written.body["max_tokens"], 32_000)
        self.assertEqual(written.body["thinking"]["budget_tokens"], 16_000)
        self.assertEqual(put(model="claude-3-5-haiku-20241022").body["max_tokens"], 8192)

    def test_no_room(self) -> None:
        """Where too little is left, with a forced tool, and without its thoughts, none comes."""
        forced = {"tools": [FUNCTION], "tool_choice": "required"}
        for written in (
            put(reasoning_effort="high", max_tokens=2000),
            put(reasoning_effort="high", **forced),
            put(*USED, reasoning_effort="high"),
        ):
            self.assertNotIn("thinking", written.body)
            self.assertIn("reasoning_effort", written.dropped)
            self.assertLessEqual(written.body["max_tokens"], 32_000)

    def test_with_its_thoughts(self) -> None:
        """Behind the use of a tool it thinks if the client has brought the thoughts back."""
        details = [{"type": "reasoning.text", "text": "hm", "signature": "sig"}]
        used = [USED[0], {**USED[1], "reasoning_details": details}, USED[2]]
        written = put(*used, reasoning_effort="low")
        self.assertEqual(written.body["thinking"]["budget_tokens"], 2048)
        thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
        self.assertEqual(written.body["messages"][1]["content"][0], thought)

    def test_sampling(self) -> None:
        """A model that thinks by a budget is not sampled otherwise."""
        written = put(reasoning_effort="low", temperature=0.2)
        self.assertNotIn("temperature", written.body)
        self.assertEqual(written.dropped, ("temperature",))
        written = put(reasoning_effort="low", top_p=0.5)
        self.assertEqual(written.body["top_p"], 0.95)

    def test_effort(self) -> None:
        """Newer models are told the effort; their thoughts are to be shown."""
        written = put(model=NEW, reasoning_effort="minimal", temperature=0.2)
        self.assertEqual(written.body["thinking"], {"type": "adaptive", "display": "summarized"})
        self.assertEqual(written.body["output_config"], {"effort": "low"})
        self.assertEqual(written.dropped, ("temperature",))

    def test_effort_and_format(self) -> None:
        """It stands beside the format of the answer."""
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
        written = put(model=NEW, reasoning_effort="high", response_format=form)
        self.assertEqual(set(written.body["output_config"]), {"effort", "format"})

    def test_none(self) -> None:
        """No effort is no thinking."""
        self.assertEqual(put(reasoning_effort="none").body["thinking"], {"type": "disabled"})


class TurnTests(SynchronousTestCase):
    """Conversations."""

    def test_later_system_messages(self) -> None:
        """They stand behind what the user says next where a model takes them there."""
        first, later = {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}
        user, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}
        for turns, roles in (
            ([first, user, later], "us"), ([user, answer, later, user], "uaus"),
            ([user, later, user, answer, user], "usau"), ([user, answer, later], "ua"),
            ([USED[0], USED[1], later, USED[2]], "uaus"), ([user, later, later, answer], "usa"),
        ):  # fmt: skip
            written = put(*turns, model=NEW)
            found = "".join(each["role"][0] for each in written.body["messages"])
            self.assertEqual(found, roles)
            self.assertIn("b", str(written.body))

    def test_later_system_messages_elsewhere(self) -> None:
        """For other models they go behind the first ones."""
        first, later = {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}
        written = put(first, {"role": "user", "content": "q"}, later)
        self.assertEqual([each["text"] for each in written.body["system"]], ["a", "b"])
        self.assertEqual(contents(written), ["q"])

    def test_only_a_system_prompt(self) -> None:
        """It is said by the user, for nobody else says anything."""
        written = put({"role": "system", "content": "a"})
        self.assertEqual(contents(written), ["a"])
        self.assertNotIn("system", written.body)

    def test_results_first(self) -> None:
        """Results of tools come first in their message, whatever was said in between."""
        written = put(*USED[:2], {"role": "user", "content": "and?"}, USED[2])
        result, text = contents(written)[2]
        self.assertEqual((result["type"], text["text"]), ("tool_result", "and?"))

    def test_a_beginning_to_go_on_with(self) -> None:
        """An answer to be gone on with does not end with blanks; one of blanks is none."""
        user = {"role": "user", "content": "q"}
        self.assertEqual(
            contents(put(user, {"role": "assistant", "content": "so \n"})), ["q", "so"]
        )
        self.assertEqual(contents(put(user, {"role": "assistant", "content": " "})), ["q"])

    def test_unsigned_thoughts(self) -> None:
        """They are not sent, and it is said so."""
        answered = {"role": "assistant", "content": "a", "reasoning_content": "hm"}
        written = put({"role": "user", "content": "q"}, answered, {"role": "user", "content": "r"})
        self.assertEqual(contents(written), ["q", "a", "r"])
        self.assertEqual(written.dropped, ("messages[].reasoning_content",))


class ToolTests(SynchronousTestCase):
    """Tools."""

    def test_custom(self) -> None:
        """A custom tool is a function with one text, whose description tells the grammar."""
        grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
        tool = {"type": "custom", "custom": {"name": "p", "description": "d", "format": grammar}}
        written = put(tools=[tool])
        (given,) = written.body["tools"]
        self.assertEqual(given["input_schema"]["required"], ["input"])
        self.assertIn("start: X", given["description"])
        self.assertEqual(written.dropped, ())

    def test_choices(self) -> None:
        """Every way of choosing has its equivalent; without tools there is nothing to choose."""
        named = {"type": "function", "function": {"name": "f"}}
        for choice, kind in (
            ("auto", {"type": "auto"}), ("none", {"type": "none"}), ("required", {"type": "any"}),
            (named, {"type": "tool", "name": "f"}),
        ):  # fmt: skip
            written = put(tools=[FUNCTION], tool_choice=choice)
            self.assertEqual(written.body["tool_choice"], kind)
        one = put(tools=[FUNCTION], parallel_tool_calls=False).body["tool_choice"]
        self.assertEqual(one, {"type": "auto", "disable_parallel_tool_use": True})
        self.assertNotIn("tool_choice", put(tool_choice="auto").body)
        self.assertEqual(put(tool_choice="required").dropped, ("tool_choice",))

    @given(st.text())
    def test_names(self, name: str) -> None:
        """A tool's name can be sent, and the client finds its own again."""
        self.assertRegex(coded_name(name), r"^[a-zA-Z0-9_-]*\Z")
        self.assertEqual(decoded_name(coded_name(name)), name)

    @given(st.text(st.characters()))
    def test_ids(self, name: str) -> None:
        """So can a call's id; one that can already stays."""
        self.assertRegex(coded_id(name), r"^[a-zA-Z0-9_-]+\Z")
        self.assertEqual(coded_id(coded_id(name)), coded_id(name))

    def test_arguments(self) -> None:
        """Whatever they are, they become an object."""
        for arguments, made in (
            ('{"a": 1}', {"a": 1}), ("", {}), (" ", {}), ('{"a": 1} {}', {"a": 1}),
            ('"{\\"a\\": 1}"', {"a": 1}), ("[1]", {"input": "[1]"}), ("ls", {"input": "ls"}),
            ('{"a": ', {"input": '{"a": '}),
        ):  # fmt: skip
            self.assertEqual(input_of(arguments), made, arguments)
        self.assertEqual(input_of("{}", custom=True), {"input": "{}"})


class LimitTests(SynchronousTestCase):
    """How the answer is chosen, and where it ends."""

    def test_temperature(self) -> None:
        """1 at most; with it, no other way of sampling."""
        self.assertEqual(put(temperature=0.5).body["temperature"], 0.5)
        written = put(temperature=1.5)
        self.assertEqual((written.body["temperature"], written.dropped), (1.0, ("temperature",)))
        written = put(temperature=0.5, top_p=0.9)
        self.assertNotIn("top_p", written.body)
        self.assertEqual(written.dropped, ("top_p",))
        both = put(model="glm-5", temperature=0.5, top_p=0.9)
        self.assertEqual((both.body["top_p"], both.dropped), (0.9, ()))

    def test_what_there_is_not(self) -> None:
        """It is noted in the client's words."""
        written = put(
            n=2, logprobs=True, seed=1, logit_bias={"1": 2}, stop=["\n", "END"],
            response_format={"type": "json_object"},
        )  # fmt: skip
        self.assertEqual(
            set(written.dropped), {"n", "logprobs", "seed", "logit_bias", "stop", "response_format"}
        )
        self.assertEqual(written.body["stop_sequences"], ["END"])
        self.assertIn("JSON", written.body["system"])

    def test_service_tier(self) -> None:
        """Two of its values have an equivalent."""
        self.assertEqual(put(service_tier="default").body["service_tier"], "standard_only")
        self.assertEqual(put(service_tier="flex").dropped, ("service_tier",))


class ModelTests(SynchronousTestCase):
    """What models take."""

    def test_versions(self) -> None:
        """Wherever the version stands in the name; a date is none."""
        adaptive = {
            name: traits_of(name).adaptive
            for name in (
                "claude-3-opus-20240229", "claude-3-7-sonnet-latest", "claude-opus-4-20250514",
                "claude-opus-4-5-20251101", "claude-sonnet-4-6", "anthropic/claude-4.7-opus",
                "us.anthropic.claude-opus-4-8-v1:0", "claude-fable-5",
            )
        }  # fmt: skip
        self.assertEqual(list(adaptive.values()), [False] * 4 + [True] * 4)
        self.assertEqual(traits_of("kimi-k2"), Traits())
        self.assertEqual(traits_of("claude-3-opus-20240229").longest, 4096)
