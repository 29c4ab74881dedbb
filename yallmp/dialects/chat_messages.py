"""
Turns, written as messages of chat completions.

An assistant's message holds its words in one place and its calls in another, so that their order
among each other is not kept; thoughts go along as ``reasoning_content``.  A tool's message has only
text: what else a tool gave is put into a message of the user behind it, which says whose it is.

The role ``developer`` is OpenAI's own: a developer of another dialect speaks as the system, which
every server knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve, frozen

from yallmp.dialects.chat_words import details_of, shown
from yallmp.dialects.conversation import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.customs import input_as_arguments
from yallmp.dialects.losses import Losses
from yallmp.dialects.naming import named, part_named

JSON = Any
Message = dict[str, JSON]


def _joined(turns: Iterable[Turn]) -> list[Turn]:
    """*turns*, where the model speaks once and not twice: its calls must not be parted."""
    joined: list[Turn] = []
    for turn in turns:
        last = joined[-1] if joined else None
        if last is not None and turn.role == last.role == "assistant":
            extra = {**last.extra, **turn.extra}
            joined[-1] = evolve(last, parts=(*last.parts, *turn.parts), extra=extra)
        else:
            joined.append(turn)
    return joined


@frozen
class Messages:
    """
    Writes the messages of *request*.

    :ivar losses: what has no place in them.
    """

    request: Request
    losses: Losses

    @property
    def _own(self) -> bool:
        return self.request.dialect == "chat"

    def written(self) -> list[Message]:
        """All of them."""
        turns = self.request.turns if self._own else _joined(self.request.turns)
        return [message for turn in turns for message in self._turn(turn)]

    def _turn(self, turn: Turn) -> Iterator[Message]:
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        yield from self._results(turn, results)
        others = tuple(part for part in turn.parts if not isinstance(part, ToolResult))
        if not others and (results or not self._own):
            return
        role = "system" if turn.role == "developer" and not self._own else turn.role
        message: Message = {"role": role, **({"name": turn.name} if turn.name else {})}
        if turn.role == "assistant":
            message |= self._said(turn, others)
        else:
            message["content"] = self._content(turn, others)
        if self._own:
            message |= turn.extra
        else:
            self._lost(named(self.request.dialect, "message"), turn.extra)
        yield message

    def _lost(self, path: str, extra: Any) -> None:
        for name in extra:
            self.losses.note(f"{path}.{name}")

    def _results(self, turn: Turn, results: list[ToolResult]) -> Iterator[Message]:
        """A message for each result; media behind the last, for no other may stand between."""
        behind: list[JSON] = []
        for result in results:
            path = part_named(self.request.dialect, turn, result)
            texts = tuple(part for part in result.parts if not isinstance(part, Media))
            media = [part for part in result.parts if isinstance(part, Media)]
            content = self._content(turn, texts)
            if result.failed and not self._own:
                self.losses.note(f"{path}.is_error")
            message: Message = {"role": "tool", "tool_call_id": result.id, "content": content}
            yield message | self._with(result.cache, result.extra, path)
            if media:
                behind.append({"type": "text", "text": f"The tool's result {result.id} shows:"})
                behind += [each for part in media for each in self._part(turn, part)]
        if behind:
            yield {"role": "user", "content": behind}

    def _said(self, turn: Turn, parts: tuple[Part, ...]) -> Message:
        """What an assistant thought, said and wanted."""
        message: Message = {"content": None}
        thoughts = [part for part in parts if isinstance(part, Reasoning)]
        calls = [self._call(turn, part) for part in parts if isinstance(part, ToolCall)]
        said = tuple(part for part in parts if isinstance(part, Text | Media | Opaque))
        refusals = [part.text for part in parts if isinstance(part, Refusal)]
        words = self._content(turn, said) if said else None
        message["content"] = words or None
        if refusals:
            message["refusal"] = "".join(refusals)
        if thoughts:
            message |= self._thoughts(turn, thoughts)
        if calls:
            message["tool_calls"] = calls
        elif words is None and not refusals:
            message["content"] = ""
        return message

    def _thoughts(self, turn: Turn, thoughts: list[Reasoning]) -> Message:
        """What is shown of them; what has to come back only where it came from chat."""
        text = "\n\n".join(filter(None, map(shown, thoughts)))
        written: Message = {"reasoning_content": text} if text else {}
        details = details_of(thoughts)
        if details and self._own:
            written["reasoning_details"] = details
        elif details:
            self.losses.note(part_named(self.request.dialect, turn, thoughts[0]))
        return written

    def _call(self, turn: Turn, call: ToolCall) -> Message:
        words = call.arguments
        if call.custom and self._own:
            written: Message = {"type": "custom", "custom": {"name": call.name, "input": words}}
        else:
            words = input_as_arguments(words) if call.custom else words or "{}"
            written = {"type": "function", "function": {"name": call.name, "arguments": words}}
        path = part_named(self.request.dialect, turn, call)
        return {"id": call.id, **written, **self._with(call.cache, call.extra, path)}

    def _with(self, cache: JSON, extra: Any, path: str) -> Message:
        """What else stood there, if it may."""
        if self._own:
            return {**({"cache_control": cache} if cache is not None else {}), **extra}
        if cache is not None:
            self.losses.note(f"{path}.cache_control")
        self._lost(path, extra)
        return {}

    def _content(self, turn: Turn, parts: tuple[Part, ...]) -> JSON:
        """The *parts*: one text as it is, all else as a list."""
        written = [each for part in parts for each in self._part(turn, part)]
        plain = len(written) == 1 and written[0].keys() == {"type", "text"}
        return written[0]["text"] if plain else (written or "")

    def _part(self, turn: Turn, part: Part) -> Iterator[Message]:
        path = part_named(self.request.dialect, turn, part)
        if isinstance(part, Text):
            yield self._text(part, path)
        elif isinstance(part, Media):
            yield from self._media(part, path)
        elif isinstance(part, Refusal):
            yield {"type": "text", "text": part.text}
        elif isinstance(part, Opaque) and part.dialect == "chat":
            yield part.value
        else:
            self.losses.note(path)

    def _text(self, part: Text, path: str) -> Message:
        if part.annotations:
            self.losses.note(f"{path}.annotations")
        return {"type": "text", "text": part.text, **self._with(part.cache, part.extra, path)}

    def _media(self, part: Media, path: str) -> Iterator[Message]:
        inner = _source(part)
        if inner is None:
            self.losses.note(path)
            return
        kind, value = inner
        more = self._with(part.cache, part.extra, path)
        cache = {"cache_control": more.pop("cache_control")} if "cache_control" in more else {}
        yield {"type": kind, kind: {**value, **more} if kind != "text" else value, **cache}


def _source(part: Media) -> tuple[str, JSON] | None:
    """The kind of part that *part* is, and what it holds; ``None`` if it cannot be had."""
    if part.text is not None:
        return "text", f"{part.name}:\n{part.text}" if part.name else part.text
    if part.kind == "audio" and part.data is not None:
        form = (part.media_type or "audio/wav").partition("/")[2]
        return "input_audio", {"data": part.data, "format": form}
    if part.kind == "document":
        return _file(part)
    url = part.url if part.data is None else f"data:{_type(part)};base64,{part.data}"
    if url is None or part.kind == "audio":
        return None
    detail = {"detail": part.detail} if part.detail is not None else {}
    return f"{part.kind}_url", {"url": url, **detail}


def _type(part: Media) -> str:
    return part.media_type or ("image/png" if part.kind == "image" else "video/mp4")


def _file(part: Media) -> tuple[str, JSON] | None:
    """A file by its data or its id; one that only has an address cannot be had."""
    name = {"filename": part.name} if part.name is not None else {}
    if part.file_id is not None:
        return "file", {"file_id": part.file_id, **name}
    if part.data is None:
        return None
    known = f"data:{part.media_type};base64,{part.data}" if part.media_type else part.data
    return "file", {"file_data": known, **(name or {"filename": "document"})}
