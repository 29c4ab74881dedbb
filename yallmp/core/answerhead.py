"""
The head of an answer as bytes, all of it at once.

Nothing in a name or a value may end a line: whoever got that in could write headers of his
own, or a second answer.  That is checked on the joined lines, where it costs one look.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from yallmp.core.errors import ProxyError, error_body

_REASONS = {int(status): status.phrase.encode() for status in HTTPStatus}
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: Answers that have no body, whatever is said of its length.
BODILESS = frozenset({204, 304})


def answer_head(version: bytes, status: int, pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """
    The head, up to and with its empty line.

    :param version: the request's, ``HTTP/1.1``.
    :param pairs: all headers, in order; what could break the head is taken out.
    """
    block = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
    if not block.count(b"\n") == block.count(b"\r") == len(pairs) or b"\0" in block:
        return answer_head(version, status, _cleaned(pairs))
    reason = _REASONS.get(status, b"Unknown Status")
    return b"%b %d %b\r\n%b\r\n" % (version, status, reason, block)


def last_answer(error: ProxyError, *ids: tuple[bytes, bytes]) -> bytes:
    """All of the answer that tells *error* on a connection that is closed behind it."""
    body = error_body(error)
    pairs = (
        (b"Server", b"yallmp"),
        *ids,
        *error.headers,
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", b"close"),
    )
    return answer_head(b"HTTP/1.1", error.status, pairs) + body


def _cleaned(pairs: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Lines in values joined by blanks, and headers left out whose name is none."""
    return [
        (name, b" ".join(value.replace(b"\0", b" ").splitlines()))
        for name, value in pairs
        if _TOKEN.fullmatch(name)
    ]
