"""
What the daemon's log could not take, said in it as soon as it takes something again.

A disk may be full, or nobody may read standard output.  Nothing else suffers from that,
so whoever writes the log counts what is lost and goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define
from twisted.logger import Logger

from yallmp.core.families import LINES_LOST, Family
from yallmp.core.readings import Labels, Value

_log = Logger(namespace="yallmp.daemon")


@define
class Gap:
    """
    Lines that are missing in a log.

    :ivar lines: how many, since it was last told.
    :ivar total: how many ever.
    """

    lines: int = 0
    total: int = 0
    _reason: str = ""

    def add(self, content: bytes, reason: object) -> None:
        """*content*, whole lines of the log or the end of one, is lost."""
        count = content.count(b"\n")
        self.lines += count
        self.total += count
        self._reason = str(getattr(reason, "strerror", None) or reason)

    def tell(self) -> None:
        """Say it, by way of the log itself; what that costs is the next gap."""
        lines, self.lines = self.lines, 0
        if lines:
            _log.warn(
                "{count} lines are missing in this log: {reason}", count=lines, reason=self._reason
            )

    def read(self) -> Iterator[tuple[Family, Mapping[Labels, Value]]]:
        """See :data:`yallmp.core.readings.Source`."""
        yield LINES_LOST, {(): [self.total]}


def gap_of(outfile: object) -> Gap:
    """What is missing in what was written to *outfile*: nothing, if that is not ours to know."""
    gap = getattr(outfile, "gap", None)
    return gap if isinstance(gap, Gap) else Gap()
