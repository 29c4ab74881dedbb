"""
Requests whose end two readers could see in different places (RFC 9112, 6 and 11.2).

Whoever stands in front of the proxy reads the same bytes as it does.  Where both find a
request's end in different places, the rest of one becomes a request of its own: that is
request smuggling.  Each :class:`Framing` here is the bytes of one connection that some
reader is known to misread; most hide a whole request, the *marker*, in what another reader
takes for a body.  There are three things that a proxy may make of one:

- ``refuse``: the framing is doubtful.  No 2xx, and nothing behind it is served.
- ``one``: it is odd, yet HTTP leaves no doubt: one request; the marker is its body.
- ``all``: these are several requests, and a reader must not swallow one of them.

Pure: bytes and what they mean.  Those that are about a declared length are in
:mod:`chaos.declared`; :mod:`chaos.smuggling` sends all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.declared import declared
from chaos.framing import (
    CHUNKED,
    CHUNKS,
    HIDDEN,
    LAST,
    PLAIN,
    Framing,
    body,
    chunk,
    head,
    length,
    whole,
)


def framings() -> Iterator[Framing]:
    """All of them; ids are unique."""
    yield from declared()
    yield from _lines()
    yield from _targets()
    yield from _plain()


def _lines() -> Iterator[Framing]:
    """Where a line, a head or a field ends."""
    why = "ends a line where its neighbour does not"
    one = head(length(PLAIN)) + PLAIN
    for name, data in (
        ("bare-lf", one.replace(b"\r\n", b"\n") + HIDDEN),
        ("bare-lf-end", head(length(PLAIN))[:-2] + b"\n" + PLAIN + HIDDEN),
        ("bare-cr", one.replace(b"\r\n", b"\r") + HIDDEN),
        ("lf-in-line", head(line=b"POST /v1/chat/completions HTTP/1.1\nX: y") + HIDDEN),
        ("cr-in-line", head(line=b"POST /v1/\rchat/completions HTTP/1.1") + HIDDEN),
        ("nul-in-line", head(line=b"POST /v1/chat/completions\x00 HTTP/1.1") + HIDDEN),
        ("nul-in-value", head(length(PLAIN), b"X: a\x00b") + PLAIN + HIDDEN),
        ("fold", head(length(PLAIN), b"X: y\r\n z") + PLAIN + HIDDEN),
        ("fold-first", head(line=b"POST /v1/chat/completions HTTP/1.1\r\n X: y") + HIDDEN),
        ("blank-first", b" " + one + HIDDEN),
        ("two-blanks", head(length(PLAIN), line=b"POST  /v1/models HTTP/1.1") + PLAIN + HIDDEN),
        ("three-words", head(line=b"POST /v1/chat/completions HTTP/1.1 x") + HIDDEN),
        ("tabs", head(length(PLAIN), line=b"POST\t/v1/models\tHTTP/1.1") + PLAIN + HIDDEN),
        ("odd-method", head(length(PLAIN), line=b"PO@T /v1/models HTTP/1.1") + PLAIN + HIDDEN),
        ("odd-name", head(length(PLAIN), b"X(Y): z") + PLAIN + HIDDEN),
        ("version-1.2", head(length(PLAIN), line=b"POST /v1/models HTTP/1.2") + PLAIN + HIDDEN),
        ("version-lower", head(length(PLAIN), line=b"POST /v1/models http/1.1") + PLAIN + HIDDEN),
        ("version-2.0", head(length(PLAIN), line=b"POST /v1/models HTTP/2.0") + PLAIN + HIDDEN),
        ("version-0.9", b"GET /v1/models\r\n" + HIDDEN),
        ("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + HIDDEN),
        ("tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + HIDDEN),
        ("proxy-protocol", b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + HIDDEN),
        ("two-hosts", head(length(PLAIN), b"Host: example.com") + PLAIN + HIDDEN),
    ):
        yield Framing(f"line.{name}", data, "refuse", 0, why)


def _targets() -> Iterator[Framing]:
    """Whom a request is for."""
    why = "serves a request that is meant for somebody else"
    path = b"/v1/chat/completions"
    for name, target in (
        ("other-authority", b"http://example.com" + path),
        ("user-info", b"http://localhost@example.com" + path),
        ("authority", b"localhost:80"),
        ("other-scheme", b"ftp://localhost" + path),
        ("backslash", b"http:\\\\localhost" + path),
        ("high-byte", path + b"\xff"),
        ("quoted-blank", path + b"\x7f"),
    ):
        line = b"POST %b HTTP/1.1" % target
        data = head(length(PLAIN), line=line) + PLAIN
        yield Framing(f"target.{name}", data, "refuse", 0, why)
    connect = head(length(PLAIN), line=b"CONNECT 169.254.169.254:80 HTTP/1.1") + PLAIN
    yield Framing("target.connect", connect, "refuse", 0, why)


def _plain() -> Iterator[Framing]:
    """Odd, yet beyond doubt: a reader that refuses or swallows these loses requests."""
    hide = "takes what is in a body for a request"
    keep = "loses a request that stands behind another"
    inside = head(length(body(HIDDEN.replace(b'"', b"'").replace(b"\r\n", b" "))))
    hidden = body(HIDDEN.replace(b'"', b"'").replace(b"\r\n", b" "))
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    many = b"".join(chunk(bytes([each])) for each in PLAIN) + LAST
    tail = b"0\r\nX-Checksum: 1\r\n\r\n"
    for name, data, number, why in (
        ("hidden-in-body", inside + hidden, 1, hide),
        ("leading-zeros", head(b"Content-Length: 000%d" % len(PLAIN)) + PLAIN, 1, hide),
        ("chunked", head(CHUNKED) + CHUNKS, 1, hide),
        ("chunked-upper", head(b"TRANSFER-ENCODING: CHUNKED") + CHUNKS, 1, hide),
        ("chunked-blanks", head(b"Transfer-Encoding: \t chunked \t") + CHUNKS, 1, hide),
        ("tiny-chunks", head(CHUNKED) + many, 1, hide),
        ("extension", head(CHUNKED) + chunk(PLAIN, b";a=b") + LAST, 1, hide),
        ("trailer", head(CHUNKED) + chunk(PLAIN) + tail, 1, hide),
        ("upgrade-h2c", head(length(PLAIN), *upgrade) + PLAIN, 1, hide),
        ("te-field", head(length(PLAIN), b"TE: trailers, chunked;q=0.5") + PLAIN, 1, hide),
        ("underscores", head(length(PLAIN), b"Transfer_Encoding: chunked") + PLAIN, 1, hide),
        ("expect", head(length(PLAIN), b"Expect: 100-continue") + PLAIN, 1, hide),
        ("own-authority", _own_authority(), 1, hide),
        ("empty-line-first", b"\r\n" + whole(), 1, hide),
        ("pipelined", whole() * 3, 3, keep),
        ("pipelined-chunked", (head(CHUNKED) + CHUNKS) * 2 + whole(), 3, keep),
        ("get-with-body", _get(HIDDEN) + whole(), 2, hide),
        ("head-with-body", _get(HIDDEN, b"HEAD") + whole(), 2, hide),
    ):
        yield Framing(f"plain.{name}", data, "one" if number == 1 else "all", number, why)
    close = head(length(PLAIN), b"Connection: close") + PLAIN + HIDDEN
    yield Framing("plain.behind-close", close, "one", 1, "serves what comes behind a close")


def _own_authority() -> bytes:
    line = b"POST http://localhost/v1/chat/completions HTTP/1.1"
    return head(length(PLAIN), line=line) + PLAIN


def _get(data: bytes, method: bytes = b"GET") -> bytes:
    return head(length(data), line=b"%b /v1/models HTTP/1.1" % method) + data
