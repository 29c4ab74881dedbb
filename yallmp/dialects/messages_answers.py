"""
Whole answers of Messages, read and written.

What is written is what a stream of the same answer would come to
(:mod:`yallmp.dialects.messages_writing`); so both leave out what says nothing, and what has no
place in a message: pictures, and parts that only another API knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.dialects.answer import Answer, Choice
from yallmp.dialects.conversation import (
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from yallmp.dialects.messages_blocks import parts_of
from yallmp.dialects.messages_usage import (
    refusal_of,
    stop_of,
    stop_reason,
    stop_sequence,
    tokens_of,
    usage_of,
)
from yallmp.dialects.messages_words import (
    Block,
    coded_id,
    input_of,
    object_of,
    rest_of,
    signature_of,
    text_of,
    thinking_of,
)
from yallmp.dialects.sealed import sealed
from yallmp.interfaces import Occasion

_KNOWN = (
    "id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details",
    "usage",
)  # fmt: skip
_OWN_CITATIONS = frozenset(
    (
        "char_location",
        "page_location",
        "content_block_location",
        "web_search_result_location",
        "search_result_location",
    )
)


def answer_of(body: Mapping[str, Any]) -> Answer:
    """The answer that *body* is."""
    parts = tuple(parts_of(body.get("content")))
    refusal = refusal_of(body)
    choice = Choice(parts if refusal is None else (*parts, refusal), stop_of(body))
    return Answer(
        "messages",
        text_of(body.get("id")),
        text_of(body.get("model")),
        None,
        (choice,),
        tokens_of(object_of(body.get("usage"))),
        rest_of(body, *_KNOWN),
    )


def whole_of(answer: Answer, occasion: Occasion) -> dict[str, Any]:
    """*answer* as a client of Messages gets it; of several choices, the first."""
    choice = answer.choices[0] if answer.choices else Choice()
    called = any(isinstance(part, ToolCall) for part in choice.parts)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    return {
        **head_of(answer.id, answer.model, occasion),
        "content": [block for part in choice.parts for block in blocks_of(part)],
        "stop_reason": stop_reason(choice.stop, called=called, refused=refused),
        "stop_sequence": stop_sequence(choice.stop),
        "usage": usage_of(answer.tokens),
    }


def head_of(name: str, model: str, occasion: Occasion) -> dict[str, Any]:
    """What stands before the content of an answer."""
    own = name if name.startswith("msg_") else f"msg_{occasion.id}"
    return {"id": own, "type": "message", "role": "assistant", "model": model or occasion.model}


def blocks_of(part: Part) -> Iterator[Block]:
    """The blocks that a *part* of an answer makes."""
    if isinstance(part, Text | Refusal):
        yield from _text(part)
    elif isinstance(part, Reasoning):
        yield from _thoughts(part)
    elif isinstance(part, ToolCall):
        yield {**call_block(part.id, part.name), "input": input_of(part.arguments, part.custom)}
    elif isinstance(part, Opaque) and part.dialect == "messages":
        yield dict(part.value)


def _text(part: Text | Refusal) -> Iterator[Block]:
    if not part.text:
        return
    block: Block = {"type": "text", "text": part.text}
    told = part.annotations if isinstance(part, Text) else ()
    citations = [each for each in map(citation_of, told) if each is not None]
    yield {**block, "citations": citations} if citations else block


def _thoughts(part: Reasoning) -> Iterator[Block]:
    thinking = thinking_of(part)
    hidden = part.redacted and part.encrypted
    if thinking or (not hidden and (part.signature or part.encrypted or part.id)):
        shown = Reasoning(part.text, part.summary) if hidden else part
        yield {"type": "thinking", "thinking": thinking, "signature": signature_of(shown)}
    if hidden:
        yield {"type": "redacted_thinking", "data": part.encrypted}


def call_block(name: str, tool: str) -> Block:
    """The block of a call, without its input."""
    return {"type": "tool_use", "id": coded_id(name), "name": tool, "input": {}}


def citation_of(value: Any) -> Block | None:
    """An annotation of any dialect as a citation, if it is one of a page."""
    told = object_of(value)
    if told.get("type") in _OWN_CITATIONS:
        return dict(told)
    told = object_of(told.get("url_citation")) or told
    url = told.get("url")
    if not isinstance(url, str):
        return None
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": text_of(told.get("title")) or None,
        "cited_text": "",
        "encrypted_index": sealed({}),
    }
