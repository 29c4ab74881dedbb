"""
The limit of descriptors is raised as far as it may be.
"""

from __future__ import annotations

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from yallmp.descriptors import raise_limit


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
