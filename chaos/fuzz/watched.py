"""
A target's run under atheris, and what it came to.

A run has a fixed number of inputs and a fixed seed, so that two runs of the same build try the
same; it ends sooner when its time is over, or at the first finding, which is printed as
Python's literal, to become a seed and a test.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen

from chaos.fuzz.target import Target
from chaos.proxy import CHECKOUT, environment

_DONE = re.compile(r"^Done (\d+)", re.MULTILINE)
_PULSE = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+)", re.MULTILINE)
#: What one input may take, in seconds; what a process may, in MiB.
SLOW, MEMORY = 10, 1024
LONGEST = 2048


def is_here() -> bool:
    """Whether atheris can be imported: it exists for Linux and some Pythons only."""
    return find_spec("atheris") is not None


@frozen
class Found:
    """
    What a run came to.

    :ivar runs: how many inputs were tried.
    :ivar coverage: how many places of the watched code were reached.
    :ivar features: the same, told apart by how often.
    :ivar trouble: what was found, for people; empty if nothing was.
    """

    target: str
    runs: int
    coverage: int
    features: int
    seconds: float
    trouble: str = ""


@frozen
class Bounds:
    """How much is tried: inputs, and seconds, with which seed."""

    runs: int = 100_000
    seconds: int = 120
    seed: int = 1


def run(target: Target, bounds: Bounds) -> Found:
    """Run *target* in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        words = [
            sys.executable,
            "-m",
            "chaos.fuzz.child",
            target.name,
            *_flags(target, bounds, folder),
        ]
        _lay_out(target, folder)
        said = subprocess.run(
            words, cwd=CHECKOUT, env=environment(), capture_output=True, check=False
        )
        text = (said.stdout + said.stderr).decode("utf-8", "replace")
        return _found(target.name, text, said.returncode, folder)


def _flags(target: Target, bounds: Bounds, folder: Path) -> list[str]:
    # The first folder is added to: the seeds are read from the second.
    return [
        f"-runs={bounds.runs}", f"-max_total_time={bounds.seconds}", f"-seed={bounds.seed}",
        f"-timeout={SLOW}", f"-rss_limit_mb={MEMORY}", f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/found-", "-print_final_stats=1",
        *([f"-dict={folder / 'words'}"] if target.words else []),
        str(folder / "grown"), str(folder / "seeds"),
    ]  # fmt: skip


def _lay_out(target: Target, folder: Path) -> None:
    for name in ("grown", "seeds"):
        (folder / name).mkdir()
    for number, seed in enumerate(target.seeds):
        (folder / "seeds" / f"{number:03}").write_bytes(seed)
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in target.words]
    (folder / "words").write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")


def _found(name: str, said: str, status: int, folder: Path) -> Found:
    pulses = _PULSE.findall(said) or [("0", "0", "0")]
    done = _DONE.search(said)
    runs = int(done[1]) if done else int(pulses[-1][0])
    seconds = re.search(r"in (\d+) second", said)
    trouble = "" if status == 0 and done else _trouble(said, folder)
    return Found(
        name, runs, int(pulses[-1][1]), int(pulses[-1][2]),
        float(seconds[1]) if seconds else 0.0, trouble,
    )  # fmt: skip


def _trouble(said: str, folder: Path) -> str:
    """The traceback, and the input as a literal of Python's."""
    inputs = [repr(path.read_bytes()) for path in sorted(folder.glob("found-*"))]
    start = said.find("=== Uncaught")
    told = said[start:][:4000] if start >= 0 else said[-3000:]
    return "\n".join([told, *inputs]).strip()
