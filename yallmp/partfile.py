"""
A record's file while it is being written, from its unfinished name to its final one.

A record is written to ``<name>.log.part`` and becomes ``<name>.log`` when it is whole, by
a hard link, which never replaces a file; where that name is taken, ``<name>-2.log``.  A
filesystem without hard links gets a rename, after a look that the name is free.

A record that is whole at once needs no unfinished name (:func:`write_whole`), where the
system knows files without any.

Standard library only: the recorder process uses this, and is to be small.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from yallmp.core.retention import PART

_TOO_MANY = "too many records of the same name"
_MOST_NAMES = 100
_MODE = (
    os.O_WRONLY
    | os.O_APPEND
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)


#: 0 where there are no files without a name.
_UNNAMED = getattr(os, "O_TMPFILE", 0)


def write_whole(folder: str, name: str, data: bytes) -> bool:
    """
    Write a file that appears whole, under its name, or not at all; false if it did not.

    It is written while it has no name (``O_TMPFILE``, open(2)), so nothing of it is left if
    that fails.  A file of the same name is never replaced.
    """
    if not _UNNAMED:
        return False
    try:
        fd = os.open(folder, _UNNAMED | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        if os.write(fd, data) != len(data):
            return False
        os.link(f"/proc/self/fd/{fd}", folder + name, src_dir_fd=fd, follow_symlinks=True)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


class PartFile:
    """
    A record that is not whole yet.

    ``path`` is its unfinished file, empty before that is made; ``size`` is what was
    written to it.  Every method may raise OSError; data that a failed write was to write
    is gone.

    :param stem: its path without what it ends in.
    :param suffix: what the final name ends in (``.log``).
    """

    __slots__ = ("_ends_line", "_fd", "_pending", "_stem", "_suffix", "path", "size")

    def __init__(self, stem: str, suffix: str) -> None:
        self.path = ""
        self.size = 0
        self._stem = stem
        self._suffix = suffix
        self._fd = -1
        self._ends_line = True
        self._pending: list[bytes] = []

    @property
    def folder(self) -> str:
        """Where it is."""
        return os.path.dirname(self._stem)

    @property
    def is_open(self) -> bool:
        """Whether it holds a descriptor."""
        return self._fd >= 0

    def add(self, data: bytes) -> None:
        """Data for the next :meth:`write`."""
        self._pending.append(data)

    def drop(self) -> None:
        """Forget what was added and not written."""
        self._pending.clear()

    def add_last_line(self, reason: str) -> None:
        """Say in the file why there is no more of it (``docs/log-format.md``)."""
        start = "" if self._ends_line else "\n"
        self.add(f"{start}! given up: {reason}\n".encode())

    def open(self) -> None:
        """Open the file; make it if there is none yet."""
        if self.path:
            self._fd = os.open(self.path, _MODE)
            return
        for path in self._paths():
            try:
                self._fd = os.open(path + PART, _MODE | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            self.path = path + PART
            return
        raise FileExistsError(errno.EEXIST, _TOO_MANY)

    def write(self) -> int:
        """Hand what was added to the operating system; its size."""
        data = b"".join(self._pending)
        self._pending.clear()
        left = memoryview(data)
        while left:
            size = os.write(self._fd, left)
            self.size += size
            left = left[size:]
            self._ends_line = not left and data.endswith(b"\n")
        return len(data)

    def shut(self) -> None:
        """Give the descriptor back, if there is one."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def publish(self) -> None:
        """Give it the first of its final names that is free."""
        for path in self._paths():
            try:
                rename_new(self.path, path)
            except FileExistsError:
                continue
            return
        raise FileExistsError(errno.EEXIST, _TOO_MANY)

    def remove(self) -> None:
        """Leave nothing of it."""
        if self.path:
            os.unlink(self.path)

    def _paths(self) -> Iterator[str]:
        """The names that it may get, best first."""
        yield self._stem + self._suffix
        for number in range(2, _MOST_NAMES):
            yield f"{self._stem}-{number}{self._suffix}"


def rename_new(old: str, new: str) -> None:
    """
    Rename a file and never replace another.

    Only the way by a hard link is atomic.  The other is for filesystems that have none;
    the random number in a record's name makes it good enough.
    """
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from None
        os.rename(old, new)
    else:
        with suppress(OSError):
            os.unlink(old)
