"""
The recorder process as the proxy sees it: kept running, fed, and ended properly.

One :class:`Life` after the other.  A life that ends although nobody asked for it is
followed by another, after 0.5 s and then twice as long each time, up to 10 s; one that
lasted 10 s counts as a success and starts that anew.

At the end the input is closed, the process writes what it holds and exits by itself.
If it says nothing for ``patience`` seconds (a disk that hangs), it is killed; and if it
cannot even die, it is left behind a moment later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
_STABLE_AFTER = 10.0
#: How long a killed process may take to be gone, in seconds.
LAST_BREATH = 0.2
_MOST_TEXT = 4096


@frozen
class Command:
    """What is run."""

    executable: str
    arguments: Sequence[str | bytes]
    environment: Mapping[str, str]


@frozen
class Listener:
    """
    Who is told what becomes of the process.

    ``up`` is called when there is a process to write to, ``line`` with each line that it
    says, and ``down`` when it is gone and all that it said was heard.
    """

    up: Callable[[], None]
    down: Callable[[], None]
    line: Callable[[str], None]


class Life(ProcessProtocol):
    """One process, from its start to its end."""

    def __init__(self, owner: RecorderProcess) -> None:
        self._owner = owner
        self._line = b""

    def outReceived(self, data: bytes) -> None:
        """It said something, cut anywhere."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._owner.said(line.decode("ascii", "replace"))

    def errReceived(self, data: bytes) -> None:
        """It complained; that is a mistake of ours."""
        self._owner.complained(data[:_MOST_TEXT].decode("utf-8", "replace").strip())

    def inConnectionLost(self) -> None:
        """It reads no more; what is written from now on would be lost."""
        self._owner.unreachable()

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it said was heard."""
        self._owner.ended(reason)


class RecorderProcess:
    """
    Keeps one process running until it is stopped.

    :param reactor: provides IReactorProcess and IReactorTime.
    :param patience: gives the seconds that the process may be silent from now on, when it is
        to end.
    """

    def __init__(
        self,
        reactor: Any,
        command: Command,
        listener: Listener,
        log: Logger,
        patience: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._listener = listener
        self._log = log
        self._patience = patience
        self._transport: Any = None
        self._reachable = False
        self._delay = 0.0
        self._born = 0.0
        self._timer: IDelayedCall | None = None
        self._stopping = False
        self._is_killed = False
        self._stopped: Deferred[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether there is a process that reads."""
        return self._reachable

    def succeed_with(self, command: Command) -> None:
        """The next process, if there has to be one, is started by *command*."""
        self._command = command

    def start(self) -> None:
        """Start a process; if the system refuses, try again later."""
        self._timer, self._born = None, self._reactor.seconds()
        try:
            self._transport = self._spawned()
        except OSError as error:
            self._follow(f"cannot be started ({error})")
        else:
            self._reachable = True
            self._listener.up()

    def _spawned(self) -> Any:
        command = self._command
        return self._reactor.spawnProcess(
            Life(self), command.executable, list(command.arguments), dict(command.environment)
        )

    def write(self, data: bytes) -> None:
        """Frames for the process; only while it is up."""
        self._transport.write(data)

    def stop(self, *, more: bool) -> Deferred[None]:
        """
        End the process after it has written everything; fires when it is gone.

        :param more: there is something to write, so a process is started if none is up.
        """
        if self._stopped is not None:
            return self._stopped
        self._stopping = True
        self._cancel_timer()
        if self._transport is None and more:
            self.start()
            self._cancel_timer()
        if self._transport is None:
            return succeed(None)
        self._stopped = Deferred()
        self._transport.closeStdin()
        self._timer = self._reactor.callLater(self._patience(), self._kill)
        return self._stopped

    def said(self, line: str) -> None:
        """The process said a line; at the end, as long as it works it may go on."""
        self._listener.line(line)
        if self._stopped is not None and not self._is_killed and self._timer is not None:
            self._timer.reset(self._patience())

    def complained(self, text: str) -> None:
        """The process wrote to its standard error."""
        self._log.error("the recorder process complains: {text}", text=text)

    def unreachable(self) -> None:
        """The process reads no more."""
        self._reachable = False

    def ended(self, reason: Failure) -> None:
        """The process is gone; another follows unless we are stopping."""
        self._reachable, self._transport = False, None
        self._listener.down()
        if self._stopping:
            self._tell_stopped(reason)
        else:
            self._follow(f"ended ({reason.getErrorMessage()})")

    def _follow(self, what: str) -> None:
        """A life ended, or did not even start: when is the next?"""
        before = self._delay
        if self._reactor.seconds() - self._born >= _STABLE_AFTER:
            before = 0.0
        self._delay = min(before * 2, LONGEST_DELAY) or FIRST_DELAY
        if self._delay != before:
            self._log.error(
                "the recorder process {what}; it is started again in {delay} s",
                what=what,
                delay=self._delay,
            )
        self._timer = self._reactor.callLater(self._delay, self.start)

    def _kill(self) -> None:
        """The process had its time."""
        self._log.error("the recorder process does not end; what it has not written is lost")
        self._is_killed = True
        self._timer = self._reactor.callLater(LAST_BREATH, self._leave)
        try:
            self._transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return

    def _leave(self) -> None:
        """The process cannot even die."""
        self._timer = None
        self._fire_stopped()

    def _tell_stopped(self, reason: Failure) -> None:
        """The process that was to end has ended."""
        self._cancel_timer()
        if not reason.check(ProcessDone):
            self._log.error("the recorder process ended badly: {why}", why=reason.getErrorMessage())
        self._fire_stopped()

    def _fire_stopped(self) -> None:
        """Nobody waits for us any more."""
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)

    def _cancel_timer(self) -> None:
        """There is nothing to wait for."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
