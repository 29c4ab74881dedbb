"""
Requests that are slow to read: how long others have to wait meanwhile.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable

from attrs import define, field

from chaos import client, secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.item import Backend, Item
from chaos.reference import reference
from chaos.scripts import GOOD, says
from chaos.stand import Stand

MIB = 1 << 20


@define(eq=False)
class Pulse:
    """
    A client that asks for next to nothing all the time: how long it had to wait.

    :ivar queued: gives the milliseconds that whoever answers has waited for a core so far; they
        are the machine's, and left out.
    """

    caller: Caller
    queued: Callable[[], float] = lambda: 0.0
    waits: list[float] = field(factory=list)
    _over: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        data = client.head(0, path="/livez", method="GET")
        while not self._over.wait(0.003):
            before = self.queued()
            self.caller.send(data)
            answer = self.caller.answer()
            waited = answer.seconds * 1000 - (self.queued() - before)
            self.waits.append(waited if answer.status == 200 else math.inf)

    @property
    def longest(self) -> float:
        """The longest of its waits, in milliseconds."""
        return max(self.waits, default=math.inf)

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join(5)


def held_up(make: Callable[[str], bytes]) -> Callable[[Stand], None]:
    """Figure 7a: the longest wait of others while a request is read, less the machine's own."""

    def check(stand: Stand) -> None:
        body = make(stand.item.id)
        with reference() as port:
            proxy = Pulse(stand.caller(), stand.proxy.queued)
            pulses = [proxy, Pulse(Caller(port))]
            status = _posted(stand, body).status
            stand.wait(0.2)
            for pulse in pulses:
                pulse.stop()
        others, machine = (pulse.longest for pulse in pulses)
        stand.note(f"{len(body) / MIB:.1f} MiB, status {status}: others waited {others:.0f} ms "
                   f"at most, for a program that does nothing {machine:.0f} ms")  # fmt: skip
        stand.figure("7", float(status >= 500))
        stand.figure("7a", max(0.0, others - machine))

    return check


def _posted(stand: Stand, body: bytes) -> Answer:
    caller = stand.caller()
    caller.post(body, key=secrets.CLIENT)
    return caller.answer()


def _words(mib: int) -> Callable[[str], bytes]:
    """An honest chat of so many MiB."""
    turn = {"role": "user", "content": "Some words of a long talk. " * 40}
    count = mib * MIB // len(json.dumps(turn))
    return lambda model: client.chat(model, messages=[turn] * count)


def _within(piece: bytes, mib: int, end: bytes = b"") -> Callable[[str], bytes]:
    """A chat with so many MiB of *piece* in an extra value."""
    count = mib * MIB // len(piece)
    return lambda model: client.chat(model)[:-1] + b', "x": [' + piece * count + end


#: Bodies that are slow to read, by what they are made of.
SLOW: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "chat-1": ("a chat of 1 MiB", _words(1)),
    "chat-30": ("a chat of 30 MiB", _words(30)),
    "lists": ("30 MiB of empty lists", _within(b"[],", 30, b"0]}")),
    "broken-lists": ("30 MiB of empty lists, and no end", _within(b"[],", 30)),
    "brackets": ("8 MiB of opening brackets", _within(b"[", 8)),
    "escapes": ("8 MiB of escapes in a string", _within(b"\\u0041", 8, b'"]}')),
    "keys": ("8 MiB of the same key", _within(b'{"model":0},', 8, b"0]}")),
    "numbers": ("8 MiB of digits", _within(b"9", 8, b"]}")),
    "base64": ("30 MiB of one long word",
               lambda model: client.chat(model, image="QUJD" * (30 * MIB // 4))),
}  # fmt: skip

ITEMS = (
    *(Item(f"input.block-{name}", f"a request with {words}, while others ask for next to nothing",
           "they wait at most 50 ms longer", "reads it in one go, while everybody waits",
           held_up(make), (Backend(says(GOOD), unasked=True),), config={}, limit=60)
      for name, (words, make) in SLOW.items()),
)  # fmt: skip
