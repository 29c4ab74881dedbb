"""
What may have a second implementation, and what its users rely on.
"""

from __future__ import annotations

from zope.interface import Interface


class IRecorder(Interface):
    """
    Writes records somewhere that outlives the process.

    Called on the reactor thread by log observers; no method blocks or raises.  A *name*
    is that of a record without its ending; each record is begun once and then finished
    or discarded once.  When there is no room (a full queue, a full disk) whole records
    are given up, and later calls for them do nothing.
    """

    def begin(name: str) -> None:
        """Start the request log *name*; until it is finished it is visible as unfinished."""

    def append(name: str, data: bytes) -> None:
        """Add *data* to a log that was begun."""

    def finish(name: str) -> None:
        """The log is whole: it appears under its final name, which is never overwritten."""

    def discard(name: str) -> None:
        """The log is not wanted after all; nothing of it stays."""

    def error(name: str, data: bytes) -> None:
        """Write the error log *name* at once and whole."""
