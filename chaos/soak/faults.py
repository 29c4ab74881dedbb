"""
What backends do: answer well, or one of many ways of not doing so, drawn for each request.

A fault comes with a third of the requests only: a backend that always failed would rest,
and its faults would not be played.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from random import Random

from attrs import define

from chaos.item import Script
from chaos.peer import Peer
from chaos.scripts import DONE, chunked, error, event, events, head, saying, stream_head, whole
from chaos.soak.judge import MEANT
from chaos.soak.tally import Tally
from chaos.soak.wish import Wish, checksum, wished

#: How often a faulty backend fails.
SHARE = 0.35
#: Seconds that a slow one takes; its timeouts are much shorter.
LONG = 30.0
MODEL = "m"
#: The head of a stream, and its first event.
BEGINNING = events(0, 0, MODEL)


@define
class Asked:
    """
    One request, as a backend has it.

    :ivar streams: whether a stream is wanted.
    """

    peer: Peer
    wish: Wish
    streams: bool
    embeds: bool


#: Answers one request.
Reply = Callable[[Asked], None]


def _asked(peer: Peer) -> tuple[Asked, bool]:
    """The next request, and whether it came as it was sent."""
    ask = peer.ask()
    value = ask.value
    peer.asks.clear()
    peer.raw.clear()
    wish, load = wished(value)
    return Asked(peer, wish, bool(value.get("stream")), "input" in value), (
        checksum(load) == wish.sum
    )


def plays(replies: Reply, tally: Tally) -> Script:
    """Answers every request; *tally* is told of those that did not come as they were sent."""

    def script(peer: Peer) -> None:
        while True:
            asked, intact = _asked(peer)
            if not intact:
                tally.complain(f"the request of {asked.wish.marker} did not come as it was sent")
            replies(asked)
            tally.played(asked.wish.marker)

    return script


def sometimes(draw: Random, faults: Sequence[Reply], share: float = SHARE) -> Reply:
    """Answers well, and sometimes plays one of *faults*."""

    def reply(asked: Asked) -> None:
        chosen = draw.choice(faults) if draw.random() < share else well
        chosen(asked)

    return reply


def token(wish: Wish, number: int) -> bytes:
    """One event, as a chunk."""
    return chunked(event(MODEL, {"content": wish.token(number)}))


def ending() -> bytes:
    """What a whole stream ends with."""
    return chunked(event(MODEL, {}, "stop")) + chunked(DONE) + chunked(b"")


def answer(asked: Asked) -> bytes:
    """A good answer that is no stream."""
    if asked.embeds:
        one = {"object": "embedding", "index": 0, "embedding": [asked.wish.number]}
        return whole(200, {"object": "list", "data": [one], "model": MODEL})
    return saying(asked.wish.text)


def well(asked: Asked) -> None:
    """A good answer."""
    wish, peer = asked.wish, asked.peer
    if not asked.streams:
        peer.send(answer(asked))
        return
    peer.send(BEGINNING)
    if wish.every or wish.pad:
        _one_by_one(asked, wish.count)
    else:
        peer.send(b"".join(token(wish, number) for number in range(wish.count)))
    peer.send(ending())


def _one_by_one(asked: Asked, count: int) -> None:
    for number in range(count):
        asked.peer.send(token(asked.wish, number))
        if asked.wish.every:
            asked.peer.pause(asked.wish.every)


def _begin(asked: Asked) -> None:
    """Half of what is wanted, whatever that is."""
    if asked.streams:
        asked.peer.send(BEGINNING)
        _one_by_one(asked, asked.wish.count // 2)
    else:
        data = answer(asked)
        asked.peer.send(data[: len(data) // 2])
    asked.peer.pause(0.02)


def closes(asked: Asked) -> None:
    """Ends the connection in place of an answer."""
    asked.peer.close()


def resets(asked: Asked) -> None:
    """Resets it."""
    asked.peer.reset()


def cuts(asked: Asked) -> None:
    """Resets it in the middle of the answer."""
    _begin(asked)
    asked.peer.reset()


def breaks_off(asked: Asked) -> None:
    """Closes it in the middle of the answer, and of an event."""
    _begin(asked)
    if asked.streams:
        asked.peer.send(token(asked.wish, asked.wish.count // 2)[:-20])
    asked.peer.close()


def ends_early(asked: Asked) -> None:
    """Ends a stream cleanly before it is over; cuts what is no stream."""
    _begin(asked)
    if not asked.streams:
        asked.peer.close()
    asked.peer.send(chunked(b""))


def claims_early(asked: Asked) -> None:
    """The formal end before the answer is whole."""
    _begin(asked)
    if not asked.streams:
        asked.peer.close()
    asked.peer.send(chunked(DONE), chunked(b""))


def tells_an_error(asked: Asked) -> None:
    """An error in the middle of a stream, or inside a 200."""
    told = {"error": {"message": "out of memory", "type": "server_error", "code": None}}
    if not asked.streams:
        asked.peer.send(whole(200, told))
        return
    _begin(asked)
    asked.peer.send(chunked(b"data: " + json.dumps(told).encode() + b"\n\n"), chunked(b""))


def stalls(asked: Asked) -> None:
    """Falls silent in the middle of the answer."""
    _begin(asked)
    asked.peer.pause(LONG)
    asked.peer.close()


def is_late(asked: Asked) -> None:
    """Does not begin to answer."""
    asked.peer.pause(LONG)
    asked.peer.close()


def drips(asked: Asked) -> None:
    """Sends its head a byte at a time."""
    for byte in answer(asked)[:40]:
        asked.peer.send(bytes([byte]))
        asked.peer.pause(0.2)
    asked.peer.close()


def leaves_later(asked: Asked) -> None:
    """A good answer, after which the connection ends soon: the next request may cross that."""
    well(asked)
    asked.peer.pause(0.05)
    asked.peer.close()


def _says(data: bytes) -> Reply:
    return lambda asked: asked.peer.send(data)


def _status(status: int, *fields: str, text: str = "this happens") -> Reply:
    return _says(error(status, text, None, *fields))


_BOMB = gzip.compress(b"0" * (4 << 20))
_GARBAGE = b"\x16\x03\x01this is no HTTP\r\n\r\n"
_PAGE = b"<html><body>Bad gateway</body></html>"

#: The faults, by the model whose backend has them.
FAULTS: dict[str, tuple[Reply, ...]] = {
    "connection": (closes, resets, cuts, leaves_later, _says(_GARBAGE)),
    "status": (
        _status(500), _status(503), _status(502), _status(529), _status(429), _status(404),
        _status(429, "Retry-After: 1"), _status(503, "Retry-After: 5"), _status(408),
        _status(400, text=MEANT), _says(whole(502, _PAGE, kind="text/html")),
    ),
    "body": (
        _says(whole(200, _PAGE, kind="text/html")), _says(whole(200, b"")), tells_an_error,
        _says(whole(200, b'{"choices": [')), _says(whole(200, {"choices": []})), cuts,
        _says(whole(200, _BOMB, "Content-Encoding: gzip")), breaks_off,
        _says(head(200, "X-Long: " + "x" * (80 << 10))),
        _says(stream_head() + b"zz\r\n"),
    ),
    "stream": (cuts, breaks_off, ends_early, claims_early, tells_an_error),
    "slow": (is_late, stalls, drips),
}  # fmt: skip
