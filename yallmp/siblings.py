"""
The worker's side of its pipes: changes that all workers make, and orders when to end.

A change goes to the supervisor first, also one of this worker's own; it is made when it
comes back, in its place among the changes of others, and its client is answered when all
others have made it.  (:mod:`yallmp.core.control` has the messages.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from typing import Protocol as TypingProtocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from yallmp.core.changes import Change, Made, made_of, make
from yallmp.core.control import (
    Alive,
    Ask,
    Confirm,
    Decoder,
    Drain,
    Go,
    Here,
    Hurry,
    Knock,
    Measure,
    Message,
    Ordered,
    Refused,
    Reread,
    Settled,
    Total,
    encoded,
)
from yallmp.core.differences import Differences
from yallmp.core.errors import BadConfiguration, Overloaded, ProxyError
from yallmp.core.registry import Registered, Registry
from yallmp.interfaces import IChanges
from yallmp.totals import Shared

#: Beyond this nobody knows what became of a change, in seconds; and of a configuration that
#: has to be read first, after another that is being read.
PATIENCE = 10.0
PATIENCE_OF_READING = 70.0


class Obedient(TypingProtocol):
    """Who does what the supervisor says."""

    def go(self) -> None:
        """Serve."""

    def drain(self) -> None:
        """End, when what is under way is over; it may be said more than once."""

    def hurry(self) -> None:
        """End now."""


@define(eq=False)
class Asked:
    """
    A change that a client of this worker wants.

    :ivar settled: fires with what the change came to.
    :ivar made: what it came to here: what was registered, or why it cannot be made.
    """

    settled: Deferred[Made]
    made: Registered | Differences | ProxyError | None = None

    def tell(self, message: Settled | Refused) -> None:
        """It is settled."""
        if isinstance(message, Refused):
            self.settled.errback(BadConfiguration(message.problems, message.status))
        elif isinstance(self.made, ProxyError):
            self.settled.errback(self.made)
        else:
            came = self.made or message.differences
            self.settled.callback(made_of(came, message.unkept, message.behind))


@implementer(IChanges)
@define(eq=False)
class Siblings(Protocol):
    """
    Makes the changes of all workers in *registry*.

    :ivar duty: is set before there is a connection.
    """

    registry: Registry
    clock: IReactorTime
    totals: Shared
    duty: Obedient = field(init=False)
    _asked: dict[int, Asked] = field(factory=dict)
    _last: int = 0
    _messages: Decoder = field(factory=Decoder)

    async def make(self, change: Change) -> Made:
        """See :class:`IChanges`."""
        return await self._asked_for(lambda ask: Ask(ask, change), PATIENCE)

    async def reload(self) -> Made:
        """See :class:`IChanges`."""
        return await self._asked_for(Reread, PATIENCE_OF_READING)

    async def _asked_for(self, message: Callable[[int], Message], patience: float) -> Made:
        """What becomes of what *message* asks for."""
        self._last = ask = self._last + 1
        settled: Deferred[Made] = Deferred(lambda _: None)
        self._asked[ask] = Asked(settled)
        self._say(message(ask))
        try:
            return await settled.addTimeout(patience, self.clock, _unknown)
        finally:
            self._asked.pop(ask, None)

    def connectionMade(self) -> None:
        """The supervisor hears us."""
        self.totals.say = self._say
        self._say(Here())

    def dataReceived(self, data: bytes) -> None:
        """The supervisor says something, cut anywhere."""
        for message in self._messages.feed(data):
            self._hear(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The supervisor is dead: what is under way may finish, and nobody asks for more."""
        self.duty.drain()

    def _hear(self, message: Message) -> None:
        if isinstance(message, Ordered):
            self._make(message)
        elif isinstance(message, (Settled, Refused)):
            if message.ask in self._asked:
                self._asked.pop(message.ask).tell(message)
        elif isinstance(message, (Measure, Total)):
            self.totals.hear(message)
        elif isinstance(message, Knock):
            self._say(Alive())
        elif isinstance(message, Go):
            self.duty.go()
        elif isinstance(message, Drain):
            self.duty.drain()
        elif isinstance(message, Hurry):
            self.duty.hurry()

    def _make(self, ordered: Ordered) -> None:
        made: Registered | Differences | ProxyError | None
        try:
            made = make(self.registry, ordered.change)
        except ProxyError as error:
            made = error
        if ordered.ask in self._asked:
            self._asked[ordered.ask].made = made
        self._say(Confirm(ordered.number))

    def _say(self, message: Message) -> None:
        if self.transport is not None:
            self.transport.write(encoded(message))


def _unknown(result: object, seconds: float) -> NoReturn:
    raise Overloaded("The other workers do not answer; GET /admin/models shows what is in force.")
