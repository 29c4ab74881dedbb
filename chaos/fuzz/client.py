"""Targets: what a client sends, through the whole proxy."""

from __future__ import annotations

import re

from chaos.fuzz import seeds
from chaos.fuzz.conversation import served
from chaos.fuzz.target import Target, cut, same
from yallmp.core.exchange import Begin

_SIZE = re.compile(rb"([0-9a-fA-F]+)[ \t]*(?:;[^\r\n]*)?\r\n")
CHUNKED = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def channel(data: bytes) -> None:
    """Any bytes at all, cut anywhere: an answer or an end, never a 5xx or a traceback."""
    proxy = served()
    proxy.check(proxy.hear(cut(data)[1]))


def chunked(data: bytes) -> None:
    """A chunked body is what a reader that allows nothing makes of it, or is refused."""
    proxy = served()
    rest, parts = cut(data)
    proxy.check(proxy.hear([CHUNKED + parts[0], *parts[1:]]))
    begins = [each for each in proxy.told if isinstance(each, Begin)]
    if begins and begins[0].body:
        same(begins[0].body, dechunked(rest), "body")


def dechunked(data: bytes) -> bytes | None:
    """The body that *data* is, chunk by chunk; ``None`` if it is not whole (RFC 9112, 7.1)."""
    place, body = 0, b""
    while found := _SIZE.match(data, place):
        size, start = int(found[1], 16), found.end()
        if not size:
            return body
        place = start + size + 2
        if data[start + size : place] != b"\r\n":
            return None
        body += data[start : start + size]
    return None


TARGETS = (
    Target("channel", "a client's bytes, through the whole proxy", channel, seeds.REQUESTS,
           seeds.HTTP),
    Target("chunked", "a chunked body, against a strict reader", chunked, seeds.CHUNKS,
           seeds.HTTP),
)  # fmt: skip
