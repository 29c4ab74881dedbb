"""
Events of an exchange as sections of its log.

One function for each class of event, in the order of :mod:`yallmp.core.exchange`;
``docs/log-format.md`` lists the fields.  The rule of names is applied here
(:mod:`yallmp.core.secretnames`); known secrets are for :mod:`yallmp.core.record`.  The way
back is :mod:`yallmp.core.recalled`.

Every request passes through here several times, so a section is plain lines of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
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
    Usage,
)
from yallmp.core.secretnames import header_by_name, query_by_name, shown_of, url_by_name

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UTF8 = ("utf-8", "surrogatepass")
#: A section: the line of its title, the lines of its fields, and its body.
Entry = tuple[list[bytes], "bytes | None"]


def entry_of(event: Event) -> Entry:
    """What stands in the log for *event*, not escaped and with known secrets still in it."""
    entry: Entry = _WRITERS[type(event)](event)
    return entry


def _begin(event: Begin) -> Entry:
    lines = [
        b"@%b request" % event.id.encode(),
        b"time: %b" % utc(event.time).encode(),
        b"client: %b" % event.client.encode(*_UTF8),
        b"listener: %b" % event.listener.encode(*_UTF8),
        b"method: %b" % event.method.encode(*_UTF8),
        b"path: %b" % event.path.encode(*_UTF8),
    ]
    if event.query:
        lines.append(_hidden("query", event.query, query_by_name))
    _maybe(lines, "client-request-id", event.client_request_id)
    _maybe(lines, "key-name", event.key_name)
    _maybe(lines, "model", event.model)
    lines += _headers(event.headers)
    return lines, event.body


def _routed(event: Routed) -> Entry:
    lines = [
        b"@%b route" % event.id.encode(),
        b"model: %b" % event.model.encode(*_UTF8),
        b"reason: %b" % event.reason.encode(*_UTF8),
    ]
    lines += [b"backend: %b" % name.encode(*_UTF8) for name in event.backends]
    return lines, None


def _attempt(event: Attempt) -> Entry:
    lines = [
        b"@%b attempt %d" % (event.id.encode(), event.number),
        b"at: %.3f ms" % event.at,
        b"backend: %b" % event.backend.encode(*_UTF8),
        _hidden("url", event.url, url_by_name),
        *_headers(event.headers),
    ]
    for splice in event.splices:
        lines.append(b"change-at: %d" % splice.offset)
        lines.append(b"change-old: %b" % splice.old)
        lines.append(b"change-new: %b" % splice.new)
    return lines, event.body


def _head(event: Head) -> Entry:
    lines = [
        b"@%b answer %d" % (event.id.encode(), event.number),
        b"at: %.3f ms" % event.at,
        b"status: %d" % event.status,
        b"connection: reused" if event.reused else b"connection: new",
    ]
    _maybe_at(lines, "connected", event.connected)
    lines += _headers(event.headers)
    return lines, None


def _read(event: Read) -> Entry:
    title = b"@%b read %d" % (event.id.encode(), event.number)
    return [title, b"at: %.3f ms" % event.at], event.data


def _attempt_end(event: AttemptEnd) -> Entry:
    lines = [
        b"@%b ended %d" % (event.id.encode(), event.number),
        b"at: %.3f ms" % event.at,
        b"backend: %b" % event.backend.encode(*_UTF8),
    ]
    _maybe(lines, "status", event.status)
    _maybe(lines, "error", event.error)
    _maybe(lines, "message", event.message)
    _maybe_at(lines, "first-content", event.first_content)
    return lines, event.body


def _note(event: Note) -> Entry:
    lines = [b"@%b note" % event.id.encode(), b"at: %.3f ms" % event.at]
    _maybe(lines, "text", event.text)
    return lines, None


def _end(event: End) -> Entry:
    lines = [
        b"@%b end" % event.id.encode(),
        b"at: %.3f ms" % event.at,
        b"outcome: %b" % event.outcome.encode(*_UTF8),
        b"status: %d" % event.status,
        b"sent: %d bytes" % event.sent,
    ]
    _maybe(lines, "backend", event.backend)
    lines.append(b"attempts: %d" % event.attempts)
    _maybe(lines, "finish-reason", event.finish_reason)
    _maybe(lines, "usage", None if event.usage is None else _usage_text(event.usage))
    _maybe(lines, "summary", summary(event))
    return lines, event.body


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


def _maybe(lines: list[bytes], name: str, value: object) -> None:
    if value is not None:
        lines.append(f"{name}: {value}".encode(*_UTF8))


def _maybe_at(lines: list[bytes], name: str, time: float | None) -> None:
    if time is not None:
        lines.append(f"{name}: {time:.3f} ms".encode())


@lru_cache(maxsize=256)
def _hidden(name: str, value: str, by_name: Callable[[str], str]) -> bytes:
    """Remembered: it is the same URL again and again."""
    shown = by_name(value)
    mark = "" if shown == value else " (masked)"
    return f"{name}{mark}: {shown}".encode(*_UTF8)


def _headers(headers: HeaderPairs) -> list[bytes]:
    return [
        b"header: %b: %b" % pair if shown_of(pair[0]) is None else _header(*pair)
        for pair in headers
    ]


@lru_cache(maxsize=256)
def _header(name: bytes, value: bytes) -> bytes:
    """Remembered: it is the same few keys again and again."""
    shown = header_by_name(name, value)
    mark = b"" if shown is value else b" (masked)"
    return b"header%b: %b: %b" % (mark, name, shown)


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
