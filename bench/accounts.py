"""
The operating system's accounts: CPU time and memory of a tree of processes, from ``/proc``.

A tree is a process, its descendants, and whoever is still in its session (a daemon that
forked away).  The time of children that have ended counts as well: their parent has it.
Memory is PSS, in which a page that several processes share is counted once in all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Account:
    """One process: its parent, its session, and its CPU time in ticks, ended children's too."""

    pid: int
    parent: int
    session: int
    ticks: int


def account(stat: str) -> Account:
    """What a ``/proc/<pid>/stat`` says.  The name in it may hold blanks and parentheses."""
    pid = int(stat.split(" ", 1)[0])
    fields = stat.rpartition(")")[2].split()
    return Account(pid, int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])))


def tree(root: int, accounts: Iterable[Account]) -> list[Account]:
    """*root*'s process, its descendants, and the members of its session."""
    known = {a.pid: a for a in accounts}
    return [a for a in known.values() if a.session == root or _descends(a, root, known)]


def _descends(one: Account, root: int, known: Mapping[int, Account]) -> bool:
    seen: set[int] = set()
    while one.pid != root:
        seen.add(one.pid)
        if one.parent not in known or one.parent in seen:
            return False
        one = known[one.parent]
    return True


def busy_ticks(stat: str, cores: Iterable[int]) -> int:
    """
    The ticks in which *cores* worked for programs, or for another guest, says ``/proc/stat``.

    Interrupts are left out: nobody's account has them.
    """
    wanted = {f"cpu{number}" for number in cores}
    lines = (line.split() for line in stat.splitlines())
    of = [words for words in lines if words and words[0] in wanted]
    return sum(int(words[field]) for words in of for field in (1, 2, 3, 8))


def pss_kb(rollup: str) -> int:
    """The kB that a ``smaps_rollup`` gives as Pss."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    """The text of a file of a process, empty when the process has just ended."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def everyone() -> list[Account]:
    """All processes of the machine as they are now."""
    stats = (_read(entry / "stat") for entry in PROC.iterdir() if entry.name.isdigit())
    return [account(stat) for stat in stats if stat]


def processes(root: int) -> list[Account]:
    """The tree of *root* as it is now."""
    return tree(root, everyone())


def cpu_seconds(root: int) -> float:
    """CPU seconds that the tree of *root* has taken so far."""
    return sum(a.ticks for a in processes(root)) / os.sysconf("SC_CLK_TCK")


def strangers_seconds() -> float:
    """The seconds that our cores have worked for others than us and our ended children."""
    ours = os.times()
    used = ours.user + ours.system + ours.children_user + ours.children_system
    stat = _read(PROC / "stat")
    return busy_ticks(stat, os.sched_getaffinity(0)) / os.sysconf("SC_CLK_TCK") - used


def memory_kb(root: int) -> int:
    """The PSS of the tree of *root* in kB."""
    return sum(pss_kb(_read(PROC / str(a.pid) / "smaps_rollup")) for a in processes(root))
