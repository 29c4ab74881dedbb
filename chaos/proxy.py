"""
The proxy as a user starts it: a process with a folder, a configuration, and what it says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

from bench import accounts
from chaos.item import Wrong
from chaos.upstream import eventually

CHECKOUT = Path(__file__).parent.parent
_LISTENS = re.compile(r"listens on 127\.0\.0\.1:(\d+)")
#: How long a start and an end may take on a machine that is busy, in seconds.
PATIENCE = 30.0
OURS = (sys.executable, "-m", "yallmp")


def environment() -> dict[str, str]:
    """Ours, with the sources on the path."""
    path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


@define(eq=False)
class Proxy:
    """
    A proxy that serves.

    :ivar command: what starts it; ``-c FILE`` is added.
    :ivar folder: its configuration, its output and its logs are there.
    """

    command: Sequence[str]
    config: Mapping[str, Any]
    folder: Path = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)
    port: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        self.write(self.config)
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def write(self, config: Mapping[str, Any]) -> None:
        """Write its configuration."""
        text = json.dumps(config, indent=1)
        (self.folder / "config.yaml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """
        Start it, and wait until it listens.

        :raises Wrong: it ends instead.
        """
        words = [*self.command, "-c", str(self.folder / "config.yaml")]
        before = len(self.said)
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=environment(),
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        workers = self.config["general_settings"]["server"].get("workers", 1)
        found = eventually(lambda: self._listens(before, workers), PATIENCE, 0.02)
        if not found:
            raise Wrong(f"the proxy does not start: {self.said[-600:]}")
        self.port = int(found)

    def _listens(self, before: int, workers: int) -> str | None:
        if self.process.poll() is not None:
            raise Wrong(f"the proxy ended: {self.said[-600:]}")
        ports = _LISTENS.findall(self.said[before:])
        return ports[-1] if len(ports) >= workers else None

    @property
    def output(self) -> Path:
        """Where its own log goes."""
        return self.folder / "output.log"

    @property
    def said(self) -> str:
        """Its own log."""
        if not self.output.exists():
            return ""
        return self.output.read_text(encoding="utf-8", errors="replace")

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [each.pid for each in accounts.processes(self.process.pid)]

    @property
    def recorders(self) -> list[int]:
        """Those of them that write the records."""
        return [pid for pid in self.pids if b"recorder" in _command(pid)]

    @property
    def children(self) -> list[int]:
        """Those that the first of them has started and that are no recorders: its workers."""
        everyone = accounts.processes(self.process.pid)
        started = [each.pid for each in everyone if each.parent == self.process.pid]
        return [pid for pid in started if pid not in self.recorders]

    @property
    def descriptors(self) -> int:
        """How many files and sockets all of them have open."""
        return sum(map(_descriptors, self.pids))

    def forget_peaks(self) -> None:
        """From here on the peaks count anew."""
        for pid in self.pids:
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def resident(self) -> dict[int, float]:
        """What each of them takes now, in MiB."""
        return {pid: _status_kb(pid, "VmRSS:") / 1024 for pid in self.pids}

    @property
    def peaks(self) -> dict[int, float]:
        """The most that each of them took, in MiB."""
        return {pid: _status_kb(pid, "VmHWM:") / 1024 for pid in self.pids}

    def queued(self) -> float:
        """How long its main thread has been ready to run without a core so far, in ms (Linux)."""
        try:
            told = Path(f"/proc/{self.process.pid}/schedstat").read_text(encoding="ascii")
        except OSError:
            return 0.0
        return int(told.split()[1]) / 1e6

    def records(self, pattern: str = "requests/*.log") -> list[Path]:
        """Files below its log directory."""
        return sorted((self.folder / "logs").glob(pattern))

    def notify(self, number: int) -> None:
        """Send the main process a signal."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, seconds: float = PATIENCE) -> tuple[int, float]:
        """
        The exit status after a signal, and the seconds that it took.

        :raises Wrong: it does not end.
        """
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Wrong(f"the proxy still runs {seconds:g} s after signal {number}") from None
        return status, time.monotonic() - began

    def kill(self) -> None:
        """Kill all of them at once but the recorders, as a power cut for the proxy alone."""
        for pid in set(self.pids) - set(self.recorders):
            _kill(pid)
        self.process.wait()

    def kill_one(self, pid: int) -> None:
        """Kill one of them."""
        _kill(pid)

    def remove(self) -> None:
        """Kill what is left of it, and delete its folder."""
        if self.process.poll() is None:
            members = self.pids
            self.process.kill()
            self.process.wait()
            for pid in members:
                _kill(pid)
        shutil.rmtree(self.folder, ignore_errors=True)


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _status_kb(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return 0


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
