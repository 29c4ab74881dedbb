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

Pure: bytes and what they mean.  :mod:`chaos.smuggling` sends them.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

#: Stands in every request that is hidden in another one's body.
MARKER = b"smuggled"
KEY = b"sk-framing-3f9a61c07d25"


@frozen
class Framing:
    """
    The bytes of one connection.

    :ivar data: what is sent.
    :ivar meant: ``refuse``, ``one`` or ``all``.
    :ivar number: how many requests it is, where it is to be answered.
    :ivar broken: how a reader would fail it.
    """

    id: str
    data: bytes
    meant: str
    number: int
    broken: str


def body(word: bytes = b"plain") -> bytes:
    """A small chat request's body."""
    return b'{"model":"m","messages":[{"role":"user","content":"%b"}]}' % word


def head(*fields: bytes, line: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    """A head with *fields* behind the usual ones, and the empty line."""
    usual = (b"Host: localhost", b"Authorization: Bearer " + KEY, b"Content-Type: application/json")
    return b"\r\n".join((line, *usual, *fields, b"", b""))


def length(data: bytes) -> bytes:
    """The field that declares *data*."""
    return b"Content-Length: %d" % len(data)


def whole(word: bytes = b"plain") -> bytes:
    """A request that leaves no doubt."""
    return head(length(body(word))) + body(word)


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """One chunk."""
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


HIDDEN = whole(MARKER)
CHUNKED = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
PLAIN = body()
#: A chunked body that is whole, and a request behind it that only a reader of lengths hides.
CHUNKS = chunk(PLAIN) + LAST


def framings() -> Iterator[Framing]:
    """All of them; ids are unique."""
    yield from _codings()
    yield from _lengths()
    yield from _lines()
    yield from _chunks()
    yield from _targets()
    yield from _plain()


def _refuse(group: str, rows: Iterator[tuple[str, bytes, str]]) -> Iterator[Framing]:
    for name, data, broken in rows:
        yield Framing(f"{group}.{name}", data, "refuse", 0, broken)


def _codings() -> Iterator[Framing]:
    """Which of two framings holds, and what a coding's name may look like."""
    both = "reads one framing where its neighbour reads the other"
    for name, fields in (
        ("cl-te", (length(CHUNKS + HIDDEN), CHUNKED)),
        ("te-cl", (CHUNKED, length(b"0"))),
        ("te-cl-0", (CHUNKED, b"Content-Length: 0")),
    ):
        yield Framing(f"coding.{name}", head(*fields) + CHUNKS + HIDDEN, "refuse", 0, both)
    odd = "takes an odd spelling for chunked, or for nothing, and reads a hidden request"
    for name, field in _ODD_CODINGS.items():
        data = head(field) + CHUNKS + HIDDEN
        yield Framing(f"coding.{name}", data, "refuse", 0, odd)
        declared = head(length(LAST + HIDDEN), field) + LAST + HIDDEN
        yield Framing(f"coding.{name}-cl", declared, "refuse", 0, odd)
    old = head(CHUNKED, line=b"POST /v1/chat/completions HTTP/1.0") + CHUNKS + HIDDEN
    yield Framing("coding.http-1.0", old, "refuse", 0, "HTTP/1.0 knows no codings (RFC 9112, 6.1)")


_ODD_CODINGS = {
    "identity": b"Transfer-Encoding: identity",
    "chunked-identity": b"Transfer-Encoding: chunked, identity",
    "identity-chunked": b"Transfer-Encoding: identity, chunked",
    "gzip-chunked": b"Transfer-Encoding: gzip, chunked",
    "chunked-chunked": b"Transfer-Encoding: chunked, chunked",
    "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "twice-odd": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "odd-twice": b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "xchunked": b"Transfer-Encoding: xchunked",
    "chunked-x": b"Transfer-Encoding: chunkedx",
    "quoted": b'Transfer-Encoding: "chunked"',
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "empty": b"Transfer-Encoding:",
    "comma": b"Transfer-Encoding: ,chunked",
    "vertical-tab": b"Transfer-Encoding:\x0bchunked",
    "form-feed": b"Transfer-Encoding: chunked\x0c",
    "nul": b"Transfer-Encoding: chunked\x00",
    "bare-cr": b"Transfer-Encoding: chunked\r",
    "cr-inside": b"Transfer-Encoding: \rchunked",
    "bare-lf-before": b"X: y\nTransfer-Encoding: chunked",
    "bare-cr-before": b"X: y\rTransfer-Encoding: chunked",
    "blank-before-colon": b"Transfer-Encoding : chunked",
    "tab-before-colon": b"Transfer-Encoding\t: chunked",
    "fold-value": b"Transfer-Encoding:\r\n chunked",
    "fold-name": b"X: y\r\n Transfer-Encoding: chunked",
    "fold-tab": b"Transfer-Encoding: chunked\r\n\tx",
    "nbsp": b"Transfer-Encoding: \xa0chunked",
    "latin": b"Transfer-Encoding: chun\xebed",
    "nul-in-name": b"Transfer-\x00Encoding: chunked",
    "high-name": b"Transfer-Encoding\xa0: chunked",
}


def _lengths() -> Iterator[Framing]:
    """Lengths that readers read as another number, or as none."""
    why = "reads another length, and takes the rest for a request"
    inner = PLAIN + HIDDEN
    for name, fields in _odd_lengths(len(PLAIN), len(inner)).items():
        yield Framing(f"length.{name}", head(*fields) + inner, "refuse", 0, why)


def _odd_lengths(short: int, long: int) -> dict[str, tuple[bytes, ...]]:
    def one(text: bytes) -> tuple[bytes, ...]:
        return (b"Content-Length: " + text,)

    return {
        "two": (b"Content-Length: %d" % short, b"Content-Length: %d" % long),
        "two-turned": (b"Content-Length: %d" % long, b"Content-Length: %d" % short),
        "same-twice": (b"Content-Length: %d" % short,) * 2,
        "two-cases": (b"Content-Length: %d" % short, b"content-length: %d" % long),
        "comma": one(b"%d, %d" % (short, long)),
        "comma-same": one(b"%d, %d" % (short, short)),
        "plus": one(b"+%d" % short),
        "minus": one(b"-%d" % short),
        "hex": one(b"0x%x" % short),
        "exponent": one(b"6e1"),
        "point": one(b"%d.0" % short),
        "underscore": one(b"5_8"),
        "blank-inside": one(b"5 8"),
        "superscript": one(b"\xb2"),
        "empty": one(b""),
        "word": one(b"abc"),
        "nul": one(b"%d\x00" % short),
        "bare-cr": one(b"%d\r" % short),
        "vertical-tab": one(b"%d\x0b" % short),
        "beyond-64-bits": one(b"%d" % (2**64 + short)),
        "thousands-of-digits": one(b"9" * 5000),
        "blank-before-colon": (b"Content-Length : %d" % short,),
        "fold": (b"Content-Length:\r\n %d" % short,),
        "fold-more": (b"Content-Length: 5\r\n 8",),
        "behind-bare-lf": (b"X: y\nContent-Length: %d" % short,),
        "no-name": (b"Content-Length: %d" % short, b": x"),
        "no-colon": (b"Content-Length: %d" % short, b"x"),
    }


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


def _chunks() -> Iterator[Framing]:
    """Chunked bodies that are not as they should be."""
    why = "reads another size, or another end, of a chunk, and takes the rest for a request"
    size = len(PLAIN)
    for name, chunks in (
        ("size-overflow", b"1%016x\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-overflow-32", b"1%08x\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-0x", b"0x%x\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-plus", b"+%x\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-minus", b"-%x\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-blank", b" %x\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-blank-behind", b"%x \r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-underscore", b"3_8\r\n%b\r\n0\r\n\r\n" % PLAIN),
        ("size-empty", b"\r\n%b\r\n0\r\n\r\n" % PLAIN),
        ("size-word", b"xyz\r\n%b\r\n0\r\n\r\n" % PLAIN),
        ("size-bare-lf", b"%x\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("size-bare-cr", b"%x\r%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("extension-lf", b"%x;a\nb\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("extension-cr", b"%x;a\rb\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("extension-nul", b"%x;a\0b\r\n%b\r\n0\r\n\r\n" % (size, PLAIN)),
        ("extension-long", b"%x;%b\r\n%b\r\n0\r\n\r\n" % (size, b"a" * 5000, PLAIN)),
        ("no-end-of-chunk", b"%x\r\n%b0\r\n\r\n" % (size, PLAIN)),
        ("two-bytes-at-end", b"%x\r\n%bXX0\r\n\r\n" % (size, PLAIN)),
        ("bare-lf-at-end", b"%x\r\n%b\n0\r\n\r\n" % (size, PLAIN)),
        ("last-bare-lf", b"%x\r\n%b\r\n0\n\n" % (size, PLAIN)),
        ("trailer-bare-lf", b"%x\r\n%b\r\n0\r\nX: y\n\r\n" % (size, PLAIN)),
        ("trailer-no-colon", b"%x\r\n%b\r\n0\r\nhello\r\n\r\n" % (size, PLAIN)),
        ("trailer-request", b"%x\r\n%b\r\n0\r\n" % (size, PLAIN)),
        ("trailer-fold", b"%x\r\n%b\r\n0\r\nX: y\r\n z\r\n\r\n" % (size, PLAIN)),
        ("trailer-blank", b"%x\r\n%b\r\n0\r\nX : y\r\n\r\n" % (size, PLAIN)),
        ("trailer-nul", b"%x\r\n%b\r\n0\r\nX: \0\r\n\r\n" % (size, PLAIN)),
        ("trailer-length", b"%x\r\n%b\r\n0\r\nContent-Length: 9\r\n\r\n" % (size, PLAIN)),
        ("trailer-coding", b"%x\r\n%b\r\n0\r\nTransfer-Encoding: x\r\n\r\n" % (size, PLAIN)),
        ("trailer-host", b"%x\r\n%b\r\n0\r\nHost: example.com\r\n\r\n" % (size, PLAIN)),
    ):
        yield Framing(f"chunk.{name}", head(CHUNKED) + chunks + HIDDEN, "refuse", 0, why)


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
