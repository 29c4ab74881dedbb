"""
Time that passes faster: a reactor whose clock is scaled, and everything else its own.

Proxy, wall and caller run on one of these, over real sockets.  Ten scaled seconds at the
factor ten are one real second: waits are shorter, while what takes the machine time takes
ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import alsoProvides, implementer, providedBy


@implementer(IDelayedCall)
@define(eq=False)
class ScaledCall:
    """A delayed call of a scaled clock."""

    call: Any
    factor: float

    def getTime(self) -> float:
        """When it is due, in scaled seconds."""
        return float(self.call.getTime()) * self.factor

    def cancel(self) -> None:
        """It is not to happen."""
        self.call.cancel()

    def delay(self, seconds: float) -> None:
        """So much later."""
        self.call.delay(seconds / self.factor)

    def reset(self, seconds: float) -> None:
        """So much from now."""
        self.call.reset(seconds / self.factor)

    def active(self) -> bool:
        """Whether it is still to happen."""
        return bool(self.call.active())


@implementer(IReactorTime)
class ScaledReactor:
    """
    *reactor*, on which time passes *factor* times as fast.

    What it does not know is *reactor*'s own: sockets, threads, name resolution.
    """

    def __init__(self, reactor: Any, factor: float) -> None:
        self._reactor = reactor
        self._factor = factor
        alsoProvides(self, providedBy(reactor))

    def seconds(self) -> float:
        """The time, in scaled seconds."""
        return float(self._reactor.seconds()) * self._factor

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> ScaledCall:
        """Call *callable* in so many scaled seconds."""
        call = self._reactor.callLater(delay / self._factor, callable, *args, **kwargs)
        return ScaledCall(call, self._factor)

    def getDelayedCalls(self) -> list[ScaledCall]:
        """What is to happen."""
        return [ScaledCall(call, self._factor) for call in self._reactor.getDelayedCalls()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)
