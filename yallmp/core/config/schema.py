"""
Every setting: where it stands, what it may be, what else it is called.

``docs/configuration.md`` describes what is listed here, and a test holds it complete.
Defaults are those of the classes that the values go into
(:mod:`yallmp.core.backend`, :mod:`yallmp.core.settings`).
"""

from __future__ import annotations

from collections.abc import Iterator

from yallmp.core.config import kinds, listenkinds, litellm, parameterkinds, wirekinds
from yallmp.core.config.fallbacklists import aliases, by_model, for_all
from yallmp.core.config.sections import Section, Setting, nested

#: The dialects that are implemented.
API_TYPES = ("openai", "openai-responses", "anthropic")

_ONE = kinds.whole(1)

#: What a backend is; it cannot be said for all backends at once.
IDENTITY = (
    Setting("api_base", wirekinds.url, aliases=("base_url",)),
    Setting("api_key", kinds.secret),
    Setting("api_key_file", kinds.key_file),
    Setting("model", kinds.text),
    Setting("target_model", kinds.text, aliases=("forward_model",)),
    Setting("mock_response", kinds.text),
)

PARSE = Section(
    (
        Setting("reasoning", kinds.choice("off", "think_tags", "open_think_tags")),
        Setting("tool_calls", kinds.choice("off", "auto", "hermes", "qwen", "glm", "kimi")),
    )
)

#: How a backend is treated; in ``router_settings`` it is the default for all.
TREATMENT = (
    Setting("api_type", wirekinds.names, "api_types"),
    Setting("supports_reasoning", kinds.boolean),
    Setting("weight", kinds.weight),
    Setting("order", kinds.whole(-1_000_000, 1_000_000)),
    Setting("request_timeout", kinds.seconds, aliases=("timeout",)),
    Setting("connect_timeout", kinds.seconds),
    Setting("first_byte_timeout", kinds.seconds),
    Setting("first_content_timeout", kinds.seconds),
    Setting("stream_timeout", kinds.seconds),
    Setting("idle_timeout", kinds.seconds),
    Setting("answer_timeout", kinds.seconds),
    Setting("ping_timeout", kinds.seconds),
    Setting("stream_lifetime", kinds.seconds),
    Setting("tail_timeout", kinds.seconds),
    Setting("rescue_timeout", kinds.seconds),
    Setting("stream_rescue", kinds.choice("auto", "on", "off")),
    Setting("stream_commit", kinds.choice("first_content", "complete")),
    Setting("prefill", kinds.choice("off", "plain", "vllm", "prefix")),
    nested("parse", PARSE),
    Setting("extra_headers", wirekinds.headers),
    Setting("extra_body", wirekinds.json_values),
    Setting("parameters", parameterkinds.parameters),
    Setting("drop_params", wirekinds.dropped),
    Setting("query", wirekinds.query),
    Setting("pass_headers", wirekinds.header_names),
    Setting("ssl_verify", kinds.boolean),
    Setting("ssl_ca_file", kinds.certificates),
    Setting("http_proxy", kinds.or_off(wirekinds.proxy)),
    Setting("max_in_flight", kinds.or_off(_ONE), aliases=("max_parallel_requests",)),
    Setting("queue_timeout", kinds.seconds_or_zero),
)

#: Which statuses lead to S and to N; it is said for all models at once.
_STATUSES = (
    Setting("retry_statuses", wirekinds.statuses),
    Setting("failover_statuses", wirekinds.statuses),
)

PARAMS = Section(
    (*IDENTITY, *TREATMENT),
    foreign=litellm.PARAMS,
    elsewhere={
        "extends": "the entry, beside model_name",
        **{setting.key: "router_settings" for setting in _STATUSES},
    },
)

ENTRY_LOGGING = Section((Setting("requests", kinds.choice("on", "errors", "off")),))
ENTRY = Section(
    (
        Setting("model_name", kinds.name),
        Setting("name", kinds.name),
        Setting("extends", kinds.name),
        nested("litellm_params", PARAMS, "model_params"),
        nested("logging", ENTRY_LOGGING),
    ),
    foreign=litellm.ENTRY,
    elsewhere=dict.fromkeys(PARAMS.names(), "litellm_params"),
)

_FALLBACKS = (
    Setting("fallbacks", by_model),
    Setting("default_fallbacks", for_all),
    Setting("context_window_fallbacks", by_model),
    Setting("content_policy_fallbacks", by_model),
)
_RETRIES = Setting("num_retries", kinds.whole(0, 100))

ROUTER = Section(
    (
        _RETRIES,
        Setting("deadline", kinds.seconds),
        Setting("retry_after_max", kinds.seconds_or_zero),
        *_STATUSES,
        *_FALLBACKS,
        Setting("model_group_alias", aliases),
        Setting("stream_headers_after", kinds.or_off(kinds.seconds)),
        Setting("sse_keepalive", kinds.or_off(kinds.seconds)),
        *TREATMENT,
    ),
    foreign=litellm.ROUTER,
    elsewhere={setting.key: "litellm_params of an entry" for setting in IDENTITY},
)

LITELLM = Section(
    (
        *_FALLBACKS,
        _RETRIES,
        Setting("request_timeout", kinds.seconds, aliases=("timeout",)),
    ),
    foreign=litellm.SETTINGS,
)

TLS = Section((Setting("cert", kinds.certificates), Setting("key", listenkinds.private_key)))
SERVER = Section(
    (
        Setting("host", listenkinds.host),
        Setting("port", kinds.whole(0, 65535)),
        Setting("listen", listenkinds.endpoint),
        Setting("http_client", kinds.choice("llhttp", "twisted")),
        Setting("reactor", kinds.choice("light", "twisted")),
        Setting("allowed_hosts", wirekinds.texts),
        Setting("cors_origins", wirekinds.origins),
        Setting("workers", listenkinds.workers),
        nested("tls", TLS),
    )
)
ADMIN = Section(
    (Setting("private_backends", kinds.boolean), Setting("persist", kinds.path)),
)
KEY = Section(
    (Setting("key", kinds.secret), Setting("models", wirekinds.texts)),
    foreign=litellm.KEY,
)
GENERAL = Section(
    (
        nested("server", SERVER),
        nested("admin", ADMIN),
        Setting("api_keys", kinds.as_it_stands, inner=KEY),
        Setting("admin_key", kinds.secret),
        Setting("master_key", kinds.needed_secret),
        Setting("enable_responses_endpoint", kinds.boolean),
        Setting("drain_timeout", kinds.seconds_or_zero),
        Setting("drain_delay", kinds.seconds_or_zero),
    ),
    foreign=litellm.GENERAL,
)

LIMITS = Section(
    (
        Setting("max_body_bytes", kinds.size),
        Setting("max_response_bytes", kinds.size),
        Setting("max_response_head_bytes", kinds.size),
        Setting("max_event_bytes", kinds.size),
        Setting("max_head_bytes", kinds.size),
        Setting("max_head_fields", _ONE),
        Setting("max_target_bytes", kinds.size),
        Setting("head_timeout", kinds.seconds),
        Setting("body_timeout", kinds.seconds),
        Setting("body_rate", kinds.size),
        Setting("upstream_idle", kinds.seconds),
        Setting("max_hops", kinds.whole(0, 1000)),
        Setting("max_connections", _ONE),
        Setting("max_buffered_bytes", kinds.size),
        Setting("max_client_buffer", kinds.size),
        Setting("write_timeout", kinds.seconds),
    ),
)

LOGGING = Section(
    (
        Setting("directory", kinds.path),
        Setting("requests", kinds.choice("on", "errors", "off")),
        Setting("bodies", kinds.kept_bytes),
        Setting("format", kinds.choice("text", "json")),
        Setting("level", kinds.choice("debug", "info", "warn", "error", "critical")),
        Setting("max_age", kinds.age),
        Setting("max_total_bytes", kinds.size),
        Setting("queue_bytes", kinds.size),
    )
)

FILE = Section(
    (
        Setting("model_list", kinds.as_it_stands, inner=ENTRY),
        nested("router_settings", ROUTER),
        nested("litellm_settings", LITELLM),
        nested("general_settings", GENERAL, "proxy_settings"),
        nested("limits", LIMITS),
        nested("logging", LOGGING),
    ),
    foreign=litellm.TOP,
    elsewhere={
        "extends": "an entry of model_list",
        "parameters": "litellm_params or router_settings",
        **{setting.key: "general_settings" for setting in GENERAL.settings},
        **{setting.key: "router_settings" for setting in _FALLBACKS},
    },
)


def paths(section: Section = FILE, prefix: str = "") -> Iterator[str]:
    """The path of every setting, without its aliases: ``limits.max_body_bytes``."""
    for setting in section.settings:
        path = f"{prefix}{setting.key}"
        if setting.inner is None:
            yield path
        else:
            listed = "[]" if setting.key == "model_list" else ""
            yield from paths(setting.inner, f"{path}{listed}.")
