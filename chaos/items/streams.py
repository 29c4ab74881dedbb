"""
Streams that are well and look strange, and many of them at once.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from chaos.item import Item
from chaos.peer import Ask, Peer
from chaos.scripts import (
    DONE,
    EVENTS,
    beginning,
    chunked,
    each,
    ending,
    event,
    events,
    in_chunks,
    says,
    says_and_closes,
    stream,
    stream_head,
    tokens,
    whole,
)
from chaos.stand import Stand, now, served

PLAIN = b"".join(EVENTS)
CROWD = 100
ROUNDS = 4
TRIES = 25
KIND = "text/event-stream"


def _whole(stand: Stand) -> None:
    """The whole text, and the formal end."""
    answer = stand.ask(stream=True)
    served(stand, answer)
    stand.must(answer.done, f"no [DONE]: {answer}")


def _whole_as(text: str) -> Callable[[Stand], None]:
    return lambda stand: served(stand, stand.ask(stream=True), text)


def _both_choices(stand: Stand) -> None:
    """A stream of two choices of which only one ends is not whole."""
    answer = stand.ask(stream=True, n=2)
    lied = answer.done or answer.whole or answer.error is None
    stand.figure("2", float(lied))


def _usage(stand: Stand) -> None:
    """The event about usage behind the finish_reason comes along."""
    answer = stand.ask(stream=True)
    served(stand, answer)
    stand.must(any(each.get("usage") for each in answer.values), "the usage is gone")


def byte_by_byte(peer: Peer) -> None:
    """Each byte in a write, and a chunk, of its own; later on seven of them."""
    peer.ask()
    peer.send(stream_head())
    for byte in PLAIN[: len(PLAIN) // 8]:
        peer.send(chunked(bytes([byte])))
    rest = PLAIN[len(PLAIN) // 8 :]
    for at in range(0, len(rest), 7):
        peer.send(chunked(rest[at : at + 7]))
    peer.send(chunked(b""))


def _lines(some: Iterable[bytes], mark: bytes) -> bytes:
    return b"".join(some).replace(b"\n", mark)


def in_two_lines(data: bytes) -> bytes:
    """An event whose data stands in two lines, which a blank in JSON allows."""
    return data.replace(b'"choices":', b'"choices":\ndata:')


def waiting(peer: Peer, ask: Ask) -> None:
    """The beginning of a stream, and its rest when it is released; or at once, if asked."""
    peer.send(events(0, 1))
    if not ask.value.get("seed"):
        peer.hold()
    peer.send(in_chunks([*tokens("m", 1), *ending("m")]), chunked(b""))


def _first(stand: Stand, *, direct: bool) -> float:
    """Milliseconds until the first token."""
    asked = now()
    caller = stand.direct(stream=True, seed=1) if direct else stand.open(stream=True, seed=1)
    stand.must(caller.until(b"t00"), "the first token does not come")
    found = (now() - asked) * 1000
    caller.close()
    return found


def _medians(stand: Stand) -> tuple[float, float]:
    """Of one round: with the proxy, and without."""
    pairs = [(_first(stand, direct=False), _first(stand, direct=True)) for _ in range(TRIES)]
    through, straight = (statistics.median(each) for each in zip(*pairs, strict=True))
    return through, straight


def _added(stand: Stand) -> None:
    """
    Figure 4: the median with the proxy less the median without, taken in turns.

    The best of some rounds: another program's turn on the machine is nobody's fault.
    """
    crowd = [stand.open(stream=True) for _ in range(CROWD)]
    for caller in crowd:
        stand.must(caller.until(b"t00"), "a stream does not begin")
    rounds = [_medians(stand) for _ in range(ROUNDS)]
    through, straight = min(rounds, key=lambda each: each[0] - each[1])
    stand.note(f"first token after {through:.2f} ms, without the proxy {straight:.2f} ms")
    stand.backend.release()
    for caller in crowd:
        served(stand, caller.answer())
    stand.figure("4", max(0.0, through - straight))


def with_noise(noise: bytes) -> bytes:
    """A good stream with something between its events."""
    return stream_head() + in_chunks([*EVENTS[:20], noise, *EVENTS[20:]]) + chunked(b"")


UMLAUTS = "Grüße, 世界! 🎉 " * 10
_EVENT = 'data: {"choices": [{"index": 0, "delta": {"content": "LETTER"}}]}\n\n'
SPOKEN = "".join(_EVENT.replace("LETTER", letter) for letter in UMLAUTS).encode()


def split_characters(peer: Peer) -> None:
    """Text in UTF-8, cut every five bytes, each piece in a write of its own."""
    peer.ask()
    peer.send(stream_head(), chunked(beginning("m")))
    for at in range(0, len(SPOKEN), 5):
        peer.send(chunked(SPOKEN[at : at + 5]))
    peer.send(in_chunks(ending("m")), chunked(b""))


#: Good streams in strange clothes.
ODD = {
    "crlf": whole(200, _lines(EVENTS, b"\r\n"), kind=KIND),
    "cr": whole(200, _lines(EVENTS, b"\r"), kind=KIND),
    "bom": whole(200, b"\xef\xbb\xbf" + PLAIN, kind=KIND),
    "two-data-lines": whole(200, b"".join(map(in_two_lines, EVENTS)), kind=KIND),
    "no-blank-behind-the-colon": whole(200, PLAIN.replace(b"data: ", b"data:"), kind=KIND),
    "event-names-and-ids": whole(200, PLAIN.replace(b"data:", b"event: message\nid: 7\ndata:"),
                                 kind=KIND),
    "charset": whole(200, PLAIN, kind="Text/Event-Stream; Charset=UTF-8"),
    "blank-lines": whole(200, b"\n\n\n" + PLAIN.replace(b"\n\n", b"\n\n\n\n"), kind=KIND),
    "comments-between": with_noise(b": hello\n\n: there\n\n"),
    "a-line-that-is-no-json": with_noise(b"data: {oops\n\n"),
    "an-empty-data-line": with_noise(b"data:\n\n"),
    "retry-and-unknown-fields": with_noise(b"retry: 5\nfoo: bar\n\n"),
    "bad-utf8-in-a-comment": with_noise(b": \xff\xfe\n\n"),
    "no-choices-event": with_noise(b'data: {"choices": []}\n\n'),
    "more-behind-done": stream_head() + in_chunks([*EVENTS, *tokens("m")]) + chunked(b""),
    "one-write": stream(*EVENTS),
}  # fmt: skip

ITEMS = (
    *(
        Item(
            f"stream.odd-{name}",
            f"a good stream that looks strange: {name}",
            "the whole text, and [DONE]",
            "loses events that it does not understand, or breaks",
            _whole,
            (says(data),),
        )
        for name, data in ODD.items()
    ),
    Item(
        "stream.byte-by-byte",
        "events split at every byte, or every seven",
        "the whole text",
        "parses reads in place of events",
        _whole,
        (byte_by_byte,),
    ),
    Item(
        "stream.umlauts-split",
        "characters of several bytes, split between chunks",
        "the whole text, to the letter",
        "decodes reads, and replaces half characters",
        _whole_as(UMLAUTS),
        (split_characters,),
    ),
    Item(
        "stream.one-of-two-choices-ends",
        "two choices, of which only one has its finish_reason",
        "an error event",
        "stops at the first finish_reason and calls it whole",
        _both_choices,
        (
            says_and_closes(
                stream_head(),
                chunked(event("m", {"content": "a"})),
                chunked(event("m", {"content": "b"}).replace(b'"index": 0', b'"index": 1')),
                chunked(event("m", {}, "stop")),
                chunked(DONE),
                chunked(b""),
            ),
        ),
        {"stream_rescue": "off"},
    ),
    Item(
        "stream.usage-behind-the-end",
        "usage comes behind the finish_reason",
        "the client gets it",
        "stops at the finish_reason, and the bill is wrong",
        _usage,
        (says(stream(*EVENTS)),),
    ),
    Item(
        "stream.first-token-beside-100",
        f"{CROWD} streams are open; the first token of others, with and without the proxy",
        "at most 10 ms more at the median",
        "holds tokens back until a buffer is full or a timer runs out",
        _added,
        (each(waiting),),
        limit=60,
    ),
)
