"""
Requests of Messages, read.

``system`` becomes a turn with that place; the results of tools, which stand in a user's message
here, a turn of their own, before what else the user says.  What is no message at all is refused
with the path of it, as the API would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.core.errors import RequestFault
from yallmp.dialects.conversation import (
    Format,
    Request,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
)
from yallmp.dialects.messages_blocks import parts_of
from yallmp.dialects.messages_words import (
    JSON,
    maybe_int,
    maybe_text,
    object_of,
    objects_of,
    rest_of,
    text_of,
)

Body = Mapping[str, Any]
_KNOWN = (
    "model", "messages", "system", "tools", "tool_choice", "stream", "max_tokens", "temperature",
    "top_p", "top_k", "stop_sequences", "output_config", "output_format", "thinking", "metadata",
)  # fmt: skip
_ROLES = ("user", "assistant", "system")
#: The texts that a block must have.
_NEEDED = {
    "text": ("text",),
    "tool_use": ("id", "name"),
    "tool_result": ("tool_use_id",),
    "redacted_thinking": ("data",),
    "thinking": ("thinking",),
}


def request_of(body: Body) -> Request:
    """
    The request that *body* is.

    :raises RequestFault: a member cannot be understood.
    """
    extra = rest_of(body, *_KNOWN)
    thinking = _thinking(body, extra)
    metadata = object_of(body.get("metadata"))
    extra.update({"metadata": left} if (left := rest_of(metadata, "user_id")) else {})
    return Request(
        "messages",
        text_of(body.get("model")),
        tuple(_turns(body)),
        tuple(map(_tool, _listed(body, "tools"))),
        _tool_choice(object_of(body.get("tool_choice"))),
        _parallel(object_of(body.get("tool_choice"))),
        body.get("stream") is True,
        max_tokens=_whole(body, "max_tokens"),
        temperature=_number(body, "temperature"),
        top_p=_number(body, "top_p"),
        top_k=_whole(body, "top_k"),
        stop=_stop(body),
        format=_format(body),
        thinking=thinking,
        user=maybe_text(metadata.get("user_id")),
        extra=extra,
    )


def _turns(body: Body) -> Iterator[Turn]:
    system = _content(body.get("system") or [], "system")
    parts = tuple(parts_of(system))
    if parts:
        yield Turn("system", parts, place="system")
    for at, message in enumerate(_listed(body, "messages")):
        yield from _message(message, f"messages[{at}]")


def _message(message: Body, path: str) -> Iterator[Turn]:
    role = message.get("role")
    if role not in _ROLES:
        raise RequestFault(f"'{path}.role' must be one of {', '.join(_ROLES)}.", param=path)
    parts = tuple(parts_of(_content(message.get("content"), f"{path}.content")))
    results = tuple(each for each in parts if isinstance(each, ToolResult))
    others = tuple(each for each in parts if not isinstance(each, ToolResult))
    if results:
        yield Turn("tool", results)
    if others or not results:
        yield Turn(role, others, extra=rest_of(message, "role", "content"))


def _content(content: JSON, path: str) -> JSON:
    """*content*, if it can be read: a text, or a list of blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RequestFault(f"'{path}' must be a text or a list of blocks.", param=path)
    for at, block in enumerate(content):
        _check_block(block, f"{path}[{at}]")
    return content


def _check_block(block: JSON, path: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise RequestFault(f"'{path}' must be a block with a 'type'.", param=path)
    for name in _NEEDED.get(kind, ()):
        if not isinstance(block.get(name), str):
            raise RequestFault(f"'{path}.{name}' must be a text.", param=f"{path}.{name}")
    if kind == "tool_result" and block.get("content") is not None:
        _content(block["content"], f"{path}.content")


def _listed(body: Body, name: str) -> list[Body]:
    """The objects that the list *name* has."""
    value = body.get(name)
    if value is None:
        return []
    found = objects_of(value)
    if not isinstance(value, list) or len(found) != len(value):
        raise RequestFault(f"'{name}' must be a list of objects.", param=name)
    return found


def _whole(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is not None and maybe_int(value) is None:
        raise RequestFault(f"'{name}' must be a whole number.", param=name)
    return maybe_int(value)


def _number(body: Body, name: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestFault(f"'{name}' must be a number.", param=name)
    return value


def _stop(body: Body) -> tuple[str, ...]:
    value = body.get("stop_sequences")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RequestFault("'stop_sequences' must be a list of texts.", param="stop_sequences")
    return tuple(value)


def _tool(tool: Body) -> Tool:
    """A tool of the client's, or one of the provider's own, as it came."""
    name = text_of(tool.get("name"))
    if tool.get("type") not in (None, "custom"):
        kind = text_of(tool["type"])
        return Tool(name, kind=kind, dialect="messages", value=dict(tool))
    strict = tool.get("strict")
    known = ("type", "name", "description", "input_schema", "strict", "cache_control")
    return Tool(
        name,
        maybe_text(tool.get("description")),
        tool.get("input_schema"),
        strict if isinstance(strict, bool) else None,
        cache=tool.get("cache_control"),
        extra=rest_of(tool, *known),
    )


def _tool_choice(choice: Body) -> ToolChoice | None:
    kinds = {"auto": "auto", "any": "required", "none": "none"}
    kind = choice.get("type")
    if kind == "tool":
        return ToolChoice("named", text_of(choice.get("name")))
    if kind in kinds:
        return ToolChoice(kinds[kind])
    return ToolChoice("own", dialect="messages", value=dict(choice)) if choice else None


def _parallel(choice: Body) -> bool | None:
    disabled = choice.get("disable_parallel_tool_use")
    return not disabled if isinstance(disabled, bool) else None


def _format(body: Body) -> Format | None:
    """``output_config.format``, or the older ``output_format``."""
    config = object_of(body.get("output_config"))
    told = object_of(config.get("format") or body.get("output_format"))
    if told.get("type") != "json_schema":
        return None
    return Format("json_schema", schema=told.get("schema"))


def _thinking(body: Body, extra: dict[str, JSON]) -> Thinking | None:
    """What it is to think; what is not understood of that goes to *extra*."""
    config = object_of(body.get("output_config"))
    effort = maybe_text(config.get("effort"))
    left = rest_of(config, "effort", *(("format",) if _format(body) else ()))
    extra.update({"output_config": left} if left else {})
    told = object_of(body.get("thinking"))
    kind = told.get("type")
    if kind not in ("enabled", "adaptive", "disabled"):
        extra.update({"thinking": dict(told)} if told else {})
        return Thinking(effort=effort) if effort else None
    return Thinking(
        kind != "disabled",
        effort,
        maybe_int(told.get("budget_tokens")),
        kind == "adaptive",
        display=maybe_text(told.get("display")),
    )
