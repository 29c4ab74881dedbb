"""
Who was refused too often.
"""

from __future__ import annotations

import math

from attrs import Factory, define

from yallmp.core.addresses import peer_key
from yallmp.core.errors import ProxyError, TooManyFailures


@define
class AdminFailures:
    """
    Counts refused visits to the administration, so that keys cannot be tried at will.

    Each peer has :attr:`limit` failures in :attr:`window` seconds; the peers that failed
    longest ago are forgotten first.  Only refusals come here, so a right key is never
    refused.
    """

    limit: int = 10
    window: float = 60.0
    max_peers: int = 1000
    _failed: dict[str, tuple[float, ...]] = Factory(dict)

    def refusal(self, error: ProxyError, peer: str, now: float) -> ProxyError:
        """What to answer *peer* for *error*: the error itself, or that it was one too many."""
        key = peer_key(peer)
        recent = tuple(at for at in self._failed.pop(key, ()) if now - at < self.window)
        full = len(recent) >= self.limit
        self._failed[key] = recent if full else (*recent, now)
        while len(self._failed) > self.max_peers:
            del self._failed[next(iter(self._failed))]
        return _too_many(recent[0] + self.window - now) if full else error


def _too_many(wait: float) -> TooManyFailures:
    seconds = max(1, math.ceil(wait))
    return TooManyFailures(
        f"Too many refused requests to the administration; try again in {seconds} s.",
        headers=((b"retry-after", b"%d" % seconds),),
    )
