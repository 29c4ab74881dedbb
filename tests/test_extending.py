"""
``extends``: what an entry takes over from another one.
"""

from __future__ import annotations

from textwrap import indent

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import notices, parsed, problems
from yallmp.core.backend import Backend, Parse

KEY = {"KEY": "sk-0123456789"}
BASE = """\
model_list:
  - model_name: base
    logging: {requests: errors}
    litellm_params:
      api_base: https://base.example/v1
      api_key: ${KEY}
      model: openai/big
      request_timeout: 3
      first_byte_timeout: 2
      weight: 2
      extra_headers: {X-Team: blue, X-Old: a}
      extra_body: {top_k: 1, deep: {a: 1, b: [1]}}
      query: {v: '1'}
      drop_params: [user, seed]
      parameters: {temperature: 0.5, thinking: {type: enabled}}
      parse: {reasoning: think_tags}
"""


def text(own: str = "", *, head: str = "extends: base", name: str = "mine") -> str:
    """The file with an entry that extends the first one."""
    params = "\n    litellm_params:\n" + indent(own, "      ") if own else "\n"
    return f"{BASE}  - model_name: {name}\n    {head}{params}"


def mine(own: str = "", head: str = "extends: base") -> Backend:
    """That entry."""
    return parsed(text(own, head=head), KEY).backends[1]


class InheritedTests(SynchronousTestCase):
    """What it is."""

    def test_all(self) -> None:
        """Everything, where it says nothing; asked for the same model."""
        base, found = parsed(text(), KEY).backends
        self.assertEqual(found, evolve(base, name="mine", model_name="mine"))
        self.assertEqual((found.sends, found.log_requests), ("big", "errors"))
        self.assertEqual(notices(parsed(text(), KEY)), [])

    def test_its_own_wins(self) -> None:
        """Under whatever name; lists are replaced."""
        found = mine(
            "timeout: 9\nforward_model: x\ndrop_params: [n]\nstream_timeout: 4\nweight: 1\n"
        )
        self.assertEqual((found.sends, found.drop_params, found.weight), ("x", ("n",), 1.0))
        patience = found.patience
        self.assertEqual((patience.request_timeout, patience.first_byte_timeout), (9.0, 4.0))

    def test_mappings_are_merged(self) -> None:
        """Headers in whatever letters; bodies at any depth; parameters by their paths."""
        found = mine(
            "extra_headers: {x-team: red, X-New: b}\n"
            "extra_body: {deep: {b: [2], c: 3}, min_p: 0}\nquery: {w: '2'}\n"
            "parameters: {thinking.type: disabled, top_p: 1}\nparse: {tool_calls: glm}\n"
        )
        self.assertEqual(found.extra_headers, (("x-team", "red"), ("X-Old", "a"), ("X-New", "b")))
        self.assertEqual(
            found.extra_body,
            (("top_k", "1"), ("deep", '{"a": 1, "b": [2], "c": 3}'), ("min_p", "0")),
        )
        self.assertEqual(found.query, (("v", "1"), ("w", "2")))
        self.assertEqual(
            [(each.name, each.value) for each in found.parameters],
            [("temperature", "0.5"), ("thinking.type", '"disabled"'), ("top_p", "1")],
        )
        self.assertEqual(found.parse, Parse("think_tags", "glm"))

    def test_nothing_behind_the_colon(self) -> None:
        """Is not taken over, and is not said."""
        found = mine("extra_body:\nrequest_timeout: null\n")
        self.assertEqual((found.extra_body, found.patience.request_timeout), ((), None))

    def test_what_makes_the_other_void(self) -> None:
        """A model of its own, a key of its own, an address in place of an answer."""
        self.assertEqual(mine("model: openai/small\n").sends, "small")
        both = BASE.replace("model: openai/big", "target_model: big") + (
            "  - {model_name: b, extends: base, litellm_params: {model: openai/small}}\n"
            "  - {model_name: c, litellm_params: {mock_response: hi}}\n"
            "  - {model_name: d, extends: c, litellm_params: {api_base: 'http://d.example/v1'}}\n"
        )
        found = parsed(both, KEY).backends
        self.assertEqual(found[1].sends, "small")
        self.assertEqual((found[3].mock_response, found[3].sends), (None, "c"))

    def test_a_model_that_names_none(self) -> None:
        """It is asked for its own name, and so is what extends it; a pattern passes names on."""
        config = parsed("""\
            model_list:
              - {model_name: llama, litellm_params: {api_base: 'http://a.example/v1'}}
              - {model_name: b, extends: llama}
              - {model_name: 'x/*', litellm_params: {api_base: 'http://a.example/v1'}}
              - {model_name: c, extends: 'x/*'}
              - {model_name: 'y/*', extends: 'x/*'}
        """)
        found = {b.model_name: b for b in config.backends}
        self.assertEqual((found["b"].sends, found["c"].sends), ("llama", None))
        self.assertEqual(found["y/*"].upstream_model("y/z"), "z")

    def test_addresses_of_providers(self) -> None:
        """The provider's address, or that of a model of its own."""
        config = parsed(
            """\
            model_list:
              - {model_name: a, litellm_params: {model: openai/gpt, api_key: k-a}}
              - {model_name: b, extends: a, litellm_params: {model: small}}
              - {model_name: c, extends: a, litellm_params: {model: groq/l, api_key: k-c}}
              - {model_name: d, extends: a, litellm_params: {model: groq/l}}
            """
        )
        found = [(b.api_base, b.sends, b.api_key) for b in config.backends[1:]]
        openai, groq = "https://api.openai.com/v1", "https://api.groq.com/openai/v1"
        self.assertEqual(found, [(openai, "small", "k-a"), (groq, "l", "k-c"), (groq, "l", "k-a")])
        (warning,) = notices(config)
        self.assertIn("model_list[3].extends: the key goes to another address", warning)

    def test_keys_that_go_elsewhere(self) -> None:
        """They do, but it is said; another path of the same host is none."""
        said = notices(parsed(text("api_base: https://other.example/v1\n"), KEY))
        self.assertEqual(len(said), 1)
        self.assertIn("other.example", said[0])
        for own in ("api_key: own\n", "api_key:\n"):
            said = notices(parsed(text(f"api_base: https://other.example/v1\n{own}"), KEY))
            self.assertNotIn("the key goes", str(said))
        self.assertEqual(notices(parsed(text("api_base: https://base.example/v2\n"), KEY)), [])

    def test_router_settings_stand_behind_both(self) -> None:
        """What is said for all is said least."""
        config = parsed(
            text()
            + "router_settings: {weight: 7, order: 3, parameters: {temperature: 1, seed: 2}}\n",
            KEY,
        )
        found = config.backends[1]
        self.assertEqual((found.weight, found.order), (2.0, 3))
        self.assertEqual(
            [(each.name, each.value) for each in found.parameters],
            [("seed", "2"), ("temperature", "0.5"), ("thinking.type", '"enabled"')],
        )


class LineageTests(SynchronousTestCase):
    """Whom it extends."""

    def test_chains(self) -> None:
        """In whatever order they stand."""
        config = parsed("""\
            model_list:
              - {model_name: c, extends: b, litellm_params: {order: 3}}
              - {model_name: b, extends: a, litellm_params: {weight: 2, order: 2}}
              - {model_name: a, litellm_params: {api_base: 'http://a.example/v1', order: 1}}
        """)
        found = config.backends[0]
        self.assertEqual((found.order, found.weight, found.sends), (3, 2.0, "a"))

    def test_groups(self) -> None:
        """One for each that serves the other model; one of them by its name."""
        group = """\
            model_list:
              - {model_name: a, litellm_params: {api_base: 'http://a.example/v1', model: one}}
              - {model_name: a, name: two, litellm_params: {api_base: 'http://b.example/v1'}}
              - {model_name: b, extends: a, litellm_params: {order: 1}}
              - {model_name: c, extends: two}
              - {model_name: a, extends: two, litellm_params: {model: three}}
            """
        found = [(b.name, b.sends, b.order) for b in parsed(group).backends]
        self.assertEqual(
            found[2:],
            [
                ("b", "one", 1),
                ("b#2", "a", 1),
                ("b#3", "three", 1),
                ("c", "a", 0),
                ("a#2", "three", 0),
            ],
        )
        self.assertEqual(
            problems(group.replace("model_name: b,", "model_name: b, name: n,")),
            ["c.yaml:4: model_list[2]: extends 3 entries, which cannot have one name"],
        )

    def test_unset_keys(self) -> None:
        """It is left out with the other, unless it has a key of its own."""
        names = [b.name for b in parsed(text() + OTHER).backends]
        self.assertEqual(names, ["other"])
        names = [b.name for b in parsed(text("api_key: own\n") + OTHER).backends]
        self.assertEqual(names, ["mine", "other"])

    def test_mistakes(self) -> None:
        """Circles and names that nobody has, with their places; all others once."""
        for entries, expected in (
            (["a, extends: b"], ["model_list[0].extends: there is no entry called b"]),
            (["a, extends: a"], [f"model_list[0].extends: {ITSELF}"]),
            (["a, extends: b", "b, extends: a"],
             ["model_list[1].extends: goes in a circle: a, b, a"]),
            (["a, litellm_params: {api_base: 'http://a/v1', weight: x}", "b, extends: a"],
             ['model_list[0].litellm_params.weight: "x" is not a number']),
            (["a, litellm_params: {mock_response: x, extends: b}"],
             [f"model_list[0].litellm_params.extends: {BESIDE}"]),
        ):  # fmt: skip
            listed = "".join(f"  - {{model_name: {entry}}}\n" for entry in entries)
            said = [p.split(": ", 1)[1] for p in problems(f"model_list:\n{listed}")]
            self.assertEqual(said, expected)

    def test_very_many(self) -> None:
        """Groups that extend groups do not grow without bound."""
        each = "".join(f"  - {{model_name: m{n}, extends: m{n - 1}}}\n" * 2 for n in range(1, 30))
        said = problems(
            f"model_list:\n{'  - {model_name: m0, litellm_params: {mock_response: x}}'}\n{each}"
        )
        self.assertIn("makes more than 256 entries", said[0])


ITSELF = (
    "a would extend itself; to extend another entry of the same model, "
    "give that one a name of its own"
)
BESIDE = "extends belongs into the entry, beside model_name"
OTHER = "  - {model_name: other, litellm_params: {mock_response: x}}\n"
