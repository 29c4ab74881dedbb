"""
One whole answer, joined from the events of a stream that nobody asked for.

Deltas add up as in OpenAI's own SDKs: texts are joined, lists go on, objects grow field
by field, and tool calls are told apart by their ``index``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from attrs import define, field

from yallmp.core.asked import CHAT, RESPONSES, Asked
from yallmp.core.digits import loads
from yallmp.core.sse import ServerEvent

#: Texts that are told once or again, never in pieces.
_TOLD_WHOLE = {"role", "id", "type", "object"}
_OF_CHOICES = {"index", "delta", "message", "text", "finish_reason"}


def assembled(asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
    """One answer from the *events* of a complete stream; ``None`` if they make none."""
    told = takewhile(lambda event: (event.data or b"").strip() != b"[DONE]", events)
    values = [value for value in map(_value, told) if isinstance(value, dict)]
    try:
        whole = _response(values) if asked.endpoint is RESPONSES else _joined(asked, values)
        return None if whole is None else json.dumps(whole).encode()
    except RecursionError:
        return None


def _value(event: ServerEvent) -> Any:
    try:
        return loads(event.data or b"")
    except (ValueError, RecursionError):
        return None


def _response(values: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The response that the stream's last event holds."""
    responses = [v["response"] for v in values if isinstance(v.get("response"), dict)]
    last = responses[-1] if responses else {}
    return last if last.get("status") in ("completed", "incomplete") else None


def _joined(asked: Asked, values: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    whole: dict[str, Any] = {}
    usage: Any = None
    choices: dict[int, _Choice] = {}
    for chunk in (value for value in values if isinstance(value.get("choices"), list)):
        usage = chunk.get("usage") or usage
        for name, value in chunk.items():
            whole[name] = whole.get(name) or value
        for part in (part for part in chunk["choices"] if isinstance(part, dict)):
            number = _number(part, 0)
            choices.setdefault(number, _Choice(asked, number)).add(part)
    if not choices:
        return None
    whole["choices"] = [choices[number].value() for number in sorted(choices)]
    whole["object"] = "chat.completion" if asked.endpoint is CHAT else "text_completion"
    return {**whole, **({"usage": usage} if usage else {})}


def _number(part: dict[str, Any], otherwise: int) -> int:
    index = part.get("index")
    return index if isinstance(index, int) else otherwise


@define
class _Choice:
    """One choice as it grows."""

    asked: Asked
    number: int
    _rest: dict[str, Any] = field(factory=dict)
    _message: dict[str, Any] = field(factory=lambda: {"role": "assistant", "content": None})
    _calls: dict[int, dict[str, Any]] = field(factory=dict)
    _text: str = ""
    _reason: Any = None

    def add(self, part: dict[str, Any]) -> None:
        """Take in what one chunk says."""
        self._reason = part.get("finish_reason") or self._reason
        _grow(self._rest, {k: v for k, v in part.items() if k not in _OF_CHOICES})
        text, said = part.get("text"), part.get("delta") or part.get("message")
        self._text += text if isinstance(text, str) else ""
        if isinstance(said, dict):
            _grow(self._message, {k: v for k, v in said.items() if k != "tool_calls"})
            self._call(said.get("tool_calls"))

    def _call(self, parts: Any) -> None:
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                new = len(self._calls) if part.get("id") else max(len(self._calls) - 1, 0)
                call = self._calls.setdefault(_number(part, new), {})
                _grow(call, {k: v for k, v in part.items() if k != "index"})

    def value(self) -> dict[str, Any]:
        """The choice of a whole answer."""
        return {"index": self.number, **self._said(), **self._rest, "finish_reason": self._reason}

    def _said(self) -> dict[str, Any]:
        if self.asked.endpoint is not CHAT:
            return {"text": self._text}
        calls = [{"type": "function", **self._calls[number]} for number in sorted(self._calls)]
        return {"message": {**self._message, **({"tool_calls": calls} if calls else {})}}


def _grow(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        before = whole.get(name)
        if value in (None, "", [], {}):
            whole[name] = value if before is None else before
        elif isinstance(before, dict) and isinstance(value, dict):
            _grow(before, value)
        else:
            whole[name] = before + value if _add_up(name, before, value) else value


def _add_up(name: str, before: Any, value: Any) -> bool:
    """Whether *value* goes on where *before* ended, rather than replacing it."""
    if isinstance(before, str) and isinstance(value, str):
        return name not in _TOLD_WHOLE
    return isinstance(before, list) and isinstance(value, list)
