"""
What can wait a moment, done for many at once.

Time passes in rounds of ``ROUND`` seconds, counted only while something waits: one timer
for all, however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

ROUND = 0.1
#: The most rounds that something can wait.
MOST_ROUNDS = 10

_log = Logger()


def _no_rounds() -> deque[list[Callable[[], None]]]:
    return deque([] for _ in range(MOST_ROUNDS))


@define(eq=False)
class Gathering:
    """
    Calls back in a few rounds; nothing that is called back can keep the others waiting.

    :ivar clock: tells when a round is over.
    """

    clock: IReactorTime
    _rounds: deque[list[Callable[[], None]]] = field(factory=_no_rounds, init=False)
    _left: int = field(default=0, init=False)

    def later(self, call: Callable[[], None], rounds: int) -> None:
        """Call *call* at the end of the round after so many, the one under way being the first."""
        self._rounds[rounds - 1].append(call)
        if not self._left:
            self.clock.callLater(ROUND, self._over)
        self._left = max(self._left, rounds)

    def _over(self) -> None:
        """A round is over."""
        due = self._rounds.popleft()
        self._rounds.append([])
        self._left -= 1
        if self._left:
            self.clock.callLater(ROUND, self._over)
        for call in due:
            try:
                call()
            except CancelledError:
                raise
            except Exception:
                _log.failure("what was put off failed")
