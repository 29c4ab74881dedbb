"""
Frames come out as they went in, wherever a read splits them.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.frames import APPEND, HEAD, MAX_DATA, BrokenFramesError, Decoder, encoded

FRAMES = st.tuples(st.integers(1, 6), st.integers(0, 2**64 - 1), st.binary(max_size=40))


class DecoderTests(SynchronousTestCase):
    """Frames from bytes."""

    @given(st.lists(FRAMES), st.lists(st.integers(0, 400)))
    def test_split_anywhere(self, frames: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
        """Frames are the same however their bytes are cut."""
        data = b"".join(encoded(*frame) for frame in frames)
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        decoder = Decoder()
        found = []
        for start, end in pairwise(places):
            found += decoder.feed(data[start:end])
        self.assertEqual(found, frames)

    def test_waits_for_the_rest(self) -> None:
        """A frame is given out when its last byte is there, and not before."""
        data = encoded(APPEND, 7, b"abc")
        decoder = Decoder()
        self.assertEqual(decoder.feed(data[:-1]), [])
        self.assertEqual(decoder.feed(data[-1:]), [(APPEND, 7, b"abc")])

    def test_the_largest(self) -> None:
        """A frame of the most data is one; a head that announces more is none of ours."""
        data = bytes(MAX_DATA)
        self.assertEqual(Decoder().feed(encoded(APPEND, 1, data)), [(APPEND, 1, data)])
        with self.assertRaises(BrokenFramesError):
            Decoder().feed(HEAD.pack(APPEND, 1, MAX_DATA + 1))
