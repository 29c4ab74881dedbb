"""
What every service of ours has in common under twistd: where its log goes, and what is
said in it at the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

_log = Logger(namespace="yallmp.daemon")


class LoggedService(Service):
    """
    A service that brings the log of its application along.

    :param sayings: what its owner should read at the start, as (level, text).
    :param log_observer: writes the log in place of twistd's own observer.
    """

    def __init__(
        self, sayings: Sequence[tuple[str, str]] = (), log_observer: ILogObserver | None = None
    ) -> None:
        self._sayings = sayings
        self._log_observer = log_observer

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application; its logger looks there for the observer to use."""
        if self._log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._log_observer)
        super().setServiceParent(parent)

    def say(self) -> None:
        """Tell its owner what is to be read."""
        for level, text in self._sayings:
            getattr(_log, "warn" if level == "warning" else level)("{text}", text=text)
