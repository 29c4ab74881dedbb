"""
The order of changes, and who has yet to make which.

The supervisor gives every change a number, and all workers make all changes in that order.
A change is settled when all that serve have confirmed it, except the one that asked, which
reads of it in the same pipe; or when somebody lost patience.
"""

from __future__ import annotations

from attrs import Factory, define, frozen


@define
class Pending:
    """
    A change that is not settled.

    :ivar worker: who asked, and with which number of its own.
    :ivar waits_for: who has not confirmed it.
    :ivar given_up: nobody waits for them any more.
    """

    worker: int
    ask: int
    waits_for: set[int]
    unkept: str | None = None
    given_up: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether whoever asked can be told."""
        return self.given_up or not self.waits_for


@frozen
class Settlement:
    """
    Who is to be told that its change is settled; ``behind`` did not confirm it.

    ``place`` is the number of the change among all.
    """

    place: int
    worker: int
    ask: int
    unkept: str | None
    behind: int


@define
class Ordering:
    """Numbers changes, and knows when each is settled."""

    _last: int = 0
    _serving: set[int] = Factory(set)
    _pending: dict[int, Pending] = Factory(dict)

    def join(self, worker: int) -> None:
        """*worker* serves from now on, so changes wait for it."""
        self._serving.add(worker)

    def leave(self, worker: int) -> None:
        """*worker* is gone: nothing waits for it, and nobody has to tell it anything."""
        self._serving.discard(worker)
        self._pending = {n: each for n, each in self._pending.items() if each.worker != worker}
        for each in self._pending.values():
            each.waits_for.discard(worker)

    def order(self, worker: int, ask: int) -> int:
        """The number of the change that *worker* asks for."""
        self._last += 1
        self._pending[self._last] = Pending(worker, ask, self._serving - {worker})
        return self._last

    def kept(self, number: int, unkept: str | None) -> None:
        """Whether a change will be there after a restart; ``None`` if it will."""
        self._pending[number].unkept = unkept

    def confirm(self, worker: int, number: int) -> None:
        """*worker* has made a change."""
        if number in self._pending:
            self._pending[number].waits_for.discard(worker)

    def give_up(self, number: int) -> None:
        """Wait no longer for a change, if it is not settled by now."""
        if number in self._pending:
            self._pending[number].given_up = True

    def settled(self) -> list[Settlement]:
        """What is settled and not yet told, in order; it is told once."""
        told = {n: each for n, each in self._pending.items() if each.is_settled}
        for number in told:
            del self._pending[number]
        return [_settlement(number, each) for number, each in told.items()]


def _settlement(place: int, each: Pending) -> Settlement:
    return Settlement(place, each.worker, each.ask, each.unkept, len(each.waits_for))
