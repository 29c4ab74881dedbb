"""
Signals: what is under way when the proxy's process is told to stop.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

from chaos import client, secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.item import Item, Wrong
from chaos.items.manners import offering
from chaos.peer import Ask, Peer
from chaos.scripts import (
    TEXT,
    WELL,
    chunked,
    each,
    ending,
    events,
    in_chunks,
    says_and_waits,
    tokens,
)
from chaos.stand import Stand, now, refused, served, truthful

STREAMS = 20
BRIEF = {"general_settings": {"drain_timeout": 1}}


def gated(peer: Peer, ask: Ask) -> None:
    """The beginning of a stream, and its rest when it is released."""
    peer.send(events(0, 20))
    peer.hold()
    peer.send(in_chunks([*tokens("m", 20), *ending("m")]), chunked(b""))


def opened(stand: Stand, count: int = STREAMS) -> list[Caller]:
    """Streams of which the client has had the beginning."""
    callers = [stand.open(stream=True) for _ in range(count)]
    for caller in callers:
        stand.must(caller.until(b"t10"), "a stream does not begin")
    return callers


def _ended(stand: Stand, began: float, drain: float) -> None:
    """The process must end by itself, with status 0, not much later than the drain's end."""
    try:
        status = stand.proxy.process.wait(drain + 12)
    except subprocess.TimeoutExpired:
        raise Wrong(f"it still runs {drain + 12:g} s after the signal") from None
    stand.must(status == 0, f"the exit status is {status}")
    stand.figure("8a", max(0.0, now() - began - drain))


def _refuses(stand: Stand) -> bool:
    try:
        Caller(stand.proxy.port, 1.0).close()
    except OSError:
        return True
    return False


def finishing(number: int) -> Callable[[Stand], None]:
    """Streams that are open when the signal comes end well, and nobody new comes in."""

    def check(stand: Stand) -> None:
        callers = opened(stand)
        began = now()
        stand.proxy.notify(number)
        stand.soon(lambda: _refuses(stand), "new connections are still accepted")
        stand.backend.release()
        answers = [caller.answer() for caller in callers]
        whole = sum(map(is_whole, answers))
        stand.note(f"{whole} of {len(answers)} ended well")
        stand.figure("8", float(len(answers) - whole))
        _ended(stand, began, 10.0)

    return check


def is_whole(answer: Answer) -> bool:
    """Whether a stream ended well, with all of its text."""
    return answer.done and answer.whole and answer.error is None and answer.text == TEXT


def _told(stand: Stand) -> None:
    """Streams that do not end are told so."""
    callers = opened(stand)
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    for caller in callers:
        answer = caller.answer()
        truthful(stand, answer, "proxy_shutdown")
    _ended(stand, began, 1.0)


def _unanswered(stand: Stand) -> None:
    """A request that waits for its answer is refused at the end of the drain."""
    caller = stand.open()
    stand.soon(lambda: stand.backend.asks, "the backend is not asked")
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    refused(stand, caller.answer(), 503, "proxy_shutdown")
    _ended(stand, began, 1.0)


def _not_ready(stand: Stand) -> None:
    """/readyz says 503 on a connection that is open."""
    (stream,) = opened(stand, 1)
    watcher = stand.caller()
    ask = client.head(0, path="/readyz", method="GET")
    watcher.send(ask)
    stand.must(watcher.answer().status == 200, "not ready from the start")
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    stand.soon(lambda: _refuses(stand), "new connections are still accepted")
    try:
        watcher.send(ask)
        stand.must(watcher.answer().status in (0, 503), "still ready while it stops")
    except OSError:
        stand.note("the idle connection was closed")
    stand.backend.release()
    stand.must(is_whole(stream.answer()), "the stream does not end well")
    _ended(stand, began, 10.0)


def stopping(busy: Callable[[Stand], None]) -> Callable[[Stand], None]:
    """It ends in time, whatever clients are doing."""

    def check(stand: Stand) -> None:
        busy(stand)
        stand.wait(0.3)
        began = now()
        stand.proxy.notify(signal.SIGTERM)
        _ended(stand, began, 1.0)

    return check


def _idle(stand: Stand) -> None:
    callers = [stand.caller() for _ in range(50)]
    for caller in callers[:25]:
        caller.post(stand.body(), key=secrets.CLIENT)
        served(stand, caller.answer())


def _unread(stand: Stand) -> None:
    for _ in range(4):
        stand.open(stream=True)


def _uploading(stand: Stand) -> None:
    stand.caller().send(client.head(1000000, key=secrets.CLIENT) + b"{")


def _dripping(stand: Stand) -> None:
    stand.caller().send(b"POST /v1/chat/comp")


def _hurried(stand: Stand) -> None:
    """A second signal does not wait for the drain."""
    opened(stand, 3)
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    stand.wait(0.5)
    stand.proxy.notify(signal.SIGTERM)
    _ended(stand, began, 0.5)


ITEMS = (
    *(Item(f"process.{name}-lets-streams-end", f"{name.upper()} while {STREAMS} streams are open",
           "all of them end well, nobody new comes in, status 0", "cuts them",
           finishing(number), (each(gated),), config={}, limit=60)
      for name, number in (("sigterm", signal.SIGTERM), ("sigint", signal.SIGINT))),
    Item("process.sigterm-tells-streams", f"SIGTERM while {STREAMS} streams are open for ever",
         "each gets the error proxy_shutdown and FIN as drain_timeout is over; status 0",
         "waits for ever, or cuts them without a word", _told, (each(gated),), config=BRIEF),
    Item("process.sigterm-tells-requests", "SIGTERM while a request waits for its answer",
         "503 proxy_shutdown", "cuts the connection", _unanswered, (says_and_waits(),),
         config=BRIEF),
    Item("process.sigterm-and-readyz", "SIGTERM while a load balancer looks at /readyz",
         "503 on the connection that is open", "says ready until it is gone", _not_ready,
         (each(gated),), config={}, limit=60),
    Item("process.sigterm-idle-clients", "SIGTERM while 50 clients keep idle connections",
         "it ends in time", "waits for clients that have nothing to say", stopping(_idle),
         (WELL,), config=BRIEF),
    Item("process.sigterm-unread", "SIGTERM while clients do not read what streams to them",
         "it ends in time", "waits until they have read all", stopping(_unread),
         (each(offering),), config=BRIEF),
    Item("process.sigterm-in-an-upload", "SIGTERM in the middle of a request's body",
         "it ends in time", "waits for the rest", stopping(_uploading), config=BRIEF),
    Item("process.sigterm-in-a-head", "SIGTERM in the middle of a request's first line",
         "it ends in time", "waits for the rest", stopping(_dripping), config=BRIEF),
    Item("process.sigterm-twice", "a second SIGTERM while streams are open",
         "it ends at once", "is deaf to the second", _hurried, (each(gated),), config={}),
)  # fmt: skip
