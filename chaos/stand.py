"""
What a check has in its hands: the proxy, its item's backends, clients, and a place for figures.
"""

from __future__ import annotations

import json
import time
from typing import Any

from attrs import define, field

from chaos import client, secrets
from chaos.client import Caller
from chaos.figures import GOALS, Measured
from chaos.heard import Answer
from chaos.item import Item, Late, Wrong
from chaos.proxy import Proxy
from chaos.scripts import TEXT
from chaos.upstream import Listener, eventually


@define
class Seen:
    """What an item found: its figures, and what to print behind it."""

    measured: list[Measured] = field(factory=list)
    notes: list[str] = field(factory=list)


@define(eq=False)
class Stand:
    """
    An item that is being run.

    :ivar backends: the item's, in its order.
    :ivar seen: what was measured so far, and what there is to say.
    """

    item: Item
    proxy: Proxy
    backends: list[Listener]
    seen: Seen = field(factory=Seen)
    _callers: list[Caller] = field(factory=list)

    @property
    def backend(self) -> Listener:
        """The first of them."""
        return self.backends[0]

    def caller(self, patience: float | None = None) -> Caller:
        """A new connection to the proxy; it is closed when the item is over."""
        made = Caller(self.proxy.port, patience or self.item.limit)
        self._callers.append(made)
        return made

    def body(self, **more: Any) -> bytes:
        """A chat request to the item's model."""
        return client.chat(more.pop("model", self.item.id), **more)

    def open(self, **more: Any) -> Caller:
        """A connection on which a request was sent."""
        caller = self.caller()
        caller.post(self.body(**more), key=secrets.CLIENT)
        return caller

    def ask(self, **more: Any) -> Answer:
        """The answer to a request."""
        caller = self.open(**more)
        answer = caller.answer()
        caller.close()
        return answer

    def call(self, method: str, path: str, value: Any = None, key: str = secrets.CLIENT) -> Answer:
        """The answer to any request of ours."""
        caller = self.caller()
        body = b"" if value is None else json.dumps(value).encode()
        caller.send(client.head(len(body), key=key, path=path, method=method) + body)
        answer = caller.answer()
        caller.close()
        return answer

    def direct(self, number: int = 0, **more: Any) -> Caller:
        """A connection to a backend without the proxy between, on which a request was sent."""
        caller = Caller(self.backends[number].port, self.item.limit)
        self._callers.append(caller)
        caller.post(self.body(**more))
        return caller

    def figure(self, figure: str, value: float) -> None:
        """
        A value of one of the figures.

        :raises Late: it is a time, and above its goal.
        :raises Wrong: it is above its goal.
        """
        found = Measured(figure, value, self.item.id)
        self.seen.measured.append(found)
        if not found.kept:
            raise (Late if GOALS[figure].is_time else Wrong)(f"figure {found}")

    def note(self, text: str) -> None:
        """Something to print behind the item."""
        self.seen.notes.append(text)

    def must(self, condition: object, text: object) -> None:
        """
        What must be so.

        :raises Wrong: it is not; *text* says what was seen.
        """
        if not condition:
            raise Wrong(str(text))

    def soon(self, condition: Any, text: object, seconds: float = 10.0) -> Any:
        """What *condition* gives once it is true; it must become true in time."""
        found = eventually(condition, seconds)
        self.must(found, text)
        return found

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)  # noqa: TID251 - there is no reactor here

    def leave(self) -> None:
        """Close the clients' connections, and let scripts that wait go on."""
        for caller in self._callers:
            caller.close()
        for backend in self.backends:
            backend.release()

    def close(self) -> None:
        """Close whatever is open."""
        self.leave()
        for backend in self.backends:
            backend.close()


def served(stand: Stand, answer: Answer, text: str = TEXT) -> None:
    """The client must have had the whole text; a request that was lost counts."""
    lost = not (answer.status == 200 and answer.claims and answer.text == text)
    if lost:
        stand.note(str(answer))
    stand.figure("1", float(lost))


def serves(stand: Stand) -> None:
    """A request must be served."""
    served(stand, stand.ask())


def serves_both(stand: Stand) -> None:
    """One that wants a whole answer and one that streams must be served."""
    for streamed in (False, True):
        served(stand, stand.ask(stream=streamed))


def serves_in_time(stand: Stand, timeout: float = 1.0, **more: Any) -> None:
    """A request must be served, not later than *timeout* allows."""
    answer = stand.ask(**more)
    served(stand, answer)
    bounded(stand, answer, timeout)


def truthful(stand: Stand, answer: Answer, code: str | None = None) -> None:
    """
    A broken answer after the commit must say so.

    That is an error event, no ``[DONE]``, no end of the framing, and FIN rather than RST.
    """
    stand.must(answer.status == 200 and answer.streamed, f"no stream at all: {answer}")
    if answer.claims or answer.error is None:
        stand.note(str(answer))
    stand.figure("2", float(answer.claims or answer.error is None))
    stand.must(not answer.whole and answer.ended == "end", f"it does not end with FIN: {answer}")
    if code is not None:
        stand.must(answer.code == code, f"the code is {answer.code}, not {code}")


def refused(stand: Stand, answer: Answer, status: int, code: str | None = None) -> None:
    """The client must have an error in OpenAI's shape."""
    error = answer.error
    stand.must(answer.status == status, f"not {status}: {answer}")
    stand.must(answer.whole, f"the error is not whole: {answer}")
    stand.must(error is not None and "message" in error, f"not in OpenAI's shape: {answer.body!r}")
    if code is not None:
        stand.must(answer.code == code, f"the code is {answer.code}, not {code}")


def bounded(stand: Stand, answer: Answer, timeout: float, attempts: int = 1) -> None:
    """The answer must have come within *timeout* for each attempt, and a little."""
    stand.figure("3", max(0.0, (answer.seconds - timeout * attempts) / attempts))


def now() -> float:
    """The monotonic clock."""
    return time.monotonic()
