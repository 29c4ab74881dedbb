"""
Many at once, in good order and in bad; and that nothing of them is left over.
"""

from __future__ import annotations

import threading
from typing import Any

from attrs import define, field

from chaos import secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.item import Item
from chaos.peer import Ask, Peer
from chaos.scripts import TEXT, WELL, each, error, events, says, stream_head, well
from chaos.stand import Stand
from chaos.upstream import eventually

#: Connections to backends are closed soon, so that what is left over can be counted.
BRIEF: dict[str, Any] = {"limits": {"upstream_idle": 1}}
_BACKENDS = "/admin/models"


@define(eq=False)
class Crowd:
    """Clients that all ask at the same moment, each on a connection of its own."""

    stand: Stand
    answers: list[Answer] = field(factory=list)

    def ask(self, count: int, **more: Any) -> list[Answer]:
        """Their answers."""
        callers = [self.stand.caller() for _ in range(count)]
        body = self.stand.body(**more)
        for caller in callers:
            caller.post(body, key=secrets.CLIENT)
        threads = [threading.Thread(target=self._read, args=(each,)) for each in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.stand.item.limit)
        return self.answers

    def _read(self, caller: Caller) -> None:
        answer = caller.answer()
        caller.close()
        self.answers.append(answer)


def _all_served(stand: Stand, count: int, **more: Any) -> None:
    """Figure 1, over all of a crowd."""
    answers = Crowd(stand).ask(count, **more)
    whole = [each for each in answers if each.status == 200 and each.text == TEXT and each.claims]
    wrong = [each for each in answers if each not in whole]
    slowest = max((each.seconds for each in answers), default=0.0)
    stand.note(f"{len(whole)} of {count} served, the last after {slowest:.2f} s")
    if wrong:
        stand.note(f"one of the others: {wrong[0]}")
    stand.figure("1", float(count - len(whole)))


def _bursts(stand: Stand) -> None:
    """Bursts, with the first backend refusing all of them."""
    for _ in range(5):
        _all_served(stand, 60)


def _no_storm(stand: Stand) -> None:
    """A backend that is limited is not asked twice by everybody."""
    count = 200
    _all_served(stand, count)
    asked = len(stand.backend.asks)
    stand.note(f"{asked} requests reached the backend that refuses them")
    stand.must(asked <= count * 1.5, f"{asked} requests for {count} of clients")


def _in_flight(stand: Stand) -> int:
    """Requests that the proxy believes to be under way, says its administration."""
    told = stand.call("GET", _BACKENDS, key=secrets.ADMIN)
    stand.must(told.status == 200, f"no list of backends: {told}")
    return sum(_numbers(told.value, "in_flight"))


def _numbers(value: Any, name: str) -> list[int]:
    """All numbers of that name, wherever they stand."""
    if isinstance(value, list):
        return [number for each in value for number in _numbers(each, name)]
    if not isinstance(value, dict):
        return []
    own = value.get(name)
    inner = [number for each in value.values() for number in _numbers(each, name)]
    return [own, *inner] if isinstance(own, int) else inner


def _left_over(stand: Stand, before: int) -> None:
    """Figure 10: descriptors and requests in flight beyond what there was."""

    def over() -> int:
        return max(0, stand.proxy.descriptors - before) + _in_flight(stand)

    eventually(lambda: not over(), 15.0, 0.05)
    stand.figure("10", float(over()))


def _start(stand: Stand) -> int:
    """How many descriptors there are once everything was used once and is idle again."""
    stand.ask()
    stand.wait(2.5)
    return stand.proxy.descriptors


def _mixed(stand: Stand) -> None:
    """Everything that goes wrong, a few times over."""
    before = _start(stand)
    for _ in range(4):
        Crowd(stand).ask(20)
        Crowd(stand).ask(20, stream=True)
        callers = [stand.open(stream=True) for _ in range(20)]
        callers += [stand.caller() for _ in range(20)]
        stand.wait(0.1)
        for number, caller in enumerate(callers):
            caller.leave(reset=bool(number % 2))
    _left_over(stand, before)


def _churn(stand: Stand) -> None:
    """Connections on which nothing is said, or half a head."""
    before = _start(stand)
    for number in range(1000):
        caller = stand.caller()
        if number % 2:
            caller.send(b"POST /v1/chat")
        caller.leave(reset=bool(number % 3))
    _left_over(stand, before)


def unreliable(peer: Peer) -> None:
    """A different fault each time, and now and then a good answer."""
    ask = peer.ask()
    turn = peer.sock.getpeername()[1] % 8
    _faults(peer, ask, turn)


def _faults(peer: Peer, ask: Ask, turn: int) -> None:
    if turn == 0:
        peer.reset()
    if turn == 1:
        peer.close()
    parts = {
        2: (error(500, "Oops."),),
        3: (events(0, 20),),
        4: (b"HTTP/1.1 200 OK\r\nContent-Le",),
        5: (stream_head(),),
        6: (error(429, "Slow."),),
    }
    if turn in parts:
        peer.send(*parts[turn])
        peer.pause(0.05)
        peer.close()
    well(peer, ask)


def paced(peer: Peer, ask: Ask) -> None:
    """A good answer, after a moment: so that all are open at once."""
    peer.pause(0.5)
    well(peer, ask)


ITEMS = (
    Item("load.500-at-once", "500 requests at the same moment", "500 answers",
         "refuses, resets or forgets some", lambda stand: _all_served(stand, 500), (WELL,),
         config={}, limit=60),
    Item("load.300-slow-at-once", "300 requests that are all open at once", "300 answers",
         "has a limit that nobody set", lambda stand: _all_served(stand, 300), (each(paced),),
         config={}, limit=60),
    Item("load.300-streams-at-once", "300 streams at the same moment", "300 whole texts",
         "mixes, cuts or forgets some", lambda stand: _all_served(stand, 300, stream=True),
         (WELL,), config={}, limit=60),
    Item("load.bursts-of-failures", "five bursts of 60, and the first backend refuses all",
         "300 answers from the fallback", "loses some in the moment in which it finds out",
         _bursts, (says(error(503, "No.")), WELL), config={}, limit=60),
    Item("load.no-storm", "200 at once, and the first backend says 429 to all",
         "200 answers from the fallback, and hardly a second try",
         "doubles the load of a backend that has too much", _no_storm,
         (says(error(429, "Slow.")), WELL), config={}, limit=60),
    Item("load.nothing-left", "faults of all kinds, streams, clients that leave, four times",
         "descriptors and requests in flight are back where they were",
         "leaks one of them with each fault", _mixed, (unreliable, WELL), config=BRIEF, limit=90),
    Item("load.churn", "1,000 connections that say nothing, or half a head, and leave",
         "descriptors are back where they were", "keeps what never became a request", _churn,
         (WELL,), config=BRIEF, limit=90),
)  # fmt: skip
