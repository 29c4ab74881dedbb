"""
What runs: the backend and the contenders, started on their cores, and ended whatever happens.

Each gets a session of its own.  So a Ctrl-C reaches the benchmark only, which then ends all
of them, and a process that a contender leaves behind is found by its session.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import accounts
from bench.contenders import CHECKOUT, Contender
from bench.machine import Cores

GOODBYE = 10.0
#: How often a contender that starts is asked: the grain of the time to its first answer.
GRAIN = 0.005
#: How long a contender may go on working on what is behind it, its records for instance.
AFTERWORK = 20.0
#: In the words of ``rig.c``.
QUESTION = "bench answer=8 events=0 every=0 pad=4:0123"
ANSWER = b"01234567"


class Broken(Exception):
    """A contender does not do what it should; its figure is void, and the text says why."""


@dataclass(frozen=True)
class Stand:
    """What all contenders have in common: the two ends, the cores, and a folder."""

    rig: Path
    cores: Cores
    upstream: int
    folder: Path


@dataclass
class Running:
    """A contender that answers; ``process`` is ``None`` for the direct way."""

    stand: Stand
    contender: Contender
    port: int
    folder: Path
    process: subprocess.Popen[str] | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def cpu(self) -> float:
        """CPU seconds of the whole tree so far."""
        return accounts.cpu_seconds(self.process.pid) if self.process else 0.0

    def memory_kb(self) -> int:
        """The memory of the whole tree now."""
        return accounts.memory_kb(self.process.pid) if self.process else 0

    def settled_cpu(self) -> float:
        """The CPU seconds once it rests: work put off until after the answer counts as well."""
        patience = time.monotonic() + AFTERWORK
        before, now = -1.0, self.cpu()
        while now - before > 0.015 and time.monotonic() < patience:
            pause(0.1)
            before, now = now, self.cpu()
        if now - before > 0.015:
            self.notes.append(f"still busy {AFTERWORK:.0f} s after the load")
        return now

    def records(self) -> int:
        """How many request logs it has written."""
        pattern = self.contender.records
        return sum(1 for _ in self.folder.glob(pattern)) if pattern else 0

    def load(self, opened: Callable[[], None] | None = None, **options: float) -> dict[str, Any]:
        """
        What the load reports; *opened* is called once all streams are open.

        :raises Broken: when one answer is not what it should be.
        """
        report: dict[str, Any] = self._report(opened, options)
        if report["errors"] or not report["requests"]:
            raise Broken(f"{report['errors']} wrong answers: {report['trouble'] or 'none came'}")
        return report

    def _report(self, opened: Callable[[], None] | None, options: dict[str, float]) -> Any:
        with running(self._words(options), self.stand.cores.load, stdout=subprocess.PIPE) as load:
            for line in load.stdout or ():
                if line.startswith("{"):
                    return json.loads(line)
                if opened:
                    opened()
        raise Broken("the load ended without a report")

    def _words(self, options: dict[str, float]) -> list[str]:
        who = self.contender
        words = [str(self.stand.rig), "load", "--port", str(self.port)]
        words += ["--path", who.path, "--model", who.model]
        words += [word for line in who.headers for word in ("--header", line)]
        return words + [w for name, n in options.items() for w in (f"--{name}", str(n))]


def pause(seconds: float) -> None:
    """Wait.  The benchmark has no event loop whose clock could be asked."""
    time.sleep(seconds)  # noqa: TID251


@contextmanager
def _on(cores: frozenset[int]) -> Iterator[None]:
    """Be on *cores* for a while: whoever is started meanwhile stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(
    words: Sequence[str], cores: frozenset[int], **how: Any
) -> Iterator[subprocess.Popen[str]]:
    """A command on *cores*, ended with all its children when it is no longer needed."""
    with _on(cores):
        process = subprocess.Popen(words, start_new_session=True, text=True, **how)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """End a process and its tree: it is asked first, and killed when it does not listen."""
    members = accounts.processes(process.pid)
    process.terminate()
    try:
        process.wait(GOODBYE)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        process.wait()
        _kill_rest(process.pid, members)
        if process.stdout:
            process.stdout.close()


def _kill_rest(root: int, members: Sequence[accounts.Account]) -> None:
    """Those of a tree that outlive its root; the session tells them from strangers."""
    were = {(a.pid, a.session) for a in members}
    for one in accounts.everyone():
        if one.session == root or (one.pid, one.session) in were:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def upstream(rig: Path, cores: Cores) -> Iterator[int]:
    """The backend's port, while it runs."""
    with running([str(rig), "upstream"], cores.upstream, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line.strip().isdigit():
            raise Broken("the backend does not start")
        yield int(line)


@contextmanager
def launched(stand: Stand, contender: Contender) -> Iterator[Running]:
    """
    *contender*, from its first answer until it is no longer needed.

    :raises Broken: when it does not come to answer; the end of what it said is in the text.
    """
    if not contender.command:
        yield Running(stand, contender, stand.upstream, stand.folder)
        return
    port, folder = free_port(), stand.folder / contender.name
    who = contender.filled(places(stand, port, folder))
    prepare(folder, who)
    try:
        with _started(stand, who, folder) as process:
            yield _answering(Running(stand, who, port, folder, process))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def places(stand: Stand, port: int, folder: Path) -> dict[str, str]:
    """What the ``@NAME@`` in a contender's description stand for."""
    return {
        "PORT": str(port),
        "UPSTREAM": str(stand.upstream),
        "FOLDER": str(folder),
        "PYTHON": sys.executable,
        "CHECKOUT": str(CHECKOUT),
    }


def prepare(folder: Path, who: Contender) -> None:
    """Write a contender's files into a folder that was empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in who.files.items():
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def _started(stand: Stand, who: Contender, folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **who.environment}
    with (folder / "output").open("w", encoding="utf-8") as output:
        how = {"stdout": output, "stderr": output, "stdin": subprocess.DEVNULL}
        try:
            with running(
                who.command, stand.cores.proxy, cwd=folder, env=environment, **how
            ) as process:
                yield process
        except FileNotFoundError as error:
            raise Broken(f"there is no program {error.filename}") from error


def _answering(one: Running) -> Running:
    """The same, once its first answer is there."""
    begun = time.monotonic()
    while not answers(one.port, one.contender):
        gone = time.monotonic() - begun
        if one.process is None or one.process.poll() is not None or gone > one.contender.patience:
            said = (one.folder / "output").read_text(encoding="utf-8", errors="replace")
            raise Broken(f"no answer within {gone:.0f} s; it said: {said[-600:].strip()}")
        pause(GRAIN)
    one.seconds = time.monotonic() - begun
    return one


def answers(port: int, who: Contender) -> bool:
    """Whether the right answer comes from there."""
    asked = {"model": who.model, "messages": [{"role": "user", "content": QUESTION}]}
    headers = dict(line.split(": ", 1) for line in who.headers)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "POST", who.path, json.dumps(asked), {"Content-Type": "application/json", **headers}
        )
        answer = connection.getresponse()
        return answer.status == 200 and ANSWER in answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
