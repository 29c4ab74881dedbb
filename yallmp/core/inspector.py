"""
What an event of a stream is, as an inspector says it.

An api type makes an inspector for each attempt; :mod:`yallmp.core.gate` decides what follows
from what it says.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from attrs import field, frozen

from yallmp.core.exchange import Usage
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import Transcript


class Kind(Enum):
    """What an event is to the gate."""

    EMPTY = "empty"
    CONTENT = "content"
    DONE = "done"
    ERROR = "error"
    MALFORMED = "malformed"
    DIFFERENT = "different"


@frozen
class Seen:
    """
    What an inspector saw in an event.

    ``error`` is the backend's error object; ``harmless`` tells that a malformed event
    cannot have carried content.  ``instead`` are the bytes to pass on in place of the
    event's own (``None``: those), where an answer goes on with what another began, or is
    translated.
    """

    kind: Kind
    error: Any = None
    harmless: bool = False
    instead: bytes | None = None


@frozen
class Checked:
    """
    What a whole answer is; ``error`` is an error object inside it, if it has one.

    ``body`` is what the client gets in its place (``None``: itself).
    """

    ok: bool
    message: str = ""
    error: Any = None
    finish_reason: str | None = None
    usage: Usage | None = None
    body: bytes | None = field(default=None, repr=False)


class Inspector(Protocol):
    """
    Looks at one streamed answer, event by event, and knows how far it is.

    Stateful and pure; an api type makes one for each attempt.
    """

    @property
    def finished(self) -> bool:
        """Whether the formal end, if it comes now, ends a whole answer."""

    @property
    def expects_no_more(self) -> bool:
        """Whether the answer is whole even if its formal end never comes."""

    @property
    def finish_reason(self) -> str | None:
        """The last finish reason that was seen."""

    @property
    def usage(self) -> Usage | None:
        """The token usage that was told."""

    @property
    def closing(self) -> bytes:
        """The formal end, for a backend that leaves it out."""

    @property
    def transcript(self) -> Transcript:
        """What was said so far, for whoever has to go on from there."""

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is."""

    def follow(self, lines: bytes, count: int) -> bool:
        """
        Take note of *count* events at once, whose data are *lines*, if it is beyond doubt
        that together they are content to be passed on as it is; otherwise do nothing.
        """
