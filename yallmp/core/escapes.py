"""
Text that others control, made harmless in one line of ours.

A header's value, a model's name or an error message may hold line breaks, terminal
sequences or characters that turn the direction of text.  :func:`escape` writes any bytes
as one line of readable UTF-8, reversibly (:func:`unescape`); :func:`visible` does the
like for text that goes to a terminal, where line breaks are meant.

>>> escape(b"a\\n\\xff\\x1b[2J")
b'a\\\\n\\\\xff\\\\x1b[2J'
"""

from __future__ import annotations

import re

#: C0, DEL and C1, line and paragraph separators, and whatever changes the direction of
#: text or cannot be seen (Unicode, UAX #9 and "Trojan Source", CVE-2021-42574).
_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
_UNSEEN = re.compile(f"[{_HIDDEN}\\\\\ud800-\udfff]")
_UNSEEN_ON_TERMINAL = re.compile(f"[{_HIDDEN}\ud800-\udfff]")
_ESCAPED = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([\\nrt])|)")
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
#: Bytes that may need an escape; text without them is passed on as it is.
_SUSPECT = bytes([*range(0x20), 0x5C, *range(0x7F, 0x100)])


def suspects(data: bytes) -> int:
    """How many bytes of *data* may need an escape: all that are no visible ASCII, and ``\\``."""
    return len(data) - len(data.translate(None, _SUSPECT))


def is_plain(data: bytes) -> bool:
    """Whether *data* certainly needs no escape; false for any that is not ASCII."""
    return not suspects(data)


def escape(data: bytes) -> bytes:
    """*data* as one line of UTF-8 without control characters."""
    if is_plain(data):
        return data
    return _UNSEEN.sub(_escaped, data.decode("utf-8", "surrogateescape")).encode()


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in _SHORT:
        return _SHORT[character]
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def unescape(line: bytes) -> bytes:
    """
    What :func:`escape` made *line* of.

    :raises ValueError: a backslash with something behind it that is no escape.
    """
    return _ESCAPED.sub(_unescaped, line) if b"\\" in line else line


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return bytes([int(found[1], 16)])
    if not found[2]:
        raise ValueError(f"a backslash without an escape at byte {found.start()}")
    return _LONG[found[2]]


def escape_text(text: str) -> str:
    """*text* as one line without control characters."""
    return escape(text.encode("utf-8", "surrogatepass")).decode()


def visible(text: str) -> str:
    """*text* for a terminal: line breaks and tabs stay, what could act on it is escaped."""
    return _UNSEEN_ON_TERMINAL.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    return character if character in "\n\t" else ascii(character)[1:-1]
