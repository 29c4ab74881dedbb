"""
Workers that are only pretended: what their supervisor and they say waits until a test passes
it on, in pieces or whole.  The worker's side of it is the real one, without what it serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from yallmp.agreement import Agreement
from yallmp.core.control import Order, decoded, size_of
from yallmp.core.readings import Instruments
from yallmp.core.registry import Registry
from yallmp.siblings import Siblings
from yallmp.totals import Shared
from yallmp.worker_process import ANSWERS, Command, Listener, WorkerProcess


class PretendedWorker:
    """
    A process and the pipes to it.

    ``told`` is what it was ordered to do; ``to`` and ``back`` is what waits in the pipes.
    """

    def __init__(
        self, clock: Clock, protocol: ProcessProtocol, args: Sequence[str], descriptors: Any
    ) -> None:
        self.clock = clock
        self.protocol = protocol
        self.command = list(args)
        self.descriptors: Mapping[int, Any] = descriptors
        self.to = b""
        self.back = b""
        self.told: list[str] = []
        self.signals: list[str] = []
        self.is_dead = False
        self.order: Order | None = None
        self.siblings: Siblings | None = None

    def write(self, data: bytes) -> None:
        """The supervisor writes to it."""
        if not self.is_dead:
            self.to += data

    def signalProcess(self, name: str) -> None:  # noqa: N802
        """It is sent a signal."""
        if self.is_dead:
            raise ProcessExitedAlready
        self.signals.append(name)

    @property
    def registry(self) -> Registry:
        """What it serves."""
        assert self.siblings is not None
        return self.siblings.registry

    def receive(self, size: int = 10**9) -> None:
        """It reads up to *size* bytes; its order first, which makes a worker of it."""
        if self.siblings is None:
            self._start()
        else:
            data, self.to = self.to[:size], self.to[size:]
            self.siblings.dataReceived(data)

    def _start(self) -> None:
        end = 8 + size_of(self.to[:8])
        self.order, self.to = decoded(self.to[8:end]), self.to[end:]
        registry = Registry.like(self.order.config, self.order.registrations)
        self.siblings = Siblings(registry, self.clock, Shared(Instruments(), self.clock))
        self.siblings.duty = Told(self.told)
        self.siblings.makeConnection(Back(self))

    def deliver(self, size: int = 10**9) -> None:
        """The supervisor reads up to *size* bytes of what it says."""
        data, self.back = self.back[:size], self.back[size:]
        self.protocol.childDataReceived(ANSWERS, data)

    def log(self, data: bytes, descriptor: int = 1) -> None:
        """It logs something through a pipe."""
        self.protocol.childDataReceived(descriptor, data)

    def die(self, signal: int | None = 9) -> None:
        """It ends, by a signal or (``None``) properly; what it had said is still heard."""
        self.deliver()
        self.is_dead = True
        reason = ProcessDone(0) if signal is None else ProcessTerminated(signal=signal)
        self.protocol.processEnded(Failure(reason))


class Told:
    """Does nothing but note what it is told."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def go(self) -> None:
        self.told.append("go")

    def drain(self) -> None:
        self.told.append("drain")

    def hurry(self) -> None:
        self.told.append("hurry")


class Back:
    """The worker's end of the pipe back."""

    def __init__(self, worker: PretendedWorker) -> None:
        self.worker = worker

    def write(self, data: bytes) -> None:
        self.worker.back += data


class WorkersReactor(Clock):
    """
    Starts pretended workers; ``refuses`` makes it fail as a system without room does.

    ``workers`` are all that were ever started, ``up`` those that live.
    """

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[PretendedWorker] = []
        self.refuses = False
        self.when_running: list[Any] = []
        self.stops = 0

    def spawnProcess(  # noqa: N802
        self,
        protocol: ProcessProtocol,
        executable: str,
        args: Sequence[str],
        env: Mapping[str, str],
        childFDs: Mapping[int, Any],  # noqa: N803
    ) -> PretendedWorker:
        """See IReactorProcess."""
        if self.refuses:
            raise OSError(11, "Resource temporarily unavailable")
        self.workers.append(PretendedWorker(self, protocol, args, childFDs))
        return self.workers[-1]

    def callWhenRunning(self, work: Any) -> None:  # noqa: N802
        """See IReactorCore."""
        self.when_running.append(work)

    def callFromThread(self, work: Any) -> None:  # noqa: N802
        """See IReactorFromThreads."""
        work()

    def stop(self) -> None:
        """See IReactorCore."""
        self.stops += 1

    @property
    def up(self) -> list[PretendedWorker]:
        """Those that live, in the order of their start."""
        return [worker for worker in self.workers if not worker.is_dead]

    def employ(self, agreement: Agreement, count: int) -> None:
        """Have *count* workers of *agreement*, which serve."""
        listener = Listener(agreement.order, agreement.heard, agreement.gone, lambda lines: None)
        command = Command(("python",), {}, (1, 2))
        for number in range(1, count + 1):
            worker = WorkerProcess(self, number, command, 10 + number, listener)
            agreement.workers[number] = worker
        for worker in agreement.workers.values():
            worker.start()
        self.pump()

    def pump(self) -> None:
        """Pass on everything that waits in a pipe, until nothing does."""
        while any(worker.to or worker.back for worker in self.up):
            for worker in self.up:
                if worker.to:
                    worker.receive()
                if worker.back:
                    worker.deliver()
