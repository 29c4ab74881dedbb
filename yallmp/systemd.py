"""
What systemd is told: that we serve, read our configuration again, stop, and are alive.

A service of ``Type=notify`` gets a datagram socket's name in ``NOTIFY_SOCKET`` and sends
lines of ``NAME=value`` there (``sd_notify(3)``).  Where that is not set nobody is told, and
nothing fails: what systemd does not hear it says itself.  With ``WATCHDOG_USEC`` it wants a
sign of life in that time, or it starts the service anew; the sign comes from the reactor,
so that one that stands still gives none.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define
from twisted.internet.task import LoopingCall

#: Signs of life in the time that systemd waits for one.
SIGNS = 3


@define(eq=False)
class Herald:
    """
    Tells whoever started us how we are.

    :ivar reactor: provides IReactorTime.
    :ivar send: takes lines of ``NAME=value``.
    :ivar patience: how long a sign of life may be missing, in seconds; ``None`` if nobody waits.
    :ivar now: the system's monotonic clock, in nanoseconds.
    """

    reactor: Any
    send: Callable[[str], None]
    patience: float | None = None
    now: Callable[[], int] = time.monotonic_ns
    _signs: LoopingCall | None = None

    def ready(self) -> None:
        """We serve, for the first time or with a configuration that was read again."""
        self.send("READY=1")
        if self.patience is not None and self._signs is None:
            self._signs = LoopingCall(self.send, "WATCHDOG=1")
            self._signs.clock = self.reactor
            self._signs.start(self.patience / SIGNS)

    def reloading(self) -> None:
        """We read our configuration again; :meth:`ready` follows, whatever comes of it."""
        self.send(f"RELOADING=1\nMONOTONIC_USEC={self.now() // 1000}")

    def stopping(self) -> None:
        """We end; signs of life go on until we have."""
        self.send("STOPPING=1")


def herald_of(environ: Mapping[str, str], reactor: Any) -> Herald:
    """The herald that *environ* asks for."""
    name = environ.get("NOTIFY_SOCKET", "")
    if name[:1] not in ("/", "@"):
        return silent(reactor)
    return Herald(reactor, Messenger(name).send, _patience(environ))


def silent(reactor: Any) -> Herald:
    """A herald whom nobody hears."""
    return Herald(reactor, _unheard)


@define(eq=False)
class Messenger:
    """
    Sends to a datagram socket.

    :ivar name: its path; ``@`` begins the name of an abstract one.
    """

    name: str

    def send(self, lines: str) -> None:
        """Send *lines*; a socket that is full or gone costs nothing but the message."""
        address = "\0" + self.name[1:] if self.name.startswith("@") else self.name
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messages:
                messages.setblocking(False)
                messages.sendto(lines.encode(), address)
        except OSError:
            return


def _unheard(lines: str) -> None:
    """Nobody listens."""


def _patience(environ: Mapping[str, str]) -> float | None:
    """In seconds, if signs of life are wanted from this very process."""
    told = environ.get("WATCHDOG_USEC", "")
    if not (told.isascii() and told.isdigit() and int(told)):
        return None
    mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(told) / 1e6 if mine else None
