"""
The values that our own endpoints take and give, as JSON schemas, by name.

What a backend answers is the provider's: of it stands here only what is checked before it
goes on, and everything else is allowed.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

#: Every ``code`` of ours, by whose fault it is (``type``).
CODES = {
    "invalid_request_error": (
        "bad_request", "conflict", "duplicate_header", "duplicate_key", "forbidden",
        "invalid_api_key", "invalid_configuration", "invalid_json", "invalid_value",
        "method_not_allowed", "missing_parameter", "model_not_allowed", "model_not_found",
        "not_found", "rate_limit_exceeded", "request_header_fields_too_large",
        "request_timeout", "request_too_large", "unsupported_media_type", "unsupported_parameter",
        "uri_too_long",
    ),
    "server_error": ("internal_error", "loop_detected", "proxy_overloaded"),
    "upstream_error": (
        "deadline_exceeded", "overloaded", "proxy_overloaded", "proxy_shutdown",
        "upstream_auth", "upstream_connect_timeout", "upstream_disconnected", "upstream_dns",
        "upstream_error", "upstream_incomplete", "upstream_invalid_response",
        "upstream_protocol", "upstream_redirect", "upstream_timeout", "upstream_tls",
        "upstream_unreachable",
    ),
}  # fmt: skip

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_NAME: Schema = {"type": "string", "minLength": 1}
_FULL: Schema = {"type": "array", "minItems": 1}


def value(needed: dict[str, Schema], may: dict[str, Schema] | None = None) -> Schema:
    """An object that has all of *needed*, and perhaps what it *may* have, or anything else."""
    return {"type": "object", "required": list(needed), "properties": {**needed, **(may or {})}}


def named(name: str) -> Schema:
    """A reference to the schema called *name*."""
    return {"$ref": f"#/components/schemas/{name}"}


def _error(kind: str) -> Schema:
    problems: Schema = {**_TEXTS, "description": "All that is wrong with a configuration."}
    return value(
        {
            "message": {**_TEXT, "description": "For people; it may change."},
            "type": {"const": kind},
            "param": {"type": ["string", "null"], "description": "The member at fault."},
            "code": {"enum": list(CODES[kind]), "description": "For programs."},
        },
        {"problems": problems} if kind == "invalid_request_error" else {},
    )


def _asked(needed: dict[str, Schema], *, streams: bool = True) -> Schema:
    model: Schema = {**_NAME, "description": "One of /v1/models.", "examples": ["demo"]}
    stream: Schema = {"type": ["boolean", "null"]} if streams else {}
    return value({"model": model, **needed}, {"stream": stream} if streams else {})


def _model_setting() -> Schema:
    """What one backend is told; the file's own settings (``docs/configuration.md``)."""
    return {"type": "object", "properties": {"api_base": _TEXT, "api_key": _TEXT}}


def _registration() -> Schema:
    names: Schema = {"oneOf": [{"type": "null"}, _NAME, {"type": "array", "items": _NAME}]}
    members: Schema = {
        "model_name": {**_NAME, "examples": ["local"]},
        "name": {**_NAME, "description": "Another spelling of model_name."},
        "fallbacks": names,
        "api_base": {**_TEXT, "examples": ["http://127.0.0.1:8080/v1"]},
        "api_key": _TEXT,
        "litellm_params": _model_setting(),
    }
    either = [{"required": ["model_name"]}, {"required": ["name"]}]
    return {"type": "object", "properties": members, "oneOf": either}


def _backend() -> Schema:
    return value(
        {
            "name": _TEXT,
            "model_name": _TEXT,
            "api_base": {"type": ["string", "null"]},
            "api_type": _TEXT,
            "api_key": {"enum": ["set", "none"]},
            "upstream_model": _TEXT,
            "weight": _NUMBER,
            "order": {"type": "integer"},
            "registered": _FLAG,
            "created": {"type": "integer"},
            "fallbacks": _TEXTS,
            "state": {"enum": ["closed", "open", "half_open"]},
            "rests_for": _NUMBER,
            "why": _TEXT,
            "in_flight": _COUNT,
            "workers": {"type": "object", "additionalProperties": _COUNT},
        }
    )


def _listing(item: Schema) -> Schema:
    return value({"object": {"const": "list"}, "data": {"type": "array", "items": item}})


def _reloaded() -> Schema:
    by_name = value(dict.fromkeys(("added", "removed", "changed"), _TEXTS))
    lists = dict.fromkeys(("settings", "restart", "warnings", "notes"), _TEXTS)
    return value({"status": {"const": "ok"}, "backends": by_name, **lists})


def _model() -> Schema:
    created: Schema = {"type": "integer"}
    return value({"id": _TEXT, "object": {"const": "model"}, "created": created, "owned_by": _TEXT})


def schemas() -> dict[str, Schema]:
    """All of them, by name."""
    ok: Schema = {"status": {"const": "ok"}}
    ours = {"error": {"oneOf": [_error(kind) for kind in CODES]}}
    return {
        "Error": value(ours),
        "BackendError": {"description": "What the backend itself said, in its own shape."},
        "Status": value({"status": {"enum": ["ok", "draining"]}}),
        "Model": _model(),
        "Models": _listing(named("Model")),
        "Chat": _asked({"messages": _FULL}),
        "Prompt": _asked({}),
        "Input": _asked({}, streams=False),
        "Choices": value({"choices": {"type": "array"}}),
        "Data": value({"data": {"type": "array"}}),
        "Results": value({"results": {"type": "array"}}),
        "Response": {"type": "object"},
        "Message": value({"content": {"type": "array"}}),
        "Registration": _registration(),
        "Registered": value(
            {**ok, "model": _TEXT, "replaced": _FLAG, "fallbacks": _TEXTS}, {"warnings": _TEXTS}
        ),
        "Removed": value({**ok, "model": _TEXT}, {"warnings": _TEXTS}),
        "Backend": _backend(),
        "Backends": _listing(named("Backend")),
        "Reloaded": _reloaded(),
    }
