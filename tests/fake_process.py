"""
A reactor whose processes are only pretended, with a clock that tests advance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from yallmp.core.frames import Decoder, Frame


class PretendedProcess:
    """What a process protocol writes to; tests make it speak and die."""

    def __init__(self, protocol: ProcessProtocol, command: Sequence[str | bytes]) -> None:
        self.protocol = protocol
        self.command = command
        self.written = b""
        self.input_closed = False
        self.signals: list[str] = []
        self.is_dead = False

    @property
    def frames(self) -> list[Frame]:
        """What it was sent."""
        return Decoder().feed(self.written)

    def write(self, data: bytes) -> None:
        """Its input."""
        self.written += data

    def closeStdin(self) -> None:  # noqa: N802 - Twisted's name
        """Its input ends."""
        self.input_closed = True

    def signalProcess(self, name: str) -> None:  # noqa: N802 - Twisted's name
        """It is sent a signal."""
        if self.is_dead:
            raise ProcessExitedAlready
        self.signals.append(name)

    def say(self, text: str) -> None:
        """It writes a line."""
        self.protocol.outReceived(text.encode() + b"\n")

    def die(self, signal: int | None = 9) -> None:
        """It ends, by a signal or (``None``) properly."""
        self.is_dead = True
        reason = ProcessDone(0) if signal is None else ProcessTerminated(signal=signal)
        self.protocol.inConnectionLost()
        self.protocol.processEnded(Failure(reason))


class ProcessReactor(Clock):
    """Starts pretended processes; ``refuses`` makes it fail as a system without room does."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[PretendedProcess] = []
        self.refuses = False

    def spawnProcess(  # noqa: N802 - Twisted's name
        self,
        protocol: ProcessProtocol,
        executable: str,
        args: Sequence[str | bytes] = (),
        env: Mapping[str, str] | None = None,
    ) -> PretendedProcess:
        """See IReactorProcess."""
        if self.refuses:
            raise OSError(11, "Resource temporarily unavailable")
        process = PretendedProcess(protocol, args)
        self.processes.append(process)
        return process
