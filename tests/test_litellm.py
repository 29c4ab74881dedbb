"""A LiteLLM file moves over: what is honoured, what is ignored, what is refused."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.configs import MODEL, backend, entry, notices, parsed, problems
from yallmp.core.backend import Patience
from yallmp.core.config import litellm
from yallmp.core.config.providers import DIALECTS, PROVIDERS
from yallmp.core.config.schema import ENTRY, FILE, GENERAL, LITELLM, PARAMS, ROUTER
from yallmp.core.config.sections import Section
from yallmp.core.settings import Key

#: As LiteLLM's documentation would write it: five providers, a group, its own settings.
FIVE = """\
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 480
      timeout: 300
      stream_timeout: 60
    model_info:
      version: 2
  - model_name: gpt-4o
    litellm_params:
      model: openrouter/openai/gpt-4o
      api_key: os.environ/OPENROUTER_API_KEY
      weight: 2
      order: 2
  - model_name: llama
    litellm_params:
      model: groq/llama-3.3-70b-versatile
      api_key: os.environ/GROQ_API_KEY
      max_parallel_requests: 10
      rpm: 30
    model_info: {mode: chat}
  - model_name: vllm-model
    litellm_params:
      model: hosted_vllm/facebook/opt-125m
      api_base: https://vllm.example.com/v1
      extra_headers: {X-Team: blue}
  - model_name: local
    litellm_params:
      model: ollama/llama3.1
      api_base: http://localhost:11434
  - model_name: "*"
    litellm_params: {model: "mistral/*", api_key: os.environ/MISTRAL_API_KEY}

litellm_settings:
  drop_params: true
  set_verbose: False
  num_retries: 3
  request_timeout: 600
  fallbacks: [{"gpt-4o": ["llama"]}]
  context_window_fallbacks: [{"llama": ["gpt-4o"]}]
  default_fallbacks: ["vllm-model"]
  success_callback: ["langfuse"]
  cache: true
  cache_params: {type: redis, password: os.environ/REDIS_PASSWORD}

router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {"gpt-4": "gpt-4o"}
  redis_host: os.environ/REDIS_HOST
  timeout: 30
  allowed_fails: 3

general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: "postgresql://user:password@host:5432/litellm"
  alerting: ["slack"]

environment_variables:
  REDIS_HOST: os.environ/REDIS_HOST
"""
KEYS = {
    "OPENAI_API_KEY": "sk-o",
    "OPENROUTER_API_KEY": "sk-r",
    "GROQ_API_KEY": "sk-g",
    "MISTRAL_API_KEY": "sk-m",
    "LITELLM_MASTER_KEY": "sk-1234",
}


class MoveTests(SynchronousTestCase):
    """A whole file."""

    def test_destinations(self) -> None:
        """Each provider's address and name, the group with its shares."""
        found = [(b.name, b.api_base, b.sends, b.api_key) for b in parsed(FIVE, KEYS).backends]
        self.assertEqual(
            found,
            [
                ("gpt-4o", "https://api.openai.com/v1", "gpt-4o", "sk-o"),
                ("gpt-4o#2", "https://openrouter.ai/api/v1", "openai/gpt-4o", "sk-r"),
                ("llama", "https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", "sk-g"),
                ("vllm-model", "https://vllm.example.com/v1", "facebook/opt-125m", None),
                ("local", "http://localhost:11434/v1", "llama3.1", None),
                ("*", "https://api.mistral.ai/v1", "*", "sk-m"),
            ],
        )

    def test_settings(self) -> None:
        """What is honoured is in force."""
        config = parsed(FIVE, KEYS)
        first, second, llama = config.backends[:3]
        self.assertEqual(first.patience, Patience(300, None, 60, 60))
        self.assertEqual((second.weight, second.order, llama.max_in_flight), (2.0, 2, 10))
        self.assertEqual(llama.patience, Patience(30))
        self.assertEqual(config.router.num_retries, 3)
        self.assertEqual(config.fallbacks.by_model, (("gpt-4o", ("llama",)),))
        self.assertEqual(config.fallbacks.context_window, (("llama", ("gpt-4o",)),))
        self.assertEqual(config.fallbacks.default, ("vllm-model",))
        self.assertEqual(config.fallbacks.aliases, (("gpt-4", "gpt-4o"),))
        self.assertEqual(config.access.keys, (Key("master", "sk-1234"),))
        self.assertEqual(config.access.admin_key, "sk-1234")

    def test_what_is_said(self) -> None:
        """Each key that has no effect once, with what will be different; no value is shown."""
        said = notices(parsed(FIVE, KEYS))
        names = [text.split(": ")[2].split()[0] for text in said]
        self.assertEqual(
            sorted(names),
            ["alerting", "allowed_fails", "cache", "cache_params", "database_url", "drop_params",
             "environment_variables", "model_info", "redis_host", "routing_strategy", "rpm",
             "set_verbose", "success_callback"],
        )  # fmt: skip
        (rpm,) = [text for text in said if ": rpm " in text]
        self.assertEqual(
            rpm,
            "c.yaml:6: model_list[0].litellm_params.rpm: rpm is LiteLLM's and ignored: requests "
            "are not spread by rates: use weight, or max_in_flight (and in one more place)",
        )
        self.assertNotIn("password@host", " ".join(said))

    def test_router_settings_win(self) -> None:
        """Where both say something, as in LiteLLM; models of one list only are kept."""
        text = MODEL + (
            "litellm_settings: {num_retries: 5, fallbacks: [{m: [a]}, {v: [m]}], timeout: 9}\n"
            "router_settings: {num_retries: 2, fallbacks: [{m: [b]}], timeout: 8}\n"
        )
        config = parsed(text)
        self.assertEqual(config.router.num_retries, 2)
        self.assertEqual(config.fallbacks.by_model, (("m", ("b",)), ("v", ("m",))))
        self.assertEqual(config.backends[0].patience.request_timeout, 8.0)


class ProviderTests(SynchronousTestCase):
    """Prefixes of providers."""

    def test_every_prefix(self) -> None:
        """It is removed once, and brings its address."""
        for prefix, base in PROVIDERS.items():
            params = f"model: {prefix}/a/b\n" + ("" if base else "api_base: http://h/v1\n")
            params += f"api_type: {DIALECTS[prefix]}\n" if prefix in DIALECTS else ""
            (found,) = parsed(entry(params), api_types=("openai", "anthropic")).backends
            self.assertEqual((found.api_base, found.sends), (base or "http://h/v1", "a/b"), prefix)

    def test_own_address(self) -> None:
        """A configured address wins; the prefix goes all the same."""
        found = backend("model: groq/llama\napi_base: http://h/x\n")
        self.assertEqual((found.api_base, found.sends), ("http://h/x", "llama"))

    def test_ollama(self) -> None:
        """LiteLLM takes its address without /v1; with a path it is what it says."""
        for base, expected in [("http://h:1", "http://h:1/v1"), ("http://h:1/v1", "http://h:1/v1"),
                               ("http://h:1/x/", "http://h:1/x")]:  # fmt: skip
            self.assertEqual(backend(f"model: ollama/x\napi_base: {base}").api_base, expected)
        config = parsed(entry("model: ollama/x\napi_base: http://h:1"))
        self.assertEqual(
            notices(config, "info"),
            ["model_list[0].litellm_params: ollama is asked at http://h:1/v1"],
        )

    def test_dialects(self) -> None:
        """A provider that speaks otherwise is an error that proposes its api_type."""
        for prefix, api_type in DIALECTS.items():
            (said,) = problems(entry(f"model: {prefix}/x\napi_base: http://h\n"))
            self.assertIn(f"{prefix}/ needs api_type: {api_type}, which this version", said)

    def test_dialects_behind_a_gateway(self) -> None:
        """Unless both the address and the name to send are given."""
        found = backend("model: azure/x\napi_base: http://h\ntarget_model: gpt-4\n")
        self.assertEqual((found.api_base, found.sends), ("http://h", "gpt-4"))

    def test_dialects_that_are_implemented(self) -> None:
        """The error says just what to write; with it all is well."""
        text = entry("model: anthropic/x\napi_base: http://h\n")
        types = ("openai", "anthropic")
        with self.assertRaises(Exception) as caught:
            parsed(text, api_types=types)
        self.assertIn("needs api_type: anthropic; if the backend", str(caught.exception))
        (found,) = parsed(text + "      api_type: anthropic\n", api_types=types).backends
        self.assertEqual(found.sends, "x")

    def test_no_key(self) -> None:
        """LiteLLM finds keys in the environment by itself; here the file says so."""
        said = notices(parsed(entry("model: groq/x"), {"GROQ_API_KEY": "sk-1"}))
        self.assertEqual(len(said), 1)
        self.assertIn("write api_key: ${GROQ_API_KEY}", said[0])
        for params in ("model: ollama/x", "model: groq/x\napi_key: k",
                       "model: groq/x\nextra_headers: {Authorization: k}"):  # fmt: skip
            self.assertEqual(notices(parsed(entry(params))), [])


class RefusalTests(SynchronousTestCase):
    """What kept people out is not passed over."""

    def test_restrictions(self) -> None:
        """Each in its section."""
        for path in [
            "guardrails", "general_settings.custom_auth", "general_settings.allowed_routes",
            "general_settings.enable_jwt_auth", "general_settings.allowed_ips",
            "general_settings.admin_only_routes", "general_settings.enforce_user_param",
            "litellm_settings.max_budget", "litellm_settings.guardrails",
            "litellm_settings.max_internal_user_budget", "litellm_settings.post_call_rules",
            "litellm_settings.budget_duration", "router_settings.provider_budget_config",
            "include",
        ]:  # fmt: skip
            *section, key = path.split(".")
            text = f"{section[0]}: {{{key}: x}}" if section else f"{key}: x"
            (said,) = problems(MODEL + text)
            self.assertIn(f"{path}: ", said)
            self.assertIn(f"({key} is LiteLLM's)", said)

    def test_restrictions_of_an_entry(self) -> None:
        """Budgets and guardrails of one backend, too."""
        for key in ("max_budget", "budget_duration", "guardrails"):
            (said,) = problems(entry(f"model: openai/x\napi_key: k\n{key}: 1"))
            self.assertIn(f"{key} is LiteLLM's", said)

    def test_restricting_callbacks(self) -> None:
        """A callback that watches is ignored, one that refuses requests is not."""
        self.assertEqual(problems(MODEL + "litellm_settings: {callbacks: [otel]}"), [])
        said = "refuses requests, which nothing does here"
        self.assertEqual(
            problems(MODEL + "litellm_settings: {callbacks: [otel, hide_secrets]}"),
            [f'c.yaml:3: litellm_settings.callbacks[1]: "hide_secrets" {said}'],
        )

    def test_unknown(self) -> None:
        """Neither LiteLLM's nor ours."""
        (said,) = problems(MODEL + "litellm_settings: {num_retires: 3}")
        self.assertIn("did you mean num_retries?", said)
        (said,) = problems(MODEL + "rooter_settings: {}")
        self.assertIn("did you mean router_settings?", said)


class TableTests(SynchronousTestCase):
    """The tables themselves."""

    def test_ours_are_not_ignored(self) -> None:
        """No key of ours is also said to be LiteLLM's and without effect."""
        for section in (FILE, ENTRY, PARAMS, ROUTER, GENERAL, LITELLM):
            for name in section.names():
                ours = section.named(name)
                self.assertIsNotNone(ours)
                self.assertNotIn(name, section.foreign.ignored)

    def test_later_ones_are_not_ignored(self) -> None:
        """Nor is one of a later version."""
        for section in (FILE, ENTRY, PARAMS, ROUTER, GENERAL):
            self.assertEqual(set(section.later) & set(_names(section)), set())

    def test_whole_names_first(self) -> None:
        """A name counts for more than a pattern, refusing for more than ignoring."""
        foreign = litellm.Foreign({"a_b": "1", "x_*": "2"}, {"a_*": "3", "x_y": "4"})
        self.assertEqual((foreign.refusing("a_b"), foreign.ignoring("a_b")), (None, "1"))
        self.assertEqual((foreign.refusing("x_y"), foreign.ignoring("x_y")), ("4", None))
        self.assertEqual((foreign.refusing("q"), foreign.ignoring("q")), (None, None))


def _names(section: Section) -> list[str]:
    return list(section.names())
