"""
What a model writes between the tags of a tool call, as the call that it means.

Models that were taught to call tools write that as text, each family in its own way; a server
that does not know the way passes the text on.  Sources: the chat templates of the models.

========== ==========================================================================
``hermes``  ``{"name": …, "arguments": {…}}`` (Hermes, Qwen 2.5 and 3)
``qwen``    ``<function=name><parameter=key>value</parameter></function>`` (Qwen3-Coder)
``glm``     ``name``, then ``<arg_key>key</arg_key><arg_value>value</arg_value>`` (GLM 4.5)
``kimi``    ``<|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}<|tool_call_end|>``,
            one or more (Kimi K2)
========== ==========================================================================

The first three stand between ``<tool_call>`` and ``</tool_call>``, the last one in a section.
Where values are plain text, the schema of the tool says what they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

OPENING, CLOSING = "<tool_call>", "</tool_call>"
KIMI_OPENING, KIMI_CLOSING = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,200}")
_FUNCTION = re.compile(r"<function=([^<>\s]+)\s*>(.*?)(?:</function>)?", re.DOTALL)
_PARAMETER = re.compile(
    r"<parameter=([^<>]+)>(.*?)</parameter>\s*(?=<parameter=|\Z)", re.DOTALL
)  # fmt: skip
_ARGUMENT = re.compile(
    r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>\s*(?=<arg_key>|\Z)", re.DOTALL
)
_KIMI = re.compile(
    r"<\|tool_call_begin\|>\s*(.*?)\s*<\|tool_call_argument_begin\|>(.*?)<\|tool_call_end\|>",
    re.DOTALL,
)
_KIMI_NAME = re.compile(r"(?:functions\.)?(.+?)(?::\d+)?")


class Unfinished(Exception):
    """What was read so far may be the beginning of a call: the tag stands inside a text."""


@frozen
class Call:
    """A call as the model meant it; ``arguments`` is JSON."""

    name: str
    arguments: str


@frozen
class Offered:
    """
    The tools that a request offers.

    :ivar schemas: those of their inputs, by name.
    """

    schemas: Mapping[str, Any] = field(factory=dict)

    def types(self, tool: str, key: str) -> tuple[str, ...]:
        """What the argument *key* of *tool* may be, in the words of JSON schema."""
        schema = self.schemas.get(tool)
        properties = schema.get("properties") if isinstance(schema, dict) else None
        wanted = properties.get(key) if isinstance(properties, dict) else None
        return tuple(_types(wanted)) if isinstance(wanted, dict) else ()

    def value(self, tool: str, key: str, text: str) -> Any:
        """The value that *text* is: a text where one is wanted, otherwise JSON if it is any."""
        types = self.types(tool, key)
        if types and set(types) <= {"string"}:
            return text
        try:
            value = _loads(text)
        except ValueError:
            return _meant(text, types)
        fits = not types or "string" not in types or not isinstance(value, str | int | float)
        return value if fits or isinstance(value, bool) else text


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    told = schema.get("type")
    yield from [told] if isinstance(told, str) else ()
    yield from (each for each in told if isinstance(each, str)) if isinstance(told, list) else ()
    for name in ("anyOf", "oneOf"):
        several = schema.get(name)
        for each in several if isinstance(several, list) else ():
            yield from _types(each) if isinstance(each, dict) else ()


def _meant(text: str, types: tuple[str, ...]) -> Any:
    """What models write that know Python better than JSON."""
    word = text.strip().lower()
    if "boolean" in types and word in ("true", "false"):
        return word == "true"
    return None if "null" in types and word in ("none", "null") else text


def calls_in(block: str, opening: str, form: str, offered: Offered) -> tuple[Call, ...]:
    """
    The calls that *block* is, which stood behind *opening*; none if it is something else.

    :param form: ``auto``, or the only one that is understood.
    :raises Unfinished: more has to be read before that can be said.
    """
    if opening == KIMI_OPENING:
        found = _kimi(block)
    else:
        found = next((f for name in _FORMS if form in ("auto", name)
                      and (f := _FORMS[name](block, offered))), ())  # fmt: skip
    return found if all(call.name in offered.schemas for call in found) else ()


def _hermes(block: str, offered: Offered) -> tuple[Call, ...]:
    if not block.lstrip().startswith(("{", "[")):
        return ()
    try:
        value = _loads(block)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Unterminated string"):
            raise Unfinished from None
        return ()
    except ValueError:
        return ()
    calls = [_told(each) for each in (value if isinstance(value, list) else [value])]
    return tuple(call for call in calls if call) if all(calls) else ()


def _told(value: Any) -> Call | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    given = value.get("arguments", value.get("parameters"))
    if isinstance(given, str):
        return Call(value["name"], given) if _is_object(given) else None
    if given is not None and not isinstance(given, dict):
        return None
    return Call(value["name"], _dumps(given or {}))


def _qwen(block: str, offered: Offered) -> tuple[Call, ...]:
    match = _FUNCTION.fullmatch(block.strip())
    if match is None:
        return ()
    name, inside = match[1], match[2].strip()
    found = _pairs(_PARAMETER, inside)
    return () if found is None else (_typed(name, found, offered),)


def _glm(block: str, offered: Offered) -> tuple[Call, ...]:
    name, tag, rest = block.partition("<arg_key>")
    if not _NAME.fullmatch(name.strip()):
        return ()
    found = _pairs(_ARGUMENT, (tag + rest).strip())
    return () if found is None else (_typed(name.strip(), found, offered),)


def _pairs(pattern: re.Pattern[str], text: str) -> dict[str, str] | None:
    """Keys and values one after the other, if *text* is nothing else."""
    found, at = {}, 0
    for match in pattern.finditer(text):
        if match.start() != at:
            return None
        found[match[1].strip()] = _framed(match[2])
        at = match.end()
    return found if at == len(text) else None


def _framed(value: str) -> str:
    """*value* without the line breaks that set it off its tags."""
    return value.removeprefix("\n").removesuffix("\n")


def _typed(name: str, values: Mapping[str, str], offered: Offered) -> Call:
    return Call(name, _dumps({k: offered.value(name, k, v) for k, v in values.items()}))


def _kimi(block: str) -> tuple[Call, ...]:
    found, at = [], 0
    for match in _KIMI.finditer(block):
        name, arguments = _KIMI_NAME.fullmatch(match[1]), match[2].strip()
        if block[at : match.start()].strip() or name is None or not _is_object(arguments):
            return ()
        found.append(Call(name[1], arguments))
        at = match.end()
    return () if block[at:].strip() else tuple(found)


def _is_object(text: str) -> bool:
    try:
        return isinstance(_loads(text), dict)
    except ValueError:
        return False


def _loads(text: str) -> Any:
    """JSON, and nothing that only Python takes for it."""
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_FORMS = {"hermes": _hermes, "qwen": _qwen, "glm": _glm}
