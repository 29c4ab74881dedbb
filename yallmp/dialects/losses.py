"""
What gets lost on the way into another dialect.

Nothing is dropped silently: whoever writes a value that its dialect has no place for notes where
it stood and goes on.  The notes go into the record of the request, and the kinds of loss that
there can be are documented in ``docs/dialects.md``.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen


@define
class Losses:
    """
    Gathers losses while something is written.

    :ivar paths: where what was lost stood, as the client's dialect has it and without numbers
        (``messages[].content[].cache_control``), each once and in the order in which it was met.
    """

    paths: list[str] = field(factory=list)

    def note(self, path: str) -> None:
        """What stood at *path* is not in what is written."""
        if path not in self.paths:
            self.paths.append(path)


@frozen
class Written:
    """
    A body as a dialect writes it.

    :ivar body: JSON.
    :ivar dropped: the paths of what is not in it.
    """

    body: dict[str, Any]
    dropped: tuple[str, ...] = ()
