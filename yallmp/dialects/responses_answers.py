"""
Whole answers of Responses, read; and what whole ones and streams have in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.dialects.answer import Answer, Choice, Stop, Tokens
from yallmp.dialects.conversation import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from yallmp.dialects.loose import count, known, listed, members, objects, text, text_or_none
from yallmp.dialects.responses_parts import NAME
from yallmp.dialects.responses_reasoning import thoughts_of

JSON = Any
_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


def answer_of(body: Mapping[str, JSON]) -> Answer:
    """The answer that *body* is, as far as it is one."""
    items = objects(body.get("output"))
    parts = tuple(part for item in items for part in parts_of_item(item))
    said = [each for item in items for each in objects(item.get("content"))]
    logprobs = [token for each in said for token in objects(each.get("logprobs"))]
    called = any(isinstance(part, ToolCall) for part in parts)
    choice = Choice(parts, stop_of(body, called=called), logprobs or None)
    return Answer(
        NAME,
        text(body.get("id")),
        text(body.get("model")),
        created_in(body),
        (choice,),
        tokens_of(body.get("usage")),
        extra_of(body),
    )


def extra_of(body: Mapping[str, JSON]) -> dict[str, JSON]:
    """What an answer says of itself that its request did not."""
    return known(service_tier=text_or_none(body.get("service_tier")))


def created_in(body: Mapping[str, JSON]) -> int | None:
    """When the response was created, if that is told."""
    told = body.get("created_at")
    return int(told) if isinstance(told, float) and abs(told) < 1e15 else count(told)


def parts_of_item(item: Mapping[str, JSON]) -> Iterator[Part]:
    """What an *item* of the output says."""
    kind = text(item.get("type"))
    if kind == "message":
        yield from filter(None, map(_said, objects(item.get("content"))))
    elif kind == "reasoning":
        yield thoughts_in(item)
    elif kind in ("function_call", "custom_tool_call"):
        yield call_in(item)
    elif kind:
        yield Opaque(NAME, item)


def thoughts_in(item: Mapping[str, JSON]) -> Reasoning:
    """The thoughts in a reasoning *item* of an answer, without what answers do not need."""
    found = thoughts_of(item)
    return Reasoning(found.text, found.summary, encrypted=found.encrypted, id=found.id)


def call_in(item: Mapping[str, JSON]) -> ToolCall:
    """The call that *item* is."""
    kind = text(item.get("type"))
    words, custom = text(item.get(CALLS[kind])), kind == "custom_tool_call"
    found = text(item.get("call_id")) or text(item.get("id"))
    return ToolCall(found, text(item.get("name")), words, custom, text_or_none(item.get("id")))


def _said(part: Mapping[str, JSON]) -> Part | None:
    if part.get("type") == "output_text":
        return Text(text(part.get("text")), annotations=tuple(objects(part.get("annotations"))))
    refusal = text(part.get("refusal"))
    return Refusal(refusal) if refusal else None


def stop_of(body: Mapping[str, JSON], *, called: bool) -> Stop:
    """Why the response *body* ended."""
    if body.get("status") == "incomplete":
        reason = text(members(body.get("incomplete_details")).get("reason"))
        return Stop(_CUT.get(reason, "other"), told=reason or "incomplete")
    return Stop("tool_calls" if called else "stop", told=text_or_none(body.get("status")))


def tokens_of(usage: JSON) -> Tokens | None:
    """The *usage* of a response."""
    if not isinstance(usage, dict):
        return None
    before, after = members(usage.get("input_tokens_details")), usage.get("output_tokens_details")
    return Tokens(
        count(usage.get("input_tokens")),
        count(usage.get("output_tokens")),
        count(before.get("cached_tokens")),
        count(before.get("cache_write_tokens")),
        count(members(after).get("reasoning_tokens")),
    )


def usage_of(tokens: Tokens) -> dict[str, JSON]:
    """*tokens* as a response tells them."""
    before, after = tokens.input or 0, tokens.output or 0
    details = {"cached_tokens": tokens.cached or 0, "cache_write_tokens": tokens.written or 0}
    return {
        "input_tokens": before,
        "input_tokens_details": details,
        "output_tokens": after,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning or 0},
        "total_tokens": before + after,
    }


def logprobs_of(value: JSON) -> list[dict[str, JSON]]:
    """The log probabilities of *value*, with all that the SDKs rely on."""
    return [
        {**_token(each), "top_logprobs": [_token(top) for top in objects(each.get("top_logprobs"))]}
        for each in objects(listed(value))
    ]


def _token(value: Mapping[str, JSON]) -> dict[str, JSON]:
    token, told = text(value.get("token")), value.get("logprob")
    parts = value.get("bytes")
    return {
        "token": token,
        "bytes": parts if isinstance(parts, list) else list(token.encode("utf-8", "replace")),
        "logprob": told if isinstance(told, float | int) else -9999.0,
    }
