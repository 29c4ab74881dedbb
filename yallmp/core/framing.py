"""
Where a request ends and whom it is for, where two readers could differ.

A proxy in front of this one reads the same bytes.  If it finds another end, or another
addressee, the rest of one request becomes a request of its own, or an answer reaches the
wrong client (RFC 9112, 11.2: request smuggling).  What is only lenient in a reader that
stands alone is therefore refused: lines that go on in the next one (5.2), codings other than
``chunked`` (6.1, 7), trailers that are no fields or would change what was read before them
(RFC 9110, 6.5.1), a target that names another host than ``Host`` does (RFC 9112, 3.2.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from yallmp.core.visit import host_of

_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t -~\x80-\xff]*")
#: What may not come behind a body: it would have changed how the request was read.
_TOO_LATE = frozenset({
    b"content-length", b"transfer-encoding", b"content-encoding", b"content-type", b"host",
    b"trailer", b"te", b"connection", b"expect", b"upgrade", b"authorization", b"x-api-key",
    b"origin", b"cookie",
})  # fmt: skip
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(?:[/?].*)?", re.IGNORECASE)
_VISIBLE = re.compile(rb"[!-~]+")


def is_folded(line: bytes) -> bool:
    """Whether a line of a head goes on with the one before, or stands where none may."""
    return line[:1] in (b" ", b"\t")


def is_chunked(coding: bytes, version: bytes) -> bool:
    """Whether *coding*, all of a ``Transfer-Encoding``, is the one that there is."""
    return coding.lower() == b"chunked" and version == b"HTTP/1.1"


def are_plain(trailers: Iterable[bytes]) -> bool:
    """Whether the lines behind a chunked body are fields that may be left out."""
    fields = [_FIELD.fullmatch(line) for line in trailers]
    return all(field is not None and field[1].lower() not in _TOO_LATE for field in fields)


def is_for_us(method: bytes, target: bytes, hosts: Sequence[bytes]) -> bool:
    """
    Whether a request's *target* is a form that a server serves.

    A path, a whole URL of the very host that ``Host`` names, or ``*`` for ``OPTIONS``.
    """
    if len(hosts) > 1 or not _VISIBLE.fullmatch(target):
        return False
    if target.startswith(b"/"):
        return True
    if target == b"*":
        return method == b"OPTIONS"
    named = _ABSOLUTE.fullmatch(target)
    return named is not None and all(_same_host(named[1], host) for host in hosts)


def _same_host(one: bytes, other: bytes) -> bool:
    host = host_of(one.decode("latin-1"))
    return host is not None and host == host_of(other.decode("latin-1"))
