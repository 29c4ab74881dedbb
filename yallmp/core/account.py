"""
What all requests together hold in memory: bodies, answers, streams that are held, and what
clients have not read yet.

Each limit of one request is no limit for many of them.  So whoever holds bytes enters them
here, and takes them out when they are gone; above ``limits.max_buffered_bytes`` nothing new
is begun, and what grows is given up, until it is less again.  It is said *before* memory is
spent where a length is declared, and with each read where it is not.

Whoever entered something takes it from ``held`` when it is gone.
"""

from __future__ import annotations

from attrs import define

from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.settings import Limits

NO_ROOM = Problem(Reason.MEMORY, "there is no room in memory", code="proxy_overloaded")
#: What is sent stands in memory as it was made, and as it waits in the connection.
COPIES = 2
#: Less than this is not worth giving up what is under way; bytes.
SMALL = 64 * 1024


@define(eq=False)
class Account:
    """
    The account of one process.

    :ivar limit: how much may be held; bytes.
    :ivar held: how much is held now; bytes.
    :ivar refused: how often there was no room.
    """

    limit: int = Limits().max_buffered_bytes
    held: int = 0
    refused: int = 0

    def has_room(self, size: int) -> bool:
        """Whether *size* bytes more may be held."""
        if self.held + size <= self.limit:
            return True
        self.refused += 1
        return False

    def copied(self, size: int) -> int:
        """
        Hold a body of *size* bytes that is sent, and tell what it takes.

        :raises AttemptFailed: there is no room; nothing is entered.
        """
        taken = COPIES * size
        if taken > SMALL and not self.has_room(taken):
            raise AttemptFailed(NO_ROOM)
        self.held += taken
        return taken

    def enter(self, more: int, whole: int) -> None:
        """
        Hold *more* bytes, of something that has *whole* by now.

        :raises AttemptFailed: there is no room; they are entered all the same.
        """
        self.held += more
        if whole > SMALL and not self.has_room(0):
            raise AttemptFailed(NO_ROOM)
