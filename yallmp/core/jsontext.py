"""
A JSON object read patiently: what cannot be read in the quick way ends here.

Every refusal is found and worded here, with its place; so are the odd spellings that are
allowed all the same (lone surrogates, keys with escapes).  Python's own decoder reads one
value after another; :mod:`yallmp.core.jsonbody` does the same at a fraction of the cost
for what is beyond doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NoReturn

from yallmp.core.digits import Decoder
from yallmp.core.errors import DuplicateKey, InvalidJSON
from yallmp.core.nesting import looks_deeper
from yallmp.core.search import has_brackets

MAX_DEPTH = 64
#: Top-level keys; no API has as many.
MAX_MEMBERS = 1000

#: So much of a key is told.
_SHOWN = 100

#: Where a member's value begins, and where it ends.
Place = tuple[int, int]

_SPACE = re.compile(r"[ \t\n\r]*")


def _no_constant(name: str) -> NoReturn:
    raise InvalidJSON(f"The body contains {name}, which JSON does not have.")


_DECODER = Decoder(parse_constant=_no_constant)


def places_in(body: bytes) -> tuple[dict[str, Place], int]:
    """
    Where the members of the object *body* stand, and where it opens; counted in bytes.

    :raises InvalidJSON: not UTF-8, not JSON, not an object, nested too deeply.
    :raises DuplicateKey: a top-level key stands twice.
    """
    text = _text(body)
    open_at = _opening(text)
    if has_brackets(body, MAX_DEPTH) and looks_deeper(body, MAX_DEPTH):
        raise _too_deep()
    places: dict[str, Place] = {}
    for key, place in _members(text, open_at):
        if key in places:
            shown = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…"
            raise DuplicateKey(f"The body has the key {shown!r} twice.", param=shown)
        if len(places) == MAX_MEMBERS:
            raise InvalidJSON(f"The body has more than {MAX_MEMBERS} keys.")
        places[key] = place
    return places if text.isascii() else _in_bytes(text, places), open_at


def value_of(text: bytes) -> Any:
    """The one JSON value that *text* is; it was read before."""
    return _DECODER.raw_decode(text.decode())[0]


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"The body is not UTF-8 (at byte {error.start}).") from None


def _in_bytes(text: str, places: dict[str, Place]) -> dict[str, Place]:
    """*places*, which count characters, counted in bytes."""
    counted = _offsets(text, chain.from_iterable(places.values()))
    return {key: (next(counted), next(counted)) for key in places}


def _offsets(text: str, positions: Iterable[int]) -> Iterator[int]:
    done = offset = 0
    for position in positions:
        offset += len(text[done:position].encode())
        done = position
        yield offset


def _too_deep() -> InvalidJSON:
    return InvalidJSON(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _opening(text: str) -> int:
    at = _skip(text, 0)
    if text[at : at + 1] == "{":
        return at + 1
    _value(text, at)
    raise InvalidJSON("The body is JSON, but not an object.")


def _members(text: str, at: int) -> Iterator[tuple[str, Place]]:
    at = _skip(text, at)
    closed = text[at : at + 1] == "}"
    while not closed:
        key, place = _member(text, at)
        yield key, place
        at = _skip(text, place[1])
        closed = _expect(text, at, ",}") == "}"
        at = at if closed else _skip(text, at + 1)
    at = _skip(text, at + 1)
    if at != len(text):
        raise InvalidJSON(f"The body goes on after the JSON object ends (at character {at}).")


def _member(text: str, key_at: int) -> tuple[str, Place]:
    _expect(text, key_at, '"')
    key, at = _value(text, key_at)
    at = _skip(text, at)
    _expect(text, at, ":")
    start = _skip(text, at + 1)
    return key, (start, _value(text, start)[1])


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        where = getattr(error, "pos", at)
        raise InvalidJSON(f"The body is not valid JSON (at character {where}).") from None


def _expect(text: str, at: int, wanted: str) -> str:
    found = text[at : at + 1]
    if not found or found not in wanted:
        raise InvalidJSON(f"The body is not valid JSON (at character {at}).")
    return found
