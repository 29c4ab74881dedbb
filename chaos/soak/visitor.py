"""
A client, one after the other: what all kinds of visits need.
"""

from __future__ import annotations

import time
from random import Random
from typing import Any

from attrs import define, field

from chaos import client, secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.soak.judge import Judged, Word, embedded, judged
from chaos.soak.tally import Tally
from chaos.soak.wish import Wish, chat, checksum, embedding

#: Seconds that a client waits for what comes next; every answer is there much earlier.
PATIENCE = 90.0
#: How often a connection is used once more.
KEEPS = 0.7


@define(eq=False)
class Visitor:
    """
    One thread's clients.

    :ivar name: begins the markers of its requests.
    :ivar draw: its own chance, so that a seed repeats what it does.
    """

    name: str
    port: int
    draw: Random
    tally: Tally
    good_port: int = 0
    _number: int = 0
    _latest: str = ""
    _caller: Caller | None = field(default=None)

    def wish(self, **more: Any) -> Wish:
        """A wish that nobody had before."""
        self._number += 1
        self._latest = f"{self.name}-{self._number}-{self.draw.getrandbits(24):06x}"
        return Wish(self._latest, **more)

    def count(self, kind: str, what: Judged) -> None:
        """A visit is over."""
        self.tally.count(kind, what, time.strftime("%H:%M:%S"))

    def left(self, kind: str) -> None:
        """The client has left, whose wish, if it had one, was the latest."""
        self.tally.leave(self._latest)
        self.count(kind, Judged(Word.LEFT, ""))

    def caller(self) -> Caller:
        """A new connection, for whoever does with it what is not usual."""
        return Caller(self.port, PATIENCE)

    def send(self, body: bytes, **how: Any) -> Answer:
        """
        The answer to a request.

        A kept connection may end just as it is used again; then a fresh one is used, as all
        clients do.
        """
        kept, self._caller = self._caller, None
        if kept is not None:
            answer = self._on(kept, body, **how)
            if answer.status or answer.ended == "silent":
                return answer
        return self._on(self.caller(), body, **how)

    def _on(self, caller: Caller, body: bytes, **how: Any) -> Answer:
        try:
            caller.post(body, key=how.pop("key", secrets.CLIENT), **how)
        except OSError:
            return self._over(caller, Answer(caller.asked, ended="reset", over=time.monotonic()))
        return self._over(caller, caller.answer())

    def _over(self, caller: Caller, answer: Answer) -> Answer:
        closing = answer.fields.get("connection", "").lower() == "close"
        if answer.ended == "kept" and not closing and self.draw.random() < KEEPS:
            self._caller = caller
        else:
            caller.close()
        return answer

    def ask(self, kind: str, model: str, wish: Wish, *, helped: bool, **more: Any) -> Answer:
        """A chat request, and what became of it."""
        body = chat(wish, model, **more)
        answer = self.send(body)
        self.tally.bound(answer.seconds)
        self.count(kind, judged(answer, wish, stream=bool(more.get("stream")), helped=helped))
        return answer

    def embed(self, kind: str) -> None:
        """A request for an embedding."""
        wish = self.wish()
        self.count(kind, embedded(self.send(embedding(wish, "well"), path="/v1/embeddings"), wish))

    def load(self, size: int, **more: Any) -> tuple[Wish, str]:
        """A wish with *size* characters that have to arrive as they are."""
        text = f"{self.draw.getrandbits(64):016x} " * (size // 17)
        return self.wish(sum=checksum(text), **more), text

    def close(self) -> None:
        """Leave."""
        if self._caller is not None:
            self._caller.close()


def head(length: int | None, *fields: str, **how: Any) -> bytes:
    """The head of a request with the clients' key."""
    return client.head(length, *fields, key=secrets.CLIENT, **how)
