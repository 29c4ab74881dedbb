"""
Events of an exchange as sections of its log.

One function for each class of event, in the order of :mod:`yallmp.core.exchange`;
``docs/log-format.md`` lists the fields.  The rule of names is applied here
(:mod:`yallmp.core.secretnames`); known secrets are for :mod:`yallmp.core.record`.  The way
back is :mod:`yallmp.core.recalled`.

Every request passes through here several times, so lines are plain pairs of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

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
from yallmp.core.recordframe import Line
from yallmp.core.secretnames import header_by_name, query_by_name, url_by_name

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: A section: its title behind the id, its lines, its body.
Entry = tuple[bytes, list[Line], "bytes | None"]


def entry_of(event: Event) -> Entry:
    """What stands in the log for *event*, not escaped and with known secrets still in it."""
    entry: Entry = _WRITERS[type(event)](event)
    return entry


def _begin(event: Begin) -> Entry:
    lines = [
        (b"time: ", utc(event.time).encode()),
        (b"client: ", _bytes(event.client)),
        (b"listener: ", _bytes(event.listener)),
        (b"method: ", _bytes(event.method)),
        (b"path: ", _bytes(event.path)),
        *([_hidden(b"query", event.query, query_by_name)] if event.query else ()),
        *_maybe(b"client-request-id: ", event.client_request_id),
        *_maybe(b"key-name: ", event.key_name),
        *_maybe(b"model: ", event.model),
        *_headers(event.headers),
    ]
    return b"request", lines, event.body


def _routed(event: Routed) -> Entry:
    lines = [(b"model: ", _bytes(event.model)), (b"reason: ", _bytes(event.reason))]
    lines += [(b"backend: ", _bytes(name)) for name in event.backends]
    return b"route", lines, None


def _attempt(event: Attempt) -> Entry:
    lines = [
        (b"at: ", _milliseconds(event.at)),
        (b"backend: ", _bytes(event.backend)),
        _hidden(b"url", event.url, url_by_name),
        *_headers(event.headers),
        *_changes(event.splices),
    ]
    return b"attempt %d" % event.number, lines, event.body


def _head(event: Head) -> Entry:
    lines = [
        (b"at: ", _milliseconds(event.at)),
        (b"status: ", b"%d" % event.status),
        (b"connection: ", b"reused" if event.reused else b"new"),
        *_maybe_at(b"connected: ", event.connected),
        *_headers(event.headers),
    ]
    return b"answer %d" % event.number, lines, None


def _read(event: Read) -> Entry:
    return b"read %d" % event.number, [(b"at: ", _milliseconds(event.at))], event.data


def _attempt_end(event: AttemptEnd) -> Entry:
    lines = [
        (b"at: ", _milliseconds(event.at)),
        (b"backend: ", _bytes(event.backend)),
        *_maybe(b"status: ", event.status),
        *_maybe(b"error: ", event.error),
        *_maybe(b"message: ", event.message),
        *_maybe_at(b"first-content: ", event.first_content),
    ]
    return b"ended %d" % event.number, lines, event.body


def _note(event: Note) -> Entry:
    return b"note", [(b"at: ", _milliseconds(event.at)), (b"text: ", _bytes(event.text))], None


def _end(event: End) -> Entry:
    lines = [
        (b"at: ", _milliseconds(event.at)),
        (b"outcome: ", _bytes(event.outcome)),
        (b"status: ", b"%d" % event.status),
        (b"sent: ", b"%d bytes" % event.sent),
        *_maybe(b"backend: ", event.backend),
        (b"attempts: ", b"%d" % event.attempts),
        *_maybe(b"finish-reason: ", event.finish_reason),
        *_maybe(b"usage: ", None if event.usage is None else _usage_text(event.usage)),
        (b"summary: ", _bytes(summary(event))),
    ]
    return b"end", lines, event.body


def summary(event: End) -> str:
    """The exchange in one line, for a person."""
    source = f" from {event.backend}" if event.backend else ""
    tries = f" after {event.attempts} attempts" if event.attempts > 1 else ""
    took = f"{event.at:.0f} ms" if event.at < 1000 else f"{event.at / 1000:.1f} s"
    return f"{event.outcome}: {event.status}{source}{tries} in {took}"


def utc(time: float) -> str:
    """POSIX seconds as ``2026-10-19T08:15:02.123456Z``."""
    second, micro = divmod(round(time * 1e6), 1_000_000)
    return f"{_utc_second(second)}.{micro:06d}Z"


@lru_cache(maxsize=16)
def _utc_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _milliseconds(time: float) -> bytes:
    return b"%.3f ms" % time


def _maybe(label: bytes, value: object) -> tuple[Line, ...]:
    return () if value is None else ((label, _bytes(str(value))),)


def _maybe_at(label: bytes, time: float | None) -> tuple[Line, ...]:
    return () if time is None else ((label, _milliseconds(time)),)


def _hidden(name: bytes, value: str, by_name: Callable[[str], str]) -> Line:
    shown = by_name(value)
    return name + (b": " if shown == value else b" (masked): "), _bytes(shown)


def _headers(headers: HeaderPairs) -> list[Line]:
    return [_header(name, value) for name, value in headers]


def _header(name: bytes, value: bytes) -> Line:
    shown = header_by_name(name, value)
    return b"header: " if shown is value else b"header (masked): ", b"%b: %b" % (name, shown)


def _changes(splices: Iterable[Splice]) -> list[Line]:
    lines = []
    for splice in splices:
        lines.append((b"change-at: ", b"%d" % splice.offset))
        lines.append((b"change-old: ", splice.old))
        lines.append((b"change-new: ", splice.new))
    return lines


def _usage_text(usage: Usage) -> str:
    told = {"prompt": usage.prompt, "completion": usage.completion, "total": usage.total}
    return ", ".join(f"{name} {count}" for name, count in told.items() if count is not None)


_WRITERS: dict[type, Callable[[Any], Entry]] = {
    Begin: _begin,
    Routed: _routed,
    Attempt: _attempt,
    Head: _head,
    Read: _read,
    AttemptEnd: _attempt_end,
    Note: _note,
    End: _end,
}
