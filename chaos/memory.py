"""
What something takes of memory: the growth of what all processes of a proxy have resident.

Their peaks need not come together, so that the sum is looked at all the time; and since a
look may miss a short one, no single process's own peak, which the system knows, is left out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from attrs import define, field

from chaos.proxy import Proxy
from chaos.stand import Stand


@define(eq=False)
class Watch:
    """
    Looks at a proxy's memory until it is told to stop.

    :ivar before: what each process had resident at the beginning, in MiB.
    :ivar most: the largest sum so far.
    """

    proxy: Proxy
    before: dict[int, float] = field(init=False)
    most: float = 0.0
    _over: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.proxy.forget_peaks()
        self.before = self.proxy.resident
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            self._look()

    def _look(self) -> None:
        self.most = max(self.most, sum(self.proxy.resident.values()))

    def stop(self) -> list[float]:
        """Look no more; the growth of the sum, then of each process by itself."""
        self._over.set()
        self._thread.join(5)
        self._look()
        peaks = self.proxy.peaks
        grown = [peak - self.before.get(pid, 0.0) for pid, peak in peaks.items()]
        return [self.most - sum(self.before.values()), *grown]


def memory(stand: Stand, does: Callable[[], None], figure: str = "6") -> None:
    """Figure 6 (or 6a), while *does* is done by a proxy that is warm."""
    stand.call("GET", "/v1/models")
    watch = Watch(stand.proxy)
    try:
        does()
    finally:
        together, *each = watch.stop()
    told = ", ".join(f"{grown:.0f}" for grown in each)
    stand.note(f"memory grew by {together:.0f} MiB in all; each process by {told} at its peak")
    stand.figure(figure, max(0.0, together, *each))
