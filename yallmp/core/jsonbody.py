"""
A JSON object whose bytes stay what they are, except where something has to change.

Clients' bodies go to backends byte for byte.  Where a value must change (the model's
name, say) only that value's bytes change: :class:`Document` knows where each top-level
member stands, :meth:`Document.splices` gives the changes, and :func:`apply` makes them.
The order of keys, white space, escapes and the spelling of numbers are never touched.

>>> document = Document.parse(b'{"model": "a", "n": 1.0}')
>>> apply(document.body, document.splices({"model": '"b"'}))
b'{"model": "b", "n": 1.0}'

A parser in C (msgspec) checks the body and cuts it into its members, whose values stay
bytes: a value is read when it is asked for, and most never are.  Where the members stand
it does not say, so we walk along them: some key, its colon, exactly the bytes of the value,
and so on.  The body is sound, so each step ends where a member does; and if the last one
ends where the object does, it has as many members as keys: none stands twice, and these
are they.  If not, or if a key has escapes, or if the parser refuses (it is stricter than
Python's, but for texts that are not UTF-8), :mod:`yallmp.core.jsontext` reads the body and
decides what is wrong with it, if anything is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from msgspec import MsgspecError, Raw
from msgspec.json import Decoder

from yallmp.core.exchange import Splice
from yallmp.core.jsontext import MAX_DEPTH, MAX_MEMBERS, Place, places_in, value_of
from yallmp.core.nesting import is_deeper
from yallmp.core.search import has_brackets
from yallmp.core.work import LARGE

#: Up to a member's value: what divides it from the one before, its key, and the colon.
_HEAD = re.compile(rb'[ \t\n\r]*(?:,[ \t\n\r]*)?"[^"\\]*"[ \t\n\r]*:[ \t\n\r]*')
_TAIL = re.compile(rb"[ \t\n\r]*}[ \t\n\r]*\Z")
_FILLED = re.compile(rb"\[[ \t\n\r]*[^] \t\n\r]")

#: Stands for a value that is too long to be read in passing.
LONG = object()
_MEMBERS = Decoder(dict[str, Raw])
_VALUE = Decoder()


@frozen
class Document:
    """
    An object's bytes, and where its members stand in them.

    ``places`` has for each key where its value begins, and where it ends; ``open_at`` is
    the position after the opening brace.
    """

    body: bytes = field(repr=False)
    places: dict[str, Place] = field(repr=False)
    open_at: int = 0

    @classmethod
    def parse(cls, body: bytes) -> Document:
        """
        Read *body*.

        :raises InvalidJSON: not UTF-8, not JSON, not an object, nested too deeply.
        :raises DuplicateKey: a top-level key stands twice.
        """
        open_at = body.find(b"{") + 1
        places = _quickly(body, open_at)
        if places is None:
            places, open_at = places_in(body)
        return cls(body, places, open_at)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of *key*, as Python has it."""
        place = self.places.get(key)
        if place is None:
            return default
        value = self.body[place[0] : place[1]]
        try:
            return _VALUE.decode(value)
        except MsgspecError:
            return value_of(value)

    def glance(self, key: str) -> Any:
        """The value of *key*; of a long one no more than that it is there (:data:`LONG`)."""
        place = self.places.get(key)
        if place is None:
            return None
        return LONG if place[1] - place[0] > LARGE else self.get(key)

    def raw(self, key: str) -> bytes:
        """The bytes of the value of *key*, which is there."""
        start, end = self.places[key]
        return self.body[start:end]

    def has_items(self, key: str) -> bool:
        """Whether the value of *key* is a list with something in it; nothing of it is built."""
        place = self.places.get(key)
        return place is not None and _FILLED.match(self.body, place[0]) is not None

    def __contains__(self, key: str) -> bool:
        return key in self.places

    def splices(self, changes: Mapping[str, str], drop: Collection[str] = ()) -> tuple[Splice, ...]:
        """
        The changes that give each key of *changes* its value (JSON text) and leave out *drop*.

        A key that is there already keeps its place, a new one goes to the end.  A key
        that is both changed and dropped is dropped.
        """
        there = self.places.keys()
        if there.isdisjoint(drop) and changes.keys() <= there:
            edits = [(*self.places[key], value) for key, value in changes.items()]
        else:
            edits = self._edits(changes, drop)
        return tuple([self._splice(*edit) for edit in sorted(edits)])

    def _edits(
        self, changes: Mapping[str, str], drop: Collection[str]
    ) -> list[tuple[int, int, str]]:
        edits = [
            (*self.places[key], value)
            for key, value in changes.items()
            if key in self.places and key not in drop
        ]
        edits += self._removals(drop)
        edits += self._insertion({k: v for k, v in changes.items() if k not in self.places}, drop)
        return edits

    def _removals(self, drop: Collection[str]) -> Iterator[tuple[int, int, str]]:
        """
        What goes with the members named *drop*, those side by side as one.

        From the end of the member before to their own, or, where none before stays, from
        their key to the next one's.
        """
        kept, before, start = False, self.open_at, None
        for key, (_, end) in self.places.items():
            at = before if kept else self.body.index(b'"', before)
            if key in drop:
                start = at if start is None else start
            else:
                if start is not None:
                    yield start, at, ""
                kept, start = True, None
            before = end
        if start is not None:
            yield start, before, ""

    def _insertion(
        self, added: Mapping[str, str], drop: Collection[str]
    ) -> Iterator[tuple[int, int, str]]:
        if not added:
            return
        text = ", ".join(f"{json.dumps(key)}: {value}" for key, value in added.items())
        at = max((end for _, end in self.places.values()), default=self.open_at)
        alone = all(key in drop for key in self.places)
        yield at, at, text if alone else ", " + text

    def _splice(self, start: int, end: int, new: str) -> Splice:
        return Splice(start, self.body[start:end], new.encode())


def apply(body: bytes, splices: Sequence[Splice]) -> bytes:
    """*body* with the changes made; they are in order of offset and do not overlap."""
    if not splices:
        return body
    parts: list[bytes | memoryview] = []
    view, done = memoryview(body), 0
    for splice in splices:
        parts += (view[done : splice.offset], splice.new)
        done = splice.offset + len(splice.old)
    parts.append(view[done:])
    return b"".join(parts)


def _quickly(body: bytes, open_at: int) -> dict[str, Place] | None:
    """Where the members of *body* stand; ``None`` where there is any doubt."""
    try:
        if not body.isascii():
            body.decode()
        members = _MEMBERS.decode(body)
        if len(members) > MAX_MEMBERS or (has_brackets(body, MAX_DEPTH) and _is_deep(members)):
            return None
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _walked(body, open_at, members)


def _is_deep(members: dict[str, Raw]) -> bool:
    return any(
        len(value) >= 2 * MAX_DEPTH and is_deeper(bytes(value), MAX_DEPTH - 1)
        for value in members.values()
    )


def _walked(body: bytes, at: int, members: dict[str, Raw]) -> dict[str, Place] | None:
    """Where *members* stand, if there are no others."""
    places = {}
    view = memoryview(body)
    for key, value in members.items():
        head = _HEAD.match(body, at)
        if head is None:
            return None
        start = head.end()
        at = start + len(value)
        if Raw(view[start:at]) != value:
            return None
        places[key] = (start, at)
    return places if _TAIL.match(body, at) else None
