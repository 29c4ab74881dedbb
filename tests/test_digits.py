"""JSON with whole numbers of any length."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.digits import Decoder, loads, whole_number

LONG = "9" * 5000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


class DigitsTests(SynchronousTestCase):
    """Both ways to read."""

    def read(self, text: str) -> Any:
        """What *text* is, in the eyes of both."""
        value = loads(text)
        self.assertEqual(loads(text.encode()), value)
        self.assertEqual(Decoder().raw_decode(text), (value, len(text)))
        return value

    def test_long_numbers(self) -> None:
        """They are the text of their digits, wherever they stand; the rest is what it was."""
        value = self.read(
            f'{{"a": [1, {LONG}, 1.5, -{LONG}], "b": {{"c": {LONG}}}, "d": "{LONG}"}}'
        )
        self.assertEqual(value, {"a": [1, LONG, 1.5, "-" + LONG], "b": {"c": LONG}, "d": LONG})
        self.assertEqual(self.read(LONG), LONG)

    def test_the_longest_that_is_counted_with(self) -> None:
        """The border is Python's own."""
        self.assertEqual(whole_number("9" * 4300), 10**4300 - 1)
        self.assertEqual(whole_number("9" * 4301), "9" * 4301)

    @given(VALUES)
    def test_everything_else(self, value: Any) -> None:
        """Is as :func:`json.loads` has it."""
        self.assertEqual(self.read(json.dumps(value)), value)

    def test_broken_ones(self) -> None:
        """A long number excuses nothing that comes after it."""
        for text in (f"[{LONG}", f'{{"a": {LONG},}}', f"[{LONG}, 01]", "", "[", LONG + "x"):
            self.assertRaises(ValueError, loads, text)
        self.assertRaises(ValueError, loads, f'["\\xff", {LONG}]'.encode("latin-1"))
        self.assertRaises(json.JSONDecodeError, Decoder().raw_decode, f"[{LONG}")

    def test_constants_stay_refused(self) -> None:
        """A decoder that does not take NaN does not take it beside a long number either."""
        decoder = Decoder(parse_constant=[].index)
        for text in ("[NaN]", f"[{LONG}, NaN]"):
            error = self.assertRaises(ValueError, decoder.raw_decode, text)
            self.assertIn("not in list", str(error))
