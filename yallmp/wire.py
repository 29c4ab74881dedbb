"""
What an attempt knows of its connection.

It learns when its connection was there and whether it is a used one, and it can cut it, at
once and in every phase (Twisted's body transports can only be closed politely).
"""

from __future__ import annotations

from typing import Any, TypeVar

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from yallmp.lean.connection import Connection

_T = TypeVar("_T")


@define
class Wire:
    """
    The connection of one attempt.

    ``connected`` is when it was there, on the clock's time; ``None`` while it is not, and
    for a connection that was there before.
    """

    clock: IReactorTime
    connect_timeout: float
    connected: float | None = None
    reused: bool = True
    connection: Any = None
    _awaited: Deferred[Any] | None = None

    def on(self, awaited: Deferred[_T]) -> Deferred[_T]:
        """*awaited*, which the attempt waits for now."""
        self._awaited = awaited
        return awaited

    def abandon(self) -> None:
        """Whatever the attempt waits for is cancelled."""
        if self._awaited is not None:
            self._awaited.cancel()

    def took(self, connection: Any) -> Any:
        """The pool gave *connection* to this attempt."""
        self.connection = connection
        return connection

    def takes(self, connection: Connection) -> None:
        """The same for a connection that knows whose it is; nobody else's it is now."""
        if connection.holder is not None:
            connection.holder.release()
        connection.holder = self
        self.connection = connection

    def release(self) -> None:
        """The connection is another attempt's, or nobody's."""
        self.connection = None

    def cut(self) -> None:
        """Close the connection at once; what is on it is lost."""
        if isinstance(self.connection, Connection):
            self.connection.abort()
            return
        transport = getattr(self.connection, "transport", None)
        if transport is not None:
            transport.abortConnection()
