"""A whole file: its sections, their defaults, and what refers to each other."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import MODEL, notices, parsed, problems
from yallmp.core.config.providers import PROVIDERS
from yallmp.core.config.schema import FILE, paths
from yallmp.core.config.sections import Section
from yallmp.core.settings import Access, Config, Key, Limits, Logging, Router, Server

ROOT = Path(__file__).parent.parent

DESIGN = """\
model_list:
  - model_name: my-model
    litellm_params:
      api_base: https://api.example.com/v1
      api_key: ${MY_KEY}
      model: gpt-4o
      target_model: gpt-4
      request_timeout: 30
      supports_reasoning: false
      api_type: openai
router_settings:
  num_retries: 1
  fallbacks:
    - my-model: [fallback-model]
general_settings:
  server: {host: 127.0.0.1, port: 8000}
  enable_responses_endpoint: false
"""


class WholeTests(SynchronousTestCase):
    """Files as people write them."""

    def test_the_design_example(self) -> None:
        """It loads; its fallback to nothing is kept and warned about."""
        config = parsed(DESIGN, {"MY_KEY": "sk-1"})
        (backend,) = config.backends
        self.assertEqual(
            (backend.name, backend.api_base, backend.sends, backend.api_key),
            ("my-model", "https://api.example.com/v1", "gpt-4", "sk-1"),
        )
        self.assertEqual(backend.patience.request_timeout, 30.0)
        self.assertEqual(config.fallbacks.by_model, (("my-model", ("fallback-model",)),))
        self.assertEqual(
            notices(config),
            [
                (
                    "c.yaml:14: router_settings.fallbacks[0].my-model: the fallback fallback-model "
                    "is skipped: no entry has this name"
                ),
            ],
        )

    def test_defaults(self) -> None:
        """A file with one model has every default."""
        config = parsed(MODEL)
        expected = Config(backends=config.backends, logging=Logging(directory="/etc/yallmp/logs"))
        self.assertEqual(config, expected)

    def test_everything(self) -> None:
        """Every section reaches its value."""
        config = parsed(
            MODEL
            + """\
router_settings:
  num_retries: 3
  deadline: 900
  retry_after_max: 0
  stream_headers_after: off
  sse_keepalive: 5.5
  retry_statuses: [429, 5xx]
  failover_statuses: []
  default_fallbacks: m
  model_group_alias: {gpt: m}
general_settings:
  server: {listen: "tcp:8000", workers: 1, allowed_hosts: [proxy.lan],
           cors_origins: ["https://a.example"]}
  api_keys: {alice: key-of-alice}
  admin_key: the-admin-key
  admin: {private_backends: false, persist: models.json}
  enable_responses_endpoint: true
  drain_timeout: 0
limits: {max_body_bytes: 1M, max_response_bytes: 2M, max_event_bytes: 3k, max_head_bytes: 9000,
         max_head_fields: 50, max_target_bytes: 4k, head_timeout: 3, upstream_idle: 7,
         max_response_head_bytes: 5k,
         body_timeout: 5, body_rate: 1k, max_hops: 0, max_connections: 7,
         max_buffered_bytes: 1G, max_client_buffer: 8k, write_timeout: 9}
logging: {directory: /var/log/yallmp, requests: off, bodies: 64k, format: json, level: warn,
          max_age: 12h, max_total_bytes: 2G, queue_bytes: 1M}
"""
        )
        again = frozenset({429, *range(500, 600)})
        self.assertEqual(config.router, Router(3, 900.0, 0.0, None, 5.5, again, frozenset()))
        self.assertEqual(config.fallbacks.default, ("m",))
        self.assertEqual(config.fallbacks.aliases, (("gpt", "m"),))
        self.assertEqual(config.server, Server(listen="tcp:8000"))
        self.assertEqual(
            config.access,
            Access((Key("alice", "key-of-alice"),), "the-admin-key", ("proxy.lan",),
                   ("https://a.example",), False),
        )  # fmt: skip
        self.assertEqual(config.persist, "/etc/yallmp/models.json")
        self.assertTrue(config.enable_responses_endpoint)
        self.assertEqual(config.drain_timeout, 0.0)
        self.assertEqual(
            config.limits,
            Limits(2**20, 2 * 2**20, 3 * 2**10, 9000, 50, 4 * 2**10, 3.0, 7.0, 5.0, 2**10, 0, 7,
                   2**30, 2**13, 9.0, max_response_head_bytes=5 * 2**10),
        )  # fmt: skip
        self.assertEqual(
            config.logging,
            Logging(
                "/var/log/yallmp", "off", 64 * 2**10, "json", "warn", 12 * 3600.0, 2 * 2**30, 2**20
            ),
        )
        self.assertEqual(config.notices, ())

    def test_proxy_settings(self) -> None:
        """Another name for general_settings; both at once is an error."""
        text = MODEL + "proxy_settings: {server: {port: 1}}\n"
        self.assertEqual(parsed(text).server.port, 1)
        self.assertEqual(
            problems(text + "general_settings: {}\n"),
            ["c.yaml:4: general_settings: is the same as proxy_settings; give one of them"],
        )

    def test_shipped(self) -> None:
        """The shipped file starts without any key, and says so in notes only."""
        config = parsed((ROOT / "config.yaml").read_text())
        self.assertEqual([b.name for b in config.backends], ["demo", "failover-demo"])
        self.assertEqual(config.backends[1].api_base, "http://127.0.0.1:9/v1")
        self.assertEqual(config.fallbacks.by_model, (("failover-demo", ("demo",)),))
        self.assertEqual(notices(config), [])
        self.assertIn("OPENAI_API_KEY", notices(config, "info")[0])

    def test_shipped_with_keys(self) -> None:
        """Each key brings its models, and fallbacks to those that are there."""
        config = parsed(
            (ROOT / "config.yaml").read_text(), {"OPENAI_API_KEY": "a", "GROQ_API_KEY": "b"}
        )
        self.assertEqual([b.name for b in config.backends][2:], ["gpt-4o-mini", "llama-3.3-70b"])
        self.assertEqual(notices(config), [])


class DocumentationTests(SynchronousTestCase):
    """``docs/configuration.md`` is complete."""

    def test_every_setting(self) -> None:
        """Each is named by its path."""
        text = (ROOT / "docs" / "configuration.md").read_text()
        missing = [path for path in paths() if f"`{_documented(path)}`" not in text]
        self.assertEqual(missing, [], "describe these in docs/configuration.md")

    def test_every_alias(self) -> None:
        """And each other name."""
        text = (ROOT / "docs" / "configuration.md").read_text()
        missing = [name for name in _aliases(FILE) if f"`{name}`" not in text]
        self.assertEqual(missing, [])

    def test_every_provider(self) -> None:
        """And each prefix that brings an address, or that needs one."""
        text = (ROOT / "docs" / "configuration.md").read_text()
        self.assertEqual([name for name in PROVIDERS if f"`{name}`" not in text], [])

    def test_later_settings(self) -> None:
        """What is not there yet is not promised."""
        text = (ROOT / "docs" / "configuration.md").read_text()
        for name in _later(FILE):
            self.assertNotIn(f"{name}` |", text)


def _documented(path: str) -> str:
    """How the page names a setting: per-backend ones are described once, by their last name."""
    before, _, name = path.rpartition(".")
    name = f"parse.{name}" if before.endswith(".parse") else name
    once = ("model_list[].litellm_params", "router_settings", "litellm_settings")
    return name if path.startswith(once) else path


def _aliases(section: Section) -> list[str]:
    own = [alias for setting in section.settings for alias in setting.aliases]
    inner = [_aliases(setting.inner) for setting in section.settings if setting.inner]
    return own + [alias for aliases in inner for alias in aliases]


def _later(section: Section) -> list[str]:
    inner = [_later(setting.inner) for setting in section.settings if setting.inner]
    return [*section.later, *(name for names in inner for name in names)]


class NoModelTests(SynchronousTestCase):
    """A file in which no model is left does not start."""

    def test_none(self) -> None:
        """No list, or nothing in it."""
        message = "no model is configured: model_list is missing or empty"
        self.assertEqual(problems("logging: {}"), [f"c.yaml:1: {message}"])
        self.assertEqual(
            problems("logging: {}\nmodel_list: []"), [f"c.yaml:2: model_list: {message}"]
        )

    def test_all_left_out(self) -> None:
        """The variables that would bring one in are named."""
        text = """\
        model_list:
          - {model_name: a, litellm_params: {model: openai/a, api_key: "${A_KEY}"}}
          - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/B_KEY}}
        """
        self.assertEqual(
            problems(text, {"B_KEY": ""}),
            ["c.yaml:1: model_list: no model is left in it; set one of: A_KEY, B_KEY"],
        )

    def test_empty_entries(self) -> None:
        """Each is a problem, alone or beside a good one: it may have been a model."""
        message = "is empty; give it model_name and litellm_params, or remove it"
        for text, line, number in (
            ("model_list:\n  - \n", 2, 0),
            (MODEL + "  - ~\n", 3, 1),
            ("model_list: [null]", 1, 0),
        ):
            self.assertEqual(problems(text), [f"c.yaml:{line}: model_list[{number}]: {message}"])

    def test_an_entry_that_is_wrong(self) -> None:
        """What it would be is not known, so nothing is said of the number of models."""
        text = """\
        model_list:
          - {model_name: a, litellm_params: {model: openai/a, api_key: "${A_KEY}"}}
          - {model_name: b}
        """
        self.assertEqual(problems(text), ["c.yaml:3: model_list[1]: litellm_params is missing"])

    def test_virtual_models_alone(self) -> None:
        """Fallbacks need somebody that serves them; a name by itself is no model."""
        said = problems("router_settings: {fallbacks: [{a: [b]}]}")
        self.assertEqual(said, ["c.yaml:1: no model is configured: model_list is missing or empty"])

    def test_no_list(self) -> None:
        """A mapping of models is no list."""
        self.assertIn("is not a list", problems("model_list: {m: {}}")[0])


class NameTests(SynchronousTestCase):
    """Backends have names, each once."""

    def test_names(self) -> None:
        """Its own, else the model's, else numbered; around those that are taken."""
        text = """\
        model_list:
          - {model_name: m, litellm_params: {mock_response: a}}
          - {model_name: m, litellm_params: {mock_response: b}}
          - {model_name: m, name: "m#3", litellm_params: {mock_response: c}}
          - {model_name: m, litellm_params: {mock_response: d}}
          - {model_name: x, name: n, litellm_params: {mock_response: e}}
          - {model_name: n, litellm_params: {mock_response: f}}
        """
        config = parsed(text)
        names = [backend.name for backend in config.backends]
        self.assertEqual(names, ["m", "m#2", "m#3", "m#4", "n", "n#2"])

    def test_duplicates(self) -> None:
        """A name that is given twice is an error."""
        text = """\
        model_list:
          - {model_name: m, name: n, litellm_params: {mock_response: a}}
          - {model_name: m, name: n, litellm_params: {mock_response: b}}
        """
        self.assertEqual(
            problems(text), ["c.yaml:3: model_list[1].name: n is the name of two entries"]
        )

    def test_bad_names(self) -> None:
        """Names are printable, and stars come last."""
        text = """\
        model_list:
          - {model_name: " m", litellm_params: {mock_response: a}}
          - {model_name: "a*b", litellm_params: {mock_response: a}}
          - {litellm_params: {mock_response: a}}
          - {model_name: m}
          - nonsense
        """
        self.assertEqual(
            [problem.partition(": ")[2] for problem in problems(text)],
            [
                'model_list[0].model_name: " m" begins or ends with a blank',
                'model_list[1].model_name: "a*b" has a * that is not its last character',
                "model_list[2]: model_name is missing",
                "model_list[3]: litellm_params is missing",
                'model_list[4]: "nonsense" is not a mapping (key: value)',
            ],
        )


FALLBACKS = """\
model_list:
  - {model_name: a, litellm_params: {mock_response: a}}
  - {model_name: gone, litellm_params: {model: openai/x, api_key: "$GONE"}}
  - {model_name: "w/*", litellm_params: {api_base: "http://h/v1"}}
router_settings:
"""


class FallbackTests(SynchronousTestCase):
    """Fallbacks and aliases."""

    def test_forms(self) -> None:
        """A list of mappings or one mapping; a text is a list of one."""
        expected = (("a", ("w/1",)), ("v", ("a", "w/2")))
        for form in ("[{a: w/1}, {v: [a, w/2]}]", "{a: [w/1], v: [a, w/2]}"):
            config = parsed(FALLBACKS + f"  fallbacks: {form}\n")
            self.assertEqual(config.fallbacks.by_model, expected)
            self.assertEqual(notices(config), [])

    def test_all_kinds(self) -> None:
        """Each of LiteLLM's lists goes to its place."""
        fallbacks = parsed(
            FALLBACKS
            + (
                "  context_window_fallbacks: [{a: [w/1]}]\n  content_policy_fallbacks: [{a: w/2}]\n"
                "  default_fallbacks: [a]\n"
            ),
        ).fallbacks
        self.assertEqual(fallbacks.context_window, (("a", ("w/1",)),))
        self.assertEqual(fallbacks.content_policy, (("a", ("w/2",)),))
        self.assertEqual(fallbacks.default, ("a",))

    def test_star(self) -> None:
        """LiteLLM's ``"*"`` is for every model, unless an entry is called that."""
        config = parsed(FALLBACKS + '  fallbacks: [{"*": [a]}]\n')
        self.assertEqual((config.fallbacks.default, config.fallbacks.by_model), (("a",), ()))

    def test_left_out(self) -> None:
        """A fallback to what is left out is no warning; a left out model needs one that serves."""
        config = parsed(FALLBACKS + "  fallbacks: [{a: gone}, {gone: a}]\n")
        self.assertEqual(config.fallbacks.by_model, (("a", ("gone",)), ("gone", ("a",))))
        self.assertEqual(notices(config), [])
        self.assertEqual(notices(config, "info"), ["left out, as GONE is not set: gone"])
        config = parsed(FALLBACKS + "  fallbacks: [{gone: gone}]\n")
        self.assertEqual(config.fallbacks.by_model, ())

    def test_warnings(self) -> None:
        """What will be skipped is said, with the nearest name."""
        config = parsed(FALLBACKS + "  fallbacks:\n    - v: [a]\n    - a: [v, w/*, w/1, gona]\n")
        self.assertEqual(
            [text.partition(".a: ")[2] for text in notices(config)],
            [
                "v is skipped: it has only fallbacks, which are not followed on",
                "w/* is skipped: a fallback is a model, not a pattern",
                "the fallback gona is skipped: no entry has this name",
            ],
        )
        said = notices(
            parsed(MODEL.replace("m,", "model,") + "router_settings: {fallbacks: {v: modle}}")
        )
        self.assertIn("did you mean model?", said[0])

    def test_problems(self) -> None:
        """Lists that say nothing of whose they are, and models with two."""
        self.assertEqual(
            problems(FALLBACKS + "  fallbacks: [a, {a: w/1}, {a: w/2}]\n"),
            [
                (
                    'c.yaml:6: router_settings.fallbacks[0]: "a" does not say whose fallbacks '
                    "these are (model: [others])"
                ),
                "c.yaml:6: router_settings.fallbacks[2].a: the fallbacks of a are given twice",
            ],
        )

    def test_aliases(self) -> None:
        """A name or LiteLLM's mapping; hidden has no effect; circles are harmless."""
        config = parsed(
            FALLBACKS
            + "  model_group_alias: {x: a, y: {model: w/1, hidden: true}, p: q, q: p, a: w/1}\n"
        )
        self.assertEqual(config.fallbacks.aliases[:2], (("x", "a"), ("y", "w/1")))
        said = " | ".join(notices(config))
        self.assertIn("alias.p: no entry has the name q", said)
        self.assertIn("alias.a: a is in model_list too", said)
        self.assertIn("hidden is LiteLLM's and ignored", said)

    def test_alias_without_model(self) -> None:
        """It must mean something."""
        self.assertEqual(
            problems(FALLBACKS + "  model_group_alias: {x: {hidden: true}, y: {modle: a}}\n"),
            [
                "c.yaml:6: router_settings.model_group_alias.x: model is missing",
                (
                    "c.yaml:6: router_settings.model_group_alias.y.modle: there is no setting of "
                    "this name; an alias has a model"
                ),
                "c.yaml:6: router_settings.model_group_alias.y: model is missing",
            ],
        )


def with_general(text: str) -> str:
    """A file whose general_settings are *text*."""
    return f"{MODEL}general_settings: {{{text}}}\n"


class AccessTests(SynchronousTestCase):
    """Keys."""

    def test_forms(self) -> None:
        """A list, names with keys, names with more; one key is a list of one."""
        for text, keys in [
            ("api_keys: [k1, '${K}']", (Key("key-1", "k1"), Key("key-2", "from-env"))),
            ("api_keys: '$K'", (Key("key-1", "from-env"),)),
            ("api_keys: {alice: k1, bob: 12345}", (Key("alice", "k1"), Key("bob", "12345"))),
            ("api_keys: {a: {key: k1, models: [m]}}", (Key("a", "k1", ("m",)),)),
            ("api_keys: {a: {key: k1, models: m}}", (Key("a", "k1", ("m",)),)),
            ("api_keys: {a: {key: k1}}", (Key("a", "k1"),)),
        ]:
            config = parsed(with_general(text), {"K": "from-env"})
            self.assertEqual(config.access.keys, keys, text)
            self.assertEqual(config.notices, ())

    def test_empty_ones(self) -> None:
        """An empty key is none, and said."""
        config = parsed(with_general("api_keys: {a: '', b: '$K', c: k}, admin_key: ''"), {"K": ""})
        self.assertEqual(config.access.keys, (Key("c", "k"),))
        self.assertIsNone(config.access.admin_key)
        said = notices(config)
        self.assertEqual(
            sorted(said),
            [
                f"c.yaml:3: general_settings.{path}: is empty and counts as not set"
                for path in ("admin_key", "api_keys.a", "api_keys.b")
            ],
        )

    def test_none_left(self) -> None:
        """A file that means to keep people out does not let all in."""
        for text in (
            "api_keys: []",
            "api_keys: {}",
            "api_keys: ",
            "api_keys: [$K]",
            "api_keys: {a: ''}",
        ):
            (problem,) = problems(with_general(text), {"K": ""})
            self.assertIn("api_keys: no key is left in it", problem)

    def test_unset(self) -> None:
        """A key from a variable that is not there is an error."""
        self.assertEqual(
            problems(with_general("api_keys: [$K]")),
            [
                (
                    "c.yaml:3: general_settings.api_keys[0]: the environment variable K is not "
                    "set; set it, or write ${K:-default}"
                ),
            ],
        )

    def test_bad_keys(self) -> None:
        """Keys are told apart, can be sent, and are never shown."""
        said = problems(
            with_general(
                "api_keys: {a: k1, b: k1, c: 'se cret', d: {}, e: {key: k, models: []}, "
                "f: {key: k2, rpm: 3}, g: {key: k3, modles: []}, ' h': k4, i: true}"
            )
        )
        messages = [problem.partition("api_keys.")[2] for problem in said]
        self.assertEqual(
            sorted(messages),
            [
                " h: the name of the key begins or ends with a blank",
                "b: is the same key as a's",
                "c: has a blank, a line break or a character beyond ASCII in it",
                "d: key is missing",
                "e.models: an empty list admits to nothing; without it everything may be asked",
                (
                    "f.rpm: nothing limits spending, tokens or requests here: remove it only if "
                    "that is acceptable (rpm is LiteLLM's)"
                ),
                "g.modles: there is no setting of this name; did you mean models?",
                "i: is not text; put it in quotation marks",
            ],
        )
        self.assertNotIn("cret", " ".join(said))

    def test_models_of_a_key(self) -> None:
        """A model that nobody serves is said; virtual ones, aliases and wildcards are known."""
        text = """\
        model_list:
          - {model_name: m, litellm_params: {mock_response: x}}
          - {model_name: "w/*", litellm_params: {api_base: "http://h"}}
        router_settings: {fallbacks: {v: m}, model_group_alias: {al: m}}
        general_settings: {api_keys: {a: {key: k, models: [m, v, al, w/1, "w/*", mm]}}}
        """
        self.assertEqual(
            notices(parsed(text)),
            ["c.yaml:5: general_settings.api_keys.a.models: no entry has the name mm"],
        )

    def test_master_key(self) -> None:
        """LiteLLM's key of everything is the one key and the admin key."""
        config = parsed(with_general("master_key: os.environ/MASTER"), {"MASTER": "sk-1"})
        self.assertEqual(
            config.access, evolve(Access(), keys=(Key("master", "sk-1"),), admin_key="sk-1")
        )

    def test_master_key_and_others(self) -> None:
        """Both at once cannot be meant."""
        for other in ("admin_key: x", "api_keys: [x]"):
            (problem,) = problems(with_general(f"master_key: y, {other}"))
            self.assertIn("master_key: stands for api_keys and admin_key;", problem)

    def test_empty_master_key(self) -> None:
        """A proxy that was closed does not open."""
        for text in ("master_key: ''", "master_key: $K", "master_key: "):
            (problem,) = problems(with_general(text), {"K": ""})
            self.assertIn("master_key: is empty: nothing would keep anybody out", problem)

    def test_listen_and_port(self) -> None:
        """An endpoint stands in place of host and port."""
        (problem,) = problems(with_general("server: {listen: 'tcp:1', port: 2}"))
        self.assertIn("listen stands in place of host and port", problem)

    def test_origins(self) -> None:
        """Origins are whole ones, each named."""
        (problem,) = problems(with_general("server: {cors_origins: ['*']}"))
        self.assertIn('"*" is not an origin', problem)
