"""
A clerk that works when a test says so.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from yallmp.clerk import AT_ONCE
from yallmp.interfaces import IClerk


@implementer(IClerk)
class SlowClerk:
    """Has work done when a test says so."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Any, bytes, Deferred[Any]]] = []

    def ask(self, work: Any, body: bytes) -> Deferred[Any]:
        """See IClerk."""
        waiting: Deferred[Any] = Deferred()
        self.tasks.append((work, body, waiting))
        return waiting

    def work(self) -> None:
        """Do it."""
        tasks, self.tasks = self.tasks, []
        for work, body, waiting in tasks:
            AT_ONCE.ask(work, body).chainDeferred(waiting)
