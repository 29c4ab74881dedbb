"""
Sections of a log as the events that they tell of.

The way back from :mod:`yallmp.core.recorded`, one function for each kind of section.
Numbers are bounded and everything is checked: a log may have been edited by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from attrs import frozen

from yallmp.core.exchange import (
    Attempt,
    AttemptEnd,
    Begin,
    End,
    Event,
    Head,
    HeaderPairs,
    Note,
    Read,
    Routed,
    Splice,
    Usage,
)
from yallmp.core.recordframe import RecordError, Section

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECONDS = r"(-?\d{1,15}\.\d{3}) ms"
_COUNT = r"(\d{1,18})(?: bytes)?"
_USAGE = r"(?:prompt (\d{1,18}))?(?:, )?(?:completion (\d{1,18}))?(?:, )?(?:total (\d{1,18}))?"


def event_of(log_id: str, section: Section) -> Event:
    """
    The event that *section* tells of, as much of it as was kept.

    :raises RecordError: the section is of no known kind, or a field is missing or wrong.
    """
    reader = _READERS.get(section.kind)
    if reader is None:
        raise RecordError(f"There is no section '{section.kind}' in this format.")
    return reader(log_id, _Fields(section))


@frozen
class _Fields:
    """The fields of a section as the values that they are."""

    section: Section

    def maybe(self, name: str) -> str | None:
        value = self.section.first(name)
        return None if value is None else _decoded(value)

    def text(self, name: str) -> str:
        value = self.maybe(name)
        if value is None:
            raise RecordError(f"The section '{self.section.kind}' has no '{name}'.")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(_decoded(value) for value in self.section.every(name))

    def number(self, name: str) -> int:
        return int(self._parsed(name, _COUNT))

    def milliseconds(self, name: str = "at") -> float:
        return float(self._parsed(name, _MILLISECONDS))

    def _parsed(self, name: str, pattern: str) -> str:
        value = self.text(name)
        found = re.fullmatch(pattern, value)
        if not found:
            raise RecordError(f"'{name}' in '{self.section.kind}' cannot be {value[:100]!r}.")
        return found[1]

    def has(self, name: str) -> bool:
        return self.section.first(name) is not None

    def time(self) -> float:
        value = self.text("time")
        try:
            moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")
        except ValueError:
            raise RecordError(f"'time' cannot be {value[:100]!r}.") from None
        return (moment.replace(tzinfo=timezone.utc) - _EPOCH) / timedelta(seconds=1)

    def headers(self) -> HeaderPairs:
        pairs = (value.partition(b": ") for value in self.section.every("header"))
        return tuple((name, value) for name, _, value in pairs)

    def splices(self) -> tuple[Splice, ...]:
        every = self.section.every
        offsets = [int(offset) for offset in every("change-at") if offset.isdigit()]
        parts = offsets, every("change-old"), every("change-new")
        if len({len(part) for part in parts}) > 1:
            raise RecordError("A change to the body in 'attempt' is not whole.")
        return tuple(map(Splice, *parts))

    def usage(self) -> Usage | None:
        if not self.has("usage"):
            return None
        found = re.fullmatch(_USAGE, self.text("usage"))
        if not found:
            raise RecordError(f"'usage' cannot be {self.text('usage')[:100]!r}.")
        return Usage(*(None if count is None else int(count) for count in found.groups()))

    @property
    def body(self) -> bytes | None:
        return None if self.section.body is None else self.section.body.data


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise RecordError(f"A field is not text: {value[:100]!r}.") from None


def _read_begin(log_id: str, fields: _Fields) -> Begin:
    return Begin(
        log_id,
        time=fields.time(),
        client=fields.text("client"),
        listener=fields.text("listener"),
        method=fields.text("method"),
        path=fields.text("path"),
        query=fields.maybe("query") or "",
        headers=fields.headers(),
        body=fields.body or b"",
        client_request_id=fields.maybe("client-request-id"),
        key_name=fields.maybe("key-name"),
        model=fields.maybe("model"),
    )


def _read_routed(log_id: str, fields: _Fields) -> Routed:
    return Routed(log_id, fields.text("model"), fields.texts("backend"), fields.text("reason"))


def _read_attempt(log_id: str, fields: _Fields) -> Attempt:
    return Attempt(
        log_id,
        number=fields.section.number,
        at=fields.milliseconds(),
        backend=fields.text("backend"),
        url=fields.text("url"),
        headers=fields.headers(),
        splices=fields.splices(),
        body=fields.body,
    )


def _read_head(log_id: str, fields: _Fields) -> Head:
    return Head(
        log_id,
        number=fields.section.number,
        at=fields.milliseconds(),
        status=fields.number("status"),
        headers=fields.headers(),
        reused=fields.text("connection") == "reused",
        connected=fields.milliseconds("connected") if fields.has("connected") else None,
    )


def _read_read(log_id: str, fields: _Fields) -> Read:
    return Read(log_id, fields.section.number, fields.milliseconds(), fields.body or b"")


def _read_attempt_end(log_id: str, fields: _Fields) -> AttemptEnd:
    first = fields.milliseconds("first-content") if fields.has("first-content") else None
    return AttemptEnd(
        log_id,
        number=fields.section.number,
        at=fields.milliseconds(),
        backend=fields.text("backend"),
        status=fields.number("status") if fields.has("status") else None,
        error=fields.maybe("error"),
        message=fields.maybe("message"),
        first_content=first,
        body=fields.body,
    )


def _read_note(log_id: str, fields: _Fields) -> Note:
    return Note(log_id, fields.milliseconds(), fields.text("text"))


def _read_end(log_id: str, fields: _Fields) -> End:
    return End(
        log_id,
        at=fields.milliseconds(),
        outcome=fields.text("outcome"),
        status=fields.number("status"),
        sent=fields.number("sent"),
        backend=fields.maybe("backend"),
        attempts=fields.number("attempts"),
        finish_reason=fields.maybe("finish-reason"),
        usage=fields.usage(),
        body=fields.body,
    )


_READERS: dict[str, Callable[[str, _Fields], Event]] = {
    "request": _read_begin,
    "route": _read_routed,
    "attempt": _read_attempt,
    "answer": _read_head,
    "read": _read_read,
    "ended": _read_attempt_end,
    "note": _read_note,
    "end": _read_end,
}
