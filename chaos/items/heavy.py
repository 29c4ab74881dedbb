"""
Answers that are large, or become large: what they take of memory, against a proxy of its own.

The figure is the growth of what all of its processes have resident (:mod:`chaos.memory`).
"""

from __future__ import annotations

import gzip
import json
import zlib
from functools import cache

from chaos.item import Item
from chaos.memory import memory
from chaos.peer import Peer
from chaos.scripts import (
    BODY,
    EVENTS,
    WELL,
    beginning,
    chunked,
    ending,
    event,
    events,
    head,
    in_chunks,
    says,
    stream_head,
    tokens,
    whole,
)
from chaos.stand import Stand, served, serves, truthful

JSON = "Content-Type: application/json"
MIB = 1 << 20
STREAM = b"".join(EVENTS)
TOLD = {"stream_rescue": "off"}


@cache
def bomb(mib: int) -> bytes:
    """So many MiB of blanks, compressed a thousandfold."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(b" " * MIB) for _ in range(mib)]
    return b"".join([*parts, packer.flush()])


def compressed(data: bytes, coding: str = "gzip") -> bytes:
    """A whole answer of compressed *data*."""
    return whole(200, data, f"Content-Encoding: {coding}")


def bombed(peer: Peer) -> None:
    """256 MiB in 256 KiB."""
    peer.ask()
    peer.send(compressed(bomb(256)))
    peer.until_gone()


def bombed_stream(peer: Peer) -> None:
    """The same, as a stream of events."""
    peer.ask()
    peer.send(head(200, "Content-Type: text/event-stream", "Content-Encoding: gzip"))
    peer.send(bomb(256))
    peer.close()


def endless(peer: Peer) -> None:
    """A body without a length and without an end."""
    peer.ask()
    peer.send(head(200, JSON))
    while True:
        peer.send(b" " * 65536)


def large(mib: int) -> bytes:
    """A good answer of so many MiB."""
    padding = json.dumps("x" * (mib * MIB)).encode()
    return whole(200, BODY[:-1] + b', "padding": ' + padding + b"}")


def largest(peer: Peer) -> None:
    """A good answer just below the limit."""
    peer.ask()
    peer.send(large(63))
    peer.until_gone()


def too_large(peer: Peer) -> None:
    """A good answer above it."""
    peer.ask()
    peer.send(large(65))
    peer.until_gone()


def huge_events(peer: Peer) -> None:
    """Events of 8 MiB each, and then the text."""
    peer.ask()
    padding = event("m", {"reasoning": "x" * (8 * MIB)})
    peer.send(stream_head(), chunked(beginning("m")), chunked(padding), chunked(padding))
    peer.send(in_chunks([*tokens("m"), *ending("m")]), chunked(b""))
    peer.until_gone()


def one_line(peer: Peer) -> None:
    """A line of a stream that never ends."""
    peer.ask()
    peer.send(events(0, 5))
    peer.send(chunked(b"data: "))
    while True:
        peer.send(chunked(b"x" * 65536))


def _served_lightly(stand: Stand) -> None:
    memory(stand, lambda: served(stand, stand.ask()))


def _served_whole(stand: Stand) -> None:
    memory(stand, lambda: served(stand, stand.ask()), "6a")


def _stream_served_lightly(stand: Stand) -> None:
    memory(stand, lambda: served(stand, stand.ask(stream=True)))


def _told_lightly(stand: Stand) -> None:
    memory(stand, lambda: truthful(stand, stand.ask(stream=True)))


ITEMS = (
    Item("body.gzip", "a compressed answer, though none was asked for",
         "it is served, uncompressed", "passes on bytes that nobody can read",
         serves, (says(compressed(gzip.compress(BODY))),)),
    Item("body.deflate", "the same with deflate", "it is served, uncompressed",
         "knows only gzip, and passes on garbage",
         serves,
         (says(compressed(zlib.compress(BODY), "deflate")),)),
    Item("body.gzip-cut", "a compressed answer that ends in the middle", "the fallback answers",
         "takes what could be read of it for all", serves,
         (says(compressed(gzip.compress(BODY)[:-30])), WELL)),
    Item("body.gzip-broken", "a compressed answer with some bytes wrong", "the fallback answers",
         "fails with a traceback", serves,
         (says(compressed(gzip.compress(BODY)[:20] + b"\xff" * 40)), WELL)),
    Item("body.gzip-is-plain", "a plain answer that claims to be compressed",
         "the fallback answers", "fails with a traceback",
         serves, (says(compressed(BODY)), WELL)),
    Item("body.unknown-encoding", "an answer in an encoding that nobody asked for",
         "the fallback answers", "passes on bytes that nobody can read",
         serves, (says(compressed(BODY, "br")), WELL)),
    Item("stream.gzip", "a compressed stream", "the whole text", "passes on garbage as events",
         lambda stand: served(stand, stand.ask(stream=True)),
         (says(whole(200, gzip.compress(STREAM), "Content-Encoding: gzip",
                     kind="text/event-stream")), WELL)),
    Item("body.gzip-bomb", "256 KiB that stand for 256 MiB",
         "the fallback answers; memory grows by at most 64 MiB",
         "decompresses all of it at once", _served_lightly, (bombed, WELL), config={}),
    Item("stream.gzip-bomb", "the same as a stream", "memory grows by at most 64 MiB",
         "decompresses each read without a bound",
         _stream_served_lightly, (bombed_stream, WELL), config={}),
    Item("body.endless", "a body that never ends, where max_response_bytes is 48 MiB",
         "the fallback answers; memory grows by at most the limit",
         "keeps all of it until there is no memory left", _served_lightly, (endless, WELL),
         {"request_timeout": 20}, config={"limits": {"max_response_bytes": "48M"}}, limit=60),
    Item("body.63-mib", "a good answer just below max_response_bytes",
         "it is served; the answer, its record and the clerk's copy are all that is held of it",
         "copies it with each step", _served_whole, (largest,), config={}, limit=60),
    Item("body.65-mib", "a good answer above max_response_bytes", "the fallback answers",
         "has no limit", _served_lightly, (too_large, WELL), config={}, limit=60),
    Item("stream.8-mib-events", "events of 8 MiB", "the whole text, and little memory",
         "copies what it has of an event with each read", _stream_served_lightly, (huge_events,),
         config={}, limit=60),
    Item("stream.line-without-end", "a line that never ends, after some tokens",
         "an error event as max_event_bytes are there; little memory",
         "keeps all of it until there is no memory left", _told_lightly, (one_line,), TOLD,
         config={}, limit=60),
)  # fmt: skip
