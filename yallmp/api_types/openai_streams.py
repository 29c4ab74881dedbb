"""
Following OpenAI's streams: which event has content, which is an error, when all is said.

Chat completions and completions send chunks with ``choices``; each choice ends with a
``finish_reason``, usage may follow in a chunk without choices, and ``[DONE]`` ends the
stream.  Responses sends typed events; ``response.completed``, ``.incomplete`` or
``.failed`` ends it.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field

from yallmp.api_types.openai_shapes import error_in, usage_of
from yallmp.core.exchange import Usage
from yallmp.core.gate import Kind, Seen
from yallmp.core.sse import ServerEvent, event_bytes

_EMPTY = Seen(Kind.EMPTY)
_CONTENT = Seen(Kind.CONTENT)
_DONE = Seen(Kind.DONE)
#: What a line that is not JSON may not contain, if it is to be harmless.
_TELLTALES = (b'"delta"', b'"content"', b'"arguments"')
_PING = b"ping"
_BEGINNINGS = {"response.created", "response.in_progress", "response.queued", "ping"}
_ENDINGS = {"response.completed", "response.incomplete"}


def _parsed(event: ServerEvent) -> Any:
    try:
        return json.loads(event.data or b"")
    except (ValueError, RecursionError):
        return None


def _malformed(event: ServerEvent, tool_call_open: bool) -> Seen:
    telling = any(word in event.raw for word in _TELLTALES)
    return Seen(Kind.MALFORMED, harmless=not telling and not tool_call_open)


def _first_look(event: ServerEvent) -> Seen | None:
    """What an event is that does not need parsing."""
    if event.data is None:
        return Seen(Kind.ERROR, {"message": "error event"}) if event.name == b"error" else _EMPTY
    return _EMPTY if event.name == _PING else None


@define
class ChoiceStream:
    """
    A stream of chunks with ``choices``.

    :param choices: how many the client asked for: without ``[DONE]`` the answer is whole
        when that many have their ``finish_reason``.
    """

    choices: int = 1
    finish_reason: str | None = None
    usage: Usage | None = None
    closing: bytes = event_bytes(b"[DONE]")
    _seen: set[int] = field(factory=set)
    _ended: set[int] = field(factory=set)
    _tool_call: bool = False

    @property
    def finished(self) -> bool:
        """Every choice that was seen has its ``finish_reason``, and there is at least one."""
        return bool(self._ended) and self._seen <= self._ended

    @property
    def expects_no_more(self) -> bool:
        """All choices that were asked for are finished; only usage and ``[DONE]`` may come."""
        return self.finished and len(self._ended) >= self.choices

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is."""
        look = _first_look(event)
        if look is not None:
            return look
        if (event.data or b"").strip() == b"[DONE]":
            return _DONE
        chunk = _parsed(event)
        if not isinstance(chunk, dict):
            return _malformed(event, self._tool_call)
        error = error_in(chunk, event.name)
        return self._chunk(chunk) if error is None else Seen(Kind.ERROR, error)

    def _chunk(self, chunk: dict[str, Any]) -> Seen:
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return _CONTENT
        if not choices:
            self.usage = usage_of(chunk) or self.usage
            return _CONTENT if chunk.get("usage") is not None else _EMPTY
        self.usage = usage_of(chunk) or self.usage
        content = [self._choice(choice) for choice in choices]
        return _CONTENT if any(content) else _EMPTY

    def _choice(self, choice: Any) -> bool:
        """Take note of one choice; whether it has content."""
        if not isinstance(choice, dict):
            return True
        index = choice.get("index")
        number = index if isinstance(index, int) else 0
        self._seen.add(number)
        reason = choice.get("finish_reason")
        if reason is not None:
            self.finish_reason = str(reason)
            self._ended.add(number)
        delta = choice.get("delta")
        said = _said(delta) if isinstance(delta, dict) else bool(choice.get("text"))
        self._tool_call = (self._tool_call or _calls_tool(delta)) and reason is None
        return said or reason is not None


def _said(delta: dict[str, Any]) -> bool:
    return any(value not in (None, "", [], {}) for key, value in delta.items() if key != "role")


def _calls_tool(delta: Any) -> bool:
    return isinstance(delta, dict) and bool(delta.get("tool_calls") or delta.get("function_call"))


@define
class ResponseStream:
    """A stream of the Responses API."""

    finished: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    closing: bytes = b""
    _tool_call: bool = False

    @property
    def expects_no_more(self) -> bool:
        """The event that ends the response came."""
        return self.finished

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is."""
        look = _first_look(event)
        if look is not None:
            return look
        value = _parsed(event)
        if not isinstance(value, dict):
            return _malformed(event, self._tool_call)
        kind = value.get("type")
        error = error_in(value, event.name)
        if error is not None:
            return Seen(Kind.ERROR, error)
        return self._typed(kind, value)

    def _typed(self, kind: Any, value: dict[str, Any]) -> Seen:
        if kind in _BEGINNINGS:
            return _EMPTY
        if kind in _ENDINGS:
            response = value.get("response")
            self.finished = True
            self.finish_reason = str(kind).removeprefix("response.")
            self.usage = usage_of(response) if isinstance(response, dict) else None
            return _DONE
        return _CONTENT
