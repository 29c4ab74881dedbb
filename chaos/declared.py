"""
Framings whose fields, or whose chunks, declare a body's end so that readers may differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.framing import CHUNKED, CHUNKS, HIDDEN, LAST, PLAIN, Framing, head, length


def declared() -> Iterator[Framing]:
    """All of them."""
    yield from _codings()
    yield from _lengths()
    yield from _chunks()


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
        "exponent": one(b"%de0" % short),
        "point": one(b"%d.0" % short),
        "underscore": one(b"%d_%d" % divmod(short, 10)),
        "blank-inside": one(b"%d %d" % divmod(short, 10)),
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
        "fold-more": (b"Content-Length: %d\r\n %d" % divmod(short, 10),),
        "behind-bare-lf": (b"X: y\nContent-Length: %d" % short,),
        "no-name": (b"Content-Length: %d" % short, b": x"),
        "no-colon": (b"Content-Length: %d" % short, b"x"),
    }


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
        ("size-underscore", b"%x_%x\r\n%b\r\n0\r\n\r\n" % (*divmod(size, 16), PLAIN)),
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
