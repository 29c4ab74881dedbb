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

_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHER = re.compile(rb"[^\[\]]+")
#: A string, also one that never ends: every text is read once, from front to back.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_ITEMS = Decoder(list[Raw])
_OBJECTS = Decoder(list[dict[str, Raw]])
_VALUES = Decoder(dict[str, Raw])
#: Bytes that are counted in less time than it takes to look for some of them.
_SHORT = 4096
#: So many levels are cut into items; each means to read what is below it once more.
_CUTS = 6


def has_brackets(body: bytes, more_than: int) -> bool:
    """
    Whether so many opening brackets stand in *body*, in texts or not.

    In a long body from one to the next: a byte is found much faster than all are counted.
    """
    if len(body) < _SHORT:
        return body.count(b"[") + body.count(b"{") > more_than
    found = 0
    for bracket in (b"[", b"{"):
        at = body.find(bracket)
        while at >= 0:
            found += 1
            if found > more_than:
                return True
            at = body.find(bracket, at + 1)
    return False


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
