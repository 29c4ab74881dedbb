"""
A request on its way through the proxy, and what became of it.
"""

from __future__ import annotations

from attrs import field, frozen

from yallmp.core.asked import Asked
from yallmp.core.exchange import HeaderPairs, Usage
from yallmp.core.routing import Route
from yallmp.core.settings import Config


@frozen
class Call:
    """
    A request that is forwarded.

    ``config`` is the snapshot that it keeps to its end; ``query`` is the client's,
    without the question mark.  ``recorded`` tells whether anybody writes down what is read
    of its answer.
    """

    id: str
    asked: Asked
    route: Route
    config: Config
    headers: HeaderPairs = field(default=(), repr=False)
    query: str = field(default="", repr=False)
    recorded: bool = True


@frozen
class Delivered:
    """An answer that reached the client whole."""

    backend: str
    finish_reason: str | None = None
    usage: Usage | None = None
