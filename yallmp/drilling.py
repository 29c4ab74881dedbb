"""
``yallmp drill``: the wiring of :mod:`yallmp.tap` for the command that rehearses failover.

It stands apart so that the daemon's start does not pay for the command.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from twisted.internet import reactor

from yallmp.arrivals import Ids
from yallmp.core.settings import Config
from yallmp.drill import command
from yallmp.drill.rehearsal import Proxy
from yallmp.metrics import Metrics
from yallmp.names import Names
from yallmp.tap import wired


def rehearse(argv: Sequence[str]) -> NoReturn:
    """Run the command with *argv*, its arguments; ends the process."""
    command.main(argv, reactor, make_proxy)


def make_proxy(config: Config, clock: Any) -> Proxy:
    """A proxy for *config* whose network and time are *clock*'s."""
    parts = wired(
        config,
        clock,
        resolver=Names(reactor),
        wall=time.time,
        draw=random.random,
        new_id=Ids(secrets.token_hex),
        metrics=Metrics.alone(),
        tell=lambda event: None,
    )
    return Proxy(parts.site, parts.wires)
