"""
Running it: the start, the load, the quiet after it, the verdict.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from random import Random

from attrs import define, field, frozen

from chaos import secrets
from chaos.proxy import OURS, Proxy
from chaos.soak import verdict
from chaos.soak.faults import FAULTS, Reply, plays, sometimes, well
from chaos.soak.load import Load, Pace
from chaos.soak.mishaps import Mishaps, reloaded
from chaos.soak.place import Place
from chaos.soak.samples import Observer, Sample
from chaos.soak.setting import Places, configuration
from chaos.soak.tally import Tally
from chaos.soak.verdict import Finding
from chaos.soak.visitor import Visitor
from chaos.soak.visits import HEAVY, USUAL, embeds, stream, whole

#: Seconds between two samples of a long run.
EVERY = 5.0
#: Seconds that what is under way may take when the load is over.
REST = 60.0


@frozen
class Plan:
    """
    What is wanted.

    :ivar seconds: of the load.
    :ivar heavy: whether bodies are so large that another process reads them, which then
        stays for a minute.
    """

    seconds: float = 3600.0
    rate: float = 40.0
    seed: int = 1
    workers: int = 1
    command: Sequence[str] = OURS
    heavy: bool = True

    @property
    def idle(self) -> float:
        """Seconds for which connections to backends are kept."""
        return min(30.0, max(1.0, self.seconds / 30))

    @property
    def quiet(self) -> float:
        """Seconds after the load, at most, until everything must be back."""
        return 90.0 if self.heavy else 30.0

    @property
    def every(self) -> float:
        """Seconds between two samples."""
        return min(EVERY, self.seconds / 10)


@define(eq=False)
class Soak:
    """
    One run.

    :ivar tell: is given each sample as it is taken.
    :ivar over: set when the load is to end.
    """

    plan: Plan
    tell: Callable[[Soak, Sample], None]
    tally: Tally = field(factory=Tally)
    over: threading.Event = field(factory=threading.Event)
    began: float = 0.0
    ended: float = 0.0
    findings: list[Finding] = field(factory=list)
    places: Places = field(init=False)
    proxy: Proxy = field(init=False)
    observer: Observer = field(init=False)
    mishaps: Mishaps = field(init=False)

    def run(self) -> None:
        """All of it."""
        self._open()
        try:
            start = self._start()
            still = self._load()
            end = self._quiet(start)
            status = self._stop()
            self._judge(start, end, still, status)
        finally:
            for place in self.places:
                place.close()
            self.proxy.remove()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning of the load."""
        return time.monotonic() - self.began if self.began else 0.0

    def _open(self) -> None:
        draw = Random(self.plan.seed)
        good = self._place(well), self._place(well)
        faulty = {name: self._place(sometimes(draw, each)) for name, each in FAULTS.items()}
        self.places = Places(good, faulty, self._place(well))
        for place in self.places:
            place.open()
        config = configuration(self.places, workers=self.plan.workers, idle=self.plan.idle)
        self.proxy = Proxy(self.plan.command, config)
        self.observer = Observer(self.proxy)

    def _place(self, reply: Reply) -> Place:
        return Place(plays(reply, self.tally), self.tally.complain)

    def _start(self) -> Sample:
        """How it is before the load, after it has done a little of everything."""
        visitor = Visitor("first", self.proxy.port, Random(0), Tally(), self.places.good[0].port)
        for _ in range(4 * self.plan.workers):
            for visit in (whole, stream, embeds):
                visit(visitor)
        visitor.close()
        self.observer.look(0.0, 0, [])
        reloaded(self.proxy.port)
        self.over.wait(self.plan.idle + 2.0)
        sample = self.observer.look(0.0, 0, [])
        self.observer.samples.clear()
        return sample

    def _load(self) -> int:
        """The load; how many clients could not be ended."""
        plan = self.plan
        pace = Pace(plan.rate, Random(plan.seed))
        visits = HEAVY if plan.heavy else USUAL
        load = Load(self.proxy.port, self.places.good[0].port, pace, self.tally, visits, plan.seed)
        self.mishaps = Mishaps(
            self.proxy, self.places, self.proxy.config, self.tally, plan.seconds, load.over
        )
        self.began = time.monotonic()
        load.start()
        self.mishaps.start()
        while self.elapsed < plan.seconds and not self.over.wait(plan.every):
            self._look()
        self.ended = self.elapsed
        still = load.stop(REST)
        self.mishaps.join(REST)
        return still

    def _look(self) -> Sample:
        try:
            sample = self.observer.look(self.elapsed, self.tally.visits, self.tally.times())
        except (OSError, ValueError) as error:
            self.tally.complain(f"the proxy could not be looked at: {error!r}")
            raise
        self.tell(self, sample)
        return sample

    def _quiet(self, start: Sample) -> Sample:
        """Wait until all is back, as long as it may take."""
        until = time.monotonic() + self.plan.quiet
        sample = self._look()
        while not verdict.is_back(start, sample) and time.monotonic() < until:
            time.sleep(self.plan.every)  # noqa: TID251 - there is no reactor here
            sample = self._look()
        return sample

    def _stop(self) -> int:
        return self.proxy.end()[0]

    def _judge(self, start: Sample, end: Sample, still: int, status: int) -> None:
        tally, visits = self.tally, self.tally.visits
        loaded = [each for each in self.observer.samples if each.at <= self.ended]
        found = secrets.search_folder(self.proxy.folder, secrets.PLANTED)
        traces = self.proxy.said.count("Traceback")
        count = verdict.counted
        self.findings = [
            count("1", "requests lost", tally.broken("1"), visits),
            count("2", "broken answers that look whole", tally.broken("2"), visits),
            count("3", "answers that took more than 15 s", tally.late, visits),
            count("5", "backends not let go by clients that left", tally.held, visits),
            count("7", "bad requests that were not refused", tally.broken("7"), visits),
            count("9", "requests lost while logs could not be written", self.mishaps.lost, visits),
            count("9", "times that no records came afterwards", self.mishaps.unresumed, visits),
            *verdict.leftovers(start, self.observer.samples, end),
            verdict.threads(start.threads, self.observer.samples),
            verdict.memory(loaded),
            count("10", "clients that could not be ended", still, visits),
            count("11", "secrets found", len(found), 1),
            count("-", "tracebacks in its log", traces, 1),
            count("-", "exit status of the proxy", status, 1),
            count("-", "what went wrong besides", len(tally.trouble), 1),
        ]
