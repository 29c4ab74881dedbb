"""
A worker: one of several processes that serve the same port, as its supervisor starts it.

What it is to be comes through its standard input (:class:`yallmp.core.control.Order`), so
it reads no file and no command line.  It ends when its supervisor says so, or is gone.
"""

from __future__ import annotations

import os
import sys

from yallmp import signals
from yallmp.core.control import Order, decoded, size_of
from yallmp.reactors import install_reactor


def main() -> None:
    """Serve until the supervisor says that it is over; end at once if it is gone already."""
    signals.ignore()
    try:
        order = read_order(0)
    except EOFError:
        sys.exit(1)
    install_reactor(order.config.server.reactor)
    from yallmp import tap  # noqa: PLC0415 - it loads the reactor, which the order may choose

    tap.work(order)


def read_order(descriptor: int) -> Order:
    """
    The order that comes first through a pipe; what follows stays in it.

    :raises EOFError: the supervisor was gone before it had said all.
    """
    return decoded(_read(descriptor, size_of(_read(descriptor, 8))))


def _read(descriptor: int, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = os.read(descriptor, size - len(content))
        if not piece:
            raise EOFError("the supervisor is gone")
        content += piece
    return content
