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
#: A section: the lines of its title and of what we say, those of what others said, its body.
Entry = tuple[list[str], list[bytes], "bytes | None"]


def entry_of(event: Event) -> Entry:
    """What stands in the log for *event*, not escaped and with known secrets still in it."""
    entry: Entry = _WRITERS[type(event)](event)
    return entry


def encoded(lines: list[str]) -> bytes:
    """*lines* as one text, without a line break at its end."""
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _begin(event: Begin) -> Entry:
    lines = [
        f"@{event.id} request",
        f"time: {utc(event.time)}",
        f"client: {event.client}",
        f"listener: {event.listener}",
        f"method: {event.method}",
        f"path: {event.path}",
    ]
    if event.query:
        lines.append(_hidden("query", event.query, query_by_name))
    if event.client_request_id is not None:
        lines.append(f"client-request-id: {event.client_request_id}")
    if event.key_name is not None:
        lines.append(f"key-name: {event.key_name}")
    if event.model is not None:
        lines.append(f"model: {event.model}")
    return lines, _headers(event.headers), event.body


def _routed(event: Routed) -> Entry:
    lines = [f"@{event.id} route", f"model: {event.model}", f"reason: {event.reason}"]
    lines += [f"backend: {name}" for name in event.backends]
    return lines, [], None


def _attempt(event: Attempt) -> Entry:
    lines = [
        f"@{event.id} attempt {event.number}",
        f"at: {event.at:.3f} ms",
        f"backend: {event.backend}",
        _hidden("url", event.url, url_by_name),
    ]
    said = _headers(event.headers)
    for splice in event.splices:
        said.append(b"change-at: %d" % splice.offset)
        said.append(b"change-old: %b" % splice.old)
        said.append(b"change-new: %b" % splice.new)
    return lines, said, event.body


def _head(event: Head) -> Entry:
    lines = [
        f"@{event.id} answer {event.number}",
        f"at: {event.at:.3f} ms",
        f"status: {event.status}",
        "connection: reused" if event.reused else "connection: new",
    ]
    if event.connected is not None:
        lines.append(f"connected: {event.connected:.3f} ms")
    return lines, _headers(event.headers), None


def _read(event: Read) -> Entry:
    return [f"@{event.id} read {event.number}", f"at: {event.at:.3f} ms"], [], event.data


def _attempt_end(event: AttemptEnd) -> Entry:
    lines = [
        f"@{event.id} ended {event.number}",
        f"at: {event.at:.3f} ms",
        f"backend: {event.backend}",
    ]
    if event.status is not None:
        lines.append(f"status: {event.status}")
    if event.error is not None:
        lines.append(f"error: {event.error}")
    if event.message is not None:
        lines.append(f"message: {event.message}")
    if event.first_content is not None:
        lines.append(f"first-content: {event.first_content:.3f} ms")
    return lines, [], event.body


def _note(event: Note) -> Entry:
    return [f"@{event.id} note", f"at: {event.at:.3f} ms", f"text: {event.text}"], [], None


def _end(event: End) -> Entry:
    lines = [
        f"@{event.id} end",
        f"at: {event.at:.3f} ms",
        f"outcome: {event.outcome}",
        f"status: {event.status}",
        f"sent: {event.sent} bytes",
    ]
    if event.backend is not None:
        lines.append(f"backend: {event.backend}")
    lines.append(f"attempts: {event.attempts}")
    if event.finish_reason is not None:
        lines.append(f"finish-reason: {event.finish_reason}")
    if event.usage is not None:
        lines.append(f"usage: {_usage_text(event.usage)}")
    lines.append(f"summary: {summary(event)}")
    return lines, [], event.body


def summary(event: End) -> str:
    """The exchange in one line, for a person."""
    source = f" from {event.backend}" if event.backend else ""
    tries = f" after {event.attempts} attempts" if event.attempts > 1 else ""
    took = f"{event.at:.0f} ms" if event.at < 1000 else f"{event.at / 1000:.1f} s"
    return f"{event.outcome}: {event.status}{source}{tries} in {took}"


def utc(time: float) -> str:
    """POSIX seconds as ``2026-10-19T08:15:02.123456Z``."""
    second, micro = divmod(round(time * 1e6), 1_000_000)
    return f"{utc_second(second)}.{micro:06d}Z"


def second_of(time: float) -> int:
    """The second that *time*, to the microsecond, is in."""
    return round(time * 1e6) // 1_000_000


@lru_cache(maxsize=16)
def utc_second(second: int) -> str:
    """A second as ``2026-10-19T08:15:02``."""
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)
def _hidden(name: str, value: str, by_name: Callable[[str], str]) -> str:
    """Remembered: it is the same URL again and again."""
    shown = by_name(value)
    mark = "" if shown == value else " (masked)"
    return f"{name}{mark}: {shown}"


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
