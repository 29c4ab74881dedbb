"""
A request log: written event by event, read back whole.

``docs/log-format.md`` defines the format.  A log is the concatenation of what
:func:`format_event` gives for each event of an exchange, so that it can be written while
things happen and a crash leaves what was known; :func:`parse` reads it, also one that was
cut off.  Everything is masked before it is cut to the wanted length, so that no half of
a secret stays.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import field, frozen

from yallmp.core.exchange import AttemptEnd, Begin, End, Event, Note, Read
from yallmp.core.masking import Masker, Piece
from yallmp.core.recalled import event_of
from yallmp.core.recorded import encoded, entry_of, second_of, utc_second
from yallmp.core.recordframe import (
    Block,
    RecordError,
    Section,
    escaped,
    first_line,
    marked,
    read_frame,
    written,
)

__all__ = ["NOTHING_KNOWN", "Record", "RecordError", "format_event", "format_read", "parse"]

NOTHING_KNOWN = Masker()
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]")
LONGEST_MODEL = 48


def format_event(
    event: Event,
    masker: Masker = NOTHING_KNOWN,
    bodies: int | None = None,
    masked: bytes | None = None,
) -> bytes:
    """
    What *event* adds to the log of its exchange.

    Stateless: a secret that stretches over two reads is for
    :class:`yallmp.core.masking.MaskedStream` and :func:`format_read`.

    :param bodies: how many bytes of a body to keep; ``None`` for all.
    :param masked: its body without known secrets, if somebody has looked for them already.
    """
    ours, said, body = entry_of(event)
    lines = [*(encoded([line]) for line in ours), *said]
    told = isinstance(event, Note) or (isinstance(event, AttemptEnd) and bool(event.message))
    block = None if body is None else kept(body, masker, bodies, masked)
    begun = [first_line(event.id), b"\n\n"] if isinstance(event, Begin) else []
    shown = [lines[0], *map(escaped, _masked(lines[1:], masker, told))]
    return b"".join(begun + written(shown, block))


def format_read(read: Read, piece: Piece, room: int | None = None) -> bytes:
    """What *read* adds, its data already masked, if *room* bytes of the answer may be kept."""
    kept = len(piece.data) if room is None else min(room, len(piece.data))
    of = b"" if kept == len(piece.data) else b" of %d" % len(piece.data)
    mark = b", masked" if piece.masked else b""
    return b"@%b read %d\nat: %.3f ms\nbody: %d%b bytes%b\n%b\n\n" % (
        read.id.encode(), read.number, read.at, kept, of, mark, piece.data[:kept],
    )  # fmt: skip


def record_name(begin: Begin, masker: Masker = NOTHING_KNOWN) -> str:
    """
    The name of the log, without an ending: when, which, and what was asked for.

    >>> record_name(Begin("3f9c2a7b10de", 0, "", "", "", "", "", (), b"", model="a/b"))
    '19700101_000000-3f9c2a7b10de_a-b'
    """
    model = begin.model or "unknown"
    part = _model_part if len(model) < 5 * LONGEST_MODEL else _model_part.__wrapped__
    return f"{_moment(second_of(begin.time))}-{begin.id}_{part(model, masker)}"


@lru_cache(maxsize=16)
def _moment(second: int) -> str:
    return re.sub("[-:]", "", utc_second(second)).replace("T", "_")


@lru_cache(maxsize=256)
def _model_part(model: str, masker: Masker) -> str:
    """Remembered: it is the same few models again and again."""
    return _NOT_IN_A_NAME.sub("-", masker.mask_text(model))[:LONGEST_MODEL]


def kept(body: bytes, masker: Masker, room: int | None, masked: bytes | None = None) -> Block:
    """What the log keeps of *body*: all, or the first *room* bytes, masked."""
    data = masker.mask(body) if masked is None else masked
    return Block(data if room is None else data[:room], len(data), data is not body)


def _masked(lines: list[bytes], masker: Masker, told: bool) -> list[bytes]:
    """
    The lines without known secrets; one search over all, as most have none.

    :param told: whether there is text among them that may have been cut within a secret.
    """
    if told or masker.finds(b" ".join(lines)):
        return [_masked_line(line, masker) for line in lines]
    return lines


def _masked_line(line: bytes, masker: Masker) -> bytes:
    label, _, value = line.partition(b": ")
    shown = masker.mask(value)
    return line if shown is value else b"%b: %b" % (marked(label), shown)


@frozen
class Record:
    """
    A log that was read.

    ``events`` are the events with as much of their bodies as was kept, ``sections`` the
    same as they stand in the file, with the marks for what was masked or cut.
    """

    id: str
    events: tuple[Event, ...]
    sections: tuple[Section, ...] = field(repr=False)
    complete: bool

    @property
    def begin(self) -> Begin | None:
        """What came, unless the log was cut off within it."""
        return next((event for event in self.events if isinstance(event, Begin)), None)

    @property
    def request(self) -> Section | None:
        """The section of what came."""
        return next((section for section in self.sections if section.kind == "request"), None)


def parse(data: bytes) -> Record:
    """
    Read a log; one that was cut off gives what is known, and is not ``complete``.

    :raises RecordError: it is not a log of this format, with the place of what is wrong.
    """
    frame = read_frame(data)
    events = tuple(event_of(frame.id, section) for section in frame.sections)
    complete = bool(events) and isinstance(events[-1], End) and not frame.rest
    return Record(frame.id, events, frame.sections, complete)
