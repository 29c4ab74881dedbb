"""
Parts of a conversation, written as content blocks of Messages.

What has no place there is noted as a loss and left out; an empty text, which the API refuses, says
nothing and is left out without a note.  A file's id is written although it may be another
provider's: that the backend does not know it is an honest error, an answer without the file is not.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from yallmp.dialects.conversation import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.losses import Losses
from yallmp.dialects.messages_words import Block, coded_id, coded_name, input_of
from yallmp.dialects.naming import named, part_named

#: How the base64 of the images begins that the API takes.
_IMAGES = {
    "/9j/": "image/jpeg",
    "iVBORw0KGgo": "image/png",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


@frozen
class Parts:
    """
    Writes the parts of a request.

    :ivar dialect: the client's, whose words the losses are noted in.
    """

    dialect: str
    losses: Losses

    def blocks(self, turn: Turn) -> Iterator[Block]:
        """What *turn* says."""
        for part in turn.parts:
            path = part_named(self.dialect, turn, part)
            block = self._block(part, turn.role, path)
            if block is not None:
                yield block

    def _block(self, part: Part, role: str, path: str) -> Block | None:
        if isinstance(part, Text):
            return self._text(part, path)
        if isinstance(part, Opaque):
            return self._own(part, path)
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text} if part.text else None
        if isinstance(part, Media):
            return self._media(part, path, role == "user")
        if role in ("user", "system", "developer"):
            return self._lost(path)
        return self._other(part, path)

    def _other(self, part: Reasoning | ToolCall | ToolResult, path: str) -> Block | None:
        if isinstance(part, ToolCall):
            return self._call(part, path)
        if isinstance(part, ToolResult):
            return self._result(part, path)
        return self._reasoning(part, path)

    def _lost(self, path: str) -> Block | None:
        self.losses.note(path)
        return None

    def _own(self, part: Opaque, path: str) -> Block | None:
        return dict(part.value) if part.dialect == "messages" else self._lost(path)

    def _with(self, block: Block, cache: Any, extra: Mapping[str, Any], path: str) -> Block:
        """*block* with what else stood there, as far as it has a place."""
        if cache is not None:
            block["cache_control"] = cache
        if self.dialect == "messages":
            block.update(extra)
        else:
            for name in extra:
                self.losses.note(f"{path}.{name}")
        return block

    def _text(self, part: Text, path: str) -> Block | None:
        if not part.text:
            return None
        block: Block = {"type": "text", "text": part.text}
        if part.annotations and self.dialect == "messages":
            block["citations"] = list(part.annotations)
        elif part.annotations:
            self.losses.note(f"{path}.annotations")
        return self._with(block, part.cache, part.extra, path)

    def _reasoning(self, part: Reasoning, path: str) -> Block | None:
        """Only what is signed by this API's own provider is taken back."""
        block: Block
        if part.redacted and part.encrypted:
            block = {"type": "redacted_thinking", "data": part.encrypted}
        elif part.signature:
            block = {"type": "thinking", "thinking": part.text, "signature": part.signature}
        else:
            shown = self.dialect == "chat" and not part.encrypted
            return self._lost("messages[].reasoning_content" if shown else path)
        return self._with(block, None, part.extra, path)

    def _call(self, part: ToolCall, path: str) -> Block:
        block: Block = {
            "type": "tool_use",
            "id": coded_id(part.id),
            "name": coded_name(part.name),
            "input": input_of(part.arguments, part.custom),
        }
        return self._with(block, part.cache, part.extra, path)

    def _result(self, part: ToolResult, path: str) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": coded_id(part.id)}
        inside = named(self.dialect, "result part")
        content = [self._block(each, "user", inside) for each in part.parts]
        written = [each for each in content if each is not None]
        if written:
            block["content"] = written[0]["text"] if is_plain(written) else written
        if part.failed is not None:
            block["is_error"] = part.failed
        return self._with(block, part.cache, part.extra, path)

    def _media(self, part: Media, path: str, has_place: bool) -> Block | None:
        if part.kind not in ("image", "document") or not has_place:
            return self._lost(path)
        if part.detail is not None:
            self.losses.note(f"{path}.detail")
        if self.dialect == "messages" and isinstance(part.extra.get("content"), list):
            block: Block = {"type": "search_result"}
        else:
            block = {"type": part.kind, "source": _source(part)}
        if part.name and part.kind == "document":
            block["title"] = part.name
        elif part.name:
            self.losses.note(f"{path}.filename")
        return self._with(block, part.cache, part.extra, path)


def is_plain(blocks: list[Block]) -> bool:
    """Whether *blocks* are one text and nothing more, which may stand there as such."""
    return len(blocks) == 1 and blocks[0].keys() == {"type", "text"}


def _source(part: Media) -> Block:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    return _data(part)


def _data(part: Media) -> Block:
    data = part.data or ""
    media_type = part.media_type or _guessed(data, part.kind)
    text = _decoded(data) if media_type.startswith("text/") else None
    if text is not None:
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": media_type, "data": data}


def _guessed(data: str, kind: str) -> str:
    """The type of *data* that comes without one."""
    if kind == "document":
        return "application/pdf"
    return next((each for start, each in _IMAGES.items() if data.startswith(start)), "image/png")


def _decoded(data: str) -> str | None:
    try:
        return b64decode(data).decode()
    except (ValueError, binascii.Error):
        return None
