"""
The items of a Responses ``input`` as turns.

What the model said stands in one turn as long as it goes on: its thoughts, at most one message
(whose ``id``, ``status`` and ``phase`` are the turn's ``extra``), its calls.  Results of tools
that follow each other are one turn, too.  Items that only the provider knows are parts of what
the model said, as they came.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, evolve, field

from yallmp.core.errors import RequestFault
from yallmp.dialects.conversation import Media, Opaque, Part, Text, ToolCall, ToolResult, Turn
from yallmp.dialects.loose import text, text_or_none, without
from yallmp.dialects.responses_offers import OUTPUTS, flat_name, run_call
from yallmp.dialects.responses_parts import NAME, parts_of
from yallmp.dialects.responses_reasoning import reasoning_of

_ROLES = ("user", "assistant", "system", "developer")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def turns_of(body: dict[str, Any]) -> tuple[Turn, ...]:
    """
    What is said in *body*, ``instructions`` first.

    :raises RequestFault: an item cannot be understood.
    """
    instructions = body.get("instructions")
    first: tuple[Turn, ...] = ()
    if isinstance(instructions, str):
        first = (Turn("system", (Text(instructions),), place="instructions"),)
    elif isinstance(instructions, list):
        first = tuple(evolve(t, place="instructions") for t in _items(instructions, "instructions"))
    return (*first, *_input(body.get("input")))


def _input(value: Any) -> tuple[Turn, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Turn("user", (Text(value),)),)
    if not isinstance(value, list):
        raise RequestFault("'input' must be a string or a list of items.", param="input")
    return _items(value, "input")


def _items(items: list[Any], name: str) -> tuple[Turn, ...]:
    reading = _Items()
    for at, item in enumerate(items):
        path = f"{name}[{at}]"
        if not isinstance(item, dict):
            raise RequestFault(f"{path!r} must be an object.", param=path)
        reading.take(item, path)
    return tuple(turn.turn() for turn in reading.turns)


@define
class _Growing:
    """A turn as its items come."""

    role: str
    parts: list[Part] = field(factory=list)
    extra: dict[str, Any] = field(factory=dict)
    speaks: bool = False

    def turn(self) -> Turn:
        return Turn(self.role, tuple(self.parts), extra=self.extra)


@define
class _Items:
    """Reads one item after the other."""

    turns: list[_Growing] = field(factory=list)

    def take(self, item: dict[str, Any], path: str) -> None:
        """Take in *item*, which stands at *path*."""
        kind = text(item.get("type", "message" if "role" in item else ""))
        if kind == "message":
            self._message(item, path)
        elif kind in _CALLS:
            self._going_on("assistant").parts.append(_call(item, _CALLS[kind], path))
        elif kind in _OUTPUTS:
            self._going_on("tool").parts.append(_output(item, kind, path))
        elif kind == "reasoning":
            self._going_on("assistant").parts.append(reasoning_of(item))
        elif kind in OUTPUTS:
            self._going_on("tool").parts.append(_run_output(item))
        else:
            part = run_call(item) or Opaque(NAME, item)
            self._going_on("assistant").parts.append(part)

    def _message(self, item: dict[str, Any], path: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise RequestFault(f"{path!r} needs a role of {_ROLES}.", param=f"{path}.role")
        parts = parts_of(item.get("content"), f"{path}.content")
        extra = without(item, "type", "role", "content")
        if role != "assistant":
            self.turns.append(_Growing(role, list(parts), extra))
        elif not parts or any(isinstance(part, Opaque) for part in parts):
            self._going_on("assistant").parts.append(Opaque(NAME, item))
        else:
            self._said(parts, extra)

    def _said(self, parts: tuple[Part, ...], extra: dict[str, Any]) -> None:
        turn = self._going_on("assistant")
        if turn.speaks:
            turn = _Growing("assistant")
            self.turns.append(turn)
        turn.speaks, turn.extra = True, extra
        turn.parts.extend(parts)

    def _going_on(self, role: str) -> _Growing:
        if not self.turns or self.turns[-1].role != role:
            self.turns.append(_Growing(role))
        return self.turns[-1]


def _call(item: dict[str, Any], name: str, path: str) -> ToolCall:
    for member in ("call_id", "name"):
        if not text(item.get(member)):
            where = f"{path}.{member}"
            raise RequestFault(f"{where!r} must be a non-empty string.", param=where)
    space = text(item.get("namespace"))
    return ToolCall(
        item["call_id"],
        flat_name(space, item["name"]) if space else item["name"],
        text(item.get(name)),
        custom=name == "input",
        item=text_or_none(item.get("id")),
        extra=without(item, "type", "call_id", "name", name, "id", "namespace"),
    )


def _output(item: dict[str, Any], kind: str, path: str) -> ToolResult:
    output = item.get("output")
    if not isinstance(output, str | list):
        output = "" if output is None else json.dumps(output)
    parts = parts_of(output or [], f"{path}.output")
    return ToolResult(
        text(item.get("call_id")),
        tuple(part for part in parts if isinstance(part, Text | Media | Opaque)),
        custom=kind.startswith("custom"),
        extra=without(item, "type", "call_id", "output"),
    )


def _run_output(item: dict[str, Any]) -> ToolResult:
    """What a tool gave that the client ran; as text, since only this dialect has its shape."""
    output = item.get("output")
    said = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    if output is None:
        said = text(item.get("status"))
    return ToolResult(text(item.get("call_id", item.get("id"))), (Text(said),))
