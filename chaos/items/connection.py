"""
Backends that cannot be reached, or whose connection ends before there is an answer.
"""

from __future__ import annotations

from chaos.certificates import NO_TLS
from chaos.item import Backend, Item
from chaos.peer import Peer
from chaos.scripts import (
    WELL,
    completion,
    error,
    in_turn,
    says_and_closes,
    says_and_resets,
    well,
    whole,
)
from chaos.stand import Stand, refused, served, serves, serves_both, serves_in_time

TIMES = {"request_timeout": 1, "connect_timeout": 1}


def resets_at_once(peer: Peer) -> None:
    """Accepts, and resets."""
    peer.reset()


def closes_at_once(peer: Peer) -> None:
    """Accepts, and closes."""
    peer.close()


def says_nothing(peer: Peer) -> None:
    """Accepts, reads, and never says a word."""
    peer.until_gone()


def resets_in_the_request(peer: Peer) -> None:
    """Resets behind the first bytes of a request."""
    peer.read()
    peer.reset()


def closes_when_idle(peer: Peer) -> None:
    """Answers one request, keeps the connection, and closes it a moment later."""
    well(peer, peer.ask())
    peer.pause(0.06)
    peer.close()


def _stale(stand: Stand) -> None:
    """Requests on connections that are gone, or go as the request comes."""
    for _ in range(6):
        served(stand, stand.ask())
        stand.wait(0.06)
    stand.must(not stand.backends[1].asks, "the fallback was asked: a stale connection counted")


def resets_when_reused(peer: Peer) -> None:
    """Answers one request, and resets the connection with the next, unread."""
    well(peer, peer.ask())
    peer.read()
    peer.reset()


def closes_its_half(peer: Peer) -> None:
    """Says at once that it will never answer, and goes on reading."""
    peer.end_writing()
    peer.until_gone()


def refuses_early(peer: Peer) -> None:
    """Refuses behind the first bytes of a request, and reads no more of it."""
    peer.read()
    peer.send(error(413, "Too much."))
    peer.close()


def half_a_handshake(peer: Peer) -> None:
    """Answers TLS's first message with the beginning of a record."""
    peer.read()
    peer.send(b"\x16\x03\x03\x10\x00")
    peer.until_gone()


def plain_answer(peer: Peer) -> None:
    """Answers whatever comes in plain HTTP."""
    peer.read()
    peer.send(whole(200, completion("m")))
    peer.close()


def _early(stand: Stand) -> None:
    """A request of a megabyte, of which the backend wants to see nothing."""
    served(stand, stand.ask(messages=[{"role": "user", "content": "x" * (1 << 20)}]))


def _never_told(stand: Stand) -> None:
    serves_both(stand)
    stand.must(not stand.backend.asks, "the request was sent to a backend that is not trusted")


ITEMS = (
    Item(
        "connection.refused",
        "nobody listens where the backend should be",
        "the fallback answers, whole and streamed",
        "tells the client 502 although a healthy backend is in the route",
        serves_both,
        (None, WELL),
    ),
    Item(
        "connection.refused-and-no-spare",
        "nobody listens, and there is no fallback",
        "502 upstream_unreachable in OpenAI's shape, at once",
        "hangs, or answers with an HTML page or a traceback",
        lambda stand: refused(stand, stand.ask(), 502, "upstream_unreachable"),
        (None,),
    ),
    Item(
        "connection.never-completed",
        "the backend's queue of connections is full, so that none is completed",
        "the fallback answers as connect_timeout is over",
        "waits for the kernel's own timeout of two minutes",
        serves_in_time,
        (Backend(None, deaf=True), WELL),
        TIMES,
    ),
    Item(
        "connection.reset-at-accept",
        "the backend resets each connection as it is accepted",
        "the fallback answers",
        "passes the reset on to the client",
        serves_both,
        (resets_at_once, WELL),
    ),
    Item(
        "connection.closed-at-accept",
        "the backend closes each connection as it is accepted",
        "the fallback answers",
        "takes the end of the connection for an empty answer",
        serves_both,
        (closes_at_once, WELL),
    ),
    Item(
        "connection.reset-in-the-request",
        "the backend resets behind the first bytes of the request",
        "the fallback answers",
        "treats a failed write as the client's fault",
        serves_both,
        (resets_in_the_request, WELL),
    ),
    Item(
        "connection.silent",
        "the backend takes the request and never answers",
        "the fallback answers as the timeout is over",
        "waits for ever, or asks the silent backend once more",
        serves_in_time,
        (says_nothing, WELL),
        TIMES,
    ),
    Item(
        "connection.name-not-found",
        "the backend's name does not exist",
        "the fallback answers",
        "lets the exception of the resolver become a 500",
        serves_both,
        (Backend(WELL, host="nobody.invalid"), WELL),
    ),
    Item(
        "connection.half-a-head",
        "the connection ends in the middle of the answer's head",
        "the fallback answers",
        "reads half a head as an answer without a body",
        serves_both,
        (says_and_closes(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"), WELL),
    ),
    Item(
        "connection.reset-behind-the-head",
        "the connection is reset behind the answer's head",
        "the fallback answers",
        "commits to an answer of which there is nothing",
        serves_both,
        (says_and_resets(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), WELL),
    ),
    Item(
        "connection.closed-while-idle",
        "the backend closes kept connections after a moment",
        "every request is answered, the fallback never asked",
        "sends on a connection that is gone and reports a failure",
        _stale,
        (closes_when_idle, WELL),
    ),
    Item(
        "connection.reset-when-reused",
        "the backend resets a kept connection when the next request comes on it",
        "the request goes once more on a fresh connection; the fallback is never asked",
        "counts a stale connection as a failed backend",
        _stale,
        (resets_when_reused, WELL),
    ),
    Item(
        "connection.refused-once",
        "the first request is dropped, the next is answered",
        "the same backend is asked again",
        "gives up although one more try would do",
        serves,
        (in_turn(lambda peer, _: peer.reset(), well),),
    ),
    *(
        Item(
            f"connection.tls-{kind}",
            f"the backend's certificate or version of TLS is bad: {kind}",
            "the fallback answers; nothing was sent to the backend",
            "does not verify, and hands the request and the key to a stranger",
            _never_told,
            (Backend(WELL, tls=kind), WELL),
        )
        for kind in ("other-name", "expired", "unknown", "old-tls")
    ),
    Item(
        "connection.tls-good",
        "the backend speaks TLS with a certificate of the authority that is trusted",
        "it answers, whole and streamed",
        "trusts nobody, or only the system's authorities",
        serves_both,
        (Backend(WELL, tls="good"),),
    ),
    Item(
        "connection.half-closed",
        "the backend closes its half of the connection and goes on reading",
        "the fallback answers",
        "waits for an answer that was said not to come",
        serves_both,
        (closes_its_half, WELL),
    ),
    Item(
        "connection.refused-early",
        "the backend refuses a large request behind its first bytes and closes",
        "the fallback answers",
        "loses the answer, or blocks on a request that nobody reads",
        _early,
        (refuses_early, WELL),
    ),
    Item(
        "connection.tls-silent",
        "the backend accepts and never answers TLS's first message",
        "the fallback answers as connect_timeout is over",
        "counts a connection without TLS as made, and waits for the next timeout",
        serves_in_time,
        (Backend(says_nothing, tls=NO_TLS), WELL),
        TIMES,
    ),
    Item(
        "connection.tls-half-a-handshake",
        "the backend begins a record of TLS and does not end it",
        "the fallback answers as connect_timeout is over",
        "waits for the rest",
        serves_in_time,
        (Backend(half_a_handshake, tls=NO_TLS), WELL),
        TIMES,
    ),
    Item(
        "connection.tls-answered-in-plain",
        "the backend answers TLS's first message with plain HTTP",
        "the fallback answers",
        "reads the plain answer",
        serves_both,
        (Backend(plain_answer, tls=NO_TLS), WELL),
    ),
    Item(
        "connection.tls-reset",
        "the backend resets in the handshake",
        "the fallback answers",
        "passes the reset on",
        serves_both,
        (Backend(resets_in_the_request, tls=NO_TLS), WELL),
    ),
)
