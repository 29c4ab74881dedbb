"""
Content blocks of Messages, read into parts.

A block of a kind that only this API has (its own tools' uses and results, say) stays as it came;
one whose text another model can do something with is read as a document, what is more in its
``extra``.  Nothing is refused here: a client's blocks were looked at before
(:mod:`yallmp.dialects.messages_requests`), and a backend's cannot be relied on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yallmp.dialects.conversation import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from yallmp.dialects.messages_words import (
    JSON,
    arguments_of,
    decoded_name,
    maybe_text,
    object_of,
    objects_of,
    rest_of,
    text_of,
    thoughts_of,
)

Block = Mapping[str, Any]


def parts_of(content: JSON) -> Iterator[Part]:
    """The parts that *content* (a text, or a list of blocks) has."""
    if isinstance(content, str):
        yield Text(content)
    for block in objects_of(content):
        yield part_of(block)


def part_of(block: Block) -> Part:
    """The part that *block* is."""
    read = _READERS.get(text_of(block.get("type")))
    return Opaque("messages", dict(block)) if read is None else read(block)


def _text(block: Block) -> Text:
    return Text(
        text_of(block.get("text")),
        block.get("cache_control"),
        tuple(objects_of(block.get("citations"))),
        rest_of(block, "type", "text", "cache_control", "citations"),
    )


def _redacted(block: Block) -> Reasoning:
    extra = rest_of(block, "type", "data")
    return Reasoning(encrypted=text_of(block.get("data")), redacted=True, extra=extra)


def _call(block: Block) -> ToolCall:
    return ToolCall(
        text_of(block.get("id")),
        decoded_name(text_of(block.get("name"))),
        arguments_of(block.get("input")),
        cache=block.get("cache_control"),
        extra=rest_of(block, "type", "id", "name", "input", "cache_control"),
    )


def _result(block: Block) -> ToolResult:
    failed = block.get("is_error")
    parts = tuple(parts_of(block.get("content")))
    return ToolResult(
        text_of(block.get("tool_use_id")),
        tuple(each for each in parts if isinstance(each, Text | Media | Opaque)),
        failed if isinstance(failed, bool) else None,
        cache=block.get("cache_control"),
        extra=rest_of(block, "type", "tool_use_id", "content", "is_error", "cache_control"),
    )


def _image(block: Block) -> Part:
    return _media(block, "image", rest_of(block, "type", "source", "cache_control"))


def _document(block: Block) -> Part:
    extra = rest_of(block, "type", "source", "title", "cache_control")
    return _media(block, "document", extra)


def _media(block: Block, kind: str, extra: dict[str, JSON]) -> Part:
    """What a ``source`` leads to; one of an unknown kind stays as it came."""
    source = object_of(block.get("source"))
    says = _source(source)
    if says is None:
        return Opaque("messages", dict(block))
    if source.get("type") == "content":
        extra = {"source": dict(source), **extra}
    name = maybe_text(block.get("title"))
    return Media(kind, **says, name=name, cache=block.get("cache_control"), extra=extra)


def _source(source: Block) -> dict[str, str | None] | None:
    media_type = maybe_text(source.get("media_type"))
    kind = source.get("type")
    if kind == "base64":
        return {"data": text_of(source.get("data")), "media_type": media_type}
    if kind == "url":
        return {"url": text_of(source.get("url"))}
    if kind == "file":
        return {"file_id": text_of(source.get("file_id"))}
    if kind == "text":
        return {"text": text_of(source.get("data")), "media_type": media_type}
    return {"text": _words(source.get("content"))} if kind == "content" else None


def _search_result(block: Block) -> Media:
    """What a search of the client's own found: a document for whoever knows no such thing."""
    return Media(
        "document",
        text=_words(block.get("content")),
        name=maybe_text(block.get("title")),
        cache=block.get("cache_control"),
        extra=rest_of(block, "type", "title", "cache_control"),
    )


def _words(content: JSON) -> str:
    """All text in *content*."""
    if isinstance(content, str):
        return content
    return "\n".join(text_of(each.get("text")) for each in objects_of(content) if "text" in each)


_READERS: Mapping[str, Callable[[Block], Part]] = {
    "text": _text,
    "thinking": thoughts_of,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "tool_result": _result,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
}
