"""
What the wall's backends do: each fault is a generator of steps.

A step is bytes to send, a number of seconds to wait, or an :class:`Act`.  Behind the last
step the connection waits for the next request.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from itertools import chain

from attrs import frozen

from yallmp.drill.answers import (
    DONE,
    beginning,
    chunked,
    completion,
    ending,
    error,
    event,
    head,
    stream_head,
    tokens,
    whole,
)


class Act(Enum):
    """What a connection can do beside sending and waiting."""

    RESET = "reset"
    CLOSE = "close"


Step = bytes | float | Act
Steps = Iterator[Step]


@frozen
class Ask:
    """
    What a backend was asked.

    ``number`` counts the requests of this backend in its cell from 0, ``since`` are the
    seconds since its first one.
    """

    number: int
    since: float
    model: str
    stream: bool
    prefilled: bool = False


Fault = Callable[[Ask], Steps]

#: Between two tokens, in seconds.
PACE = 0.02
_UNAVAILABLE = error(503, "The model is overloaded.")


def well(ask: Ask) -> Steps:
    """A good answer."""
    if not ask.stream:
        yield whole(200, completion(ask.model))
        return
    yield stream_head()
    yield from _events([beginning(ask.model), *tokens(ask.model), *ending(ask.model)])
    yield chunked(b"")


def _events(events: list[bytes]) -> Steps:
    """Events, one after the other."""
    yield from chain.from_iterable((chunked(each), PACE) for each in events)


def no_prefill(ask: Ask) -> Steps:
    """A good answer, but not to a request whose last message is the assistant's."""
    if ask.prefilled:
        yield error(400, "The last message must be the user's.", "invalid_request_error")
    else:
        yield from well(ask)


def once(first: Fault) -> Fault:
    """*first* for the first request, then good answers."""
    return lambda ask: first(ask) if ask.number == 0 else well(ask)


def says(data: bytes) -> Fault:
    """The same bytes, always."""
    return lambda ask: iter([data])


def limited_briefly(ask: Ask) -> Steps:
    """429 with a wait of two seconds."""
    yield error(429, "Rate limit reached.", "rate_limit_exceeded", "Retry-After: 2")


def resets(ask: Ask) -> Steps:
    """The connection is reset before any answer."""
    yield Act.RESET


def silent(ask: Ask) -> Steps:
    """Nothing for two minutes."""
    yield 120.0
    yield Act.CLOSE


def late(ask: Ask) -> Steps:
    """Headers at once, the first token after 20 s."""
    yield stream_head()
    yield chunked(beginning(ask.model))
    yield 20.0
    yield from _events([*tokens(ask.model), *ending(ask.model)])
    yield chunked(b"")


def cut(ask: Ask) -> Steps:
    """The connection is reset after 40 tokens."""
    yield from _partly(ask, 40)
    yield Act.RESET


def stalls(ask: Ask) -> Steps:
    """Silence for 30 s after 20 tokens, then the end of the connection."""
    yield from _partly(ask, 20)
    yield 30.0
    yield Act.RESET


def _partly(ask: Ask, count: int) -> Steps:
    yield stream_head()
    yield from _events([beginning(ask.model), *tokens(ask.model, 0, count)])


def malformed(ask: Ask) -> Steps:
    """One event is not JSON."""
    yield from _partly(ask, 30)
    yield chunked(b"data: {oops\n\n")
    yield from _events([*tokens(ask.model, 30), *ending(ask.model)])
    yield chunked(b"")


def never_done(ask: Ask) -> Steps:
    """Complete, but the body ends without ``[DONE]``."""
    yield from _undone(ask)
    yield chunked(b"")


def never_ends(ask: Ask) -> Steps:
    """Complete, but neither ``[DONE]`` nor the end of the body comes."""
    yield from _undone(ask)
    yield 60.0
    yield Act.CLOSE


def _undone(ask: Ask) -> Steps:
    yield stream_head()
    events = [beginning(ask.model), *tokens(ask.model), *ending(ask.model, done=False)]
    yield from _events(events)


def down_for_a_minute(ask: Ask) -> Steps:
    """503 for 60 s from the first request on, then good answers."""
    if ask.since < 60:
        yield _UNAVAILABLE
    else:
        yield from well(ask)


def half_a_head(ask: Ask) -> Steps:
    """The head breaks off."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"
    yield Act.CLOSE


def bomb(ask: Ask) -> Steps:
    """A compressed body that is a thousand times larger than it looks."""
    yield whole(200, packed_bomb(), "Content-Encoding: gzip")


@cache
def packed_bomb() -> bytes:
    """A megabyte of blanks, eighty times, small; made once, since it takes a while."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * (1 << 20)) for _ in range(80)), packer.flush()])


def error_in_200(ask: Ask) -> Steps:
    """200 with an error object in it."""
    told = {"message": "The engine is not ready.", "type": "server_error", "code": 503}
    yield whole(200, {"error": told})


def until_close(ask: Ask) -> Steps:
    """A good stream whose body ends with the connection."""
    yield head(200, "Content-Type: text/event-stream", "Connection: close")
    for each in [beginning(ask.model), *tokens(ask.model), *ending(ask.model)]:
        yield each
        yield PACE
    yield Act.CLOSE


def cut_until_close(ask: Ask) -> Steps:
    """The same, but the connection ends after 40 tokens: by HTTP, the body is whole."""
    yield head(200, "Content-Type: text/event-stream", "Connection: close")
    for each in [beginning(ask.model), *tokens(ask.model, 0, 40)]:
        yield each
        yield PACE
    yield Act.CLOSE


def drips(ask: Ask) -> Steps:
    """One byte a second."""
    yield stream_head()
    for byte in event(ask.model, {"content": "t00 "}) + DONE:
        yield chunked(bytes([byte]))
        yield 1.0


UNAVAILABLE: Fault = says(_UNAVAILABLE)
SERVER_ERROR: Fault = says(error(500, "Something broke."))
LIMITED: Fault = says(error(429, "Rate limit reached.", "rate_limit_exceeded"))
TOO_LONG: Fault = says(
    error(400, "This model's maximum context length is 8 tokens.", "context_length_exceeded")
)
REASON = "Your request was rejected by our content policy."
FILTERED: Fault = says(error(400, REASON, "content_policy_violation"))
HTML: Fault = says(whole(200, b"<html><body>Welcome</body></html>", kind="text/html"))
