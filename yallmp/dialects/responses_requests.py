"""
Requests for Responses, read.

The input is a text, or items one after the other: what a model thought, said and called is an item
each, and so is the result of a call.  Neighbours that one party said become one turn.

What lives at a provider (an earlier response, a conversation, an answer in the background) cannot
be had from another one: such a request is refused with the name of the member.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.core.errors import RequestFault
from yallmp.dialects.conversation import (
    Format,
    Media,
    Opaque,
    Part,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from yallmp.dialects.loose import objects, text, text_or_none
from yallmp.dialects.members import Members, wrong
from yallmp.dialects.responses_parts import NAME, parts_of
from yallmp.dialects.sealed import unsealed

JSON = Any
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = ("function_call_output", "custom_tool_call_output")


def request_of(body: Mapping[str, JSON]) -> Request:
    """
    The request that *body* is.

    :raises RequestFault: a member cannot be understood, or needs the provider that has it.
    """
    told = Members.of(dict(body))
    _check_bound(told)
    shaped = Members.of(told.take("text") or {}, "text")
    form = _format(shaped)
    left = {"text": rest} if (rest := shaped.rest()) else {}
    return Request(
        NAME,
        told.text("model") or "",
        tuple(_turns(told)),
        tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(told.listed("tools"))),
        _tool_choice(told.take("tool_choice")),
        told.flag("parallel_tool_calls"),
        told.flag("stream") is True,
        max_tokens=told.whole("max_output_tokens"),
        temperature=told.number("temperature"),
        top_p=told.number("top_p"),
        format=form,
        thinking=_thinking(told),
        user=told.text("user"),
        extra={**told.rest(), **left},
    )


def _check_bound(told: Members) -> None:
    bound = [name for name in _ELSEWHERE if told.has(name)]
    bound += ["background"] if told.flag("background") else []
    if bound:
        name = bound[0]
        message = f"'{name}' needs a backend that has Responses itself; send the whole input."
        raise RequestFault(message, param=name)


def _turns(told: Members) -> Iterator[Turn]:
    prompt = told.text("instructions")
    if prompt:
        yield Turn("system", (Text(prompt),), place="instructions")
    given = told.take("input")
    if isinstance(given, str):
        yield Turn("user", (Text(given),))
    elif isinstance(given, list):
        yield from _joined(_item(item, f"input[{at}]") for at, item in enumerate(given))
    elif given is not None:
        raise wrong("input", "a string or a list of items")


def _joined(turns: Iterator[Turn]) -> Iterator[Turn]:
    """Neighbours that a model, or its tools, said as one."""
    last: Turn | None = None
    for turn in turns:
        if last is not None and last.role == turn.role and turn.role in ("assistant", "tool"):
            last = Turn(turn.role, (*last.parts, *turn.parts))
            continue
        if last is not None:
            yield last
        last = turn
    if last is not None:
        yield last


def _item(item: JSON, path: str) -> Turn:
    told = Members.of(item, path)
    kind = told.text("type") or "message"
    if kind == "message":
        role = told.needed("role")
        if role not in ("user", "assistant", "system", "developer"):
            raise wrong(told.at("role"), "user, assistant, system or developer")
        return Turn(role, parts_of(told.take("content"), told.at("content")))
    if kind in _CALLS:
        return Turn("assistant", (_call(told, kind),))
    if kind in _RESULTS:
        return Turn("tool", (_result(told, kind),))
    if kind == "reasoning":
        return Turn("assistant", (_thoughts(item),))
    if kind == "item_reference":
        message = f"'{path}' refers to an item that only its provider has; send the item itself."
        raise RequestFault(message, param=path)
    return Turn("assistant", (Opaque(NAME, item),))


def _call(told: Members, kind: str) -> ToolCall:
    words = told.text(_CALLS[kind]) or ""
    custom = kind.startswith("custom")
    return ToolCall(told.needed("call_id"), told.needed("name"), words, custom, told.text("id"))


def _result(told: Members, kind: str) -> ToolResult:
    found, output = told.needed("call_id"), told.take("output")
    parts: tuple[Part, ...] = parts_of("" if output is None else output, told.at("output"))
    kept = tuple(part for part in parts if isinstance(part, Text | Media | Opaque))
    return ToolResult(found, kept, custom=kind.startswith("custom"))


def _thoughts(item: Mapping[str, JSON]) -> Reasoning:
    """Thoughts; what another provider wants back is taken out of its seal."""
    said = "".join(text(part.get("text")) for part in objects(item.get("content")))
    summary = tuple(text(part.get("text")) for part in objects(item.get("summary")))
    hidden = text_or_none(item.get("encrypted_content"))
    members = None if hidden is None else unsealed(hidden)
    if members is None:
        return Reasoning(said, summary, encrypted=hidden, id=text_or_none(item.get("id")))
    if "redacted" in members:
        return Reasoning(encrypted=members["redacted"], redacted=True)
    return Reasoning(members.get("text", said), summary, signature=members.get("signature"))


def _tool(tool: JSON, path: str) -> Tool:
    told = Members.of(tool, path)
    kind = told.needed("type")
    if kind not in ("function", "custom"):
        return Tool(told.text("name") or kind, kind=kind, dialect=NAME, value=tool)
    name, described = told.needed("name"), told.text("description")
    if kind == "custom":
        return Tool(name, described, kind=kind, dialect=NAME, value=tool)
    return Tool(name, described, told.take("parameters"), told.flag("strict"))


def _tool_choice(choice: JSON) -> ToolChoice | None:
    if choice is None:
        return None
    if choice in ("auto", "none", "required"):
        return ToolChoice(choice)
    name = choice.get("name") if isinstance(choice, dict) else None
    if isinstance(name, str) and choice.get("type") in ("function", "custom"):
        return ToolChoice("named", name, custom=choice["type"] == "custom")
    return ToolChoice("own", dialect=NAME, value=choice)


def _format(shaped: Members) -> Format | None:
    if not shaped.has("format"):
        return None
    form = shaped.within("format")
    kind = form.needed("type")
    if kind != "json_schema":
        return Format(kind)
    name, schema, strict = form.text("name"), form.take("schema"), form.flag("strict")
    return Format(kind, name, schema, strict, form.text("description"))


def _thinking(told: Members) -> Thinking | None:
    if not told.has("reasoning"):
        return None
    inner = told.within("reasoning")
    effort, summary = inner.text("effort"), inner.text("summary")
    return Thinking(effort=effort, summary=summary) if effort or summary else None
