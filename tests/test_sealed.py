"""
Seals: what goes in comes out, and nothing else is taken for one.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.dialects.sealed import sealed, unsealed


class SealedTests(SynchronousTestCase):
    """:mod:`yallmp.dialects.sealed`."""

    @given(st.dictionaries(st.text(), st.text()))
    def test_there_and_back(self, members: dict[str, str]) -> None:
        """What was sealed comes out as it went in."""
        self.assertEqual(unsealed(sealed(members)), members)

    @given(st.text())
    def test_what_is_no_seal(self, text: str) -> None:
        """A provider's own text is left alone; a broken seal holds nothing."""
        self.assertIsNone(unsealed("x" + text))
        self.assertIsInstance(unsealed("yallmp1." + text), dict)
