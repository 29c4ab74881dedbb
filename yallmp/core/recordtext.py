"""
The text of a log as it grows: several events at once.

Most records hold no secret but those hidden by name, and nothing that would have to be
escaped.  So the lines of all events that wait are put together first and looked at once
(:func:`at_once`); only if something is found is each event written for itself
(:func:`yallmp.core.record.format_event`).  Both give the same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from attrs import define, field

from yallmp.core.escapes import suspects
from yallmp.core.exchange import AttemptEnd, Begin, End, Event, Note, Read
from yallmp.core.masking import LEAST_CUT, MaskedStream, Masker, Piece
from yallmp.core.record import format_event, format_read
from yallmp.core.recorded import encoded, entry_of
from yallmp.core.recordframe import first_line

_READ = b"@%b read %d\nat: %.3f ms\nbody: %d bytes\n%b\n\n"


@define
class _Reads:
    """The reads of one streamed answer on their way into a log; ``room`` is left for them."""

    stream: MaskedStream
    room: int | None
    _waiting: deque[Read] = field(factory=deque, init=False)

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def add(self, reads: Sequence[Read]) -> bytes:
        if self.room is None and self.stream.passes([read.data for read in reads]):
            return b"".join(map(_plain_read, reads))
        self._waiting.extend(reads)
        return b"".join([self._written(self.stream.feed(read.data)) for read in reads])

    def rest(self) -> bytes:
        return self._written(self.stream.flush())

    def _written(self, pieces: list[Piece]) -> bytes:
        return b"".join([self._one(self._waiting.popleft(), piece) for piece in pieces])

    def _one(self, read: Read, piece: Piece) -> bytes:
        text = format_read(read, piece, self.room)
        if self.room is not None:
            self.room = max(0, self.room - len(piece.data))
        return text


def _plain_read(read: Read) -> bytes:
    return _READ % (read.id.encode(), read.number, read.at, len(read.data), read.data)


@define
class RecordText:
    """
    What the events of one exchange add to its log, some at a time.

    :ivar bodies: how many bytes of each body to keep; ``None`` for all.
    :ivar masked: the bodies of events that were searched for secrets already, as they may be
        shown, by the identity of the event.
    """

    bodies: int | None
    masked: dict[int, bytes] = field(factory=dict, init=False)
    _reads: dict[int, _Reads] = field(factory=dict, init=False)

    def add(self, events: list[Event], masker: Masker) -> bytes:
        """The text for *events*, the next ones of this exchange."""
        if Read not in map(type, events):
            return self._run(0, events, masker)
        runs = [(number, list(run)) for number, run in groupby(events, _stream_of)]
        return b"".join([self._run(number, run, masker) for number, run in runs])

    def _run(self, number: int, events: list[Any], masker: Masker) -> bytes:
        if number:
            return self._reads_of(number, masker).add(events)
        text = at_once(events, masker) if self._is_clear(events) else None
        return b"".join([self._one(e, masker) for e in events]) if text is None else text

    def _is_clear(self, events: list[Any]) -> bool:
        """Whether *events* can be written at once, by what is known before."""
        if self.bodies is not None or self.masked:
            return False
        if any(reads.is_waiting for reads in self._reads.values()):
            return False
        return not any(map(_is_told, events))

    def _reads_of(self, number: int, masker: Masker) -> _Reads:
        reads = self._reads.get(number)
        if reads is None:
            reads = self._reads[number] = _Reads(MaskedStream(masker), self.bodies)
        return reads

    def _one(self, event: Event, masker: Masker) -> bytes:
        masked = self.masked.pop(id(event), None)
        return self._rest_before(event) + format_event(event, masker, self.bodies, masked)

    def _rest_before(self, event: Event) -> bytes:
        """What of the reads that *event* ends was still held back."""
        if isinstance(event, End):
            return b"".join([reads.rest() for reads in self._reads.values()])
        if isinstance(event, AttemptEnd) and event.number in self._reads:
            return self._reads.pop(event.number).rest()
        return b""


def _is_told(event: Event) -> bool:
    """Whether there is text in *event* that may have been cut within a secret."""
    return type(event) is Note or (type(event) is AttemptEnd and bool(event.message))


def _stream_of(event: Event) -> int:
    """The attempt that *event* is a read of; 0 for any other event."""
    return event.number if type(event) is Read else 0


def at_once(events: Iterable[Event], masker: Masker) -> bytes | None:
    """
    The text for *events*, none of them a read; ``None`` if they need a closer look.

    That is, if there is a secret in them, what may be the beginning of one, or a value
    that has to be escaped.
    """
    page = _Page()
    for event in events:
        page.add(event)
    text = page.text()
    cut = any(masker.held(body) >= LEAST_CUT for body in page.bodies)
    return None if text is None or cut or masker.finds(text) else text


@define
class _Page:
    """
    Sections one after the other, as parts of a text; what stands in bodies comes in at last.

    ``breaks`` are the line breaks that are in it because we put them there.
    """

    bodies: list[bytes] = field(factory=list, init=False)
    _parts: list[bytes] = field(factory=list, init=False)
    _places: list[int] = field(factory=list, init=False)
    _breaks: int = field(default=0, init=False)

    def add(self, event: Event) -> None:
        ours, said, body = entry_of(event)
        parts = self._parts
        if type(event) is Begin:
            parts += (first_line(event.id), b"")
        parts.append(encoded(ours))
        self._breaks += len(ours) - 1
        parts += said
        if body is not None:
            parts.append(b"body: %d bytes" % len(body))
            self._places.append(len(parts))
            self.bodies.append(body)
            parts.append(b"")
        parts.append(b"")

    def text(self) -> bytes | None:
        """All of it; ``None`` if something in it has to be escaped."""
        parts = self._parts
        parts.append(b"")
        if suspects(b"\n".join(parts)) != self._breaks + len(parts) - 1:
            return None
        for place, body in zip(self._places, self.bodies, strict=True):
            parts[place] = body
        return b"\n".join(parts)
