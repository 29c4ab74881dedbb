"""
The relay's time, where the order of things within a turn of the reactor matters.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Patience
from yallmp.relay import Relay, Watchdog


class PauseTests(SynchronousTestCase):
    """A client that does not read for a while."""

    def test_its_pause_is_not_the_backends_silence(self) -> None:
        """When it reads again, the backend has its whole idle time once more."""
        clock = Clock()
        dog = Watchdog(clock, lambda: None)
        unfinished = SimpleNamespace(expects_no_more=False)
        whatever: Any = SimpleNamespace(
            committed=True, begun=True, over=False, inspector=unfinished, pause=bool, resume=bool
        )
        relay = Relay(
            whatever, whatever, whatever, dog, clock, Patience(idle_timeout=5), 0.0,
            0.0, bytes, bool, bool, False,
        )  # fmt: skip
        relay._body = whatever
        relay.pauseProducing()
        clock.advance(100)
        relay.resumeProducing()
        clock.advance(4.9)
        self.assertIsNone(dog.expired)
        clock.advance(0.2)
        self.assertIsNotNone(dog.expired)
