"""
What backends do: a script plays one connection, from its first moment to its last.

Most answer requests, one after the other, and are made by :func:`each` from a function that
answers one.  What they say when they are well is the drill's sixty tokens, so that a text
that was cut can be told from one that is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

from chaos.item import Script
from chaos.peer import Ask, Peer
from yallmp.drill.answers import (
    DONE,
    TEXT,
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

__all__ = [
    "DONE", "TEXT", "beginning", "chunked", "completion", "ending", "error", "event", "head",
    "stream_head", "tokens", "whole",
]  # fmt: skip

#: Answers one request.
Reply = Callable[[Peer, Ask], None]


def each(reply: Reply) -> Script:
    """Answers every request of a connection with *reply*."""

    def script(peer: Peer) -> None:
        while True:
            reply(peer, peer.ask())

    return script


def says(*parts: bytes) -> Script:
    """Answers every request with the same bytes."""
    return each(lambda peer, _: peer.send(*parts))


def says_and_closes(*parts: bytes) -> Script:
    """Answers one request with these bytes, and ends the connection."""

    def script(peer: Peer) -> None:
        peer.ask()
        peer.send(*parts)
        peer.close()

    return script


def says_and_resets(*parts: bytes, after: float = 0.05) -> Script:
    """The same, but with RST; what was sent has a moment to arrive, which RST would destroy."""

    def script(peer: Peer) -> None:
        peer.ask()
        peer.send(*parts)
        peer.pause(after)
        peer.reset()

    return script


def says_and_waits(*parts: bytes) -> Script:
    """Answers with these bytes, and does nothing more until the proxy leaves."""

    def script(peer: Peer) -> None:
        peer.ask()
        peer.send(*parts)
        peer.hold()
        peer.close()

    return script


def drips(*parts: bytes, data: bytes, every: float = 1.0) -> Script:
    """Sends *parts*, and then *data* one byte at a time."""

    def script(peer: Peer) -> None:
        peer.ask()
        peer.send(*parts)
        for byte in data:
            peer.send(bytes([byte]))
            peer.pause(every)
        peer.hold()

    return script


def in_turn(*replies: Reply) -> Script:
    """
    Answers the first request with the first reply, and so on; the last one serves the rest.

    The count is of the backend's requests, on whatever connection they come.
    """
    numbers = count()

    def reply(peer: Peer, ask: Ask) -> None:
        replies[min(next(numbers), len(replies) - 1)](peer, ask)

    return each(reply)


def answer(data: bytes) -> Reply:
    """A reply of these bytes."""
    return lambda peer, _: peer.send(data)


def well(peer: Peer, ask: Ask) -> None:
    """A good answer."""
    model = str(ask.value.get("model"))
    if ask.streams:
        events = [beginning(model), *tokens(model), *ending(model)]
        peer.send(stream_head(), *map(chunked, events), chunked(b""))
    else:
        peer.send(whole(200, completion(model)))


WELL = each(well)
#: A good answer, its body, and the events of a good stream.
GOOD = whole(200, completion("m"))
BODY = GOOD.partition(b"\r\n\r\n")[2]
EVENTS = (beginning("m"), *tokens("m"), *ending("m"))


def saying(text: str) -> bytes:
    """A good answer of another text."""
    value = completion("m")
    value["choices"][0]["message"]["content"] = text
    return whole(200, value)


def stream(*events: bytes) -> bytes:
    """A whole stream of these events, in chunks."""
    return stream_head() + in_chunks(events) + chunked(b"")


def events(first: int = 0, end: int | None = None, model: str = "m") -> bytes:
    """The beginning of a stream and the tokens *first* to *end*, in chunks, with its head."""
    role = [] if first else [beginning(model)]
    return stream_head() + in_chunks([*role, *tokens(model, first, end)])


def in_chunks(parts: Iterable[bytes]) -> bytes:
    """Each of *parts* as a chunk."""
    return b"".join(map(chunked, parts))
