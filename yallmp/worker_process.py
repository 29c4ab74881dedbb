"""
A worker as its supervisor sees it: a process that is kept running and told what to do.

It has its orders from its standard input and answers on :data:`ANSWERS`
(:mod:`yallmp.core.control`); :data:`LISTENER` is the socket that it accepts connections
from, which is the supervisor's and outlives it.

A life that ends although nobody asked for it is followed by another after a second, and
after twice as long each time, up to 30 s; one that lasted 10 s starts that anew.  One that
does not answer any more (:mod:`yallmp.pulse`) is killed, and that is its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from yallmp.core.control import Alive, Decoder, Knock, Message, Order, encoded
from yallmp.pulse import Pulse

#: Descriptors of the worker's.
ANSWERS, LISTENER = 3, 4
FIRST_DELAY = 1.0
LONGEST_DELAY = 30.0
STABLE_AFTER = 10.0
_log = Logger()


@frozen
class Command:
    """
    How a worker is started.

    :ivar output: what its standard output and standard error are: a descriptor, or ``"r"``
        for a pipe to the supervisor.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    output: tuple[int | str, int | str]


@frozen
class Listener:
    """
    Who is told what becomes of a worker, each time with its number.

    :ivar order: gives what a worker that starts is to be.
    :ivar heard: a worker has said something.
    :ivar gone: a process has ended, whether another follows or not.
    :ivar logged: a piece of the worker's log, which ends at the end of a line.
    """

    order: Callable[[int], Order]
    heard: Callable[[int, Message], None]
    gone: Callable[[int], None]
    logged: Callable[[bytes], object]


def next_delay(before: float, lived: float) -> float:
    """
    The seconds until the next life after one that lasted *lived*.

    :param before: how long it was before that life; 0 before the first.
    """
    doubled = 0.0 if lived >= STABLE_AFTER else before * 2
    return min(doubled, LONGEST_DELAY) or FIRST_DELAY


def ending(reason: Failure) -> str:
    """How a process ended, as one says it of a worker."""
    signal = getattr(reason.value, "signal", None)
    if signal is not None:
        return f"was ended by signal {signal}"
    return f"ended with status {getattr(reason.value, 'exitCode', None)}"


@define(eq=False)
class Life(ProcessProtocol):
    """One process, from its start to its end."""

    owner: WorkerProcess
    _messages: Decoder = field(factory=Decoder)
    _rests: dict[int, bytes] = field(factory=dict)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803
        """It said something, cut anywhere."""
        if childFD == ANSWERS:
            for message in self._messages.feed(data):
                self.owner.heard(message)
        else:
            said = self._rests.get(childFD, b"") + data
            lines, end, self._rests[childFD] = said.rpartition(b"\n")
            self.owner.logged(lines + end)

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it said was heard."""
        for rest in self._rests.values():
            if rest:
                self.owner.logged(rest + b"\n")
        self.owner.ended(reason)


@define(eq=False)
class WorkerProcess:
    """
    Keeps one worker running until it is told to end.

    :ivar reactor: provides IReactorProcess and IReactorTime.
    :ivar socket: the descriptor that it listens on.
    """

    reactor: Any
    number: int
    command: Command
    socket: int
    listener: Listener
    _transport: Any = None
    _is_ending: bool = False
    _born: float = 0.0
    _delay: float = 0.0
    _timer: IDelayedCall | None = None
    _pulse: Pulse = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pulse = Pulse(self.reactor, partial(self.tell, Knock()), self._silent)

    @property
    def is_alive(self) -> bool:
        """Whether there is a process."""
        return self._transport is not None

    def start(self) -> None:
        """Start a process; if the system refuses, try again later."""
        self._timer, self._born = None, self.reactor.seconds()
        try:
            self._transport = self._spawned()
        except OSError as error:
            self._follow(f"cannot be started: {error}")
        else:
            self._transport.write(self.listener.order(self.number).encoded())
            self._pulse.begin()

    def _spawned(self) -> Any:
        command, (out, err) = self.command, self.command.output
        descriptors = {0: "w", 1: out, 2: err, ANSWERS: "r", LISTENER: self.socket}
        return self.reactor.spawnProcess(
            Life(self),
            command.arguments[0],
            list(command.arguments),
            dict(command.environment),
            childFDs=descriptors,
        )

    def tell(self, message: Message) -> None:
        """Send *message*, if there is a process."""
        if self._transport is not None:
            self._transport.write(encoded(message))

    def end(self, message: Message) -> None:
        """Ask it to end by *message*; no other process follows."""
        self._is_ending = True
        self._pulse.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.tell(message)

    def _silent(self) -> None:
        """It does not answer."""
        self.kill("does not answer any more")

    def kill(self, why: str = "does not end") -> None:
        """End it in the middle of whatever it does."""
        if self._transport is not None:
            _log.error("worker {number} {why} and is killed", number=self.number, why=why)
            try:
                self._transport.signalProcess("KILL")
            except ProcessExitedAlready:
                return

    def heard(self, message: Message) -> None:
        """It has said something."""
        self._pulse.felt()
        if not isinstance(message, Alive):
            self.listener.heard(self.number, message)

    def logged(self, lines: bytes) -> None:
        """It has logged something."""
        if lines:
            self.listener.logged(lines)

    def ended(self, reason: Failure) -> None:
        """The process is gone; another follows unless it was to end."""
        self._transport = None
        self._pulse.end()
        if not self._is_ending:
            self._follow(ending(reason))
        self.listener.gone(self.number)

    def _follow(self, what: str) -> None:
        """The next process comes a little later."""
        self._delay = next_delay(self._delay, self.reactor.seconds() - self._born)
        _log.error(
            "worker {number} {what}; it is started again in {delay:g} s",
            number=self.number,
            what=what,
            delay=self._delay,
        )
        self._timer = self.reactor.callLater(self._delay, self.start)
