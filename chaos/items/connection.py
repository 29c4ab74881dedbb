"""
Backends that cannot be reached, or whose connection ends before there is an answer.
"""

from __future__ import annotations

from chaos.item import Backend, Item
from chaos.scripts import WELL, in_turn, says_and_closes, says_and_resets, well
from chaos.stand import Stand, bounded, refused, served
from chaos.upstream import Peer

TIMES = {"request_timeout": 1, "connect_timeout": 1}


def _rescued(stand: Stand) -> None:
    """The fallback answers, whole and streamed."""
    for streamed in (False, True):
        served(stand, stand.ask(stream=streamed))


def _in_time(stand: Stand) -> None:
    """The fallback answers, not later than the one timeout allows."""
    answer = stand.ask()
    served(stand, answer)
    bounded(stand, answer, 1.0)


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
    peer.pause(0.3)
    peer.close()


def _stale(stand: Stand) -> None:
    """Two requests, the second on a connection that the backend closes as it comes."""
    for _ in range(6):
        served(stand, stand.ask())
    stand.must(not stand.backends[1].asks, "the fallback was asked: a stale connection counted")


def resets_when_reused(peer: Peer) -> None:
    """Answers one request, and resets the connection with the next, unread."""
    well(peer, peer.ask())
    peer.read()
    peer.reset()


def _never_told(stand: Stand) -> None:
    _rescued(stand)
    stand.must(not stand.backend.asks, "the request was sent to a backend that is not trusted")


ITEMS = (
    Item(
        "connection.refused",
        "nobody listens where the backend should be",
        "the fallback answers, whole and streamed",
        "tells the client 502 although a healthy backend is in the route",
        _rescued,
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
        _in_time,
        (Backend(None, deaf=True), WELL),
        TIMES,
    ),
    Item(
        "connection.reset-at-accept",
        "the backend resets each connection as it is accepted",
        "the fallback answers",
        "passes the reset on to the client",
        _rescued,
        (resets_at_once, WELL),
    ),
    Item(
        "connection.closed-at-accept",
        "the backend closes each connection as it is accepted",
        "the fallback answers",
        "takes the end of the connection for an empty answer",
        _rescued,
        (closes_at_once, WELL),
    ),
    Item(
        "connection.reset-in-the-request",
        "the backend resets behind the first bytes of the request",
        "the fallback answers",
        "treats a failed write as the client's fault",
        _rescued,
        (resets_in_the_request, WELL),
    ),
    Item(
        "connection.silent",
        "the backend takes the request and never answers",
        "the fallback answers as the timeout is over",
        "waits for ever, or asks the silent backend once more",
        _in_time,
        (says_nothing, WELL),
        TIMES,
    ),
    Item(
        "connection.name-not-found",
        "the backend's name does not exist",
        "the fallback answers",
        "lets the exception of the resolver become a 500",
        _rescued,
        (Backend(WELL, host="nobody.invalid"), WELL),
    ),
    Item(
        "connection.half-a-head",
        "the connection ends in the middle of the answer's head",
        "the fallback answers",
        "reads half a head as an answer without a body",
        _rescued,
        (says_and_closes(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"), WELL),
    ),
    Item(
        "connection.reset-behind-the-head",
        "the connection is reset behind the answer's head",
        "the fallback answers",
        "commits to an answer of which there is nothing",
        _rescued,
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
        lambda stand: served(stand, stand.ask()),
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
        _rescued,
        (Backend(WELL, tls="good"),),
    ),
)
