"""
Tools of Responses that other dialects have as functions only.

A client of Responses offers more than functions: tools of a *namespace*, tools that take free
text (``custom``), and some that the provider knows but the client runs (``local_shell``,
``shell``, ``apply_patch``).  To a backend that speaks another dialect each is a function; what
the model calls is turned back for the client, which knows by the name what was offered:

- a namespace's function is named ``namespace__function``;
- a custom tool's text is the one member ``input`` (:mod:`yallmp.dialects.customs`);
- a tool that the client runs has the members of its action as its arguments.

Sources: OpenAI's API reference and what Codex sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from yallmp.core.digits import loads
from yallmp.dialects.conversation import Tool, ToolCall
from yallmp.dialects.customs import arguments_as_input
from yallmp.dialects.loose import members, text

JSON = Any
Item = dict[str, JSON]
_STRINGS = {"type": "array", "items": {"type": "string"}}
_SECONDS = {"type": "integer", "description": "Milliseconds until the command is ended."}


def _schema(needed: list[str], **properties: JSON) -> JSON:
    return {"type": "object", "properties": properties, "required": needed}


@frozen
class _Run:
    """
    A tool that the client runs.

    :ivar item: the type of the item that is a call of it.
    :ivar member: the item's member that holds the arguments.
    """

    item: str
    member: str
    description: str
    schema: JSON
    fixed: Mapping[str, JSON] = field(factory=dict)


RUN_BY_CLIENT: Mapping[str, _Run] = {
    "local_shell": _Run(
        "local_shell_call",
        "action",
        "Runs a command on the user's machine and returns its output.",
        _schema(
            ["command"],
            command=_STRINGS,
            working_directory={"type": "string"},
            timeout_ms=_SECONDS,
            env={"type": "object", "additionalProperties": {"type": "string"}},
        ),
        {"type": "exec", "env": {}},
    ),
    "shell": _Run(
        "shell_call",
        "action",
        "Runs shell commands on the user's machine and returns their output.",
        _schema(
            ["commands"], commands=_STRINGS, timeout_ms=_SECONDS,
            max_output_length={"type": "integer"},
        ),
    ),
    "apply_patch": _Run(
        "apply_patch_call",
        "operation",
        "Creates, updates or deletes a file. A diff has the lines of a unified diff's hunks,"
        " without its heads.",
        _schema(
            ["type", "path"],
            type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            path={"type": "string"},
            diff={"type": "string"},
        ),
    ),
}  # fmt: skip
_CALLS = {run.item: name for name, run in RUN_BY_CLIENT.items()}
#: The items that are results of those.
OUTPUTS = {f"{item}_output" for item in _CALLS}


def flat_name(namespace: str, name: str) -> str:
    """What the function *name* of *namespace* is called where there are no namespaces."""
    return f"{namespace}__{name}"


def run_call(item: Mapping[str, JSON]) -> ToolCall | None:
    """The call of a tool that the client runs which *item* is, if it is one."""
    name = _CALLS.get(text(item.get("type")))
    if name is None or not isinstance(item.get("call_id"), str):
        return None
    member = RUN_BY_CLIENT[name].member
    known = ("type", "call_id", "id", member)
    rest = {key: value for key, value in item.items() if key not in known}
    arguments = json.dumps(item.get(member), ensure_ascii=False)
    return ToolCall(item["call_id"], name, arguments, item=item.get("id"), extra=rest)


@frozen
class Offers:
    """
    What a client offered, by the names that a backend knows.

    :ivar namespaced: namespace and name, for those in one.
    :ivar customs: the names of those that take free text.
    :ivar run: the names of those that the client runs.
    """

    namespaced: Mapping[str, tuple[str, str]] = field(factory=dict)
    customs: frozenset[str] = frozenset()
    run: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> Offers:
        """Those of *tools*, as they are read."""
        listed = [tool for tool in tools if tool.dialect == "responses"]
        spaced = {tool.name: tool.value for tool in listed if _is_spaced(tool)}
        return cls(
            {name: (value["namespace"], value["name"]) for name, value in spaced.items()},
            frozenset(tool.name for tool in listed if tool.kind == "custom"),
            frozenset(tool.name for tool in listed if tool.name in RUN_BY_CLIENT and tool.value
                      and tool.value.get("type") == tool.name),
        )  # fmt: skip

    def item(self, call: ToolCall, extra: Mapping[str, JSON], *, own: bool) -> Item:
        """The item that *call* is to whoever offered the tool, with *extra* members."""
        told = {} if call.item is None else {"id": call.item}
        if call.name in self.run and not call.custom:
            return {**self._run(call), **told, **extra}
        head: Item = {"call_id": call.id, "name": call.name}
        if call.name in self.namespaced:
            head["namespace"], head["name"] = self.namespaced[call.name]
        if call.custom or call.name in self.customs:
            said = call.arguments if call.custom else arguments_as_input(call.arguments)
            return {"type": "custom_tool_call", **head, "input": said, **told, **extra}
        said = call.arguments or ("" if own else "{}")
        return {"type": "function_call", **head, "arguments": said, **told, **extra}

    def _run(self, call: ToolCall) -> Item:
        run = RUN_BY_CLIENT[call.name]
        try:
            action = members(loads(call.arguments or "{}"))
        except (ValueError, RecursionError):
            action = {}
        return {"type": run.item, "call_id": call.id, run.member: {**run.fixed, **action}}


def _is_spaced(tool: Tool) -> bool:
    return isinstance(tool.value, dict) and "namespace" in tool.value
