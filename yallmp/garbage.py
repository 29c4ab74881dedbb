"""
When Python's garbage collector runs.

Left alone it looks at everything that survives again and again.  What exists after the
start stays for good, so looking at it is in vain: it is frozen.  What is new are requests
under way, and what they were made of is freed without the collector when they are over
(``tests/test_garbage.py``).  So it is there for what rarely happens, and may wait: with
Python's 700 new objects, five requests, it would look at most of them several times, and
while many streams are open each look at all of them stops everything for 50 ms.
"""

from __future__ import annotations

import gc

from twisted.application.service import Service

#: How many new objects the collector waits for: those of some 300 requests under way.
NEW_OBJECTS = 50_000


class Garbage(Service):
    """Freezes what exists when it starts, and has what is new collected less often."""

    def __init__(self) -> None:
        self._usual = gc.get_threshold()

    def startService(self) -> None:
        """
        From now on.

        The second collection tells the collector how few objects are not frozen: it looks at
        all of them again when a quarter as many have been added.
        """
        super().startService()
        gc.collect()
        gc.freeze()
        gc.collect()
        gc.set_threshold(NEW_OBJECTS)

    def stopService(self) -> None:
        """As it was."""
        super().stopService()
        gc.set_threshold(*self._usual)
        gc.unfreeze()
