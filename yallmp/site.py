"""
The site: makes the channels, and has what all of them share.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.web.server import Site

from yallmp.channel import ProxyChannel
from yallmp.core.account import Account
from yallmp.core.settings import Limits
from yallmp.core.shares import WHOLE, Share
from yallmp.crowd import Crowd
from yallmp.inbound import ProxyRequest
from yallmp.sweep import Sweep

#: A connection without a request, or a body that stands still, is closed after this; seconds.
IDLE_TIME = 60


class ProxySite(Site):
    """
    Makes the channels.

    :param resource: the root.
    :param limits: gives the limits in force when a connection comes.
    :param refused: is told of each request that the parser refuses, and gives its arrival.
    :param left: is told of each request whose client left before its body was whole.
    :param share: this process's part of the limits that are for all.
    :param account: of what is held in memory; one of its own unless given.
    :ivar room: how many connections the system allows; more than any unless somebody says so.
    """

    noisy = False
    protocol = ProxyChannel  # type: ignore[assignment]  # it also takes plain channels

    def __init__(
        self,
        resource: Any,
        limits: Any,
        refused: Any,
        left: Any,
        reactor: Any = None,
        share: Share = WHOLE,
        account: Account | None = None,
    ) -> None:
        super().__init__(
            resource,
            requestFactory=ProxyRequest,
            parsePOSTFormSubmission=False,
            timeout=IDLE_TIME,
            reactor=reactor,
        )
        self.refused = refused
        self.left = left
        self.account = account or Account()
        self.sweep = Sweep(self.reactor, self.in_force)
        self.crowd = Crowd(self.reactor)
        self.room = 2**31
        self._limits = limits
        self._share = share

    def in_force(self) -> Limits:
        """The limits in force; that of the account follows them."""
        limits: Limits = self._limits()
        self.account.limit = self._share.of(limits.max_buffered_bytes)
        return limits

    @property
    def most(self) -> int:
        """How many connections there may be, as the configuration says."""
        return self._share.of(self._limits().max_connections)

    def log(self, request: Any) -> None:
        """Say nothing: the daemon's line (:mod:`yallmp.observers`) says more."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The channel for a new connection, if there is room for it."""
        most = min(self.most, self.room)
        if self.sweep.open >= most:
            return self.crowd.turn_away(most)
        channel: Any = super().buildProtocol(addr)
        channel.limit(self.in_force())
        return channel
