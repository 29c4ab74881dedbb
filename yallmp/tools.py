"""
What forwarding works with: the parts that every exchange and every attempt needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from yallmp.core.account import Account
from yallmp.core.exchange import Event, HeaderPairs
from yallmp.core.registry import Registry
from yallmp.interfaces import IClerk
from yallmp.slots import Slots
from yallmp.upstream import Upstream


@frozen
class Tools:
    """
    What forwarding works with, made in ``tap``.

    ``wall`` gives POSIX seconds, ``draw`` random numbers (0 ≤ x < 1), ``tell`` takes
    events, ``mask`` replaces known secrets, ``clerk`` reads large bodies, ``account`` has what
    is held in memory.
    """

    upstream: Upstream
    slots: Slots
    registry: Registry
    clock: IReactorTime
    wall: Callable[[], float]
    draw: Callable[[], float]
    tell: Callable[[Event], None]
    mask: Callable[[bytes], bytes]
    clerk: IClerk
    account: Account = field(factory=Account)


class Surroundings(Protocol):
    """What an attempt is a part of; :class:`yallmp.course.Course` is one."""

    tools: Tools

    def at(self) -> float:
        """Milliseconds since the exchange began."""

    def commit(self, status: int, headers: HeaderPairs) -> HeaderPairs:
        """Called before the first byte, with the answer's headers: those that the client gets."""

    def comment(self) -> bytes:
        """What says the same as ours of them at the end of a stream."""
