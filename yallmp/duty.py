"""
A worker's life: it serves when its supervisor says so, and ends when that says so.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from yallmp.daemon import Daemon


@define(eq=False)
class Duty:
    """
    Does what a supervisor orders.

    :ivar reactor: runs for as long as the worker lives.
    """

    reactor: Any
    daemon: Daemon
    _is_over: bool = False

    def go(self) -> None:
        """Serve; what is under way at the end holds the reactor's end up."""
        self.daemon.privilegedStartService()
        self.daemon.startService()
        self.reactor.addSystemEventTrigger("before", "shutdown", self.daemon.stopService)

    def drain(self) -> None:
        """End, however often this is said."""
        if not self._is_over:
            self._is_over = True
            self.reactor.stop()

    def hurry(self) -> None:
        """End now."""
        self.daemon.hurry()
        self.drain()
