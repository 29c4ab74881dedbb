"""
Large bodies, read and sent in fewer steps.

Twisted reads 64 KiB at a time and sends 128 KiB.  Each step goes round through the reactor,
which costs more than the bytes; so while a large body is known to come, a connection reads
more at once, and what is large is sent in larger parts.  Where a transport is not a socket
(TLS) it changes nothing.
"""

from __future__ import annotations

from typing import Any

from yallmp.core.exchange import HeaderPairs

#: A body larger than this is large; it is handed to the transport apart from its head, which
#: may join the two (ours does, once, when it sends).
LARGE = 64 * 1024
_DIGITS = 16
_READ = 64 * 1024
_WIDE_READ = 256 * 1024
_WIDE_SEND = 512 * 1024


def expect(transport: Any, length: int) -> None:
    """A body comes of which *length* bytes are not there yet."""
    if length > LARGE:
        transport.bufferSize = _WIDE_READ


def expect_no_more(transport: Any) -> None:
    """It is there: what comes next may be small."""
    transport.bufferSize = _READ


def send(transport: Any, head: bytes, body: bytes) -> None:
    """Write *head* and *body*."""
    if len(body) > LARGE:
        transport.SEND_LIMIT = _WIDE_SEND
        transport.writeSequence((head, body))
    else:
        transport.write(head + body)


def declared(headers: HeaderPairs) -> int:
    """The length of a body as its head declares it; 0 if that is not clear."""
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    plain = len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < _DIGITS
    return int(lengths[0]) if plain else 0


def unsent(transport: Any) -> bool:
    """Whether something that was written has not left yet; beneath TLS, if there is any."""
    while getattr(transport, "transport", None) is not None:
        transport = transport.transport
    return bool(getattr(transport, "dataBuffer", b"") or getattr(transport, "_tempDataBuffer", ()))
