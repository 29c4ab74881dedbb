r"""
Which records are deleted, by age and by size of all.

A record is as old as its last change (its ``mtime``): a long stream is young while it is
written, and a file that was copied back from a backup is not deleted in the same minute
because of an old date in its name.  The system's clock may jump, so a date is believed
only so far.  A file from the future is never too old.  One from more than a day ahead
was dated by a clock that was wrong; since its age is unknown, it is the first to go when
room is needed, or else files of a wrong year would outlive every fresh one.  (That a clock
has just jumped is seen by whoever sweeps; nothing is too old then.)

Only names that we give are records; whatever else lies in the directories is not ours.
An unfinished file (``.part``) that nobody writes any more is a record like others.  It
counts as being written for an hour after its last change, because another process may
share the directory.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable

#: ``(mtime in POSIX seconds, size in bytes, path)``
Found = tuple[float, int, str]

PART = ".part"
_RECORD = re.compile(r"\d{8}_\d{6}-[0-9a-f]{12}_[A-Za-z0-9._-]{1,80}\.(?:log|err)(?:\.part)?")
_AHEAD = 86400.0
_BEING_WRITTEN = 3600.0


def is_record(name: str) -> bool:
    """
    Whether a file's name is one that we give.

    >>> is_record("20261019_081502-3f9c2a7b10de_gpt-4o.log"), is_record("notes.log")
    (True, False)
    """
    return _RECORD.fullmatch(name) is not None


def may_be_open(found: Found, now: float) -> bool:
    """Whether another process may still be writing it."""
    modified, _, path = found
    return path.endswith(PART) and now - _BEING_WRITTEN < modified <= now + _AHEAD


def is_expired(found: Found, now: float, max_age: float) -> bool:
    """Whether it is older than records are kept."""
    return found[0] < now - max_age


def oldest(records: Iterable[Found], excess: int, now: float) -> list[Found]:
    """
    The oldest of *records*, oldest first: as many as together have *excess* bytes.

    Holds no more of *records* than it returns, however many there are.
    """
    chosen: list[tuple[float, Found]] = []
    size = 0
    for found in records:
        order = -_rank(found, now)
        if chosen and size >= excess and order <= chosen[0][0]:
            continue
        heapq.heappush(chosen, (order, found))
        size += found[1]
        while chosen and size - chosen[0][1][1] >= excess:
            size -= heapq.heappop(chosen)[1][1]
    return [found for _, found in sorted(chosen, reverse=True)]


def _rank(found: Found, now: float) -> float:
    """What they are ordered by: the date, if it can be believed."""
    return found[0] if found[0] <= now + _AHEAD else 0.0
