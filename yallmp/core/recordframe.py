"""
The frame of a request log: sections of fields, each with at most one body.

``docs/log-format.md`` defines it.  What makes it exact: a section's title carries the
exchange's random id, which nobody outside can know beforehand; a field is one line,
whatever its value (:mod:`yallmp.core.escapes`); a body is framed by its length, so that
nothing in it is ever read as a line of ours; and a section counts only when the blank
line behind it is there.  This module knows nothing of what the sections mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import define, field, frozen

from yallmp.core.escapes import escape, is_plain, unescape

_FIRST = re.compile(rb"yallmp-log (\d{1,9}) ([0-9a-z]{1,64})")
_TITLE = re.compile(rb"@([0-9a-z]+) ([a-z]+)(?: (\d{1,9}))?")
_FIELD = re.compile(rb"([a-z-]+)( \(masked\))?: (.*)", re.DOTALL)
_BODY = re.compile(rb"(\d{1,18})(?: of (\d{1,18}))? bytes(, masked)?")
VERSION = 1
MARK = b" (masked)"


class RecordError(Exception):
    """The file is not a request log, or something in it is wrong; the message says where."""


@frozen
class Field:
    """A line of a section; ``masked`` tells whether something in the value was hidden."""

    name: str
    value: bytes
    masked: bool = False


@frozen
class Block:
    """
    A body, as much as was kept of it: the first bytes of ``total``.

    ``masked`` tells whether something was hidden; ``total`` counts after that.
    """

    data: bytes = field(repr=False)
    total: int
    masked: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all of the body is here."""
        return len(self.data) == self.total


@frozen
class Section:
    """One thing that happened; ``number`` is an attempt's, and 0 for what belongs to none."""

    kind: str
    number: int = 0
    fields: tuple[Field, ...] = ()
    body: Block | None = None

    def first(self, name: str) -> bytes | None:
        """The value of the first field *name*, if there is one."""
        return next((f.value for f in self.fields if f.name == name), None)

    def every(self, name: str) -> list[bytes]:
        """The values of all fields *name*, in order."""
        return [f.value for f in self.fields if f.name == name]


def first_line(log_id: str) -> bytes:
    """How the log of exchange *log_id* begins."""
    return b"yallmp-log %d %b" % (VERSION, log_id.encode())


def written(lines: Sequence[bytes], body: Block | None) -> list[bytes]:
    """
    A section as it stands in a log, in pieces to be joined.

    The lines are escaped already, the title first; a body may be large and is not copied.
    """
    framed = [] if body is None else [_length(body), body.data, b"\n"]
    return [b"\n".join(lines), b"\n", *framed, b"\n"]


def escaped(line: bytes) -> bytes:
    """A line whose value stays within it; mostly there is nothing to do."""
    if is_plain(line):
        return line
    label, colon, value = line.partition(b": ")
    return label + colon + escape(value)


def marked(label: bytes) -> bytes:
    """The label of a line whose value was masked."""
    return label if label.endswith(MARK) else label + MARK


def _length(block: Block) -> bytes:
    """The line that tells a body's length."""
    of = b"" if block.is_whole else b" of %d" % block.total
    mark = b", masked" if block.masked else b""
    return b"body: %d%b bytes%b\n" % (len(block.data), of, mark)


@frozen
class Frame:
    """
    A log taken apart: its id, its whole sections, and what follows them.

    ``rest`` is what is not a whole section; it is empty in a log that was not cut off.
    """

    id: str
    sections: tuple[Section, ...]
    rest: bytes = field(default=b"", repr=False)


def read_frame(data: bytes) -> Frame:
    """
    Take a log apart.

    :raises RecordError: for what is no such log; a log that ends too early is one.
    """
    reader = _Reader(data)
    log_id = reader.first_line()
    sections = tuple(reader.sections(log_id))
    return Frame(log_id, sections, data[reader.done :])


class _Cut(Exception):
    """The data ends within something."""


@define
class _Reader:
    """Reads from the front; ``done`` is where the last whole section ended."""

    _data: bytes = field(repr=False)
    _at: int = field(default=0, init=False)
    done: int = field(default=0, init=False)

    def first_line(self) -> str:
        found = _FIRST.fullmatch(self._data[:100].partition(b"\n")[0])
        if not found or not self._data.startswith(b"\n\n", found.end()):
            raise RecordError("This is not a request log: it does not begin with 'yallmp-log'.")
        if int(found[1]) != VERSION:
            raise RecordError(f"The log has format {int(found[1])}; this program reads {VERSION}.")
        self._at = self.done = found.end() + 2
        return found[2].decode()

    def sections(self, log_id: str) -> Iterator[Section]:
        try:
            while self._at < len(self._data):
                yield self._section(log_id)
                self.done = self._at
        except _Cut:
            return

    def _section(self, log_id: str) -> Section:
        kind, number = self._title(log_id)
        fields, body = [], None
        while line := self._line():
            if body is not None:
                raise self._wrong("something stands between a body and the end of its section")
            field = self._field(line)
            if field.name == "body":
                body = self._block(field.value)
            else:
                fields.append(field)
        return Section(kind, number, tuple(fields), body)

    def _line(self) -> bytes:
        """The next line; a line of the recorder's, which gives a log up, ends everything."""
        end = self._data.find(b"\n", self._at)
        if end < 0 or self._data.startswith(b"!", self._at):
            raise _Cut
        line = self._data[self._at : end]
        self._at = end + 1
        return line

    def _title(self, log_id: str) -> tuple[str, int]:
        found = _TITLE.fullmatch(self._line())
        if not found or found[1].decode() != log_id:
            raise self._wrong(f"a section that begins with '@{log_id}' was expected")
        return found[2].decode(), int(found[3] or 0)

    def _field(self, line: bytes) -> Field:
        found = _FIELD.fullmatch(line)
        if not found:
            raise self._wrong("this is neither a field nor the end of the section")
        try:
            return Field(found[1].decode(), unescape(found[3]), bool(found[2]))
        except ValueError:
            raise self._wrong("a backslash begins no escape that is known") from None

    def _block(self, size: bytes) -> Block:
        found = _BODY.fullmatch(size)
        if not found:
            raise self._wrong("a body's length is missing")
        start, end = self._at, self._at + int(found[1])
        if end >= len(self._data):
            raise _Cut
        if self._data[end : end + 1] != b"\n":
            raise self._wrong("the body is longer than it says")
        self._at = end + 1
        return Block(self._data[start:end], int(found[2] or found[1]), bool(found[3]))

    def _wrong(self, what: str) -> RecordError:
        """*what* is wrong with the line that was just read."""
        start = self._data.rfind(b"\n", 0, max(self._at - 1, 0)) + 1
        line = self._data.count(b"\n", 0, start) + 1
        return RecordError(f"Line {line} (byte {start}): {what}.")
