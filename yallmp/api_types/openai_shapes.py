"""
Shapes of OpenAI's answers: errors inside them, usage, and a stream made of one.

A backend may answer a streaming request with one JSON object: :func:`exploded` makes a
stream of it.  The other way round is :mod:`yallmp.api_types.openai_whole`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from yallmp.core.asked import CHAT, COMPLETIONS, Asked
from yallmp.core.digits import loads
from yallmp.core.exchange import Usage
from yallmp.core.sse import event_bytes


def error_in(value: dict[str, Any], event_name: bytes = b"") -> Any:
    """
    The error that *value* carries, or ``None``; ``"error": null`` is none.

    It stands at the top level, in a choice, in a failed response, or is the whole event
    (``"object": "error"`` is how FastChat and vLLM put it).
    """
    if value.get("error") is not None:
        return value["error"]
    if event_name == b"error" or "error" in (value.get("type"), value.get("object")):
        return value
    response = value.get("response")
    failed = response if isinstance(response, dict) else value
    if failed.get("status") == "failed":
        return failed.get("error") or {"message": "the response failed"}
    return _error_in_choices(value.get("choices"))


def _error_in_choices(choices: Any) -> Any:
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        if choice.get("error") is not None:
            return choice["error"]
        if choice.get("finish_reason") == "error":
            return {"message": "the backend ended with finish_reason 'error'"}
    return None


def usage_of(value: dict[str, Any]) -> Usage | None:
    """The usage that *value* tells, in either of OpenAI's spellings."""
    usage = value.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens", usage.get("input_tokens"))
    completion = usage.get("completion_tokens", usage.get("output_tokens"))
    total, cached = _count(usage.get("total_tokens")), None
    if "prompt_tokens_details" in usage:
        cached = _cached(usage["prompt_tokens_details"])
    elif "input_tokens_details" in usage:
        cached = _cached(usage["input_tokens_details"])
    return Usage(_count(prompt), _count(completion), total, cached)


def _cached(details: Any) -> int | None:
    return _count(details.get("cached_tokens")) if isinstance(details, dict) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def exploded(asked: Asked, body: bytes) -> bytes | None:
    """The whole answer *body* as a stream; ``None`` for what cannot be one."""
    value = _answer(asked, body)
    if value is None:
        return None
    try:
        events = [event_bytes(json.dumps(chunk).encode()) for chunk in _chunks(asked, value)]
    except RecursionError:
        return None
    return b"".join([*events, event_bytes(b"[DONE]")])


def _chunks(asked: Asked, value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    common = {k: v for k, v in value.items() if k not in ("choices", "usage")}
    if asked.endpoint is CHAT:
        common["object"] = "chat.completion.chunk"
    for number, choice in enumerate(value["choices"]):
        for part in _parts(asked, number, choice):
            yield {**common, "choices": [part]}
    if asked.wants_usage and value.get("usage") is not None:
        yield {**common, "choices": [], "usage": value["usage"]}


def _answer(asked: Asked, body: bytes) -> dict[str, Any] | None:
    """*body* as an answer with choices."""
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        return None
    if asked.endpoint not in (CHAT, COMPLETIONS) or not isinstance(value, dict):
        return None
    return value if are_choices(asked, value.get("choices")) else None


def are_choices(asked: Asked, listed: Any) -> bool:
    """Whether *listed* are the choices of a whole answer: each with its message, or its text."""
    if not isinstance(listed, list) or not listed:
        return False
    if asked.endpoint is CHAT:
        return all(isinstance(c, dict) and isinstance(c.get("message"), dict) for c in listed)
    return all(isinstance(c, dict) and isinstance(c.get("text"), str | None) for c in listed)


def _parts(asked: Asked, number: int, choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    rest = {k: v for k, v in choice.items() if k not in ("message", "text", "finish_reason")}
    rest.setdefault("index", number)
    if asked.endpoint is CHAT:
        delta = _delta(choice["message"])
        reason = choice.get("finish_reason") or ("tool_calls" if _calls(delta) else "stop")
        yield {**rest, "delta": delta, "finish_reason": None}
        yield {"index": rest["index"], "delta": {}, "finish_reason": reason}
    else:
        reason = choice.get("finish_reason") or "stop"
        yield {**rest, "text": choice.get("text") or "", "finish_reason": reason}


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """*message* as a delta, whose tool calls are numbered."""
    if "tool_calls" not in message:
        return message
    numbered = [{"index": i, **call} for i, call in enumerate(_calls(message))]
    return {**message, "tool_calls": numbered or message["tool_calls"]}


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
