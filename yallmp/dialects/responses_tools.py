"""
Tools of Responses and the choice among them, read and written.

What other dialects can have as a function is read as one, and remembers what it was
(:mod:`yallmp.dialects.responses_offers`); tools of the provider's own stay as they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import frozen

from yallmp.core.errors import RequestFault
from yallmp.dialects.conversation import Request, Tool, ToolChoice
from yallmp.dialects.loose import known, listed, members, text, text_or_none, without
from yallmp.dialects.losses import Losses
from yallmp.dialects.naming import named
from yallmp.dialects.responses_offers import RUN_BY_CLIENT, flat_name
from yallmp.dialects.responses_parts import NAME

JSON = Any
_FUNCTION = ("type", "name", "description", "parameters", "strict")


def tools_of(value: JSON, path: str = "tools") -> Iterator[Tool]:
    """
    The tools in the list *value*.

    :raises RequestFault: one is no object.
    """
    for at, tool in enumerate(listed(value)):
        if not isinstance(tool, dict):
            raise RequestFault(f"'{path}[{at}]' must be an object.", param=f"{path}[{at}]")
        yield from _tool(tool)


def _tool(tool: dict[str, JSON]) -> Iterator[Tool]:
    kind = text(tool.get("type"))
    if kind == "function" and text_or_none(tool.get("name")):
        yield _function(tool)
    elif kind == "namespace" and _is_flat(tool):
        about = {"namespace": tool["name"], **without(tool, "type", "name", "tools")}
        for each in tool["tools"]:
            yield _inner(each, about)
    elif kind in RUN_BY_CLIENT:
        run = RUN_BY_CLIENT[kind]
        yield Tool(kind, run.description, run.schema, dialect=NAME, value=tool)
    else:
        name = text_or_none(tool.get("name")) or kind
        described = text_or_none(tool.get("description"))
        yield Tool(name, described, kind=kind, dialect=NAME, value=tool)


def _function(tool: dict[str, JSON]) -> Tool:
    return Tool(
        tool["name"],
        text_or_none(tool.get("description")),
        tool.get("parameters"),
        tool.get("strict"),
        extra=without(tool, *_FUNCTION),
    )


def _is_flat(tool: dict[str, JSON]) -> bool:
    """Whether the namespace *tool* holds nothing but functions."""
    inner = listed(tool.get("tools"))
    return bool(inner and text(tool.get("name"))) and all(
        isinstance(each, dict) and each.get("type") == "function" and text(each.get("name"))
        for each in inner
    )


def _inner(tool: dict[str, JSON], about: dict[str, JSON]) -> Tool:
    found = _function(tool)
    value = {**about, "name": found.name, "extra": found.extra}
    return Tool(
        flat_name(about["namespace"], found.name),
        found.description,
        found.schema,
        found.strict,
        dialect=NAME,
        value=value,
    )


def choice_of(value: JSON) -> ToolChoice | None:
    """The choice that *value* is."""
    if value is None:
        return None
    if value in ("auto", "none", "required"):
        return ToolChoice(value)
    kind = text(members(value).get("type"))
    if kind in ("function", "custom") and set(value) == {"type", "name"} and text(value["name"]):
        return ToolChoice("named", value["name"], custom=kind == "custom")
    if kind in RUN_BY_CLIENT:
        return ToolChoice("named", kind, dialect=NAME, value=value)
    return ToolChoice("own", dialect=NAME, value=value)


@frozen
class ToolWriting:
    """Writes the tools of *request*, and the choice among them."""

    request: Request
    losses: Losses

    @property
    def _own(self) -> bool:
        return self.request.dialect == NAME

    def _note(self, what: str, member: str = "") -> None:
        self.losses.note(named(self.request.dialect, what, member))

    def written(self) -> dict[str, JSON]:
        """``tools`` and ``tool_choice``."""
        tools = list(self._tools(self.request.tools))
        choice = self._choice(self.request.tool_choice)
        if not tools and not self._own:
            return {}
        return {**({"tools": tools} if tools else {}), **known(tool_choice=choice)}

    def _tools(self, tools: Iterable[Tool]) -> Iterator[JSON]:
        space: dict[str, JSON] = {}
        for tool in tools:
            about = tool.value if tool.dialect == NAME and tool.kind == "function" else None
            if about is None or "namespace" not in about:
                yield from self._tool(tool)
                space = {}
                continue
            if space.get("name") != about["namespace"]:
                rest = without(about, "namespace", "name", "extra")
                space = {"type": "namespace", "name": about["namespace"], **rest, "tools": []}
                yield space
            inner = {**self._function(tool), "name": about["name"], **about["extra"]}
            space["tools"].append(inner)

    def _tool(self, tool: Tool) -> Iterator[JSON]:
        if tool.value is not None and tool.dialect == NAME:
            yield tool.value
        elif tool.kind == "function":
            yield self._function(tool)
        elif tool.kind == "custom":
            yield self._custom(tool)
        else:
            self._note("tools[]", tool.kind)

    def _function(self, tool: Tool) -> dict[str, JSON]:
        written: dict[str, JSON] = {"type": "function", "name": tool.name}
        written |= known(description=tool.description, parameters=tool.schema, strict=tool.strict)
        if self._own:
            return {**written, **tool.extra}
        for name in (*tool.extra, *(("cache_control",) if tool.cache is not None else ())):
            self._note("tool", name)
        empty = {"type": "object", "properties": {}}
        return {**written, "parameters": tool.schema or empty, "strict": tool.strict is True}

    def _custom(self, tool: Tool) -> dict[str, JSON]:
        """A custom tool of chat completions, which has its format one level further down."""
        inner = tool.value.get("custom") if isinstance(tool.value, dict) else None
        form = inner.get("format") if isinstance(inner, dict) else None
        if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
            form = {"type": "grammar", **form["grammar"]}
        about = known(description=tool.description, format=form)
        return {"type": "custom", "name": tool.name, **about}

    def _choice(self, choice: ToolChoice | None) -> JSON:
        if choice is None:
            return None
        if choice.dialect == NAME:
            return choice.value
        if choice.kind == "named":
            return {"type": "custom" if choice.custom else "function", "name": choice.name}
        if choice.kind != "own":
            return choice.kind
        allowed = _allowed(choice.value)
        if allowed is None:
            self._note("tool_choice")
        return allowed


def _allowed(value: JSON) -> JSON:
    """Chat's ``allowed_tools``, which are those of Responses one level further down."""
    inner = value.get("allowed_tools") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        return None
    tools = [
        {"type": each.get("type"), **each[each["type"]]}
        for each in listed(inner.get("tools"))
        if isinstance(each, dict) and isinstance(each.get(text(each.get("type"))), dict)
    ]
    return {"type": "allowed_tools", "mode": inner.get("mode", "auto"), "tools": tools}
