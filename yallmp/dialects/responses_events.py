"""
How the events of a streamed response are numbered, and where an item of it stands.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from attrs import define, field, frozen

from yallmp.core.sse import event_bytes

JSON = Any


@define
class Events:
    """
    Numbers events and writes them.

    :ivar mute: whether only the response that they come to is wanted.
    """

    mute: bool = False
    _number: int = 0
    _written: list[bytes] = field(factory=list)

    def tell(self, kind: str, **about: JSON) -> None:
        """The event ``response.``\\ *kind*."""
        if self.mute:
            return
        kind = f"response.{kind}"
        value = {"type": kind, "sequence_number": self._number, **about}
        self._number += 1
        self._written.append(event_bytes(json.dumps(value).encode(), kind.encode()))

    def taken(self) -> bytes:
        """What was written since."""
        written, self._written = self._written, []
        return b"".join(written)


@frozen
class Place:
    """
    Where an item stands, and whoever tells of it.

    :ivar number: its index in the output.
    :ivar id: the response's, without its beginning, to make ids of.
    """

    events: Events
    number: int
    id: str

    def named(self, prefix: str) -> str:
        """The item's own id."""
        return f"{prefix}_{self.id}_{self.number}"

    def added(self, item: JSON) -> None:
        """*item* begins."""
        self.events.tell("output_item.added", output_index=self.number, item=item)

    def done(self, item: JSON) -> JSON:
        """*item* is over, and this is what it is."""
        self.events.tell("output_item.done", output_index=self.number, item=item)
        return item


class Item(Protocol):
    """An item that is being told."""

    @property
    def whole(self) -> bool:
        """Whether nothing more can come."""

    def done(self, status: str) -> JSON:
        """End it, with *status* where it has one; what it is."""
