"""
What chat completions say beside the text: why they end, what was used, what has to come back.

Source: OpenAI's API reference; for ``reasoning_details``, OpenRouter's, which is where clients keep
what a provider wants to have back (a signature, a ciphertext) and return it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from yallmp.dialects.answer import Stop, Tokens
from yallmp.dialects.conversation import Reasoning
from yallmp.dialects.loose import (
    count,
    known,
    listed,
    members,
    objects,
    text,
    text_or_none,
    without,
)

JSON = Any
_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_FINISH = {
    "stop_sequence": "stop",
    "length": "length",
    "context": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
_COUNTED = ("prompt_tokens", "completion_tokens", "total_tokens")


def stop_of(reason: JSON, *, called: bool) -> Stop | None:
    """
    Why a choice ended with the ``finish_reason`` *reason*.

    :param called: whether a tool was; some backends say ``stop`` all the same.
    """
    told = text_or_none(reason)
    if told is None:
        return None
    found = _REASONS.get(told, "other")
    return Stop("tool_calls" if found == "stop" and called else found, None, told)


def finish_reason(stop: Stop | None, *, called: bool) -> str:
    """The reason that a client is told."""
    if stop is None or stop.reason in ("stop", "other", "pause"):
        return "tool_calls" if called else "stop"
    return _FINISH.get(stop.reason, "stop")


def tokens_of(usage: JSON) -> Tokens | None:
    """What *usage* says, in OpenAI's spelling or DeepSeek's."""
    told = members(usage)
    into, out = members(told.get("prompt_tokens_details")), told.get("completion_tokens_details")
    cached = count(into.get("cached_tokens"))
    tokens = Tokens(
        count(told.get("prompt_tokens")),
        count(told.get("completion_tokens")),
        count(told.get("prompt_cache_hit_tokens")) if cached is None else cached,
        count(into.get("cache_write_tokens")),
        count(members(out).get("reasoning_tokens")),
    )
    return None if tokens == Tokens() else tokens


def usage_of(tokens: Tokens) -> dict[str, JSON]:
    """The usage that a client is told."""
    read, wrote = tokens.input or 0, tokens.output or 0
    usage: dict[str, JSON] = dict(zip(_COUNTED, (read, wrote, read + wrote), strict=True))
    details = known(cached_tokens=tokens.cached, cache_write_tokens=tokens.written)
    if details:
        usage["prompt_tokens_details"] = details
    if tokens.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
    return usage


def thoughts_in(message: Mapping[str, JSON]) -> list[Reasoning]:
    """What was thought before *message*, which its ``reasoning_details`` tell best."""
    details = [_thought(each) for each in objects(message.get("reasoning_details"))]
    shown = text(message.get("reasoning_content")) or text(message.get("reasoning"))
    told = any(each.text or each.summary for each in details)
    return details if told or not shown else [Reasoning(shown), *details]


def _thought(detail: Mapping[str, JSON]) -> Reasoning:
    kind, id_ = detail.get("type"), text_or_none(detail.get("id"))
    if kind == "reasoning.encrypted":
        redacted = detail.get("format") == "anthropic"
        return Reasoning(encrypted=text_or_none(detail.get("data")), id=id_, redacted=redacted)
    if kind == "reasoning.summary":
        return Reasoning(summary=(text(detail.get("summary")),), id=id_)
    return Reasoning(text(detail.get("text")), signature=text_or_none(detail.get("signature")))


def details_of(parts: Iterable[Reasoning]) -> list[dict[str, JSON]]:
    """The ``reasoning_details`` of *parts*, as far as something of them must come back."""
    found: list[dict[str, JSON]] = []
    for part in parts:
        found += [{**detail, "index": len(found) + at} for at, detail in enumerate(_details(part))]
    return found


def _details(part: Reasoning) -> list[dict[str, JSON]]:
    if not (part.signature or part.encrypted):
        return []
    details: list[dict[str, JSON]] = []
    if part.text or part.signature:
        signed = known(signature=part.signature)
        details.append({"type": "reasoning.text", "text": part.text, **signed})
    details += [{"type": "reasoning.summary", "summary": each} for each in part.summary]
    if part.encrypted:
        marks = known(id=part.id, format="anthropic" if part.redacted else None)
        details.append({"type": "reasoning.encrypted", "data": part.encrypted, **marks})
    return details


def shown(part: Reasoning) -> str:
    """What is shown of thoughts: the text, else the summary."""
    return part.text or "\n\n".join(part.summary)


def citation_of(value: JSON) -> dict[str, JSON] | None:
    """An annotation of any dialect as chat completions have it, if it cites a page."""
    told = members(value)
    if told.get("type") == "url_citation" and isinstance(told.get("url_citation"), dict):
        return dict(told)
    url = text_or_none(told.get("url"))
    if url is None:
        return None
    start, end = count(told.get("start_index")) or 0, count(told.get("end_index")) or 0
    cited = {"url": url, "title": text(told.get("title")), "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": cited}


def rest_of(value: Mapping[str, JSON], *names: str) -> dict[str, JSON]:
    """What *value* has beside *names*; what is ``null`` says nothing."""
    left = without(value, *names)
    return {name: member for name, member in left.items() if member is not None}


def tokens_in(logprobs: JSON) -> list[JSON] | None:
    """The logprobs of the text, as a list of tokens."""
    found = listed(members(logprobs).get("content"))
    return found or None
