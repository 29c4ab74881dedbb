"""
What a response has beside its output: what it repeats of its request, and what was used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yallmp.dialects.answer import Began, ReasoningEnd, Stop, Tokens
from yallmp.dialects.loose import count, members, objects
from yallmp.dialects.sealed import sealed
from yallmp.interfaces import Occasion

JSON = Any
_DEFAULTS: Mapping[str, JSON] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
#: Members of a request that answers repeat.
ECHOED = tuple(_DEFAULTS)
#: Why an answer is not complete.
CUT = {"length": "max_output_tokens", "context": "max_output_tokens",
        "content_filter": "content_filter", "refusal": "content_filter"}  # fmt: skip


def response_of(name: str, began: Began, occasion: Occasion) -> dict[str, JSON]:
    """A response that has just begun."""
    echo = {key: occasion.echo.get(key) for key in ECHOED}
    told = {key: value for key, value in echo.items() if value is not None}
    return {
        "id": name,
        "object": "response",
        "created_at": occasion.time if began.created is None else began.created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": began.model or occasion.model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        **_DEFAULTS,
        **told,
    }


def usage_of(tokens: Tokens) -> dict[str, JSON]:
    """The usage that a client is told."""
    read, wrote = tokens.input or 0, tokens.output or 0
    cached = {"cached_tokens": tokens.cached or 0, "cache_write_tokens": tokens.written or 0}
    return {
        "input_tokens": read,
        "input_tokens_details": cached,
        "output_tokens": wrote,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning or 0},
        "total_tokens": read + wrote,
    }


def tokens_of(usage: JSON) -> Tokens | None:
    """What *usage* says."""
    told = members(usage)
    into, out = members(told.get("input_tokens_details")), told.get("output_tokens_details")
    tokens = Tokens(
        count(told.get("input_tokens")),
        count(told.get("output_tokens")),
        count(into.get("cached_tokens")),
        count(into.get("cache_write_tokens")),
        count(members(out).get("reasoning_tokens")),
    )
    return None if tokens == Tokens() else tokens


def stop_of(response: Mapping[str, JSON], *, called: bool) -> Stop:
    """Why the answer that *response* is ended."""
    reason = members(response.get("incomplete_details")).get("reason")
    if reason == "max_output_tokens":
        return Stop("length", None, reason)
    if reason == "content_filter":
        return Stop("content_filter", None, reason)
    return Stop("tool_calls" if called else "stop")


def hidden_of(end: ReasoningEnd, said: str) -> str | None:
    """What has to come back with the thoughts *said*, sealed if it is another dialect's."""
    if end.redacted and end.encrypted:
        return sealed({"redacted": end.encrypted})
    if end.signature:
        return sealed({"signature": end.signature, "text": said})
    return end.encrypted


def customs_in(request: Mapping[str, JSON]) -> set[str]:
    """The client's tools with free text, which a backend may know as functions."""
    tools = objects(request.get("tools"))
    return {str(tool.get("name")) for tool in tools if tool.get("type") == "custom"}
