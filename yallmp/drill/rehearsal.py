"""
Rehearsing: for each cell a wall, a proxy of its own and a caller, then the judgement.

Cells share nothing but the machine, so they run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.web.server import Site

from yallmp.core.settings import Config
from yallmp.drill.caller import Caller
from yallmp.drill.cells import Cell
from yallmp.drill.faults import Fault
from yallmp.drill.heard import Reply, heard
from yallmp.drill.judge import Judgement, judge
from yallmp.drill.observed import Heard, Knock
from yallmp.drill.setting import Stage, with_wall
from yallmp.drill.wall import Wall
from yallmp.wires import Wires

#: So many cells run side by side.
ABREAST = 24
_HOST = "127.0.0.1"


@frozen
class Proxy:
    """A proxy, wired: what listens, and the connections to be closed in the end."""

    site: Site
    wires: Wires


#: Makes a proxy of a configuration and a reactor.
MakeProxy = Callable[[Config, Any], Proxy]


@frozen
class Result:
    """One cell of one model, and what it was worth."""

    cell: Cell
    stage: Stage
    judgement: Judgement
    heard: tuple[Heard, ...]
    knocks: tuple[Knock, ...]


@define(eq=False)
class Rehearsal:
    """
    Cells to be rehearsed.

    :ivar reactor: connects, listens and tells the time, which may be scaled.
    :ivar done: the results so far.
    """

    config: Config
    reactor: Any
    make_proxy: MakeProxy
    done: list[Result] = field(factory=list)

    async def run(self, parts: Sequence[tuple[Stage, Cell]]) -> list[Result]:
        """Rehearse *parts*, several at a time; the results are in their order."""
        places: DeferredSemaphore = DeferredSemaphore(ABREAST)
        running = [places.run(self._one, stage, cell) for stage, cell in parts]
        results: list[Result] = await gatherResults(running, consumeErrors=True)
        return results

    def _one(self, stage: Stage, cell: Cell) -> Deferred[Result]:
        return Deferred.fromCoroutine(self._rehearse(stage, cell))

    async def _rehearse(self, stage: Stage, cell: Cell) -> Result:
        run = _Run(self.config, self.reactor, self.make_proxy, stage, cell)
        try:
            run.build()
            result = _judged(run, await run.ask())
        except (OSError, CannotListenError) as error:
            result = Result(cell, stage, Judgement("fail", (f"not rehearsed: {error}",)), (), ())
        finally:
            await run.close()
        self.done.append(result)
        return result


def _judged(run: _Run, replies: Sequence[Reply]) -> Result:
    """What a cell was worth in which the caller got *replies*."""
    cell, stage = run.cell, run.stage
    told, knocks = tuple(map(heard, replies)), tuple(run.wall.knocks)
    judgement = judge(cell, told, knocks, primary=stage.primary, alone=stage.alone)
    return Result(cell, stage, judgement, told, knocks)


@define(eq=False)
class _Run:
    """One cell under way."""

    config: Config
    reactor: Any
    make_proxy: MakeProxy
    stage: Stage
    cell: Cell
    wall: Wall = field(init=False)
    _ports: list[Any] = field(factory=list)
    _proxy: Proxy | None = None
    _address: str = ""

    def __attrs_post_init__(self) -> None:
        faults = {backend.name: self._does(backend.name) for backend in self.stage.backends}
        self.wall = Wall(self.reactor, faults)

    def build(self) -> None:
        """
        Open the wall, and the proxy before it.

        :raises CannotListenError: there is no port, or no descriptor, for it.
        """
        addresses = {name: self._built(name) for name in self.wall.faults}
        self._proxy = self.make_proxy(with_wall(self.config, self.stage, addresses), self.reactor)
        self._address = self._listening(self._proxy.site)

    def _does(self, name: str) -> Fault:
        primary = name == self.stage.primary and self.cell.fault is not None
        return self.cell.fault or self.cell.others if primary else self.cell.others

    def _built(self, name: str) -> str:
        """The address of the backend *name*, where nothing listens if that is the fault."""
        address = self._listening(self.wall.factory(name))
        if name == self.stage.primary and self.cell.fault is None:
            self._ports.pop().stopListening()
        return f"{address}/v1"

    def _listening(self, factory: Any) -> str:
        port = self.reactor.listenTCP(0, factory, interface=_HOST)
        self._ports.append(port)
        return f"http://{_HOST}:{port.getHost().port}"

    async def ask(self) -> list[Reply]:
        """Send the cell's requests, each at its time."""
        self.wall.began = self.reactor.seconds()
        caller = Caller(self.reactor, f"{self._address}/v1", self.stage.asked, self.wall.began)
        asked = [self._at(caller, number) for number in range(self.cell.requests)]
        replies: list[Reply] = await gatherResults(asked, consumeErrors=True)
        return replies

    def _at(self, caller: Caller, number: int) -> Deferred[Reply]:
        cell = self.cell
        when: Deferred[None] = deferLater(self.reactor, cell.every * number)
        return when.addCallback(lambda _: caller.ask(cell.stream, cell.limit))

    async def close(self) -> None:
        """Leave nothing behind."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        if self._proxy is not None:
            await self._proxy.wires.close()
        self.wall.close()
