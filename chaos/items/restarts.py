"""
Kills, new starts and reloads: what was finished stays, and nobody is turned away.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from attrs import define, field

from chaos.heard import Answer
from chaos.item import Item
from chaos.items.process import gated, is_whole, opened
from chaos.peer import Ask, Peer
from chaos.scripts import TEXT, each, well
from chaos.stand import Stand, now, served
from yallmp.core.exchange import End
from yallmp.core.record import RecordError, parse


def _kill(stand: Stand) -> None:
    """What was recorded a second ago is whole, what was under way is there as far as known."""
    opened(stand, 3)
    ids = [_id(stand.ask(seed=1)) for _ in range(30)]
    stand.wait(1.2)
    stand.proxy.kill()
    _records(stand, ids)
    parts = stand.proxy.records("requests/*.part")
    stand.must(len(parts) == 3, f"{len(parts)} unfinished records of 3 streams")


def _id(answer: Answer) -> str:
    return answer.fields.get("x-yallmp-id", "none")


def _records(stand: Stand, ids: list[str]) -> None:
    """Each of *ids* has its record, and no record is a half one; figure 8b."""
    stand.wait(1.0)
    paths = stand.proxy.records()
    half = [path.name for path in paths if not _is_whole(path)]
    lost = [each for each in ids if not any(each in path.name for path in paths)]
    stand.note(f"{len(paths)} records, {len(lost)} lost, {len(half)} half")
    stand.figure("8b", float(len(lost) + len(half)))


def _is_whole(path: Path) -> bool:
    try:
        return isinstance(parse(path.read_bytes()).events[-1], End)
    except RecordError:
        return False


@define(eq=False)
class Load:
    """
    Requests without a pause, from several clients, until it is over.

    :ivar ends: when each that was answered was over, with its id.
    """

    stand: Stand
    ends: list[tuple[float, str]] = field(factory=list)
    broken: list[str] = field(factory=list)
    over: bool = False
    _threads: list[threading.Thread] = field(factory=list)

    def begin(self, clients: int = 4) -> None:
        """Start the clients."""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self.over:
            try:
                answer = self.stand.ask(seed=1)
                good = answer.status == 200 and answer.whole
                self.ends.append((now(), _id(answer))) if good else self.broken.append(str(answer))
            except OSError as error:
                self.broken.append(repr(error))
                self.stand.wait(0.05)

    def end(self) -> None:
        """No more of them."""
        self.over = True
        for thread in self._threads:
            thread.join(10)


def _kill_under_load(stand: Stand) -> None:
    """The same in the middle of many requests; then it starts again and serves."""
    load = Load(stand)
    load.begin()
    stand.wait(2.5)
    killed = now()
    stand.proxy.kill()
    load.end()
    ids = [each for at, each in load.ends if at < killed - 1.0]
    stand.must(len(ids) > 20, f"only {len(ids)} requests before the end")
    _records(stand, ids)
    stand.proxy.start()
    served(stand, stand.ask(seed=1))


def _worker_killed(stand: Stand) -> None:
    """One of two workers dies; the other serves, and it is replaced."""
    served(stand, stand.ask(seed=1))
    workers = stand.proxy.children
    stand.must(len(workers) == 2, f"{len(workers)} children, not two workers")
    stand.proxy.kill_one(workers[0])
    stand.wait(0.3)
    lost = 0
    for _ in range(60):
        try:
            answer = stand.ask(seed=1)
            lost += answer.text != TEXT
        except OSError:
            lost += 1
    stand.figure("8", float(lost))
    stand.soon(lambda: len(stand.proxy.children) == 2, "the worker is not replaced", 15.0)


def seeded(peer: Peer, ask: Ask) -> None:
    """A good answer at once to who gives a seed; else a stream that waits."""
    if ask.value.get("seed"):
        well(peer, ask)
    else:
        gated(peer, ask)


def _reloaded(stand: Stand) -> None:
    """50 requests and open streams over five reloads."""
    callers = opened(stand, 5)
    load = Load(stand)
    load.begin(3)
    for number in range(5):
        config = dict(stand.proxy.config, logging={"directory": "logs", "level": "info"})
        config["general_settings"] = {**config["general_settings"], "drain_timeout": 20 + number}
        stand.proxy.write(config)
        stand.proxy.notify(signal.SIGHUP)
        stand.wait(0.4)
    stand.soon(lambda: len(load.ends) >= 50, "fewer than 50 requests", 20.0)
    load.end()
    stand.backend.release()
    broken = sum(1 for caller in callers if not is_whole(caller.answer()))
    stand.note(f"{len(load.ends)} requests and 5 streams over 5 reloads")
    stand.figure("8", float(len(load.broken) + broken))
    stand.must(stand.proxy.process.poll() is None, "it ended")


def _reloaded_badly(stand: Stand) -> None:
    """A file that is wrong changes nothing."""
    for text in ("model_list: [", "nonsense: 1\n", "", '{"model_list": []}'):
        (stand.proxy.folder / "config.yaml").write_text(text, encoding="utf-8")
        stand.proxy.notify(signal.SIGHUP)
        stand.wait(0.3)
        served(stand, stand.ask(seed=1))
    (stand.proxy.folder / "config.yaml").unlink()
    stand.proxy.notify(signal.SIGHUP)
    stand.wait(0.3)
    served(stand, stand.ask(seed=1))


ITEMS = (
    Item("process.kill-9", "kill -9 a second after 30 requests, with three streams open",
         "all 30 records whole; the streams are there as far as they were known",
         "loses what it had not written yet, or leaves half records under final names",
         _kill, (each(seeded),), config={}),
    Item("process.kill-9-under-load", "kill -9 in the middle of requests, and a new start",
         "no record older than a second is lost, no half one; it serves again",
         "the same, or a file of the old process keeps it from starting", _kill_under_load,
         (each(seeded),), config={}, limit=60),
    Item("process.worker-killed", "one of two workers is killed",
         "60 of 60 requests are served, and the worker is replaced",
         "sends clients to a worker that is not there", _worker_killed, (each(seeded),),
         config={"general_settings": {"server": {"workers": 2}}}, limit=60),
    Item("process.reloaded", "50 requests and 5 streams over five reloads", "all of them end well",
         "starts anew, or drops what it had", _reloaded, (each(seeded),), config={}, limit=60),
    Item("process.reloaded-badly", "reloads of files that are broken, empty, or gone",
         "nothing changes", "ends, or serves nothing", _reloaded_badly, (each(seeded),), config={}),
)  # fmt: skip
