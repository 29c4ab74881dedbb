"""
A framing, and the pieces that all of them are made of: heads, bodies, chunks.
"""

from __future__ import annotations

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
