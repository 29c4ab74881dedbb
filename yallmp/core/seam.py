"""
Where one answer goes on with what another began.
"""

from __future__ import annotations

from attrs import frozen

from yallmp.core.transcript import Transcript


@frozen
class Seam:
    """
    What an attempt has to go on with.

    ``delivered`` is what the client has; with ``prefill`` the backend is asked to go on
    with it, otherwise its whole answer is compared with it.
    """

    delivered: Transcript
    prefill: bool = False

    @property
    def begun(self) -> str:
        """The text that the backend is asked to go on with; empty if it is not asked to."""
        return self.delivered.fields.get("content", "") if self.prefill else ""
