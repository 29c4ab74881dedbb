"""
What part of a limit a worker has.

A backend that takes ten requests at once takes ten, however many workers there are, and no
worker asks another before each request.  So each has its part: with four workers two of
them may have three under way, and two may have two.  Each may have one at least.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Share:
    """
    One worker of several.

    :ivar number: which it is, from 1.
    :ivar count: how many there are.
    """

    number: int = 1
    count: int = 1

    def of(self, limit: int) -> int:
        """This worker's part of *limit*; those of all make up the whole."""
        part, rest = divmod(limit, self.count)
        return max(part + (self.number <= rest), 1)

    @property
    def sweeps_for(self) -> int:
        """
        For how many workers this one keeps the record directories in bounds; 0: another does.

        One does it for all, or each would delete what makes up the excess.
        """
        return self.count if self.number == 1 else 0


#: The whole, which is that of one process without others.
WHOLE = Share()
