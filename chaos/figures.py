"""
The figures of reliability: what each is, what it may be, and the worst that was seen.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen


@frozen
class Goal:
    """
    What a figure may be at most.

    :ivar adds_up: whether values are added (how many were lost), or the largest counts.
    """

    words: str
    most: float
    unit: str = ""
    adds_up: bool = False

    @property
    def is_time(self) -> bool:
        """Whether a busy machine can spoil it."""
        return self.unit in ("s", "ms")

    def shown(self, value: float) -> str:
        """*value* with its unit."""
        return f"{value:.3g} {self.unit}".strip()


#: By the number of the figure; where a figure has several parts, each has a letter.
GOALS = {
    "1": Goal("requests lost before the commit", 0, adds_up=True),
    "2": Goal("broken answers that look complete", 0, adds_up=True),
    "3": Goal("a wait beyond its timeout, for each attempt", 0.5, "s"),
    "4": Goal("added to the first token", 10, "ms"),
    "5": Goal("a backend is let go after its client left", 100, "ms"),
    "5a": Goal("further attempts for a client that left", 0, adds_up=True),
    "6": Goal("memory added", 64, "MiB"),
    "6a": Goal("the same for a whole answer of 63 MiB", 256, "MiB"),
    "7": Goal("5xx in answer to bad input", 0, adds_up=True),
    "7a": Goal("others wait for one request", 50, "ms"),
    "8": Goal("open requests broken by a stop or a reload", 0, adds_up=True),
    "8a": Goal("exit after drain_timeout", 2, "s"),
    "8b": Goal("finished records lost, or half ones under a final name", 0, adds_up=True),
    "9": Goal("requests not served while logs cannot be written", 0, adds_up=True),
    "10": Goal("descriptors and requests in flight left over", 0, adds_up=True),
    "11": Goal("secrets found where they do not belong", 0, adds_up=True),
    "11a": Goal("visits to /admin admitted against the rules", 0, adds_up=True),
}


@frozen
class Measured:
    """A figure's value, by whom."""

    figure: str
    value: float
    item: str

    @property
    def kept(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= GOALS[self.figure].most

    def __str__(self) -> str:
        """As it stands behind an item."""
        return f"[{self.figure}] {GOALS[self.figure].shown(self.value)}"


@define
class Worst:
    """
    All values of one figure, as one.

    :ivar count: how many there were.
    :ivar item: which item gave the worst.
    """

    figure: str
    value: float = 0.0
    count: int = 0
    item: str = ""
    _largest: float = field(default=float("-inf"))

    def take(self, measured: Measured) -> None:
        """One more."""
        self.count += 1
        if measured.value > self._largest:
            self._largest, self.item = measured.value, measured.item
        added = self.value + measured.value
        self.value = added if GOALS[self.figure].adds_up else self._largest

    @property
    def kept(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= GOALS[self.figure].most


def worst(values: Iterable[Measured]) -> list[Worst]:
    """The worst of each figure that was measured, in the order of the figures."""
    found: dict[str, Worst] = {}
    for each in values:
        found.setdefault(each.figure, Worst(each.figure)).take(each)
    return [found[figure] for figure in GOALS if figure in found]
