"""
The masker in force: made anew only when the known secrets have changed.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from yallmp.core.masking import Masker


@define
class Maskers:
    """
    Gives the masker for the secrets known now.

    :ivar secrets: gives them; the same object as long as they are the same.
    """

    secrets: Callable[[], frozenset[str]]
    _known: frozenset[str] | None = field(default=None, repr=False)
    _masker: Masker = field(factory=Masker, repr=False)

    def __call__(self) -> Masker:
        """The masker in force."""
        known = self.secrets()
        if known is not self._known:
            self._known, self._masker = known, Masker(known)
        return self._masker

    def mask(self, data: bytes) -> bytes:
        """*data* without known secrets."""
        return self().mask(data)
