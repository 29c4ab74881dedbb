"""
The response object of Responses: what it repeats of its request, and what it says of itself.

It has the members of ``openai.types.responses.Response`` that the API always sends, and
``store``.  What the client's request says in a way that the API would have refused is not
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from yallmp.dialects.answer import Stop, Tokens
from yallmp.dialects.loose import count, listed, members, number, text_or_none
from yallmp.dialects.responses_answers import usage_of
from yallmp.interfaces import Occasion

JSON = Any
_TIERS = ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
_CHOICES = ("auto", "none", "required")


def _flag(value: JSON) -> bool:
    return value if isinstance(value, bool) else True


def _texts(value: JSON) -> dict[str, JSON]:
    return {"format": {"type": "text"}, **{k: v for k, v in members(value).items() if v}}


def _thinking(value: JSON) -> dict[str, JSON]:
    return {"effort": None, "summary": None, **members(value)}


def _choice(value: JSON) -> JSON:
    return value if value in _CHOICES or isinstance(value, dict) else "auto"


def _tools(value: JSON) -> list[JSON]:
    return [_tool(tool) for tool in listed(value) if isinstance(tool, dict)]


def _tool(tool: dict[str, JSON]) -> dict[str, JSON]:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True, **tool}


def _instructions(value: JSON) -> JSON:
    return value if isinstance(value, str | list) and value else None


def _truncation(value: JSON) -> str:
    return "auto" if value == "auto" else "disabled"


#: The members that answers repeat, and how.
_REPEATED: Mapping[str, Callable[[JSON], JSON]] = {
    "instructions": _instructions,
    "max_output_tokens": count,
    "max_tool_calls": count,
    "metadata": members,
    "parallel_tool_calls": _flag,
    "previous_response_id": text_or_none,
    "prompt_cache_key": text_or_none,
    "reasoning": _thinking,
    "safety_identifier": text_or_none,
    "service_tier": lambda value: value if value in _TIERS else None,
    "temperature": lambda value: 1.0 if number(value) is None else value,
    "text": _texts,
    "tool_choice": _choice,
    "tools": _tools,
    "top_logprobs": lambda value: count(value) or 0,
    "top_p": lambda value: 1.0 if number(value) is None else value,
    "truncation": _truncation,
    "user": text_or_none,
}


def echo_of(body: Mapping[str, JSON]) -> dict[str, JSON]:
    """The members of a request's *body* that answers repeat."""
    return {name: body[name] for name in _REPEATED if name in body}


@frozen
class Response:
    """
    What a response object says of itself.

    :ivar id: the answer's id.
    :ivar created: POSIX seconds.
    :ivar tier: the ``service_tier`` that the backend tells.
    """

    id: str
    model: str
    created: int
    occasion: Occasion
    tier: JSON = None

    def value(self, output: list[JSON], stop: Stop | None, tokens: Tokens | None) -> JSON:
        """It, with *output*; in progress if there is no *stop* yet."""
        status, reason = _status(stop)
        repeated = {name: of(self.occasion.echo.get(name)) for name, of in _REPEATED.items()}
        if self.tier in _TIERS:
            repeated["service_tier"] = self.tier
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self.model,
            "output": output,
            "usage": None if stop is None else usage_of(tokens or Tokens()),
            "store": False,
            **repeated,
        }


def _status(stop: Stop | None) -> tuple[str, str | None]:
    if stop is None:
        return "in_progress", None
    if stop.reason in ("length", "context"):
        return "incomplete", "max_output_tokens"
    if stop.reason in ("content_filter", "refusal"):
        return "incomplete", "content_filter"
    return "completed", None
