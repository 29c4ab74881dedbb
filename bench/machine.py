"""
The machine: which cores it has for whom, what runs on it, and the program of the two ends.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench import accounts
from bench.contenders import CHECKOUT, Unusable

SOURCE = Path(__file__).with_name("rig.c")
COMPILERS = ("gcc", "cc", "clang")


@dataclass(frozen=True)
class Cores:
    """The cores of the proxy, the backend and the load; empty where there is but one for all."""

    proxy: frozenset[int] = frozenset()
    upstream: frozenset[int] = frozenset()
    load: frozenset[int] = frozenset()

    def __str__(self) -> str:
        """Who is where, in words."""
        if not self.proxy:
            return "one core for all: the figures say little"
        names = ", ".join(str(min(c)) for c in (self.proxy, self.upstream, self.load))
        return f"cores of proxy, upstream, load: {names}"


def share_out(cores: Iterable[int]) -> Cores:
    """The last core for the proxy alone; the others for the two ends, one each if there are."""
    have = sorted(cores)
    if len(have) < 2:
        return Cores()
    second = have[1] if len(have) > 2 else have[0]
    return Cores(frozenset({have[-1]}), frozenset({have[0]}), frozenset({second}))


@dataclass
class Strangers:
    """What else the machine did meanwhile: a figure from a busy machine is a poor one."""

    since: float
    seconds: float

    @classmethod
    def from_now(cls) -> Strangers:
        """Watch from here on."""
        return cls(time.monotonic(), accounts.strangers_seconds())

    def share(self) -> float:
        """The part of our cores' time that others took; our children must have ended."""
        gone = (time.monotonic() - self.since) * len(os.sched_getaffinity(0))
        return max(0.0, accounts.strangers_seconds() - self.seconds) / gone


def cores() -> Cores:
    """The cores of this machine that we may use, shared out."""
    return share_out(os.sched_getaffinity(0))


def has(program: str) -> bool:
    """Whether there is such a program."""
    return shutil.which(program) is not None


def has_twisted() -> bool:
    """Whether this Python can run yallmp."""
    return _version("Twisted") != "absent"


def check() -> None:
    """
    Whether this system can run the benchmark at all.

    :raises Unusable: where it cannot.
    """
    if not sys.platform.startswith("linux"):
        raise Unusable("the benchmark needs Linux: it reads /proc and uses epoll")


def build(folder: Path, optimised: str = "-O2") -> Path:
    """
    The program of the two ends, made from ``rig.c``.

    :raises Unusable: without a compiler, or when it does not compile.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise Unusable("no C compiler; on Debian: apt-get install gcc libc6-dev")
    words = [compiler, "-std=c11", optimised, "-o", str(folder / "rig"), str(SOURCE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unusable(f"{SOURCE} does not compile:\n{done.stderr}")
    return folder / "rig"


def said(words: Sequence[str]) -> str:
    """The first line that a command says, or nothing if it cannot."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return ""
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0] if lines and done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """What ran, so that figures of another day can be compared."""
    packages = ("Twisted", "klein", "treq", "httptools", "msgspec")
    commit = said(["git", "-C", str(CHECKOUT), "log", "-1", "--format=%h"])
    return {
        "machine": f"{os.cpu_count()} × {_processor()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "nginx": said(["nginx", "-v"]).rpartition("/")[2] or "absent",
        "yallmp": commit or "no git checkout",
        **{package: _version(package) for package in packages},
    }
