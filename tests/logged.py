"""
What is logged while a test runs.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase


def texts(case: SynchronousTestCase) -> list[str]:
    """The texts of all that is logged from now on until the end of the test."""
    said: list[str] = []

    def note(event: Any) -> None:
        said.append(formatEvent(event))

    globalLogPublisher.addObserver(note)
    case.addCleanup(globalLogPublisher.removeObserver, note)
    return said
