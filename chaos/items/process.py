"""
Signals, ends, restarts and reloads: what is under way when the proxy's process is told to stop,
or is stopped.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field

from chaos import client, secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.item import Item, Wrong
from chaos.items.manners import offering
from chaos.peer import Ask, Peer
from chaos.scripts import (
    TEXT,
    WELL,
    chunked,
    each,
    ending,
    events,
    in_chunks,
    says_and_waits,
    tokens,
    well,
)
from chaos.stand import Stand, now, refused, served, truthful
from yallmp.core.exchange import End
from yallmp.core.record import RecordError, parse

STREAMS = 20
BRIEF = {"general_settings": {"drain_timeout": 1}}


def gated(peer: Peer, ask: Ask) -> None:
    """The beginning of a stream, and its rest when it is released."""
    peer.send(events(0, 20))
    peer.hold()
    peer.send(in_chunks([*tokens("m", 20), *ending("m")]), chunked(b""))


def _opened(stand: Stand, count: int = STREAMS) -> list[Caller]:
    """Streams of which the client has had the beginning."""
    callers = [stand.open(stream=True) for _ in range(count)]
    for caller in callers:
        stand.must(caller.until(b"t10"), "a stream does not begin")
    return callers


def _ended(stand: Stand, began: float, drain: float) -> None:
    """The process must end by itself, with status 0, not much later than the drain's end."""
    try:
        status = stand.proxy.process.wait(drain + 12)
    except subprocess.TimeoutExpired:
        raise Wrong(f"it still runs {drain + 12:g} s after the signal") from None
    stand.must(status == 0, f"the exit status is {status}")
    stand.figure("8a", max(0.0, now() - began - drain))


def _refuses(stand: Stand) -> bool:
    try:
        Caller(stand.proxy.port, 1.0).close()
    except OSError:
        return True
    return False


def finishing(number: int) -> Callable[[Stand], None]:
    """Streams that are open when the signal comes end well, and nobody new comes in."""

    def check(stand: Stand) -> None:
        callers = _opened(stand)
        began = now()
        stand.proxy.notify(number)
        stand.soon(lambda: _refuses(stand), "new connections are still accepted")
        stand.backend.release()
        answers = [caller.answer() for caller in callers]
        whole = sum(map(_whole, answers))
        stand.note(f"{whole} of {len(answers)} ended well")
        stand.figure("8", float(len(answers) - whole))
        _ended(stand, began, 10.0)

    return check


def _whole(answer: Answer) -> bool:
    return answer.done and answer.whole and answer.error is None and answer.text == TEXT


def _told(stand: Stand) -> None:
    """Streams that do not end are told so."""
    callers = _opened(stand)
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    for caller in callers:
        answer = caller.answer()
        truthful(stand, answer, "proxy_shutdown")
    _ended(stand, began, 1.0)


def _unanswered(stand: Stand) -> None:
    """A request that waits for its answer is refused at the end of the drain."""
    caller = stand.open()
    stand.soon(lambda: stand.backend.asks, "the backend is not asked")
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    refused(stand, caller.answer(), 503, "proxy_shutdown")
    _ended(stand, began, 1.0)


def _not_ready(stand: Stand) -> None:
    """/readyz says 503 on a connection that is open."""
    (stream,) = _opened(stand, 1)
    watcher = stand.caller()
    ask = client.head(0, path="/readyz", method="GET")
    watcher.send(ask)
    stand.must(watcher.answer().status == 200, "not ready from the start")
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    stand.soon(lambda: _refuses(stand), "new connections are still accepted")
    try:
        watcher.send(ask)
        stand.must(watcher.answer().status in (0, 503), "still ready while it stops")
    except OSError:
        stand.note("the idle connection was closed")
    stand.backend.release()
    stand.must(_whole(stream.answer()), "the stream does not end well")
    _ended(stand, began, 10.0)


def stopping(busy: Callable[[Stand], Any], drain: float = 1.0) -> Callable[[Stand], None]:
    """It ends in time, whatever clients are doing."""

    def check(stand: Stand) -> None:
        kept = busy(stand)
        stand.wait(0.3)
        began = now()
        stand.proxy.notify(signal.SIGTERM)
        _ended(stand, began, drain)
        stand.must(kept is not None, "nobody was there")

    return check


def _idle(stand: Stand) -> list[Caller]:
    callers = [stand.caller() for _ in range(50)]
    for caller in callers[:25]:
        caller.post(stand.body(), key=secrets.CLIENT)
        served(stand, caller.answer())
    return callers


def _unread(stand: Stand) -> list[Caller]:
    return [stand.open(stream=True) for _ in range(4)]


def _uploading(stand: Stand) -> Caller:
    caller = stand.caller()
    caller.send(client.head(1000000, key=secrets.CLIENT) + b"{")
    return caller


def _dripping(stand: Stand) -> Caller:
    caller = stand.caller()
    caller.send(b"POST /v1/chat/comp")
    return caller


def _hurried(stand: Stand) -> None:
    """A second signal does not wait for the drain."""
    _opened(stand, 3)
    began = now()
    stand.proxy.notify(signal.SIGTERM)
    stand.wait(0.5)
    stand.proxy.notify(signal.SIGTERM)
    _ended(stand, began, 0.5)


def _kill(stand: Stand) -> None:
    """What was recorded a second ago is whole, what was under way is there as far as known."""
    _opened(stand, 3)
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
                time.sleep(0.05)  # noqa: TID251 - there is no reactor here

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
    callers = _opened(stand, 5)
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
    broken = sum(1 for caller in callers if not _whole(caller.answer()))
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
    *(Item(f"process.{name}-lets-streams-end", f"{name.upper()} while {STREAMS} streams are open",
           "all of them end well, nobody new comes in, status 0", "cuts them",
           finishing(number), (each(gated),), config={}, limit=60)
      for name, number in (("sigterm", signal.SIGTERM), ("sigint", signal.SIGINT))),
    Item("process.sigterm-tells-streams", f"SIGTERM while {STREAMS} streams are open for ever",
         "each gets the error proxy_shutdown and FIN as drain_timeout is over; status 0",
         "waits for ever, or cuts them without a word", _told, (each(gated),), config=BRIEF),
    Item("process.sigterm-tells-requests", "SIGTERM while a request waits for its answer",
         "503 proxy_shutdown", "cuts the connection", _unanswered, (says_and_waits(),),
         config=BRIEF),
    Item("process.sigterm-and-readyz", "SIGTERM while a load balancer looks at /readyz",
         "503 on the connection that is open", "says ready until it is gone", _not_ready,
         (each(gated),), config={}, limit=60),
    Item("process.sigterm-idle-clients", "SIGTERM while 50 clients keep idle connections",
         "it ends in time", "waits for clients that have nothing to say", stopping(_idle),
         (WELL,), config=BRIEF),
    Item("process.sigterm-unread", "SIGTERM while clients do not read what streams to them",
         "it ends in time", "waits until they have read all", stopping(_unread),
         (each(offering),), config=BRIEF),
    Item("process.sigterm-in-an-upload", "SIGTERM in the middle of a request's body",
         "it ends in time", "waits for the rest", stopping(_uploading), config=BRIEF),
    Item("process.sigterm-in-a-head", "SIGTERM in the middle of a request's first line",
         "it ends in time", "waits for the rest", stopping(_dripping), config=BRIEF),
    Item("process.sigterm-twice", "a second SIGTERM while streams are open",
         "it ends at once", "is deaf to the second", _hurried, (each(gated),), config={}),
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
