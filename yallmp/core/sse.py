r"""
Server-sent events: bytes in, events out, no I/O.

A stream is lines; a line ends with LF, CRLF or CR; an empty line ends an event (WHATWG
HTML, "Server-sent events").  Reads may split a stream anywhere: inside a character, a
line, even inside a CRLF.  :class:`Parser` gives back whole events only, each with its
bytes as they came, so that a relay can pass on or drop an event as one; joined, the
bytes of all events and of what is pending are exactly what came in.

One thing is subtle: a CR that ends the last read may be half a CRLF.  Where it ends an
event, the event is given out at once (a token must not wait), and the LF, when it comes,
leads the next event's bytes, where it counts as an empty line before it.
"""

from __future__ import annotations

import re

from attrs import field, frozen

_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r)")
_ID = re.compile(rb"id[:\r\n]")
_BOM = b"\xef\xbb\xbf"
#: So many events at a time, and so many lines in one, no answer has; to look at more would
#: hold up all others.
MOST_EVENTS, MOST_LINES = 4096, 20_000
#: An event's end is at most this long, less one: how far back to look again.
_OVERLAP = 3


class EventTooLargeError(ValueError):
    """An event is larger than the limit; the stream cannot be followed."""


@frozen
class ServerEvent:
    """
    One event.

    ``raw`` is its bytes with the empty line that ends it; ``data`` is its ``data``
    lines joined with LF, or ``None`` if it has none (a comment, say); ``name`` is its
    ``event`` field.
    """

    raw: bytes = field(repr=False)
    data: bytes | None
    name: bytes = b""


class Parser:
    """
    Cuts a stream into events.

    :param max_event_bytes: the size from which on an event is an error.
    :param most: how many events may come at once.
    """

    def __init__(self, max_event_bytes: int, most: int | None = None) -> None:
        self._limit = max_event_bytes
        self._most = most
        self._pending = bytearray()
        self._seen = 0
        self._first = True

    @property
    def waiting(self) -> int:
        """How many bytes of an event have come that is not whole yet."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[ServerEvent]:
        """
        The events that *data* completes.

        :raises EventTooLargeError: what is pending is over the limit, or they are too many.
        """
        self._pending += data
        events: list[ServerEvent] = []
        end = self._next_end()
        while end:
            if len(events) == self._most:
                raise EventTooLargeError(f"more than {self._most} events came at once")
            events.append(self._take(end))
            end = self._next_end()
        if len(self._pending) > self._limit:
            raise EventTooLargeError(f"an event is larger than {self._limit} bytes")
        return events

    def plain(self, data: bytes) -> Plain | None:
        """
        The events that *data* completes, if all of them are plain ones.

        Nothing is taken yet: whoever is done with them says so with :meth:`skip`, everyone else
        feeds *data*.  ``None`` also where other line ends may complete an event, or where too
        much would be pending.
        """
        if b"\r" in data or b"\r" in self._pending:
            return None
        if data.endswith(b"}\n\n") and not self._pending:
            return plain(data)
        end = data.rfind(b"\n\n") + 2
        if end < 2 or len(data) - end > self._limit:
            return None
        return plain(bytes(self._pending) + data[:end])

    def skip(self, events: bytes, data: bytes) -> None:
        """Take *data*, whose *events* are done with already."""
        if events is not data:
            rest = len(self._pending) + len(data) - len(events)
            self._pending[:] = data[len(data) - rest :]
            self._seen = 0

    def close(self) -> list[ServerEvent]:
        """
        What is left when the body has ended: an event without its empty line, or nothing.

        Many servers leave the last empty line out; the event is given its missing end.
        """
        if not bytes(self._pending).strip():
            return []
        self._pending += b"\n\n"
        return [self._take(len(self._pending))]

    def _next_end(self) -> int:
        found = _EVENT_END.search(self._pending, max(0, self._seen - _OVERLAP))
        self._seen = 0 if found else len(self._pending)
        return found.end() if found else 0

    def _take(self, end: int) -> ServerEvent:
        raw = bytes(self._pending[:end])
        if end > MOST_LINES and raw.count(b"\n") + raw.count(b"\r") > MOST_LINES:
            raise EventTooLargeError(f"an event has more than {MOST_LINES} lines")
        del self._pending[:end]
        text = raw.removeprefix(_BOM) if self._first else raw
        self._first = False
        return _event(raw, text)


def _event(raw: bytes, text: bytes) -> ServerEvent:
    data: list[bytes] = []
    name = b""
    for line in _LINE_END.split(text):
        key, _, value = line.partition(b":")
        if key == b"data":
            data.append(value.removeprefix(b" "))
        elif key == b"event":
            name = value.removeprefix(b" ")
    return ServerEvent(raw, b"\n".join(data) if data else None, name)


#: Events as they came, the data of each in a line, and how many there are.
Plain = tuple[bytes, bytes, int]


def plain(events: bytes) -> Plain | None:
    """
    *events* with the data of each in a line, if all of them are plain.

    A plain event is one line, ``data: {…}``, and the empty line, ended with LF.  Each line
    begins with a brace and ends with one, so that a JSON value cannot go over from one to the
    next: in JSON no opening brace follows a closing one directly.
    """
    if not events.startswith(b"data: {") or not events.endswith(b"}\n\n"):
        return None
    ends = events.count(b"\n")
    if ends == 2:
        return events, events[6:-2], 1
    count = ends // 2
    if ends % 2 or events.count(b"}\n\ndata: {") != count - 1:
        return None
    return events, events[6:-2].replace(b"\n\ndata: ", b"\n"), count


def bearable(event: ServerEvent) -> bytes:
    """
    The bytes of *event* without what clients do not bear.

    openai-python takes an event without data (a lone ``event`` or ``retry`` field) for one
    with broken data, every blank line after an ``id`` field too, and does not know byte
    order marks.  Comments and everything else stay as they came.
    """
    raw = event.raw
    if event.data is not None and raw.startswith(b"data:") and not _has_id(raw):
        return raw
    lines = _LINE.findall(raw.removeprefix(_BOM))
    if event.data is not None:
        return b"".join(line for line in lines if not _ID.match(line))
    if any(line.startswith(b":") for line in lines):
        return b"".join(line for line in lines if line[:1] in (b":", b"\r", b"\n"))
    return b"\n" if raw.startswith(b"\n") else b""


def _has_id(raw: bytes) -> bool:
    return b"\nid" in raw or b"\rid" in raw


def event_bytes(data: bytes, name: bytes = b"") -> bytes:
    """An event with *data* (without line ends) as bytes to send."""
    head = b"event: %s\n" % name if name else b""
    return b"%sdata: %s\n\n" % (head, data)


def comment_bytes(text: bytes) -> bytes:
    """A comment: keeps what lies between awake, and means nothing to a client."""
    return b": %s\n\n" % text
