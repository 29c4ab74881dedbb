"""
A log directory that is full, gone, or cannot be written, and a recorder that does not work:
requests are served all the same, and records come back by themselves.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from chaos.item import Absent, Item
from chaos.scripts import WELL
from chaos.stand import Stand

REQUESTS = 60
#: Larger than the small disk holds a few of.
PROMPT = [{"role": "user", "content": "A long prompt. " * 500}]


def _served(stand: Stand) -> None:
    """Figure 9: how many of the requests are not served."""
    answers = [stand.ask(messages=PROMPT) for _ in range(REQUESTS)]
    lost = sum(1 for each in answers if each.status != 200 or not each.claims)
    stand.note(f"{REQUESTS - lost} of {REQUESTS} served")
    stand.figure("9", float(lost))


def _resumes(stand: Stand) -> None:
    """Records come again, without anybody's help."""

    def comes() -> bool:
        before = len(stand.proxy.records())
        stand.ask()
        stand.wait(0.5)
        return len(stand.proxy.records()) > before

    stand.soon(comes, "no record comes any more", 20.0)


def _counted(stand: Stand) -> None:
    """The daemon's log says that records were lost."""
    stand.soon(lambda: "record" in stand.proxy.said.lower(), "nothing is said about it", 10.0)


def _run(*words: str) -> None:
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Absent(f"this needs to mount a small disk: {error}") from None


def on_a_disk(then: Callable[[Stand, Path], None]) -> Callable[[Stand], None]:
    """The log directory is a disk of its own, of 64 KiB, which is taken away at the end."""

    def check(stand: Stand) -> None:
        logs = stand.proxy.folder / "logs"
        _run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(logs))
        try:
            (logs / "requests").mkdir()
            (logs / "errors").mkdir()
            then(stand, logs)
        finally:
            subprocess.run(["umount", "-l", str(logs)], check=False, capture_output=True)

    return check


def _full(stand: Stand, logs: Path) -> None:
    _served(stand)
    stand.wait(1.0)
    free = os.statvfs(logs)
    stand.must(free.f_bavail * free.f_bsize < 32768, "the disk was never full")
    _counted(stand)
    for path in logs.glob("requests/*"):
        path.unlink()
    _resumes(stand)


def _read_only(stand: Stand, logs: Path) -> None:
    _run("mount", "-o", "remount,ro", str(logs))
    _served(stand)
    _counted(stand)
    _run("mount", "-o", "remount,rw,size=1m", str(logs))
    _resumes(stand)


def _gone(stand: Stand) -> None:
    shutil.rmtree(stand.proxy.folder / "logs")
    _served(stand)
    _resumes(stand)


def _a_file(stand: Stand) -> None:
    """A file stands where the directory was, and is taken away again."""
    logs = stand.proxy.folder / "logs"
    shutil.rmtree(logs)
    logs.write_bytes(b"")
    _served(stand)
    _counted(stand)
    logs.unlink()
    _resumes(stand)


def _stopped(stand: Stand) -> None:
    """A recorder that stands still holds nobody up, and loses nothing."""
    recorders = stand.proxy.recorders
    stand.must(recorders, "there is no recorder")
    before = len(stand.proxy.records())
    for pid in recorders:
        os.kill(pid, signal.SIGSTOP)
    try:
        _served(stand)
    finally:
        for pid in recorders:
            os.kill(pid, signal.SIGCONT)
    wanted = before + REQUESTS
    stand.soon(lambda: len(stand.proxy.records()) >= wanted, "records are missing", 15.0)


def _stopped_for_good(stand: Stand) -> None:
    """The proxy ends in time although its recorder stands still."""
    for pid in stand.proxy.recorders:
        os.kill(pid, signal.SIGSTOP)
    stopped = stand.proxy.recorders
    _served(stand)
    try:
        status, seconds = stand.proxy.end(signal.SIGTERM, 20.0)
    finally:
        for pid in stopped:
            stand.proxy.kill_one(pid)
    stand.must(status == 0, f"the exit status is {status}")
    stand.figure("8a", max(0.0, seconds - 1.0))


def _killed(stand: Stand) -> None:
    """A recorder that dies is replaced."""
    for pid in stand.proxy.recorders:
        stand.proxy.kill_one(pid)
    _served(stand)
    _resumes(stand)


ITEMS = (
    Item("records.disk-full", "the log directory's disk is full",
         "60 of 60 served; it says so; records resume when there is room",
         "waits for the disk, or fails requests that it cannot record", on_a_disk(_full), (WELL,),
         config={}, limit=60),
    Item("records.read-only", "the log directory cannot be written any more",
         "60 of 60 served; it says so; records resume", "the same", on_a_disk(_read_only), (WELL,),
         config={}, limit=60),
    Item("records.directory-gone", "the log directory is deleted",
         "60 of 60 served, records resume",
         "fails every request from then on", _gone, (WELL,), config={}, limit=60),
    Item("records.directory-is-a-file", "a file takes the place of the log directory",
         "60 of 60 served; it says so; records resume", "the same", _a_file, (WELL,), config={},
         limit=60),
    Item("records.recorder-stopped", "the process that writes records stands still, and goes on",
         "60 of 60 served, and no record lost", "waits for it with every request", _stopped,
         (WELL,), config={}, limit=60),
    Item("records.recorder-stopped-at-the-end", "SIGTERM while that process stands still",
         "it ends in time", "waits for it for ever", _stopped_for_good, (WELL,),
         config={"general_settings": {"drain_timeout": 1}}, limit=60),
    Item("records.recorder-killed", "the process that writes records is killed",
         "60 of 60 served, records resume", "goes on without records, or ends", _killed, (WELL,),
         config={}, limit=60),
)  # fmt: skip
