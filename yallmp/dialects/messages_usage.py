"""
What an answer of Messages says beside its content: why it ended, and what was used.

The API counts the prompt in three: what was read from a cache, what was written to one, and
``input_tokens``, which is the rest.  Elsewhere the input is all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yallmp.dialects.answer import Stop, Tokens
from yallmp.dialects.conversation import Refusal
from yallmp.dialects.messages_words import maybe_int, maybe_text, object_of, rest_of, text_of

Body = Mapping[str, Any]
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_STOP_REASONS = {reason: told for told, reason in _REASONS.items()} | {"content_filter": "refusal"}
_KNOWN = (
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "output_tokens_details",
)  # fmt: skip


def stop_of(told: Body) -> Stop | None:
    """Why the answer ended that *told* (a message, or the delta of one) belongs to."""
    reason = maybe_text(told.get("stop_reason"))
    if reason is None:
        return None
    return Stop(_REASONS.get(reason, "other"), maybe_text(told.get("stop_sequence")), reason)


def refusal_of(told: Body) -> Refusal | None:
    """Why the model would not answer, if the provider explains it."""
    explained = text_of(object_of(told.get("stop_details")).get("explanation"))
    return Refusal(explained) if explained else None


def stop_reason(stop: Stop | None, *, called: bool, refused: bool) -> str:
    """
    The reason that a client is told.

    :param called: whether a tool was; some backends say nothing of it at the end.
    :param refused: whether the model refused in words.
    """
    if stop is None or stop.reason == "other":
        return "tool_use" if called else "end_turn"
    if stop.reason == "stop" and refused:
        return "refusal"
    if stop.reason == "stop" and called:
        return "tool_use"
    return _STOP_REASONS.get(stop.reason, "end_turn")


def stop_sequence(stop: Stop | None) -> str | None:
    """The stop sequence that was met, where that is why the answer ended."""
    return stop.sequence if stop is not None and stop.reason == "stop_sequence" else None


def tokens_of(usage: Body) -> Tokens | None:
    """What *usage* says; ``None`` if it says nothing."""
    uncached = maybe_int(usage.get("input_tokens"))
    cached = maybe_int(usage.get("cache_read_input_tokens"))
    written = maybe_int(usage.get("cache_creation_input_tokens"))
    tokens = Tokens(
        None if uncached is None else uncached + (cached or 0) + (written or 0),
        maybe_int(usage.get("output_tokens")),
        cached,
        written,
        maybe_int(object_of(usage.get("output_tokens_details")).get("thinking_tokens")),
        rest_of(usage, *_KNOWN),
    )
    return None if tokens == Tokens() else tokens


def usage_of(tokens: Tokens | None) -> dict[str, Any]:
    """The usage that a client is told; what is not known of it is 0."""
    tokens = tokens or Tokens()
    cached, written = tokens.cached or 0, tokens.written or 0
    usage: dict[str, Any] = {
        "input_tokens": max(0, (tokens.input or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": tokens.output or 0,
    }
    if tokens.reasoning is not None:
        usage["output_tokens_details"] = {"thinking_tokens": tokens.reasoning}
    searched = object_of(tokens.extra.get("server_tool_use"))
    requests = {name: maybe_int(searched.get(name)) for name in _SEARCHES}
    if any(value is not None for value in requests.values()):
        usage["server_tool_use"] = {name: value or 0 for name, value in requests.items()}
    return usage


_SEARCHES = ("web_search_requests", "web_fetch_requests")
