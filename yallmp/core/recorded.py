"""
Events of an exchange as sections of its log.

One function for each class of event, in the order of :mod:`yallmp.core.exchange`;
``docs/log-format.md`` lists the fields.  The rule of names is applied here
(:mod:`yallmp.core.secretnames`); known secrets are for :mod:`yallmp.core.record`.  The way
back is :mod:`yallmp.core.recalled`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
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
from yallmp.core.recordframe import Block, Field, Section
from yallmp.core.secretnames import header_by_name, query_by_name, url_by_name

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def section_of(event: Event) -> Section:
    """What stands in the log for *event*, known secrets still in it."""
    section: Section = _WRITERS[type(event)](event)
    return section


def _begin(event: Begin) -> Section:
    fields = [
        Field("time", utc(event.time).encode()),
        _text("client", event.client),
        _text("listener", event.listener),
        _text("method", event.method),
        _text("path", event.path),
        *_hidden("query", event.query or None, query_by_name),
        *_maybe("client-request-id", event.client_request_id),
        *_maybe("key-name", event.key_name),
        *_maybe("model", event.model),
        *_headers(event.headers),
    ]
    return Section("request", 0, tuple(fields), _block(event.body))


def _routed(event: Routed) -> Section:
    backends = [_text("backend", name) for name in event.backends]
    fields = (_text("model", event.model), _text("reason", event.reason), *backends)
    return Section("route", 0, fields)


def _attempt(event: Attempt) -> Section:
    fields = (
        _at(event.at),
        _text("backend", event.backend),
        *_hidden("url", event.url, url_by_name),
        *_headers(event.headers),
        *_changes(event.splices),
    )
    return Section("attempt", event.number, fields, _block(event.body))


def _head(event: Head) -> Section:
    connected = [] if event.connected is None else [_at(event.connected, "connected")]
    fields = (
        _at(event.at),
        _text("status", str(event.status)),
        _text("connection", "reused" if event.reused else "new"),
        *connected,
        *_headers(event.headers),
    )
    return Section("answer", event.number, fields)


def _read(event: Read) -> Section:
    return Section("read", event.number, (_at(event.at),), _block(event.data))


def _attempt_end(event: AttemptEnd) -> Section:
    first = [] if event.first_content is None else [_at(event.first_content, "first-content")]
    fields = (
        _at(event.at),
        _text("backend", event.backend),
        *_maybe("status", event.status),
        *_maybe("error", event.error),
        *_maybe("message", event.message),
        *first,
    )
    return Section("ended", event.number, fields, _block(event.body))


def _note(event: Note) -> Section:
    return Section("note", 0, (_at(event.at), _text("text", event.text)))


def _end(event: End) -> Section:
    fields = (
        _at(event.at),
        _text("outcome", event.outcome),
        _text("status", str(event.status)),
        _text("sent", f"{event.sent} bytes"),
        *_maybe("backend", event.backend),
        _text("attempts", str(event.attempts)),
        *_maybe("finish-reason", event.finish_reason),
        *([] if event.usage is None else [_text("usage", _usage_text(event.usage))]),
        _text("summary", summary(event)),
    )
    return Section("end", 0, fields, _block(event.body))


def summary(event: End) -> str:
    """The exchange in one line, for a person."""
    source = f" from {event.backend}" if event.backend else ""
    tries = f" after {event.attempts} attempts" if event.attempts > 1 else ""
    took = f"{event.at:.0f} ms" if event.at < 1000 else f"{event.at / 1000:.1f} s"
    return f"{event.outcome}: {event.status}{source}{tries} in {took}"


def utc(time: float) -> str:
    """POSIX seconds as ``2026-10-19T08:15:02.123456Z``."""
    moment = _EPOCH + timedelta(microseconds=round(time * 1e6))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(name: str, value: str) -> Field:
    return Field(name, value.encode("utf-8", "surrogatepass"))


def _maybe(name: str, value: object) -> list[Field]:
    return [] if value is None else [_text(name, str(value))]


def _hidden(name: str, value: str | None, by_name: Callable[[str], str]) -> Iterator[Field]:
    if value is not None:
        shown = by_name(value)
        yield Field(name, shown.encode("utf-8", "surrogatepass"), shown != value)


def _at(milliseconds: float, name: str = "at") -> Field:
    return Field(name, b"%.3f ms" % milliseconds)


def _headers(headers: HeaderPairs) -> Iterator[Field]:
    for name, value in headers:
        shown = header_by_name(name, value)
        yield Field("header", b"%b: %b" % (name, shown), shown != value)


def _changes(splices: Iterable[Splice]) -> Iterator[Field]:
    for splice in splices:
        yield Field("change-at", b"%d" % splice.offset)
        yield Field("change-old", splice.old)
        yield Field("change-new", splice.new)


def _block(data: bytes | None) -> Block | None:
    return None if data is None else Block(data, len(data))


def _usage_text(usage: Usage) -> str:
    told = {"prompt": usage.prompt, "completion": usage.completion, "total": usage.total}
    return ", ".join(f"{name} {count}" for name, count in told.items() if count is not None)


_WRITERS: dict[type, Callable[[Any], Section]] = {
    Begin: _begin,
    Routed: _routed,
    Attempt: _attempt,
    Head: _head,
    Read: _read,
    AttemptEnd: _attempt_end,
    Note: _note,
    End: _end,
}
