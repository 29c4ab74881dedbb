"""
How many tokens a request has, without asking anybody: an estimate.

Every model cuts text in its own way, and the tables for that are megabytes that change with each
model.  Yet they all do much the same: a word that is frequent is one token with the blank before
it, a long or rare one is a few, digits go by up to three, marks are one each or two together,
indentation is one, and scripts without blanks are about one token a character.  So text is cut into
such pieces, and each is given what it takes on average.

Images are what the rule of the API says: their pixels, by 750, once they are scaled down to what it
looks at.  The size stands in the first bytes of the data; where only an address is known, the
largest is assumed.  Of a document only the size in bytes is known.

What it comes to is rather too much than too little: whoever asks wants to know whether something
fits.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from yallmp.dialects.conversation import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Request,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)

#: What stands around a message, a call, a result and a tool.
AROUND = 4
#: What a request with tools is told about how to use them.
TOOLS = 300
#: An image whose size is not known; it is also the most that one takes.
IMAGE = 1600
#: Bytes of a document, or of a sound, that make a token.
BYTES = 25
#: The longest edge, in pixels, that is looked at.
_EDGE = 1568

_PIECES = re.compile(
    r"(?P<word>[A-Za-z]+(?:'[a-z]{1,2}\b)?)"
    r"|(?P<digits>[0-9]+)"
    r"|(?P<blanks>[ \t\r\n]+)"
    r"|(?P<marks>[!-/:-@\[-`{-~]+)"
    r"|(?P<letters>[\u00aa-\u1fff\u2c00-\u2dff]+)"
    r"|(?P<signs>[\u2000-\uffff]+|[\U00010000-\U0010ffff]+)"
    r"|(?P<others>.)",
    re.DOTALL,
)


def estimated_tokens(request: Request) -> int:
    """About how many tokens the input of *request* has."""
    turns = sum(map(_turn, request.turns))
    tools = sum(map(_tool, request.tools)) + (TOOLS if request.tools else 0)
    form = request.format.schema if request.format is not None else None
    return max(1, turns + tools + (json_tokens(form) if form is not None else 0))


def text_tokens(text: str) -> int:
    """About how many tokens *text* is."""
    return round(sum(_COUNTS[found.lastgroup or ""](found[0]) for found in _PIECES.finditer(text)))


def json_tokens(value: Any) -> int:
    """The same for *value* as JSON."""
    return text_tokens(json.dumps(value, ensure_ascii=False))


def _word(text: str) -> float:
    """Up to eight letters are mostly one token; longer ones and those in capitals are more."""
    if text.isupper() and len(text) > 2:
        return len(text) / 2.5
    humps = sum(1 for letter in text[1:] if letter.isupper())
    return 1 + humps + max(0, len(text) - 8 - 3 * humps) / 5


def _blanks(text: str) -> float:
    """One blank belongs to the word behind it; lines and indentation are tokens of their own."""
    return 0.0 if text == " " else 1.0 + len(text) / 40


_COUNTS = {
    "word": _word,
    "digits": lambda text: 0.3 - (-len(text) // 3),
    "blanks": _blanks,
    "marks": lambda text: 0.4 + 0.5 * len(text),
    "letters": lambda text: 0.5 + len(text) / 2.5,
    "signs": lambda text: 1.0 * len(text) + (len(text) if ord(text[0]) > 0xFFFF else 0),
    "others": lambda text: 1.0,
}


def _turn(turn: Turn) -> int:
    return AROUND + _parts(turn.parts) + text_tokens(turn.name or "")


def _parts(parts: Iterable[Part]) -> int:
    return sum(map(_part, parts))


def _part(part: Part) -> int:
    if isinstance(part, ToolCall):
        return 2 * AROUND + text_tokens(part.name) + text_tokens(part.arguments)
    if isinstance(part, ToolResult):
        return 2 * AROUND + _parts(part.parts)
    if isinstance(part, Media):
        return _media(part)
    if isinstance(part, Opaque):
        return json_tokens(part.value)
    return _thoughts(part) if isinstance(part, Reasoning) else text_tokens(part.text)


def _thoughts(part: Reasoning) -> int:
    """Hidden ones are longer than what they hide: base64 of it, and more."""
    said = text_tokens(part.text) + sum(map(text_tokens, part.summary))
    return said or len(part.encrypted or "") // 6


def _tool(tool: Tool) -> int:
    if tool.value is not None:
        return AROUND + json_tokens(tool.value)
    told = text_tokens(tool.name) + text_tokens(tool.description or "")
    return 3 * AROUND + told + json_tokens(tool.schema or {})


def _media(part: Media) -> int:
    if part.text is not None:
        return AROUND + text_tokens(part.text) + text_tokens(part.name or "")
    if part.kind == "image":
        return image_tokens(part.data) if part.data is not None else IMAGE
    size = len(part.data) * 3 // 4 if part.data is not None else 0
    return max(IMAGE, size // BYTES)


def image_tokens(data: str) -> int:
    """What an image takes that is *data* in base64."""
    size = _size(data)
    if size is None or 0 in size:
        return IMAGE
    width, height = size
    scale = min(1.0, _EDGE / max(width, height))
    return max(1, min(IMAGE, round(width * scale * height * scale / 750)))


def _size(data: str) -> tuple[int, int] | None:
    """Width and height, which stand at the beginning of every kind but JPEG."""
    try:
        head = b64decode(data[:400_000][: len(data[:400_000]) // 4 * 4])
    except ValueError:
        return None
    if head.startswith(b"\x89PNG") and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith(b"GIF8") and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return _webp_size(head) if head[8:12] == b"WEBP" else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """The frame's, which comes behind other segments."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        mark = head[at + 1]
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            height, width = head[at + 5 : at + 7], head[at + 7 : at + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        at += 2 + max(2, int.from_bytes(head[at + 2 : at + 4], "big"))
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if len(head) < 30:
        return None
    if kind == b"VP8X":
        low = int.from_bytes(head[24:27], "little"), int.from_bytes(head[27:30], "little")
        return low[0] + 1, low[1] + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = head[26:28], head[28:30]
    return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
