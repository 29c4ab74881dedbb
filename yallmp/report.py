"""
What an attempt tells of itself as it goes, as events of its exchange.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from yallmp.core.exchange import (
    Attempt,
    AttemptEnd,
    Event,
    Head,
    HeaderPairs,
    Note,
    Read,
    Splice,
)
from yallmp.core.work import LARGE
from yallmp.interfaces import Put
from yallmp.upstream import Outgoing
from yallmp.wire import Wire

#: More changes than this are told as the whole body.
_FEW = 16


def _length(splices: tuple[Splice, ...]) -> int:
    return sum([len(splice.old) + len(splice.new) for splice in splices])


def _unheard(data: bytes) -> None:
    """Nobody would write it down."""


@define
class Report:
    """
    The events of attempt *number* of the exchange *id*.

    ``tell`` takes them; ``at`` gives the milliseconds since the exchange began.
    """

    id: str
    number: int
    backend: str
    tell: Callable[[Event], None]
    at: Callable[[], float]
    _began: float = 0.0
    _first_content: float | None = None

    def begin(self, outgoing: Outgoing, put: Put) -> None:
        """The attempt starts, with what is sent."""
        self._began, splices = self.at(), put.splices or ()
        whole = put.splices is None or len(splices) > _FEW
        whole = whole or (len(splices) > 0 and _length(splices) > LARGE)
        self.tell(
            Attempt(
                self.id,
                self.number,
                self._began,
                self.backend,
                outgoing.url,
                outgoing.headers,
                () if whole else splices,
                outgoing.body if whole else None,
            )
        )
        if put.dropped:
            self._lost(put.dropped)

    def _lost(self, dropped: tuple[str, ...]) -> None:
        """What the client said was left out in translation."""
        lost = ", ".join(dropped)
        text = f"attempt {self.number}: {self.backend} has no place for {lost}"
        self.tell(Note(self.id, self.at(), text))

    def head(self, status: int, headers: HeaderPairs, wire: Wire) -> None:
        """The answer's head came; *wire* knows of the connection."""
        now = self.at()
        connected = None
        if wire.connected is not None:
            connected = now - (wire.clock.seconds() - wire.connected) * 1000
        self.tell(Head(self.id, self.number, now, status, headers, wire.reused, connected))

    def committed(self) -> None:
        """The first content goes to the client."""
        self._first_content = self.at()

    def reads(self, *, recorded: bool) -> Callable[[bytes], None]:
        """What takes each read of a streamed answer; it is told only if it may be *recorded*."""
        return self._heard if recorded else _unheard

    def _heard(self, data: bytes) -> None:
        self.tell(Read(self.id, self.number, self.at(), data))

    def dropped(self, number: int) -> None:
        """So many malformed events were dropped."""
        if number:
            text = f"attempt {self.number}: {number} malformed event(s) dropped"
            self.tell(Note(self.id, self.at(), text))

    def end(
        self, status: int | None, body: bytes | None, error: str | None, message: str | None
    ) -> None:
        """The attempt is over, for *error* if it failed."""
        self.tell(
            AttemptEnd(
                self.id,
                self.number,
                self.at(),
                self.backend,
                status,
                error,
                message,
                self._first_content,
                body,
                self._began,
            )
        )
