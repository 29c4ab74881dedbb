"""
Tools that take free text, where a backend has only functions.

Such a tool is offered as a function with one text, ``input``; a call of it is turned back for the
client, which knows by its name which tool it is.  A grammar that the text should follow is told in
the function's description, since nothing else can hold the model to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from yallmp.core.digits import loads
from yallmp.dialects.conversation import Tool

JSON = Any
_INPUT = "input"


def as_function(tool: Tool) -> Tool:
    """The custom *tool* as a function."""
    schema = {
        "type": "object",
        "properties": {_INPUT: {"type": "string"}},
        "required": [_INPUT],
        "additionalProperties": False,
    }
    described = "\n\n".join(filter(None, (tool.description, _rules(tool.value))))
    return evolve(
        tool, kind="function", description=described or None, schema=schema, value=None, extra={}
    )


def _rules(value: JSON) -> str:
    """What the definition of a custom tool says of its input."""
    found = value.get("custom", value) if isinstance(value, Mapping) else {}
    form = found.get("format") if isinstance(found, Mapping) else None
    if not isinstance(form, Mapping):
        return ""
    inner = form.get("grammar")
    rules = inner if isinstance(inner, Mapping) else form
    definition, syntax = rules.get("definition"), rules.get("syntax")
    if not isinstance(definition, str):
        return ""
    return f"The input has to follow this {syntax or ''} grammar:\n{definition}"


def input_as_arguments(text: str) -> str:
    """The arguments of a function that stands for a custom tool called with *text*."""
    return json.dumps({_INPUT: text}, ensure_ascii=False)


def arguments_as_input(arguments: str) -> str:
    """The text that a custom tool is called with; all of *arguments* if it is not as it should."""
    try:
        value = loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    text = value.get(_INPUT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else arguments
