"""
``python -m chaos broken``: each broken proxy must fail its items, and the honest one pass them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from chaos.broken.builds import BUILDS, Build
from chaos.item import Item
from chaos.items import ITEMS
from chaos.proxy import OURS
from chaos.run import Outcome, Run


def items(build: Build) -> list[Item]:
    """
    The items of *build*.

    :raises KeyError: there is no such item any more.
    """
    known = {item.id: item for item in ITEMS}
    return [known[name] for name in build.items]


def outcomes(some: Sequence[Item], command: Sequence[str], tell: bool = True) -> list[Outcome]:
    """What comes of them with the proxy that *command* starts."""
    run = Run(some, _told if tell else (lambda _: None), command)
    run.run()
    return run.outcomes


def _told(outcome: Outcome) -> None:
    why = f": {outcome.why.splitlines()[0]}" if outcome.why else ""
    print(f"    {outcome.item.id:<40} {outcome.word}{why}", flush=True)


def caught(name: str) -> bool:
    """Whether every item of a broken build fails on it."""
    print(f"{name}: {BUILDS[name].words}", flush=True)
    command = (sys.executable, "-m", "chaos.broken", name)
    return all(each.word == "failed" for each in outcomes(items(BUILDS[name]), command))


def main() -> int:
    """Whether every broken build is caught, and nothing else is."""
    found = {name: caught(name) for name in BUILDS}
    print("the proxy as it is", flush=True)
    every = [item for build in BUILDS.values() for item in items(build)]
    honest = all(each.word == "passed" for each in outcomes(every, OURS))
    missed = [name for name, was_caught in found.items() if not was_caught]
    print(f"{len(found) - len(missed)} of {len(found)} broken builds caught")
    for name in missed:
        print(f"not caught: {name}")
    if not honest:
        print("the proxy as it is fails some of the items as well")
    return 0 if honest and not missed else 1
