"""
Large bodies, masked as work (:mod:`yallmp.core.work`), for their records.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import field, frozen

from yallmp.core.masking import Masker

#: In place of a body in which nobody could look for secrets.
NOT_SEARCHED = b"(left out: it could not be searched for secrets)"


@frozen
class Mask:
    """Replace the secrets that are *known*."""

    known: frozenset[str] = field(repr=False)

    def __call__(self, body: bytes) -> bytes | None:
        """*body* without them; ``None`` if none is in it, so that it need not be sent back."""
        masked = _masker(self.known).mask(body)
        return None if masked is body else masked


@lru_cache(maxsize=2)
def _masker(known: frozenset[str]) -> Masker:
    """Making one takes longer than to use it."""
    return Masker(known)
