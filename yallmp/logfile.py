"""
The file of the daemon's log, which is bounded and outlives the troubles of its disk.

At 1 MB the file becomes ``twistd.log.1``, what was that ``.2``, and so on; of the old ones
nine are kept.  Twisted's own file (``twisted.python.logfile.LogFile``) does that; but
an error of its disk comes out where something was logged, a rotation that fails in the
middle leaves it closed for good, and of a line that fits half it writes half.  Here a line
that cannot be written is lost and counted (:mod:`yallmp.gaps`), and nothing else happens.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

from twisted.python.logfile import LogFile

from yallmp.gaps import Gap

#: How many old files are kept.
KEPT = 9
#: After a rotation that failed, so many more bytes are written before the next try.
LATER = 64 * 1024


class BoundedLog(LogFile):
    """
    Twisted's log file, without its exceptions.

    A file that is no regular one (``/dev/null``) is never renamed.
    """

    def __init__(self, name: str, directory: str, **settings: Any) -> None:
        self.gap = Gap()
        self._is_torn = False
        super().__init__(name, directory, maxRotatedFiles=KEPT, **settings)
        if not stat.S_ISREG(os.stat(self.path).st_mode):
            self.rotateLength = None

    def write(self, data: str | bytes) -> None:
        """Write whole lines, or lose them."""
        content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
        if self.shouldRotate():
            self.rotate()
        try:
            self._put(content)
        except (OSError, ValueError) as error:  # the latter of a file that is closed
            self.gap.add(content, error)
        else:
            if self.gap.lines:
                self.gap.tell()

    def rotate(self) -> None:
        """Begin a new file; if that is not possible, go on with whatever there is."""
        try:
            super().rotate()
        except OSError:
            self._begin_again()
        if self.shouldRotate():
            if not os.path.exists(self.path):  # somebody has taken it away
                self._begin_again()
            self.size = min(self.size, max(0, self.rotateLength - LATER))

    def flush(self) -> None:
        """Nothing is kept back."""

    def _put(self, content: bytes) -> None:
        if self._file.closed:
            self._openFile()
        left = memoryview(b"\n" + content if self._is_torn else content)
        while left:
            written = self._file.write(left)
            self.size += written
            left = left[written:]
            self._is_torn = bool(left)

    def _begin_again(self) -> None:
        """Open what is there under its name, or a new file; a later line tries again."""
        with suppress(OSError, ValueError):
            self._file.close()
            self._openFile()
