"""
A JSON object whose bytes stay what they are, except where something has to change.

Clients' bodies go to backends byte for byte.  Where a value must change (the model's
name, say) only that value's bytes change: :class:`Document` knows where each top-level
member stands, :meth:`Document.splices` gives the changes, and :func:`apply` makes them.
The order of keys, white space, escapes and the spelling of numbers are never touched.

>>> document = Document.parse(b'{"model": "a", "n": 1.0}')
>>> apply(document.body, document.splices({"model": '"b"'}))
b'{"model": "b", "n": 1.0}'
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from attrs import field, frozen

from yallmp.core.digits import Decoder
from yallmp.core.errors import DuplicateKey, InvalidJSON
from yallmp.core.exchange import Splice

MAX_DEPTH = 64
#: Top-level keys; no API has as many.
MAX_MEMBERS = 1000

#: A string, also one that never ends: every text is read once, from front to back.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_ALIKE = str.maketrans("{}", "[]")
_OTHER = re.compile(r"[^\[\]]+")
_SPACE = re.compile(r"[ \t\n\r]*")


def _no_constant(name: str) -> NoReturn:
    raise InvalidJSON(f"The body contains {name}, which JSON does not have.")


_DECODER = Decoder(parse_constant=_no_constant)


@frozen
class Member:
    """One top-level member; ``key_at``, ``start`` and ``end`` are positions in the text."""

    value: Any
    key_at: int
    start: int
    end: int


@frozen
class Document:
    """
    A parsed object together with its bytes.

    ``open_at`` is the position after the opening brace.
    """

    body: bytes = field(repr=False)
    text: str = field(repr=False)
    members: dict[str, Member] = field(repr=False)
    open_at: int = 0

    @classmethod
    def parse(cls, body: bytes, max_depth: int = MAX_DEPTH) -> Document:
        """
        Read *body*.

        :raises InvalidJSON: not UTF-8, not JSON, not an object, nested too deeply.
        :raises DuplicateKey: a top-level key stands twice.
        """
        text = _text(body)
        open_at = _opening(text)
        if text.count("[") + text.count("{") > max_depth:
            _check_depth(text, max_depth)
        members: dict[str, Member] = {}
        for key, member in _members(text, open_at):
            if key in members:
                raise DuplicateKey(f"The body has the key {key!r} twice.", param=key)
            if len(members) == MAX_MEMBERS:
                raise InvalidJSON(f"The body has more than {MAX_MEMBERS} keys.")
            members[key] = member
        return cls(body, text, members, open_at)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of *key*, as Python has it."""
        member = self.members.get(key)
        return default if member is None else member.value

    def __contains__(self, key: str) -> bool:
        return key in self.members

    def splices(self, changes: Mapping[str, str], drop: Collection[str] = ()) -> tuple[Splice, ...]:
        """
        The changes that give each key of *changes* its value (JSON text) and leave out *drop*.

        A key that is there already keeps its place, a new one goes to the end.  A key
        that is both changed and dropped is dropped.
        """
        edits = [
            (self.members[key].start, self.members[key].end, value)
            for key, value in changes.items()
            if key in self.members and key not in drop
        ]
        edits += self._removals(drop)
        edits += self._insertion({k: v for k, v in changes.items() if k not in self.members}, drop)
        return tuple(self._splice(*edit) for edit in sorted(edits))

    def _removals(self, drop: Collection[str]) -> Iterator[tuple[int, int, str]]:
        members = list(self.members.items())
        kept_end = None
        start = None
        for key, member in members:
            if key in drop:
                start = (
                    (member.key_at if kept_end is None else kept_end) if start is None else start
                )
            else:
                if start is not None:
                    yield start, member.key_at if kept_end is None else self._before(key), ""
                start, kept_end = None, member.end
        if start is not None:
            yield start, members[-1][1].end, ""

    def _before(self, key: str) -> int:
        """Where the value of the member before *key* ends."""
        keys = list(self.members)
        return self.members[keys[keys.index(key) - 1]].end

    def _insertion(
        self, added: Mapping[str, str], drop: Collection[str]
    ) -> Iterator[tuple[int, int, str]]:
        if not added:
            return
        text = ", ".join(f"{json.dumps(key)}: {value}" for key, value in added.items())
        at = max((member.end for member in self.members.values()), default=self.open_at)
        alone = all(key in drop for key in self.members)
        yield at, at, text if alone else ", " + text

    def _splice(self, start: int, end: int, new: str) -> Splice:
        offset = start if self.text.isascii() else len(self.text[:start].encode())
        return Splice(offset, self.text[start:end].encode(), new.encode())


def apply(body: bytes, splices: Sequence[Splice]) -> bytes:
    """*body* with the changes made; they are in order of offset and do not overlap."""
    parts, done = [], 0
    for splice in splices:
        parts += [body[done : splice.offset], splice.new]
        done = splice.offset + len(splice.old)
    return b"".join([*parts, body[done:]])


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"The body is not UTF-8 (at byte {error.start}).") from None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _opening(text: str) -> int:
    at = _skip(text, 0)
    if text[at : at + 1] == "{":
        return at + 1
    _value(text, at)
    raise InvalidJSON("The body is JSON, but not an object.")


def _members(text: str, at: int) -> Iterator[tuple[str, Member]]:
    at = _skip(text, at)
    closed = text[at : at + 1] == "}"
    while not closed:
        key, member = _member(text, at)
        yield key, member
        at = _skip(text, member.end)
        closed = _expect(text, at, ",}") == "}"
        at = at if closed else _skip(text, at + 1)
    at = _skip(text, at + 1)
    if at != len(text):
        raise InvalidJSON(f"The body goes on after the JSON object ends (at character {at}).")


def _member(text: str, key_at: int) -> tuple[str, Member]:
    _expect(text, key_at, '"')
    key, at = _value(text, key_at)
    at = _skip(text, at)
    _expect(text, at, ":")
    start = _skip(text, at + 1)
    value, end = _value(text, start)
    return key, Member(value, key_at, start, end)


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise InvalidJSON(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        where = getattr(error, "pos", at)
        raise InvalidJSON(f"The body is not valid JSON (at character {where}).") from None


def _expect(text: str, at: int, wanted: str) -> str:
    found = text[at : at + 1]
    if not found or found not in wanted:
        raise InvalidJSON(f"The body is not valid JSON (at character {at}).")
    return found


def _check_depth(text: str, most: int) -> None:
    """
    Refuse what is nested deeper than *most* levels, before anything is built of it.

    Only the brackets are left of the text, all of one kind; each round takes the innermost
    pairs away, so there are as many rounds as levels.  Broken JSON is left to the parser.
    """
    brackets = _OTHER.sub("", _STRING.sub("", text).translate(_ALIKE))
    for _ in range(most):
        inner = brackets.replace("[]", "")
        if len(inner) == len(brackets) or "[" * (most + 1) in brackets:
            break
        brackets = inner
    if "[]" in brackets or "[" * (most + 1) in brackets:
        raise InvalidJSON(f"The body is nested deeper than {most} levels.")
