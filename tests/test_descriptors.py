"""
The limit of descriptors is raised as far as it may be.
"""

from __future__ import annotations

from attrs import define
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from yallmp.descriptors import RESERVE, connections_within, raise_limit, raised, room


@define
class Limits:
    """The standard library's ``resource``, with limits of its own."""

    limits: tuple[int, int]
    refuses: bool = False
    RLIMIT_NOFILE: int = 7
    RLIM_INFINITY: int = -1

    def getrlimit(self, which: int) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        if self.refuses:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


class RaiseTests(SynchronousTestCase):
    """Soft to hard."""

    def test_the_soft_limit_becomes_the_hard_one(self) -> None:
        """And that is what is in force."""
        limits = Limits((1024, 65536))
        self.assertEqual(raise_limit(limits), 65536)
        self.assertEqual(limits.limits, (65536, 65536))

    def test_a_system_that_refuses(self) -> None:
        """The soft limit stays; nothing fails."""
        self.assertEqual(raise_limit(Limits((256, -1), refuses=True)), 256)

    def test_no_limit(self) -> None:
        """More than anybody needs."""
        self.assertGreater(raise_limit(Limits((1024, -1))), 1_000_000)


class RoomTests(SynchronousTestCase):
    """How many clients the descriptors are enough for."""

    def test_two_each(self) -> None:
        """And some for everything else; one client at least."""
        self.assertEqual(connections_within(RESERVE + 2000), 1000)
        self.assertEqual(connections_within(10), 1)

    def test_enough(self) -> None:
        """One connection less than there is room for, and just as many, is not worth a word."""
        limits = Limits((1024, RESERVE + 200))
        for wanted in (99, 100):
            with capturedLogs() as said:
                self.assertEqual(room(wanted, limits), 100)
            self.assertEqual(said, [])

    def test_short(self) -> None:
        """What is wanted, what there is, and what to do is said."""
        with capturedLogs() as said:
            self.assertEqual(room(101, Limits((1024, RESERVE + 200))), 100)
        (line,) = [formatEvent(each) for each in said]
        for part in ("limits.max_connections is 101", "no more than 100", "LimitNOFILE"):
            self.assertIn(part, line)

    def test_no_such_limit(self) -> None:
        """As on Windows: as many as there are."""
        self.assertGreater(raised(None), 1_000_000)
        self.assertGreater(room(1_000_000, None), 1_000_000)
