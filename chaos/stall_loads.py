"""
What is sent to the proxy, and what backends answer, to keep its reactor busy.

Each *load* is a request, or an answer, or both, of about so many bytes: the harmless ones that
real clients send, and those that cost the most for each byte.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator

from attrs import frozen

_CHAT = b'{"model": "%s", "messages": [{"role": "user", "content": "%s"}]%s}'
_GOOD = json.dumps(
    {
        "id": "a",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        ],
    }
).encode()
_HEADS = {
    "json": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n",
    "error": b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n",
    "sse": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n",
    "sse-gzip": b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
}
_LAST = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
_DONE = b"data: [DONE]\n\n"
_FIRST = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'
_TEXT = b"Of all that a proxy hears it understands little, and that is well. "

Make = Callable[[int], bytes]


def _times(piece: bytes, size: int) -> bytes:
    return piece * max(1, size // len(piece))


def _chat(content: bytes = b"hello", more: bytes = b"", model: bytes = b"good") -> bytes:
    return _CHAT % (model, content, more)


def _with(value: bytes) -> bytes:
    return _chat(more=b', "extra": ' + value)


def _listed(piece: bytes, size: int) -> bytes:
    return b"[" + _times(piece + b",", size) + piece + b"]"


def _base64(size: int) -> bytes:
    return base64.b64encode(random.Random(5).randbytes(3 * size // 4))


def _messages(size: int) -> bytes:
    message = json.dumps({"role": "user", "content": _TEXT.decode() * 30}).encode()
    return b'{"model": "good", "messages": ' + _listed(message, size) + b"}"


REQUESTS: dict[str, Make] = {
    "messages": _messages,
    "image": lambda size: _chat(_base64(size)),
    "text that is not ASCII": lambda size: _chat(_times("ä€".encode(), size)),
    "escapes": lambda size: _chat(_times(rb"\u00e4\n", size)),
    "lone surrogates": lambda size: _chat(_times(rb"\ud800", size)),
    "lists": lambda size: _with(_listed(b"[]", size)),
    "lists, cut": lambda size: _with(_listed(b"[]", size))[:-2],
    "objects, cut": lambda size: _with(_listed(b"{}", size))[:-2],
    "strings, cut": lambda size: _with(_listed(b'""', size))[:-2],
    "numbers, cut": lambda size: _with(_listed(b"1", size))[:-2],
    "fractions, cut": lambda size: _with(_listed(b"1.5", size))[:-2],
    "digits": lambda size: _with(_times(b"1", size)),
    "opening brackets": lambda size: _with(_times(b"[", size)),
    "deep lists": lambda size: _with(_listed(b"[" * 60 + b"]" * 60, size)),
    "brackets in texts": lambda size: _with(_listed(b'"[{"', size)),
    "quotation marks": lambda size: _with(_times(b'"', size)),
    "backslashes": lambda size: _chat(_times(b"\\\\", size)),
    "blanks": lambda size: _with(_times(b" ", size) + b"1"),
    "blanks, then nothing": lambda size: _with(_times(b" ", size))[:-1],
    "a key of escapes": lambda size: _with(b'1, "\\u0061": ' + _listed(b"[]", size)),
    "a key twice": lambda size: _with(_listed(b"[]", size) + b', "extra": 2'),
    "a long key twice": lambda size: _with(
        b'1, "%b": 1, "%b": 2' % (_times(b"k", size // 2), _times(b"k", size // 2))
    ),
    "many keys": lambda size: _with(b"1" + b"".join(b', "k%d": 1' % n for n in range(size // 16))),
    "not UTF-8": lambda size: _with(_listed(b"[]", size)) + b"\xff",
    "a long model": lambda size: _chat(model=_times(b"m", size)),
    "a long stream": lambda size: _chat(more=b', "stream": ' + _listed(b"[]", size)),
    "a long n": lambda size: _chat(more=b', "n": ' + _listed(b"[]", size)),
    "long stream options": lambda size: _chat(more=b', "stream_options": ' + _listed(b"[]", size)),
    "long thinking": lambda size: _chat(more=b', "thinking": {"a": %b}' % _listed(b"[]", size)),
    "a long prompt": lambda size: _chat(more=b', "prompt": ' + _listed(b"[]", size)),
    "ids": lambda size: _chat(more=b', "extra": ' + _listed(b'{"file_id" :""}', size)),
    "what is left out": lambda size: _chat(more=b', "seed": ' + _listed(b"[]", size)),
    "another name": lambda size: _chat(_base64(size), model=b"renamed"),
}


def _answer(content: bytes, more: bytes = b"") -> bytes:
    return (
        b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "%b"},'
        b' "finish_reason": "stop"}]%b}' % (content, more)
    )


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def _sse(piece: bytes, size: int) -> bytes:
    return _FIRST + _times(piece, size) + _LAST + _DONE


def _event(value: bytes) -> bytes:
    chunk = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}], "extra": %b}\n\n'
    return _FIRST + chunk % value + _LAST + _DONE


#: What a backend answers: the kind of its head, and the body; whether a stream was asked for.
ANSWERS: dict[str, tuple[str, Make, bool]] = {
    "text": ("json", lambda size: _answer(_times(_TEXT, size)), False),
    "lists": ("json", lambda size: _answer(b"", b', "extra": ' + _listed(b"[]", size)), False),
    "lists, cut": (
        "json", lambda size: _answer(b"", b', "extra": ' + _listed(b"[]", size))[:-2], False,
    ),
    "choices": (
        "json", lambda size: b'{"choices": ' + _listed(b'{"message":{}}', size) + b"}", False,
    ),
    "no choices": ("json", lambda size: b'{"choices": ' + _listed(b"[]", size) + b"}", False),
    "an error": ("json", lambda size: b'{"error": ' + _listed(b"[]", size) + b"}", False),
    "an error's status": ("error", lambda size: b'{"error": ' + _listed(b"[]", size) + b"}", False),
    "an error's message": (
        "error", lambda size: b'{"error": {"message": "%b"}}' % _times(_TEXT, size), False,
    ),
    "a page of errors": ("error", lambda size: _times(b"<p>" + _TEXT, size), False),
    "a bomb": ("gzip", lambda size: _packed(_answer(_times(b"x", size))), False),
    "a stream nobody asked for": ("sse", lambda size: _sse(_FIRST, size), False),
    "no stream": ("json", lambda size: _answer(_times(_TEXT, size)), True),
    "no stream, choices": (
        "json", lambda size: b'{"choices": ' + _listed(b'{"message":{}}', size) + b"}", True,
    ),
    "a stream": ("sse", lambda size: _sse(_FIRST, size), True),
    "a stream of comments": ("sse", lambda size: _sse(b":\n\n", size), True),
    "a stream of nothing": ("sse", lambda size: _sse(b"\n\n", size), True),
    "a stream of no data": ("sse", lambda size: _sse(b"data:\n\n", size), True),
    "a stream of roles": (
        "sse", lambda size: _sse(b'data: {"choices":[{"delta":{"role":""}}]}\n\n', size), True,
    ),
    "a stream with CR": ("sse", lambda size: _sse(_FIRST.replace(b"\n", b"\r"), size), True),
    "an event of text": ("sse", lambda size: _event(b'"' + _times(_TEXT, size) + b'"'), True),
    "an event of lists": ("sse", lambda size: _event(_listed(b"[]", size)), True),
    "an event of lists, cut": ("sse", lambda size: _event(_listed(b"[]", size)[:-1]), True),
    "an event of lines": ("sse", lambda size: _sse(_times(b":\n", size) + b"\n", 1), True),
    "an event of data": ("sse", lambda size: _sse(_times(b"data:\n", size) + b"\n", 1), True),
    "an event without end": ("sse", lambda size: _FIRST + _times(b"x", size), True),
    "a bomb of events": ("sse-gzip", lambda size: _packed(_sse(_FIRST, size)), True),
    "a bomb of comments": ("sse-gzip", lambda size: _packed(_sse(b":\n\n", size)), True),
}  # fmt: skip
#: Events may not be larger.
MOST_EVENT = 15 << 20


@frozen
class Load:
    """
    One exchange.

    :ivar request: the request's body.
    :ivar answer: the backend's answer, head and all.
    """

    name: str
    request: bytes
    answer: bytes


def good() -> bytes:
    """A small answer."""
    return whole("json", _GOOD)


def whole(kind: str, body: bytes) -> bytes:
    """An answer with its head."""
    return _HEADS[kind] + b"content-length: %d\r\n\r\n" % len(body) + body


def loads(size: int, part: str) -> Iterator[Load]:
    """Every load of about *size* bytes whose name has *part* in it, one after the other."""
    for name, make in REQUESTS.items():
        if part in f"request: {name}":
            yield Load(f"request: {name}", make(size), good())
    for name, (kind, make, streamed) in ANSWERS.items():
        if part in f"answer: {name}":
            most = min(size, MOST_EVENT) if "event" in name else size
            more = b', "stream": true' if streamed else b""
            yield Load(f"answer: {name}", _chat(more=more), whole(kind, make(most)))
