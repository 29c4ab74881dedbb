"""
Errors, put as the client's dialect has them.

What we say of ourselves, and what a backend of another dialect said, reaches a client of Messages
in Anthropic's shape (``{"type": "error", "error": {"type", "message"}}``) and all others in
OpenAI's; what has the client's shape already goes on as it is.  Source: both API references,
"Errors"; the types are those that Anthropic's SDKs know by status.
"""

from __future__ import annotations

import json
from typing import Any

from yallmp.core.asked import Endpoint
from yallmp.core.errors import ProxyError, error_body, error_object
from yallmp.core.sse import event_bytes
from yallmp.core.told import parsed, told_by

_ANTHROPIC = ("messages", "counting")
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CODES = {
    "context_length_exceeded": "invalid_request_error",
    "insufficient_quota": "rate_limit_error",
}


def spoken_body(error: ProxyError, endpoint: Endpoint) -> bytes:
    """The body of an answer that is *error*, for a client of *endpoint*."""
    if endpoint.dialect not in _ANTHROPIC:
        return error_body(error)
    return json.dumps(_anthropic(error.status, error.message, error.code)).encode()


def spoken_event(error: ProxyError, endpoint: Endpoint) -> bytes:
    """The event that tells a client of *endpoint* in mid-stream of *error*."""
    if endpoint.dialect == "messages":
        return event_bytes(spoken_body(error, endpoint), b"error")
    if endpoint.dialect == "responses":
        told = {**error_object(error), "type": "error", "sequence_number": 0}
        return event_bytes(json.dumps(told).encode(), b"error")
    return event_bytes(json.dumps({"error": error_object(error)}).encode())


def respoken(status: int, body: bytes, endpoint: Endpoint) -> bytes:
    """An error's *body* with *status* as a client of *endpoint* understands it."""
    value = parsed(body)
    if not isinstance(value, dict):
        return body
    is_anthropic = value.get("type") == "error" and isinstance(value.get("error"), dict)
    if is_anthropic is (endpoint.dialect in _ANTHROPIC):
        return body
    told = told_by(value)
    message, code = told.message or "The backend failed.", told.code.split(" ")[0]
    if not is_anthropic:
        return json.dumps(_anthropic(status, message, code)).encode()
    kind = code or "upstream_error"
    error = {"message": message, "type": kind, "param": None, "code": kind}
    return json.dumps({"error": error}).encode()


def _anthropic(status: int, message: str, code: str) -> dict[str, Any]:
    kind = _CODES.get(code) or _TYPES.get(status) or _by_class(status)
    return {"type": "error", "error": {"type": kind, "message": message}}


def _by_class(status: int) -> str:
    return "invalid_request_error" if 400 <= status < 500 else "api_error"
