"""
The head of a request, where there is no doubt what it says.

Almost every request comes from a well-made client: one line, some fields, a length.  Such a
head is read here at once.  What could be read in two ways, or is only unusual, is not read
here at all: ``None`` says that the parser that reads line by line, with all its checks, has
to look (RFC 9112; request smuggling lives in what two readers read differently).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from yallmp.core.exchange import HeaderPairs
from yallmp.core.settings import Limits

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: No star stands beside another that takes the same bytes: a head that does not match costs
#: time in proportion to its length.
_HEAD = re.compile(
    rb"([A-Z]{1,20}) (/[!-~]*) HTTP/1\.1\r\n((?:" + _TOKEN + rb":[\t -~\x80-\xff]*\r\n)*)\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,12}")
#: Fields that change how the rest is read.
_ODD = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"})
_BODILESS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})


class RequestHead(NamedTuple):
    """
    What the head says.

    ``target`` is a path, perhaps with a query.  ``pairs`` are the fields as they came,
    blanks around the values removed.  The body has ``length`` bytes and begins at ``end``.
    """

    method: bytes
    target: bytes
    pairs: HeaderPairs
    length: int
    end: int


def plain_head(data: bytes, limits: Limits) -> RequestHead | None:
    """The head that *data* begins with; ``None`` if it is not whole, odd or too large."""
    found = _HEAD.match(data, 0, limits.max_head_bytes)
    if found is None:
        return None
    method, target, block = found.groups()
    lines = [line.split(b":", 1) for line in block.split(b"\r\n")[:-1]]
    pairs = tuple([(name, value.strip()) for name, value in lines])
    if len(pairs) > limits.max_head_fields or len(target) > limits.max_target_bytes:
        return None
    fields = {name.lower(): value for name, value in pairs}
    length = None if len(fields) < len(pairs) else _length(method, fields)
    return None if length is None else RequestHead(method, target, pairs, length, found.end())


def _length(method: bytes, fields: Mapping[bytes, bytes]) -> int | None:
    """The body's length; ``None`` if a field makes it, or the connection's end, doubtful."""
    if not _ODD.isdisjoint(fields):
        return None
    if fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    declared = fields.get(b"content-length")
    if declared is None:
        return 0 if method in _BODILESS else None
    return int(declared) if _LENGTH.fullmatch(declared) else None
