"""Targets: what comes over a connection, read without the rest of the proxy."""

from __future__ import annotations

import zlib
from typing import Any

from chaos.fuzz import seeds
from chaos.fuzz.target import Target, cut, must, same
from yallmp.core.frames import BrokenFramesError, Decoder
from yallmp.core.framing import are_plain, is_chunked, is_folded, is_for_us
from yallmp.core.inflate import Inflater
from yallmp.core.problems import AttemptFailed
from yallmp.core.requesthead import plain_head
from yallmp.core.settings import Limits
from yallmp.core.sse import EventTooLargeError, Parser, ServerEvent, bearable
from yallmp.lean.parser import AnswerParser, NotHTTP

_LIMITS = Limits(max_head_bytes=2048, max_head_fields=20, max_target_bytes=200)


def head(data: bytes) -> None:
    """What is read at once says what its lines say, and is framed as they say."""
    lines = data.split(b"\r\n")
    are_plain(lines), is_folded(data), is_chunked(data, b"HTTP/1.1")
    is_for_us(b"GET", lines[0], lines[1:3])
    found = plain_head(data, _LIMITS)
    if found is None:
        return
    whole = data[: found.end]
    must(whole.endswith(b"\r\n\r\n") and b"\0" not in whole, "the head ends elsewhere")
    start, *fields = whole[:-4].split(b"\r\n")
    same(start, b"%b %b HTTP/1.1" % (found.method, found.target), "start line")
    pairs = [(name, value.strip()) for name, _, value in (each.partition(b":") for each in fields)]
    same(list(found.pairs), pairs, "fields")
    declared = [int(value) for name, value in pairs if name.lower() == b"content-length"]
    same([found.length], declared or [0], "length")


def _answer(parts: list[bytes]) -> Any:
    parser, body = AnswerParser(1 << 20), b""
    try:
        for part in parts:
            body += parser.feed(part) if part else b""
    except NotHTTP:
        return None
    return parser.status, parser.headers, body, parser.complete, parser.until_close


def answer(data: bytes) -> None:
    """The answer of a backend is the same however it comes, or no HTTP."""
    whole, parts = cut(data)
    same(_answer(parts), _answer([whole]), "answer")
    AnswerParser(64).feed(b"HTTP/1.1 200 OK\r\n")


def _events(parts: list[bytes], limit: int = 1 << 20) -> tuple[list[ServerEvent], bytes]:
    parser, events = Parser(limit), []
    for part in parts:
        events += parser.feed(part)
    pending = b"".join(parts)[sum(len(each.raw) for each in events) :]
    same(parser.waiting, len(pending), "pending")
    same(b"".join(each.raw for each in events) + pending, b"".join(parts), "bytes")
    return events + parser.close(), pending


def _facts(events: list[ServerEvent]) -> list[tuple[bytes, bytes]]:
    return [(each.data, each.name) for each in events if each.data is not None]


def sse(data: bytes) -> None:
    """Events are the same however they come, and no byte is lost."""
    whole, parts = cut(data)
    events, _ = _events([whole])
    same(_facts(_events(parts)[0]), _facts(events), "events")
    if len(whole) < 300:  # byte by byte, each is looked at again and again
        bytewise = [whole[n : n + 1] for n in range(len(whole))]
        same(_facts(_events(bytewise)[0]), _facts(events), "bytes")
    for each in events:
        told = _facts(_events([bearable(each)])[0])
        same(told, _facts([each]), "bearable")
    _plainly(whole, parts, events)
    _bounded(whole)


def _plainly(whole: bytes, parts: list[bytes], events: list[ServerEvent]) -> None:
    """The fast way finds the same data."""
    parser, data = Parser(1 << 20), []
    for part in parts:
        plain = parser.plain(part)
        if plain is None:
            data += [each.data for each in parser.feed(part) if each.data is not None]
        else:
            data += plain[1].split(b"\n")
            same(len(plain[1].split(b"\n")), plain[2], "count")
            parser.skip(plain[0], part)
    data += [each.data for each in parser.close() if each.data is not None]
    same(data, [each.data for each in events if each.data is not None], "plain events")


def _bounded(data: bytes) -> None:
    try:
        Parser(16, 4).feed(data)
    except EventTooLargeError:
        return


def _inflated(parts: list[bytes]) -> bytes | None:
    inflater = Inflater(1 << 18)
    try:
        return b"".join(map(inflater, parts))
    except AttemptFailed:
        return None


def inflate(data: bytes) -> None:
    """Compressed data becomes the same however it comes, and what zlib makes of it."""
    whole, parts = cut(data)
    found = _inflated([whole])
    same(_inflated(parts), found, "inflated")
    if found:
        first = zlib.decompressobj(47).decompress(whole)
        must(found.startswith(first), "zlib sees something else")


def _frames(parts: list[bytes]) -> Any:
    decoder, frames = Decoder(), []
    try:
        for part in parts:
            frames += decoder.feed(part)
    except BrokenFramesError:
        return None
    return frames


def frames(data: bytes) -> None:
    """What goes to the recorder is the same however the pipe cuts it."""
    whole, parts = cut(data)
    same(_frames(parts), _frames([whole]), "frames")


TARGETS = (
    Target("head", "a head read at once is what its lines say", head, seeds.HEADS, seeds.HTTP),
    Target("answer", "a backend's answer, cut anywhere", answer, seeds.ANSWERS, seeds.HTTP),
    Target("sse", "events, cut anywhere and the fast way", sse, seeds.STREAMS, seeds.EVENTS),
    Target("inflate", "compressed answers, cut anywhere", inflate, seeds.COMPRESSED),
    Target("frames", "what goes to the recorder, cut anywhere", frames, seeds.FRAMES),
)  # fmt: skip
