"""
Many texts looked for at once.

To look for each of a thousand texts takes a thousand times as long as to look for one.  So data
is cut into blocks of eight bytes, which are read as numbers, and all that happens to each is that
it is looked up in a set.  A text of 15 bytes or more that stands in the data, wherever it begins,
has one whole block among its last 15 bytes: the set holds the eight that this may be.  Texts
that are shorter are looked for in the same way in blocks of four, which takes twice as long.
What is met by chance is looked for once more, by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import define, field

#: How ``memoryview.cast`` calls a block of eight bytes, and one of four.
Format = Literal["Q", "I"]
_WIDTHS: dict[Format, int] = {"Q": 8, "I": 4}


def least_length(width: int) -> int:
    """How long a text must be for one whole block of *width* bytes to be in it, wherever it is."""
    return 2 * width - 1


@define
class Blocks:
    """Texts that are looked for in blocks of one format."""

    texts: Iterable[bytes]
    format: Format
    width: int = field(init=False)
    _of: dict[int, list[bytes]] = field(factory=dict, init=False)
    _numbers: frozenset[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.width = _WIDTHS[self.format]
        for text in self.texts:
            for number in self._possible(text):
                self._of.setdefault(number, []).append(text)
        self._numbers = frozenset(self._of)

    def _possible(self, text: bytes) -> set[int]:
        """The blocks of which one is in data that *text* is in."""
        end, width = text[-least_length(self.width) :], self.width
        return {memoryview(end[at : at + width]).cast(self.format)[0] for at in range(width)}

    def met(self, data: bytes) -> Iterator[bytes]:
        """The texts that may stand in *data*."""
        whole = memoryview(data)[: len(data) // self.width * self.width]
        for number in self._numbers.intersection(whole.cast(self.format)):
            yield from self._of[number]


class Needles:
    """Looks for *texts*, each of seven bytes or more."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        texts = set(texts)
        long = {text for text in texts if len(text) >= least_length(_WIDTHS["Q"])}
        kinds = (Blocks(long, "Q"), Blocks(texts - long, "I"))
        self._kinds = [blocks for blocks in kinds if blocks.texts]

    def found(self, data: bytes) -> list[bytes]:
        """The texts that stand in *data*."""
        met = {text for blocks in self._kinds for text in blocks.met(data)}
        return [text for text in met if text in data]
