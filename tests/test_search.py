"""
Looking for something in a long body finds what Python's own ways to look would find.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.search import has_brackets, has_word

PIECES = st.lists(st.sampled_from([b"", b"ab_", b"_a", b"a", b"_", b"[", b"a{", b"_" * 100]))
LENGTHS = st.sampled_from([0, 5000])


class SearchTests(SynchronousTestCase):
    """Words and brackets, in short bodies and in long ones."""

    @given(PIECES, LENGTHS, PIECES)
    def test_words(self, before: list[bytes], length: int, behind: list[bytes]) -> None:
        """Whichever byte is said to be rare, and however often it stands there."""
        body = b"".join(before) + b"x" * length + b"".join(behind)
        for word in (b"ab_", b"_a", b"a", b"b_x", b"__a"):
            for rare in range(len(word)):
                self.assertEqual(has_word(body, word, rare), word in body, (word, rare))

    @given(PIECES, LENGTHS, PIECES, st.integers(0, 10))
    def test_brackets(
        self, before: list[bytes], length: int, behind: list[bytes], most: int
    ) -> None:
        """Counted up to the limit."""
        body = b"".join(before) + b"x" * length + b"".join(behind)
        found = body.count(b"[") + body.count(b"{")
        self.assertEqual(has_brackets(body, most), found > most)

    def test_words_at_the_ends(self) -> None:
        """Also where the byte that is looked for is the body's first or last."""
        for body in (b"b_x", b"_x", b"x", b"b", b""):
            long = body + b"." * 5000 + body
            self.assertEqual(has_word(long, b"ab_x", 1), False)
            self.assertEqual(has_word(long + b"ab_x", b"ab_x", 3), True)
            self.assertEqual(has_word(b"ab_x" + long, b"ab_x", 3), True)
