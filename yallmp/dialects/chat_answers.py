"""
Whole answers of chat completions, read and written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.dialects.answer import Answer, Choice
from yallmp.dialects.chat_words import (
    citation_of,
    details_of,
    finish_reason,
    rest_of,
    shown,
    stop_of,
    thoughts_in,
    tokens_in,
    tokens_of,
    usage_of,
)
from yallmp.dialects.conversation import Opaque, Part, Reasoning, Refusal, Text, ToolCall
from yallmp.dialects.loose import count, members, objects, text
from yallmp.interfaces import Occasion

JSON = Any
_KNOWN = ("id", "object", "created", "model", "choices", "usage")


def answer_of(body: Mapping[str, JSON]) -> Answer:
    """The answer that *body* is, as far as it is one."""
    choices = sorted(objects(body.get("choices")), key=lambda each: count(each.get("index")) or 0)
    return Answer(
        "chat",
        text(body.get("id")),
        text(body.get("model")),
        count(body.get("created")),
        tuple(map(_choice, choices)),
        tokens_of(body.get("usage")),
        rest_of(body, *_KNOWN),
    )


def _choice(choice: Mapping[str, JSON]) -> Choice:
    parts = tuple(_parts(members(choice.get("message"))))
    called = any(isinstance(part, ToolCall) for part in parts)
    stop = stop_of(choice.get("finish_reason"), called=called)
    return Choice(parts, stop, tokens_in(choice.get("logprobs")))


def _parts(message: Mapping[str, JSON]) -> Iterator[Part]:
    yield from thoughts_in(message)
    words = _words(message.get("content"))
    cited = tuple(objects(message.get("annotations")))
    if words or cited:
        yield Text(words, annotations=cited)
    if text(message.get("refusal")):
        yield Refusal(text(message["refusal"]))
    if isinstance(message.get("audio"), dict):
        yield Opaque("chat", {"type": "audio", "audio": message["audio"]})
    yield from calls_in(message)


def _words(content: JSON) -> str:
    """The text of a message, which some providers tell in parts."""
    if isinstance(content, list):
        return "".join(text(part.get("text")) for part in objects(content))
    return text(content)


def calls_in(message: Mapping[str, JSON]) -> Iterator[ToolCall]:
    """The calls of a whole message; one without an id gets one."""
    for at, call in enumerate(objects(message.get("tool_calls"))):
        custom = call.get("type") == "custom"
        inner = members(call.get("custom" if custom else "function"))
        words = text(inner.get("input" if custom else "arguments"))
        yield ToolCall(text(call.get("id")) or f"call_{at}", text(inner.get("name")), words, custom)
    called = message.get("function_call")
    if isinstance(called, dict):
        yield ToolCall("call_0", text(called.get("name")), text(called.get("arguments")))


def answer_id(told: str, occasion: Occasion) -> str:
    """The answer's id: the backend's, or one that is made."""
    return told or f"chatcmpl-{occasion.id}"


def whole(answer: Answer, occasion: Occasion) -> dict[str, JSON]:
    """*answer* as a client of chat completions gets it."""
    created = occasion.time if answer.created is None else answer.created
    body: dict[str, JSON] = {
        "id": answer_id(answer.id, occasion),
        "object": "chat.completion",
        "created": created,
        "model": answer.model or occasion.model,
        "choices": [_written(choice, at) for at, choice in enumerate(answer.choices)],
    }
    if answer.tokens is not None:
        body["usage"] = usage_of(answer.tokens)
    return body | (dict(answer.extra) if answer.dialect == "chat" else {})


def _written(choice: Choice, number: int) -> dict[str, JSON]:
    calls = [call_of(part) for part in choice.parts if isinstance(part, ToolCall)]
    logprobs = {"content": choice.logprobs, "refusal": None} if choice.logprobs else None
    return {
        "index": number,
        "message": _message(choice.parts, calls),
        "logprobs": logprobs,
        "finish_reason": finish_reason(choice.stop, called=bool(calls)),
    }


def _message(parts: tuple[Part, ...], calls: list[dict[str, JSON]]) -> dict[str, JSON]:
    texts = [part for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    message: dict[str, JSON] = {
        "role": "assistant",
        "content": "".join(part.text for part in texts) or (None if calls or refusals else ""),
        "refusal": "".join(refusals) or None,
    }
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    message |= _thoughts(thoughts)
    cited = [citation_of(value) for part in texts for value in part.annotations]
    if any(cited):
        message["annotations"] = [each for each in cited if each]
    for part in parts:
        if isinstance(part, Opaque) and part.dialect == "chat":
            message["audio"] = part.value.get("audio")
    return message | ({"tool_calls": calls} if calls else {})


def _thoughts(thoughts: list[Reasoning]) -> dict[str, JSON]:
    told = "".join(map(shown, thoughts))
    details = details_of(thoughts)
    written: dict[str, JSON] = {"reasoning_content": told} if told else {}
    return written | ({"reasoning_details": details} if details else {})


def call_of(call: ToolCall) -> dict[str, JSON]:
    """A call as a client gets it."""
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}
