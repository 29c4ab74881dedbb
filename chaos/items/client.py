"""
Clients that leave: in every phase the backend must be let go at once, and nobody else be asked.

A backend that is well may be slow to notice on a busy machine, and so may be the proxy; the
figure is the best of a few tries, which a proxy that lets nobody go never reaches.
"""

from __future__ import annotations

from collections.abc import Callable

from chaos import client, secrets
from chaos.client import Caller
from chaos.item import Backend, Item
from chaos.scripts import (
    WELL,
    beginning,
    chunked,
    error,
    events,
    head,
    says,
    says_and_resets,
    says_and_waits,
    stream_head,
)
from chaos.stand import Stand

TRIES = 3
#: Long enough that no timeout is what lets a backend go.
PATIENT = {"request_timeout": 60}


def _left(stand: Stand, caller: Caller, number: int, reset: bool) -> float:
    """Leave; the milliseconds until that backend is let go."""
    peer = stand.backends[number].peers[-1]
    stand.must(peer.gone is None, "the backend was let go before the client left")
    left = caller.leave(reset=reset)
    stand.soon(lambda: peer.gone, "the backend is never let go", 5.0)
    return max(0.0, (peer.gone or 0.0) - left) * 1000


def _open(stand: Stand, *, stream: bool, mark: bytes, number: int) -> Caller:
    """A request that has got as far as it will."""
    before = len(stand.backends[number].asks)
    caller = stand.open(stream=stream)
    stand.soon(lambda: len(stand.backends[number].asks) > before, "the backend is not asked")
    if mark:
        stand.must(caller.until(mark), "the stream does not begin")
    else:
        stand.wait(0.05)
    return caller


def leaves(
    *, stream: bool = False, mark: bytes = b"", reset: bool = False, number: int = 0
) -> Callable[[Stand], None]:
    """A client that leaves once *mark* has come, while the backend *number* is busy for it."""

    def check(stand: Stand) -> None:
        times = []
        for _ in range(TRIES):
            caller = _open(stand, stream=stream, mark=mark, number=number)
            times.append(_left(stand, caller, number, reset))
        stand.figure("5", min(times))
        later = sum(len(each.asks) for each in stand.backends[number + 1 :])
        stand.figure("5a", float(later))

    return check


def _while_connecting(stand: Stand) -> None:
    """The client leaves before there is a connection: then no other backend is asked."""
    caller = stand.open()
    stand.wait(0.2)
    caller.leave()
    stand.wait(1.5)
    stand.figure("5a", float(len(stand.backends[1].asks)))


def _while_pausing(stand: Stand) -> None:
    """The client leaves while the proxy waits before it tries again."""
    caller = stand.open()
    stand.soon(lambda: stand.backend.asks, "the backend is not asked")
    stand.wait(0.2)
    caller.leave()
    stand.wait(1.5)
    further = len(stand.backend.asks) - 1 + len(stand.backends[1].asks)
    stand.figure("5a", float(further))


def _while_queued(stand: Stand) -> None:
    """The client leaves while its request waits for the backend to be free."""
    first = stand.open()
    stand.soon(lambda: stand.backend.asks, "the backend is not asked")
    queued = stand.open()
    stand.wait(0.2)
    queued.leave()
    stand.wait(0.1)
    first.leave()
    stand.wait(0.5)
    further = len(stand.backend.asks) - 1 + len(stand.backends[1].asks)
    stand.figure("5a", float(further))


def _while_sending(stand: Stand) -> None:
    """The client leaves in the middle of its own request: then no backend is asked."""
    caller, body = stand.caller(), stand.body()
    caller.send(client.head(len(body), key=secrets.CLIENT) + body[:-5])
    stand.wait(0.1)
    caller.leave()
    stand.wait(0.3)
    stand.figure("5a", float(len(stand.backend.asks)))


ROLE = stream_head() + chunked(beginning("m"))
BODY = head(200, "Content-Type: application/json", "Content-Length: 1000") + b"{"
ERROR = head(503, "Content-Type: application/json", "Content-Length: 1000") + b"{"

ITEMS = (
    *(
        Item(
            f"client.leaves-{when}",
            f"the client leaves {words}",
            "the backend's connection is closed at once, and nobody else is asked",
            "lets the backend work on for nobody, or pays for one more",
            check,
            (says_and_waits(*parts), WELL),
            PATIENT,
        )
        for when, words, check, parts in (
            ("while-waiting", "before the backend has said a word", leaves(), ()),
            ("in-the-head", "in the middle of the answer's head", leaves(), (b"HTTP/1.1 200",)),
            ("in-the-body", "while the body is read", leaves(), (BODY,)),
            ("in-an-error", "while the body of an error is read", leaves(), (ERROR,)),
            ("before-a-token", "while a stream is held back", leaves(stream=True), (ROLE,)),
            (
                "in-the-stream",
                "in the middle of a stream",
                leaves(stream=True, mark=b"t05"),
                (events(0, 10),),
            ),
            (
                "in-the-stream-with-rst",
                "in the middle of a stream, with RST",
                leaves(stream=True, mark=b"t05", reset=True),
                (events(0, 10),),
            ),
        )
    ),
    Item(
        "client.leaves-while-connecting",
        "the client leaves before the backend's connection is completed",
        "no other backend is asked",
        "goes on to the fallback for nobody",
        _while_connecting,
        (Backend(None, deaf=True), WELL),
        {"connect_timeout": 1},
    ),
    Item(
        "client.leaves-in-a-pause",
        "the client leaves while the proxy waits to try again",
        "the backend is asked once, the fallback never",
        "tries again for nobody",
        _while_pausing,
        (says(error(429, "Slow.", None, "Retry-After: 1")), WELL),
    ),
    Item(
        "client.leaves-while-queued",
        "the client leaves while its request waits for its turn",
        "it is never sent",
        "sends what nobody waits for any more",
        _while_queued,
        (says_and_waits(), WELL),
        {**PATIENT, "max_in_flight": 1},
    ),
    Item(
        "client.leaves-in-the-rescue",
        "the client leaves while the rest of a broken stream is fetched elsewhere",
        "that backend's connection is closed at once",
        "finishes the rescue for nobody",
        leaves(stream=True, mark=b"t05", number=1),
        (says_and_resets(events(0, 10), after=0.1), says_and_waits(stream_head())),
        PATIENT,
    ),
    Item(
        "client.leaves-in-its-request",
        "the client leaves in the middle of its own request",
        "no backend is asked",
        "asks with half a request",
        _while_sending,
        (Backend(WELL, unasked=True),),
    ),
)
