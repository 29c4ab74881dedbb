"""
What signals mean: SIGTERM and SIGINT end the process (a first one lets it finish, a second
does not wait), SIGHUP has it read its configuration again.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from attrs import define


@define(eq=False)
class Ending:
    """
    SIGTERM and SIGINT.

    :ivar reactor: what is stopped by the first.
    :ivar hurry: what a second does.
    :ivar ending: whether the process ends already, for whatever reason.
    """

    reactor: Any
    hurry: Callable[[], None]
    ending: Callable[[], bool]
    _seen: int = 0

    def listen(self) -> None:
        """From now on they end the process with status 0 (twistd would raise them again)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: object) -> None:
        again = self._seen or self.ending()
        self._seen += 1
        self.reactor.callFromThread(self.hurry if again else self.reactor.stop)


@define(eq=False)
class Hangup:
    """
    SIGHUP.

    :ivar reactor: provides IReactorFromThreads.
    :ivar reload: what it means.
    """

    reactor: Any
    reload: Callable[[], object]

    def listen(self) -> None:
        """From now on it means that; one that comes before the reactor runs is kept for it."""
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._signalled)

    def _signalled(self, number: int, frame: object) -> None:
        self.reactor.callFromThread(self.reload)


def ignore() -> None:
    """What ends a group of processes passes a worker by: its supervisor ends it."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
