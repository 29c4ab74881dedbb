"""
What the wall's backends send when they are well: sixty tokens, as a stream or whole.

Every backend of a cell says the same, so that a text that was cut can be told from one
that is whole.
"""

from __future__ import annotations

import json
from typing import Any

#: The tokens of every answer.
TOKENS = tuple(f"t{number:02d} " for number in range(60))
TEXT = "".join(TOKENS)
USAGE = {"prompt_tokens": 7, "completion_tokens": len(TOKENS), "total_tokens": 7 + len(TOKENS)}
DONE = b"data: [DONE]\n\n"


def head(status: int, *headers: str, reason: str = "Whatever") -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} {reason}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(status: int, value: Any, *headers: str, kind: str = "application/json") -> bytes:
    """A whole answer; *value* is JSON unless it is bytes."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers) + body


def error(status: int, message: str, code: str | None = None, *headers: str) -> bytes:
    """An error in OpenAI's shape."""
    told = {"message": message, "type": "server_error", "param": None, "code": code}
    return whole(status, {"error": told}, *headers)


def stream_head(*headers: str) -> bytes:
    """The head of a stream in chunks."""
    kind = "Content-Type: text/event-stream"
    return head(200, kind, "Transfer-Encoding: chunked", *headers)


def chunked(data: bytes) -> bytes:
    """*data* as one chunk; empty data ends the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(model: str, delta: dict[str, str], finish: str | None = None) -> bytes:
    """One event of a chat stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event(model, {"choices": [choice]})


def _event(model: str, more: dict[str, Any]) -> bytes:
    value = {"id": "chatcmpl-drill", "object": "chat.completion.chunk", "created": 1,
             "model": model, **more}  # fmt: skip
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def beginning(model: str) -> bytes:
    """The event that has only a role."""
    return event(model, {"role": "assistant", "content": ""})


def tokens(model: str, first: int = 0, end: int | None = None) -> list[bytes]:
    """The events of tokens *first* to *end*."""
    return [event(model, {"content": token}) for token in TOKENS[first:end]]


def ending(model: str, *, done: bool = True) -> list[bytes]:
    """The finish reason, the usage and, if wanted, the formal end."""
    events = [event(model, {}, "stop"), _event(model, {"choices": [], "usage": USAGE})]
    return [*events, DONE] if done else events


def completion(model: str) -> dict[str, Any]:
    """The whole answer."""
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "chatcmpl-drill", "object": "chat.completion", "created": 1, "model": model,
            "choices": [choice], "usage": USAGE}  # fmt: skip
