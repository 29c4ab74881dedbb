"""
How deep JSON is nested, found out without building anything of it.

Brackets are counted first: a body with few cannot be deep.  In a sound body with many (a
request with tools) the texts have to be told from the structure; a parser in C cuts it
into its items, level by level, and what is too short or has too few brackets to be deep is
looked at no further (a long body may be cut into millions: there the texts are taken out
instead).  Where brackets are missing in the items (in a key, or in the value of
one that stands twice) the count is all there is.  Of what may be broken JSON only the
brackets are looked at.
"""

from __future__ import annotations

import re
from itertools import chain

from msgspec import Raw, ValidationError
from msgspec.json import Decoder

from yallmp.core.search import has_brackets
from yallmp.core.work import LARGE

_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHER = bytes(byte for byte in range(256) if byte not in b"[]{}")
#: A string, also one that never ends: every text is read once, from front to back.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_ITEMS = Decoder(list[Raw])
_OBJECTS = Decoder(list[dict[str, Raw]])
_VALUES = Decoder(dict[str, Raw])
#: So many levels are cut into items; each means to read what is below it once more.
_CUTS = 6


def is_deeper(value: bytes, most: int, cuts: int = _CUTS) -> bool:
    """
    Whether *value*, one sound JSON value without blanks around it, has more than *most* levels.

    :raises RecursionError: it has a great many.
    """
    if value[:1] == b'"' or not has_brackets(value, most):
        return False
    if not cuts or most < 2 or len(value) > LARGE:
        return looks_deeper(value, most)
    levels, opened, inner = _inside(value)
    if opened + _brackets(b"".join(inner)) != _brackets(value):
        return looks_deeper(value, most)
    left = most - levels
    return any(len(each) > 2 * left and is_deeper(bytes(each), left, cuts - 1) for each in inner)


def _inside(value: bytes) -> tuple[int, int, list[Raw]]:
    """
    How many levels down the inside of *value* is, how many brackets open on the way, and it.

    A list's objects go with it.  Of a key that stands twice only the last value is there.
    """
    if value[:1] == b"{":
        return 1, 1, list(_VALUES.decode(value).values())
    try:
        objects = _OBJECTS.decode(value)
    except ValidationError:
        return 1, 1, _ITEMS.decode(value)
    return 2, 1 + len(objects), list(chain.from_iterable(each.values() for each in objects))


def _brackets(data: bytes) -> int:
    """How many open, in texts and keys too."""
    return data.count(b"[") + data.count(b"{")


def looks_deeper(body: bytes, most: int) -> bool:
    """
    Whether *body*, whatever it is, has more than *most* levels; broken JSON may have none.

    Only the brackets are left of it, all of one kind; each round takes the innermost pairs
    away, so there are as many rounds as levels.
    """
    brackets = _STRING.sub(b"", body).translate(_ALIKE, _OTHER)
    for _ in range(most):
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets) or b"[" * (most + 1) in brackets:
            break
        brackets = inner
    return b"[]" in brackets or b"[" * (most + 1) in brackets
