"""
What of a LiteLLM configuration means something here, and what is said of the rest.

LiteLLM's file is the common language of LLM proxies, so that one of them moves over as it
is.  What is honoured stands in :mod:`yallmp.core.config.schema` beside our own settings; this
module holds the other keys of LiteLLM's documentation (docs.litellm.ai, "Config settings"):
those that are *ignored*, each with what will be different, and those that are *refused*,
because they keep people out of the proxy and it must not open by being moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from attrs import frozen


@frozen
class Foreign:
    """
    LiteLLM's keys in one section; patterns as in file names.

    The texts of ``ignored`` say what will be different, those of ``refused`` what to do.
    A whole name counts for more than a pattern, and of patterns refusing comes first.
    """

    ignored: Mapping[str, str] = {}
    refused: Mapping[str, str] = {}

    def ignoring(self, key: str) -> str | None:
        """What is different without *key*, if it is one that is ignored."""
        return None if self.refusing(key) else _matching(self.ignored, key)

    def refusing(self, key: str) -> str | None:
        """Why *key* must not be there, if it is one that is refused."""
        return None if key in self.ignored else _matching(self.refused, key)


def _matching(texts: Mapping[str, str], key: str) -> str | None:
    return next((text for pattern, text in texts.items() if fnmatchcase(key, pattern)), None)


def _each(text: str, *patterns: str) -> dict[str, str]:
    return dict.fromkeys(patterns, text)


_METERED = "nothing limits spending, tokens or requests here: remove it only if that is acceptable"
_GUARDED = "requests are not inspected here: remove it only if they may go unfiltered"
_CLOSED = "this restriction does not exist here: remove it, and limit access with api_keys"
_SPENDING = "prices and spending are not tracked"
_COOLING = "when a backend rests is settled here: see docs/failover.md"
_CACHING = "answers are not cached"
_TRACING = "nothing is sent to other services: logs are files, see docs/log-format.md"
_DATABASE = "there is no database: what is configured stands in this file"
_LOOK = "there is no web interface"
_WATCHING = "backends are watched by the requests they serve; nothing calls them in between"

_BUDGETS = _each(
    _METERED, "max_budget", "soft_budget", "*_budget", "budget_duration", "*_budget_config",
    "*_budget_*", "rpm_limit", "tpm_limit", "*_rpm_limit*", "*_tpm_limit*", "*_rate_limit*",
)  # fmt: skip
_GUARDRAILS = _each(_GUARDED, "guardrails", "guardrail*", "*moderation*", "policies", "policy_*")
_ACCESS = _each(
    _CLOSED, "custom_auth*", "allowed_routes", "admin_only_routes", "public_routes", "allowed_ips",
    "enable_jwt_auth", "litellm_jwtauth", "enable_oauth2_auth", "enable_oauth2_proxy_auth",
    "oauth2_*", "custom_sso", "role_permissions", "access_control*", "enforce_user_param",
    "enforced_params", "blocked_*", "banned_*", "disable_*_endpoints", "key_generation_settings",
)  # fmt: skip

TOP = Foreign(
    ignored={
        "environment_variables": "set the variables in the environment or in .env",
        "credential_list": "give each entry its api_key",
        **_each(_TRACING, "callback_settings"),
        **_each(
            "this part of LiteLLM does not exist here", "mcp_*", "vector_store*", "search_tools",
            "prompts", "files_settings", "finetune_settings", "assistant_settings", "agent*",
            "default_team_settings", "cache_*",
        ),
    },
    refused={
        "include": "files are not included: put its entries here",
        **_GUARDRAILS,
        **_BUDGETS,
        **_ACCESS,
    },
)  # fmt: skip

ENTRY = Foreign(
    ignored={
        "model_info": "descriptions and prices of models are not used",
        **_each("requests are not spread by rates: use weight", "rpm", "tpm"),
    },
    refused={**_GUARDRAILS, **_BUDGETS, **_ACCESS},
)

PARAMS = Foreign(
    ignored={
        **_each("requests are not spread by rates: use weight, or max_in_flight", "rpm", "tpm"),
        **_each(
            "requests do not get it by default: put it under extra_body",
            "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed",
            "n", "presence_penalty", "frequency_penalty", "logit_bias", "user", "response_format",
            "tools", "tool_choice", "reasoning_effort", "thinking", "metadata", "stream_options",
            "dimensions", "encoding_format", "keep_alive", "num_ctx", "input_type", "modalities",
        ),
        "organization": "write extra_headers: {OpenAI-Organization: …}",
        "headers": "write extra_headers",
        "default_headers": "write extra_headers",
        "api_version": "write query: {api-version: …}",
        "additional_drop_params": "write drop_params: [names]",
        **_each("tries are counted for a whole route: router_settings.num_retries",
                "num_retries", "max_retries", "retry_policy"),
        **_each(_COOLING, "cooldown_time", "allowed_fails", "allowed_fails_policy"),
        **_each(_SPENDING, "*_cost_per_*", "*_cost", "base_model", "cost_*"),
        **_each(_CACHING, "cache", "caching", "cache_*", "disable_cache"),
        **_each(_TRACING, "langfuse_*", "langsmith_*", "litellm_trace_id", "callbacks"),
        **_each("it belongs to a dialect that is not spoken here",
                "aws_*", "vertex_*", "azure_*", "watsonx_*", "s3_*", "region_name", "project",
                "location", "deployment_id", "tenant_id", "client_id", "gcs_*"),
        "custom_llm_provider": "the dialect is api_type, the address api_base",
        "litellm_credential_name": "give the entry its api_key",
        "configurable_clientside_auth_params": "clients cannot choose address or key",
        **_each("requests are not routed by tags or content", "tags", "auto_router_*"),
        "model_info": "descriptions and prices of models are not used",
        **_each("it has no counterpart here",
                "mock_timeout", "mock_delay", "mock_tool_calls", "mock_testing_*",
                "use_in_pass_through", "use_litellm_proxy", "merge_reasoning_content_in_choices",
                "input_cost*", "supports_system_message", "hf_model_name", "custom_prompt_dict",
                "roles", "initial_prompt_value", "final_prompt_value", "prompt_*",
                "cache_control_*", "max_file_size_mb", "force_timeout", "allowed_openai_params",
                "stream_chunk_size", "use_chat_completions_api", "litellm_system_prompt"),
    },
    refused={**_GUARDRAILS, **_BUDGETS, **_ACCESS},
)  # fmt: skip

ROUTER = Foreign(
    ignored={
        **_each("a group shares its load by weight, tiers by order",
                "routing_strategy", "routing_strategy_args", "routing_groups"),
        **_each("one process decides; nothing is shared by Redis", "redis_*"),
        **_each(_COOLING, "allowed_fails", "allowed_fails_policy", "cooldown_time",
                "disable_cooldowns", "enable_health_check_routing", "health_check_*"),
        **_each("which failures are tried again is settled here, and changed by retry_statuses: "
                "see docs/failover.md", "retry_policy", "model_group_retry_policy"),
        **_each("retries follow the table in docs/failover.md", "retry_after", "max_fallbacks"),
        **_each(_CACHING, "cache_*", "caching_groups", "client_ttl"),
        **_each(_TRACING, "alerting_config", "debug_level", "set_verbose", "polling_interval"),
        **_each("it has no counterpart here",
                "enable_pre_call_checks", "optional_pre_call_checks", "default_litellm_params",
                "default_max_parallel_requests", "default_priority", "enable_tag_filtering",
                "tag_filtering_match_any", "ignore_invalid_deployments", "assistants_config",
                "fallback_access_checks", "deployment_affinity_*", "search_tools",
                "routing_preview", "guardrail_list", "model_group_affinity_config"),
    },
    refused={**_BUDGETS, **_ACCESS},
)  # fmt: skip

SETTINGS = Foreign(
    ignored={
        "drop_params": "parameters pass as they are: name what to drop in drop_params of an entry",
        "ssl_verify": "it is set for each backend, or for all in router_settings.ssl_verify",
        **_each("bodies are recorded: write logging: {bodies: none} to keep none",
                "turn_off_message_logging", "global_disable_no_log_param"),
        **_each(_COOLING, "allowed_fails", "cooldown_time"),
        **_each(_CACHING, "cache", "cache_*", "caching", "enable_caching*", "disable_cache*"),
        **_each(_SPENDING, "cost_*", "*_cost_*", "include_cost_in_streaming_usage"),
        **_each(_TRACING, "callbacks", "success_callback", "failure_callback", "service_callback",
                "audit_log_callbacks", "input_callback", "langfuse_*", "langsmith_*", "s3_*",
                "gcs_*", "datadog_*", "prometheus_*", "custom_prometheus_*", "otel*", "sentry_*",
                "telemetry", "*_callback_params", "callback_settings", "require_auth_for_metrics*"),
        **_each("use logging.format and logging.level", "set_verbose", "json_logs", "log_raw_*",
                "suppress_debug_info", "redact_*", "store_audit_logs", "verbose", "log_level"),
        **_each(_DATABASE, "default_team_settings", "default_team_params",
                "default_internal_user_params", "default_key_generate_params",
                "upperbound_key_generate_params"),
        **_each("it has no counterpart here",
                "modify_params", "force_ipv4", "aiohttp_trust_env", "add_function_to_prompt",
                "enable_json_schema_validation", "num_retries_per_request", "public_model_groups*",
                "check_provider_endpoint", "forward_traceparent_to_llm_provider", "mcp_*",
                "model_alias_map", "model_group_settings", "priority_reservation*", "ui_theme_*",
                "disable_add_*", "disable_streaming_*", "use_chat_completions_*", "max_ui_*",
                "enable_preview_features", "merge_reasoning_content_in_choices", "max_end_user_*",
                "return_response_headers", "custom_provider_map", "modify_*", "vector_store*",
                "default_in_memory_ttl", "default_redis_ttl", "default_redis_batch_cache_expiry",
                "openai_key", "organization", "api_base", "headers", "user_url_validation",
                "dd_*", "generic_*", "token", "email", "network_mock", "image_*", "use_aiohttp*"),
    },
    refused={
        **_GUARDRAILS,
        **_BUDGETS,
        **_ACCESS,
        **_each(_GUARDED, "pre_call_rules", "post_call_rules", "llamaguard_*", "google_*",
                "lakera_*"),
    },
)  # fmt: skip

GENERAL = Foreign(
    ignored={
        **_each(_DATABASE, "database_*", "store_model_in_db", "store_prompts_in_spend_logs",
                "supported_db_objects", "disable_prisma_*", "use_redis_*",
                "proxy_batch_*", "disable_spend_*", "disable_adding_master_key_*", "spend_*",
                "maximum_spend_logs_*", "custom_key_generate", "key_management_*",
                "use_azure_key_vault", "use_google_kms", "load_from_azure_key_vault",
                "proxy_budget_rescheduler_min_time", "proxy_budget_rescheduler_max_time",
                "allow_requests_on_db_unavailable", "user_api_key_cache_ttl",
                "disable_error_logs", "disable_master_key_return", "disable_reset_budget",
                "disable_retry_on_max_parallel_request_limit_error", "use_shared_health_check"),
        **_each(_TRACING, "alerting", "alert*", "otel", "enable_langfuse*", "slack_*"),
        **_each(_WATCHING, "background_health_checks", "health_check_*", "enable_health_check_*"),
        **_each(_LOOK, "ui_*", "disable_*_ui", "store_model_name_in_ui", "custom_ui_*"),
        **_each("use max_in_flight for each backend", "max_parallel_requests",
                "global_max_parallel_requests"),
        **_each("use limits.max_body_bytes", "max_request_size_mb"),
        **_each("use limits.max_response_bytes", "max_response_size_mb"),
        "completion_model": "clients get the model that they ask for",
        "pass_through_endpoints": "only the endpoints of OpenAI's API are served",
        **_each("it has no counterpart here",
                "infer_model_from_keys", "forward_openai_org_id", "forward_client_headers_to_*",
                "forward_llm_provider_auth_headers", "user_header_name", "user_header_mappings",
                "litellm_key_header_name", "coordination_redis", "mcp_*", "always_include_*",
                "reject_clientside_metadata_tags", "use_x_forwarded_for", "trusted_proxy_*",
                "block_robots", "token_rate_limit_type", "image_generation_model",
                "moderation_model", "service_account_settings", "auto_redirect_*", "email_*",
                "proxy_base_url", "search_tools", "vector_store*", "allow_client_*"),
    },
    refused={**_GUARDRAILS, **_BUDGETS, **_ACCESS},
)  # fmt: skip

KEY = Foreign(refused={**_GUARDRAILS, **_BUDGETS, **_ACCESS, **_each(_METERED, "rpm", "tpm")})

#: Callbacks that refuse requests rather than watch them.
RESTRICTING_CALLBACKS = {
    "aporia", "azure_content_safety", "banned_keywords", "blocked_user_check",
    "detect_prompt_injection", "google_text_moderation", "hide_secrets",
    "lakera_prompt_injection", "lasso", "llamaguard_moderations", "llmguard_moderations",
    "max_budget_limiter", "openai_moderations", "parallel_request_limiter", "presidio",
}  # fmt: skip
