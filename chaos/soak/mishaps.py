"""
What happens to the proxy while it serves: backends die and come back, the configuration
is read again, the log directory cannot be written for a while.

All of it in one thread, one after the other, so that each is known to be over before the next.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

from chaos import client, secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.proxy import Proxy
from chaos.soak.setting import Places, tidal
from chaos.soak.tally import Tally
from chaos.upstream import eventually


def reloaded(port: int) -> Answer:
    """The answer to a reload."""
    caller = Caller(port, 60.0)
    body = b"{}"
    caller.send(client.head(len(body), key=secrets.ADMIN, path="/admin/reload") + body)
    answer = caller.answer()
    caller.close()
    return answer


@define(eq=False)
class Mishaps:
    """
    All of them.

    :ivar seconds: how long the load takes; what is rare is done at least once in it.
    :ivar done: what was done, by name.
    :ivar lost: requests that were lost while logs could not be written.
    :ivar unresumed: how often no records came afterwards.
    """

    proxy: Proxy
    places: Places
    config: Mapping[str, Any]
    tally: Tally
    seconds: float
    over: threading.Event
    done: dict[str, int] = field(factory=dict)
    lost: int = 0
    unresumed: int = 0
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until what has begun is over."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        part = self.seconds / 5
        every: dict[Callable[[], None], float] = {
            self._dies: min(20.0, part), self._reloads: min(120.0, part * 2),
            self._reloads_badly: min(300.0, part * 3), self._hangs_up: min(180.0, part * 3),
            self._loses_the_logs: min(600.0, part * 2.5),
        }  # fmt: skip
        due = {what: time.monotonic() + seconds for what, seconds in every.items()}
        while True:
            what = min(due, key=lambda each: due[each])
            if self.over.wait(max(0.0, due[what] - time.monotonic())):
                return
            due[what] = time.monotonic() + every[what]
            self._do(what)

    def _do(self, what: Callable[[], None]) -> None:
        name = what.__name__.strip("_").replace("_", " ")
        try:
            what()
        except Exception as error:
            self.tally.complain(f"{name}: {type(error).__name__}: {error}")
        self.done[name] = self.done.get(name, 0) + 1

    def _dies(self) -> None:
        """The mortal backend is gone for a while."""
        self.places.mortal.close()
        self.over.wait(min(5.0, self.seconds / 20))
        self.places.mortal.open()

    def _reloads(self) -> None:
        """Something is changed, and read again."""
        self.proxy.write(tidal(self.config, self.done.get("reloads", 0)))
        answer = reloaded(self.proxy.port)
        if answer.status != 200:
            self.tally.complain(f"a reload: {answer}: {answer.body[:300]!r}")

    def _reloads_badly(self) -> None:
        """A file that cannot be used changes nothing."""
        (self.proxy.folder / "config.yaml").write_text("model_list: 7\n", encoding="utf-8")
        answer = reloaded(self.proxy.port)
        if answer.status != 400:
            self.tally.complain(f"a reload of a bad file: {answer}")
        self.proxy.write(self.config)

    def _hangs_up(self) -> None:
        """A reload by a signal."""
        self.proxy.write(tidal(self.config, self.done.get("hangs up", 0) + 1))
        self.proxy.notify(signal.SIGHUP)
        self.over.wait(2.0)

    def _loses_the_logs(self) -> None:
        """A file stands where the log directory was, and is taken away again."""
        logs, aside = self.proxy.folder / "logs", self.proxy.folder / "logs-aside"
        lost = self.tally.broken("1")
        logs.rename(aside)
        logs.write_bytes(b"")
        try:
            self.over.wait(min(20.0, self.seconds / 10))
        finally:
            logs.unlink()
            _back(aside, logs)
        self.lost += self.tally.broken("1") - lost
        before = _records(logs)
        if not eventually(lambda: self.over.is_set() or _records(logs) - before, 60.0, 0.5):
            self.unresumed += 1


def _back(aside: Path, logs: Path) -> None:
    """Have the old directory again, unless the proxy has made itself a new one by now."""
    try:
        aside.rename(logs)
    except OSError:
        shutil.rmtree(aside)


def _records(logs: Path) -> set[str]:
    """The names of the records that are whole."""
    try:
        names = os.listdir(logs / "requests")
    except OSError:
        return set()
    return {name for name in names if name.endswith(".log")}
