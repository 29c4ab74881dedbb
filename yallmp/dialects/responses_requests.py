"""
Requests for Responses, read.

What only OpenAI's own servers can look up (a conversation, a prompt) or do later
(``background``) is refused: without it the model would answer something else.  Whether the answer
is to be stored is no matter of the backend's where requests are translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yallmp.core.errors import RequestFault
from yallmp.dialects.conversation import Format, Request, Thinking
from yallmp.dialects.loose import known, listed, members, without
from yallmp.dialects.members import Members
from yallmp.dialects.responses_items import turns_of
from yallmp.dialects.responses_parts import NAME
from yallmp.dialects.responses_tools import choice_of, tools_of

JSON = Any
#: What has the backend tell the log probabilities of its words.
LOGPROBS = "message.output_text.logprobs"
_REFUSED = {
    "background": "Answers in the background",
    "previous_response_id": "Earlier responses",
    "conversation": "Conversations that a provider keeps",
    "prompt": "Prompts that a provider keeps",
}


def request_of(body: Mapping[str, JSON]) -> Request:
    """
    The request that *body* is.

    :raises RequestFault: a member cannot be understood, or asks for what cannot be translated.
    """
    _refuse(body)
    told = Members.of(dict(body))
    for name in ("background", "store"):
        told.take(name)
    _resolve(body.get("input"))
    turns = turns_of({name: told.take(name) for name in ("instructions", "input")})
    tools = tuple(tools_of(told.listed("tools")))
    return Request(
        NAME,
        told.text("model") or "",
        turns,
        tools,
        choice_of(told.take("tool_choice")),
        told.flag("parallel_tool_calls"),
        told.flag("stream") is True,
        wants_usage=True,
        max_tokens=told.whole("max_output_tokens"),
        temperature=told.number("temperature"),
        top_p=told.number("top_p"),
        logprobs=_logprobs(told),
        **_rest(told),
    )


def _refuse(body: Mapping[str, JSON]) -> None:
    for name, what in _REFUSED.items():
        if body.get(name):
            raise RequestFault(
                f"{what} ({name!r}) can only be had from a backend that speaks Responses itself;"
                " send the whole input.",
                param=name,
                code="unsupported_parameter",
            )


def _resolve(value: JSON) -> None:
    """
    :raises RequestFault: an item is only referred to; who should know what it was?
    """
    for at, item in enumerate(listed(value)):
        if isinstance(item, dict) and item.get("type") == "item_reference":
            raise RequestFault(
                f"'input[{at}]' refers to an item that is not kept here; send the item itself.",
                param=f"input[{at}]",
            )


def _logprobs(told: Members) -> int | None:
    """How many alternatives are wanted; *include* stays what it is."""
    most, included = told.whole("top_logprobs"), listed(told.take("include"))
    if included:
        told.put("include", included)
    return most or (0 if LOGPROBS in included else None)


def _rest(told: Members) -> dict[str, JSON]:
    """What else there is, and under ``extra`` what has no name of its own."""
    form, texts = _format(told)
    thinking, thoughts = _thinking(told)
    user, safety = told.text("user"), told.text("safety_identifier")
    extra = {
        "text": texts or None,
        "reasoning": thoughts or None,
        "safety_identifier": safety,
    }
    rest = {**told.rest(), **known(**extra)}
    return {"format": form, "thinking": thinking, "user": user or safety, "extra": rest}


def _format(told: Members) -> tuple[Format | None, dict[str, JSON]]:
    """``text.format``, and what else stands in ``text``."""
    value = members(told.take("text"))
    form, rest = members(value.get("format")), without(value, "format")
    if not form:
        return None, rest
    about = Members.of(form, "text.format")
    kind, name, schema = about.needed("type"), about.text("name"), about.take("schema")
    return Format(kind, name, schema, about.flag("strict"), about.text("description")), rest


def _thinking(told: Members) -> tuple[Thinking | None, dict[str, JSON]]:
    """``reasoning``, and what else stands in it."""
    about = Members.of(members(told.take("reasoning")), "reasoning")
    effort, summary = about.text("effort"), about.text("summary")
    said = Thinking(effort=effort, summary=summary) if effort or summary else None
    return said, about.rest()
