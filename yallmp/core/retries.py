"""
How many requests are active, and how many of them are being tried again: no storms.
"""

from __future__ import annotations

from attrs import define

from yallmp.core.verdicts import may_spare


@define
class Retries:
    """
    The requests under way in this process.

    :ivar active: all of them.
    :ivar under_way: those that are on an S, from its pause to its answer's first byte.
    """

    active: int = 0
    under_way: int = 0

    @property
    def spare(self) -> bool:
        """Whether there may be one more S."""
        return may_spare(self.under_way, self.active)
