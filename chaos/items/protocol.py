"""
Backends that do not speak HTTP as they should: what could be read in two ways is not read.

Most of them go on with a good answer, so that a reader that forgives is not wrong as long as it
gets all of it.
"""

from __future__ import annotations

from chaos.item import Item
from chaos.peer import Ask, Peer
from chaos.scripts import (
    BODY,
    DONE,
    EVENTS,
    GOOD,
    WELL,
    answer,
    chunked,
    head,
    in_turn,
    saying,
    says,
    says_and_closes,
    stream,
    tokens,
)
from chaos.stand import Stand, served, serves, serves_both, serves_in_time

JSON = "Content-Type: application/json"
LENGTH = f"Content-Length: {len(BODY)}"
WHOLE = chunked(BODY) + chunked(b"")
CHUNKED = "Transfer-Encoding: chunked"
TIMES = {"request_timeout": 1}
STOLEN = saying("stolen")
TWICE = stream(*EVENTS, *tokens("m"), DONE)


def _own_answers(stand: Stand) -> None:
    """Each request gets its own answer, never one that came before it was sent."""
    for _ in range(4):
        served(stand, stand.ask())
        stand.wait(0.1)


def _sized(length: str) -> bytes:
    return head(200, JSON, f"Content-Length: {length}") + BODY


def endless_head(peer: Peer, _: Ask) -> None:
    """Headers for ever."""
    peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.send(b"X-More: %b\r\n" % (b"x" * 1000))


def endless_informed(peer: Peer, _: Ask) -> None:
    """100 Continue, for ever."""
    while True:
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.pause(0.01)


def unsolicited(peer: Peer) -> None:
    """Answers, and a moment later answers again though nobody asked."""
    peer.ask()
    peer.send(GOOD)
    peer.pause(0.05)
    peer.send(STOLEN)
    while True:
        peer.ask()
        peer.send(GOOD)


#: What comes in place of a good answer.
ODD = {
    "ssh": b"SSH-2.0-OpenSSH_9.7\r\n",
    "no-head": b"<html>Welcome</html>\r\n\r\n",
    "status-in-words": b"HTTP/1.1 OK 200\r\n\r\n",
    "status-of-two-digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status-999": head(999, JSON, "Content-Length: 0"),
    "version-9": GOOD.replace(b"HTTP/1.1", b"HTTP/9.9", 1),
    "length-negative": _sized("-1"),
    "length-in-words": _sized("many"),
    "length-too-small": _sized("100"),
    "length-20-digits": _sized("9" * 20),
    "two-lengths": head(200, JSON, "Content-Length: 5", LENGTH) + BODY,
    "length-and-chunks": head(200, JSON, "Content-Length: 5", CHUNKED) + WHOLE,
    "unknown-coding": head(200, JSON, "Transfer-Encoding: magic") + BODY,
    "header-without-colon": head(200, JSON, "Nonsense", LENGTH) + BODY,
    "nul-in-a-header": head(200, JSON, "X-A: a\0b", LENGTH) + BODY,
    "huge-header": head(200, JSON, "X-A: " + "a" * (1 << 20), LENGTH) + BODY,
    "bare-line-feeds": GOOD.replace(b"\r\n", b"\n"),
    "switching-protocols": head(101, "Upgrade: websocket", "Connection: Upgrade"),
    "chunk-size-in-words": head(200, JSON, CHUNKED) + b"many\r\n" + BODY,
    "chunk-size-negative": head(200, JSON, CHUNKED) + b"-5\r\n" + BODY,
    "chunk-size-huge": head(200, JSON, CHUNKED) + b"F" * 17 + b"\r\n" + BODY,
    "chunk-without-its-end": head(200, JSON, CHUNKED) + chunked(BODY)[:-2] + b"0\r\n\r\n",
    "last-chunk-missing": head(200, JSON, CHUNKED) + chunked(BODY),
}  # fmt: skip

ITEMS = (
    *(
        Item(
            f"protocol.{name}",
            f"the answer is not HTTP as it should be: {name}",
            "the client gets a whole answer, from whoever gives one",
            "hangs, breaks with a traceback, or passes on what it made of it",
            serves_both,
            (says_and_closes(data), WELL),
            {"request_timeout": 2},
        )
        for name, data in ODD.items()
    ),
    Item(
        "protocol.endless-head",
        "the head of the answer never ends, as fast as it is read",
        "the fallback answers",
        "keeps all of it until there is no memory left",
        serves_in_time,
        (in_turn(endless_head), WELL),
        TIMES,
    ),
    Item(
        "protocol.endless-100",
        "100 Continue comes for ever in place of an answer",
        "the fallback answers as the timeout is over",
        "takes each of them for a sign of life",
        serves_in_time,
        (in_turn(endless_informed), WELL),
        TIMES,
    ),
    Item(
        "protocol.early-hints",
        "103 and 100 come before the answer",
        "the answer itself, from the first backend",
        "takes the first head for the answer",
        serves,
        (says(head(103, "Link: </a>"), head(100), GOOD),),
    ),
    Item(
        "protocol.until-the-end",
        "the body has no length and ends with the connection",
        "the answer is served",
        "waits for a length that never comes",
        serves,
        (says_and_closes(head(200, JSON, "Connection: close") + BODY),),
    ),
    Item(
        "protocol.two-answers-at-once",
        "a second answer follows the first in the same breath",
        "the next request gets its own answer",
        "gives one client the answer that was meant for another",
        _own_answers,
        (in_turn(answer(GOOD + STOLEN), answer(GOOD)),),
    ),
    Item(
        "protocol.answer-before-the-question",
        "an answer comes on a kept connection before the next request is sent",
        "the next request gets its own answer",
        "takes it for the answer to the next request",
        _own_answers,
        (unsolicited,),
    ),
    Item(
        "protocol.stream-behind-a-stream",
        "events come behind the end of a stream",
        "the client's answer ends where it should",
        "mixes two answers",
        lambda stand: served(stand, stand.ask(stream=True)),
        (says(TWICE),),
    ),
)
