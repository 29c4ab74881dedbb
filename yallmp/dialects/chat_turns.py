"""
Messages of chat completions, read as turns.

A message of the role ``tool`` (or ``function``, as it once was) is a result of its own; thoughts,
words, refusals and calls of an assistant's message become its parts in this order, since chat
completions know no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from yallmp.dialects.chat_words import thoughts_in
from yallmp.dialects.conversation import (
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.members import Members, wrong

JSON = Any
_DATA = re.compile(r"data:([\w.+/-]+);base64,(.*)", re.DOTALL)
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def turn_of(message: JSON, path: str) -> Turn:
    """
    The turn that *message* is.

    :raises RequestFault: it is none.
    """
    told = Members.of(message, path)
    role = told.needed("role")
    if role not in _ROLES:
        raise wrong(told.at("role"), "one of " + ", ".join(_ROLES))
    if role in ("tool", "function"):
        return _result(told, role)
    name = told.text("name")
    parts = tuple(_said(told) if role == "assistant" else _content(told))
    return Turn(role, parts, name, extra=told.rest())


def _result(told: Members, role: str) -> Turn:
    """A result; once they were found by the function's name."""
    name = told.text("name")
    found = told.needed("tool_call_id") if role == "tool" else f"call_{name}"
    kept = tuple(p for p in _content(told) if isinstance(p, Text | Media | Opaque))
    cache = told.take("cache_control")
    return Turn("tool", (ToolResult(found, kept, cache=cache, extra=told.rest()),))


def _said(told: Members) -> Iterator[Part]:
    """What an assistant thought, said and wanted."""
    names = ("reasoning_content", "reasoning", "reasoning_details")
    yield from thoughts_in({name: told.take(name) for name in names})
    yield from _content(told)
    refusal = told.text("refusal")
    if refusal:
        yield Refusal(refusal)
    if told.has("audio"):
        yield Opaque("chat", {"type": "audio", "audio": told.take("audio")})
    for at, call in enumerate(told.listed("tool_calls")):
        yield _call(Members.of(call, f"{told.at('tool_calls')}[{at}]"))
    if told.has("function_call"):
        called = told.within("function_call")
        name = called.needed("name")
        yield ToolCall(f"call_{name}", name, called.text("arguments") or "")


def _call(told: Members) -> ToolCall:
    kind, found = told.text("type") or "function", told.text("id") or ""
    inner = told.within("custom" if kind == "custom" else "function")
    name = inner.needed("name")
    words = inner.text("input" if kind == "custom" else "arguments") or ""
    return ToolCall(found, name, words, custom=kind == "custom", extra=told.rest())


def _content(told: Members) -> Iterator[Part]:
    content = told.take("content")
    if isinstance(content, str):
        if content:
            yield Text(content)
    elif isinstance(content, list):
        for at, part in enumerate(content):
            yield _part(part, f"{told.at('content')}[{at}]")
    elif content is not None:
        raise wrong(told.at("content"), "a string or a list of parts")


def _part(part: JSON, path: str) -> Part:
    told = Members.of(part, path)
    kind = told.needed("type")
    if kind == "text":
        return Text(told.needed("text"), told.take("cache_control"), extra=told.rest())
    if kind == "refusal":
        return Refusal(told.needed("refusal"))
    if kind not in ("image_url", "video_url", "input_audio", "file"):
        return Opaque("chat", part)
    inner, cache = told.within(kind), told.take("cache_control")
    return _media(kind, inner, cache)


def _media(kind: str, told: Members, cache: JSON) -> Media:
    if kind == "input_audio":
        data, form = told.needed("data"), told.text("format") or "wav"
        return Media("audio", f"audio/{form}", data, cache=cache, extra=told.rest())
    if kind == "file":
        return _file(told, cache)
    what, url, detail = kind.removesuffix("_url"), told.needed("url"), told.text("detail")
    found = _DATA.fullmatch(url)
    if found is None:
        return Media(what, url=url, detail=detail, cache=cache, extra=told.rest())
    return Media(what, found[1], found[2], detail=detail, cache=cache, extra=told.rest())


def _file(told: Members, cache: JSON) -> Media:
    media_type, data = _data_in(told.text("file_data"))
    file_id, name = told.text("file_id"), told.text("filename")
    extra = told.rest()
    return Media("document", media_type, data, file_id=file_id, name=name, cache=cache, extra=extra)


def _data_in(text: str | None) -> tuple[str | None, str | None]:
    """The type and the base64 in a file's data, which may be a URL."""
    found = _DATA.fullmatch(text) if text is not None else None
    return (found[1], found[2]) if found is not None else (None, text)
