"""
Requests for chat completions, read.

What both of OpenAI's generations of the API say is read as one: ``functions`` are tools,
``max_tokens`` is ``max_completion_tokens``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.dialects.chat_turns import turn_of
from yallmp.dialects.conversation import Format, Request, Thinking, Tool, ToolChoice
from yallmp.dialects.members import Members, wrong

JSON = Any


def request_of(body: Mapping[str, JSON]) -> Request:
    """
    The request that *body* is.

    :raises RequestFault: a member cannot be understood.
    """
    told = Members.of(dict(body))
    most = told.whole("max_tokens")
    thinking, logprobs = _thinking(told), _logprobs(told)
    options = Members.of(told.take("stream_options") or {}, "stream_options")
    wants_usage = options.take("include_usage") is True
    return Request(
        "chat",
        told.text("model") or "",
        tuple(turn_of(m, f"messages[{at}]") for at, m in enumerate(told.listed("messages"))),
        tuple(_tools(told)),
        _tool_choice(told),
        told.flag("parallel_tool_calls"),
        told.flag("stream") is True,
        wants_usage,
        most if not told.has("max_completion_tokens") else told.whole("max_completion_tokens"),
        told.number("temperature"),
        told.number("top_p"),
        told.whole("top_k"),
        _stop(told),
        told.whole("n"),
        _format(told),
        thinking,
        logprobs,
        told.text("user"),
        {**told.rest(), **_named("stream_options", options.rest())},
    )


def _named(name: str, left: dict[str, JSON]) -> dict[str, JSON]:
    return {name: left} if left else {}


def _tools(told: Members) -> Iterator[Tool]:
    for at, tool in enumerate(told.listed("tools")):
        yield _tool(Members.of(tool, f"tools[{at}]"), tool)
    for at, function in enumerate(told.listed("functions")):
        yield _function(Members.of(function, f"functions[{at}]"), None, {})


def _tool(told: Members, value: JSON) -> Tool:
    kind = told.text("type") or "function"
    if kind == "function":
        inner, cache = told.within("function"), told.take("cache_control")
        return _function(inner, cache, told.rest())
    inner = Members.of(told.take(kind) or {}, told.at(kind))
    name, described = inner.text("name") or kind, inner.text("description")
    return Tool(name, described, kind=kind, dialect="chat", value=value)


def _function(told: Members, cache: JSON, extra: dict[str, JSON]) -> Tool:
    return Tool(
        told.needed("name"),
        told.text("description"),
        told.take("parameters"),
        told.flag("strict"),
        cache=cache,
        extra={**extra, **told.rest()},
    )


def _tool_choice(told: Members) -> ToolChoice | None:
    choice = told.take("tool_choice")
    choice = told.take("function_call") if choice is None else choice
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(choice) if choice in ("auto", "none", "required") else _own(choice)
    if not isinstance(choice, dict):
        raise wrong("tool_choice", "a string or an object")
    kind = choice.get("type", "function")
    inner = choice.get(kind, choice)
    name = inner.get("name") if isinstance(inner, dict) else None
    if kind in ("function", "custom") and isinstance(name, str):
        return ToolChoice("named", name, custom=kind == "custom")
    return _own(choice)


def _own(value: JSON) -> ToolChoice:
    return ToolChoice("own", dialect="chat", value=value)


def _stop(told: Members) -> tuple[str, ...]:
    stop = told.take("stop")
    found = [stop] if isinstance(stop, str) else ([] if stop is None else stop)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise wrong("stop", "a string or a list of strings")
    return tuple(found)


def _format(told: Members) -> Format | None:
    if not told.has("response_format"):
        return None
    form = told.within("response_format")
    kind = form.needed("type")
    if kind != "json_schema":
        return Format(kind)
    inner = form.within("json_schema")
    name, schema, strict = inner.text("name"), inner.take("schema"), inner.flag("strict")
    return Format(kind, name, schema, strict, inner.text("description"))


def _thinking(told: Members) -> Thinking | None:
    """``reasoning_effort``, and ``thinking`` as some providers have it."""
    effort = told.text("reasoning_effort")
    value = told.take("thinking")
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("enabled", "disabled", "adaptive"):
        return Thinking(effort=effort) if effort is not None else None
    budget = value.get("budget_tokens")
    tokens = budget if isinstance(budget, int) and not isinstance(budget, bool) else None
    return Thinking(kind != "disabled", effort, tokens, kind == "adaptive")


def _logprobs(told: Members) -> int | None:
    wanted, most = told.flag("logprobs"), told.whole("top_logprobs")
    return (most or 0) if wanted else None
