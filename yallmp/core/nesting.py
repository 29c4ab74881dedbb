"""
How deep JSON is nested, found out without building anything of it.

Brackets are counted first: a body with few cannot be deep.  In a sound body with many (a
request with tools) the texts have to be told from the structure; a parser in C cuts it
into its items, level by level, and what is too short or has too few brackets to be deep is
looked at no further.  Of what may be broken JSON only the brackets are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain

from msgspec import Raw, ValidationError
from msgspec.json import Decoder

from yallmp.core.search import has_brackets

_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHER = re.compile(rb"[^\[\]]+")
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
    if not cuts or most < 2:
        return looks_deeper(value, most)
    levels, inner = _inside(value)
    left = most - levels
    return any(len(each) > 2 * left and is_deeper(bytes(each), left, cuts - 1) for each in inner)


def _inside(value: bytes) -> tuple[int, Iterable[Raw]]:
    """What stands inside *value*, and how many levels down; a list's objects go with it."""
    if value[:1] == b"{":
        return 1, _VALUES.decode(value).values()
    try:
        return 2, chain.from_iterable(each.values() for each in _OBJECTS.decode(value))
    except ValidationError:
        return 1, _ITEMS.decode(value)


def looks_deeper(body: bytes, most: int) -> bool:
    """
    Whether *body*, whatever it is, has more than *most* levels; broken JSON may have none.

    Only the brackets are left of it, all of one kind; each round takes the innermost pairs
    away, so there are as many rounds as levels.
    """
    brackets = _OTHER.sub(b"", _STRING.sub(b"", body).translate(_ALIKE))
    for _ in range(most):
        inner = brackets.replace(b"[]", b"")
        if len(inner) == len(brackets) or b"[" * (most + 1) in brackets:
            break
        brackets = inner
    return b"[]" in brackets or b"[" * (most + 1) in brackets
