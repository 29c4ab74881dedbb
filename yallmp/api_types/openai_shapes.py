"""
Shapes of OpenAI's answers: errors inside them, usage, and one made from the other.

A backend may answer a streaming request with one JSON object, or a plain one with a
stream; :func:`exploded` and :func:`assembled` make what the client asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from yallmp.core.asked import CHAT, RESPONSES, Asked
from yallmp.core.exchange import Usage
from yallmp.core.sse import ServerEvent, event_bytes


def error_in(value: dict[str, Any], event_name: bytes = b"") -> Any:
    """
    The error that *value* carries, or ``None``; ``"error": null`` is none.

    It stands at the top level, in a choice, in a failed response, or is the whole event.
    """
    if value.get("error") is not None:
        return value["error"]
    if event_name == b"error" or value.get("type") == "error":
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
    return Usage(_count(prompt), _count(completion), _count(usage.get("total_tokens")))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def exploded(asked: Asked, body: bytes) -> bytes | None:
    """The whole answer *body* as a stream; ``None`` for endpoints that have none."""
    value = json.loads(body)
    if "choices" not in value:
        return None
    common = {k: v for k, v in value.items() if k not in ("choices", "usage")}
    if asked.endpoint is CHAT:
        common["object"] = "chat.completion.chunk"
    chunks = [{**common, "choices": [part]} for c in value["choices"] for part in _parts(asked, c)]
    if asked.wants_usage and value.get("usage") is not None:
        chunks.append({**common, "choices": [], "usage": value["usage"]})
    events = [event_bytes(json.dumps(chunk).encode()) for chunk in chunks]
    return b"".join([*events, event_bytes(b"[DONE]")])


def _parts(asked: Asked, choice: dict[str, Any]) -> Iterable[dict[str, Any]]:
    rest = {k: v for k, v in choice.items() if k not in ("message", "text", "finish_reason")}
    reason = choice.get("finish_reason") or "stop"
    if asked.endpoint is CHAT:
        yield {**rest, "delta": _delta(choice.get("message") or {}), "finish_reason": None}
        yield {"index": rest.get("index", 0), "delta": {}, "finish_reason": reason}
    else:
        yield {**rest, "text": choice.get("text") or "", "finish_reason": reason}


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls")
    if not calls:
        return message
    return {**message, "tool_calls": [{"index": i, **call} for i, call in enumerate(calls)]}


def assembled(asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
    """One answer from the *events* of a complete stream; ``None`` if they make none."""
    values = [_value(e) for e in events if e.data is not None and e.data.strip() != b"[DONE]"]
    known = [value for value in values if isinstance(value, dict)]
    if asked.endpoint is RESPONSES:
        ends = [v["response"] for v in known if isinstance(v.get("response"), dict)]
        return json.dumps(ends[-1]).encode() if ends else None
    return _joined(asked, [v for v in known if isinstance(v.get("choices"), list)])


def _value(event: ServerEvent) -> Any:
    try:
        return json.loads(event.data or b"")
    except (ValueError, RecursionError):
        return None


def _joined(asked: Asked, chunks: list[dict[str, Any]]) -> bytes | None:
    if not chunks:
        return None
    choices: dict[int, dict[str, Any]] = {}
    usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            _join(asked, choices.setdefault(choice.get("index", 0), {}), choice)
    whole = {**chunks[0], "choices": [choices[index] for index in sorted(choices)]}
    whole["object"] = "chat.completion" if asked.endpoint is CHAT else "text_completion"
    return json.dumps({**whole, **({"usage": usage} if usage else {})}).encode()


def _join(asked: Asked, whole: dict[str, Any], part: dict[str, Any]) -> None:
    whole["index"] = part.get("index", 0)
    whole["finish_reason"] = part.get("finish_reason") or whole.get("finish_reason")
    if asked.endpoint is CHAT:
        message = whole.setdefault("message", {"role": "assistant", "content": None})
        _grow(message, part.get("delta") or {})
    else:
        whole["text"] = whole.get("text", "") + (part.get("text") or "")


def _grow(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            _grow_calls(message.setdefault(key, []), value or [])
        elif isinstance(value, str) and isinstance(message.get(key), str) and key != "role":
            message[key] += value
        elif isinstance(value, dict) and isinstance(message.get(key), dict):
            _grow(message[key], value)
        elif value is not None:
            message[key] = value


def _grow_calls(calls: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    for part in parts:
        index = part.get("index", len(calls))
        while len(calls) <= index < len(calls) + 64:
            calls.append({})
        if index >= len(calls):
            continue
        rest = {k: v for k, v in part.items() if k not in ("index", "function")}
        calls[index].update({k: v for k, v in rest.items() if v is not None})
        _grow(calls[index].setdefault("function", {}), part.get("function") or {})
