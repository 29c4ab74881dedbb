"""Environment variables in values, and the ``.env`` file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.config.environment import (
    Reference,
    Unexpandable,
    Unset,
    dotenv,
    expanded,
    whole_reference,
)

ENVIRON = {"A": "a", "B_2": "$A", "EMPTY": ""}


class ExpansionTests(SynchronousTestCase):
    """What stands for what."""

    def test_forms(self) -> None:
        """All ways to name a variable, several in one text."""
        for text, value in [
            ("${A}", "a"),
            ("$A", "a"),
            ("x${A}y$A-${A}", "xaya-a"),
            ("os.environ/A", "a"),
            ("${NONE:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${A:-d}", "a"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${NONE:-http://h:1/p?a=b}", "http://h:1/p?a=b"),
        ]:
            self.assertEqual(expanded(text, ENVIRON), value, text)

    def test_dollars(self) -> None:
        """``$$`` is a dollar sign; one that begins no name is itself."""
        for text, value in [
            ("$$", "$"),
            ("$$A", "$A"),
            ("$${A}", "${A}"),
            ("$$$A", "$a"),
            ("5$", "5$"),
            ("$5 $.", "$5 $."),
            ("${NONE:-a$$b}", "a$b"),
        ]:
            self.assertEqual(expanded(text, ENVIRON), value, text)

    def test_not_again(self) -> None:
        """What was inserted is not looked at."""
        self.assertEqual(expanded("${B_2} $B_2", ENVIRON), "$A $A")

    def test_unset(self) -> None:
        """All variables that are missing are named."""
        error = self.assertRaises(Unset, expanded, "${X} $A ${Y} ${X}", ENVIRON)
        self.assertEqual(error.names, ("X", "Y"))
        self.assertIn("X", str(self.assertRaises(Unset, expanded, "os.environ/X", ENVIRON)))

    def test_malformed(self) -> None:
        """What looks like a reference and is none is never passed on."""
        for text in ["${", "${}", "${A", "${a b}", "${A:+x}", "os.environ/", "os.environ/a-b",
                     "${X:-${A}}", "${X:-$A}"]:  # fmt: skip
            self.assertRaises(Unexpandable, expanded, text, ENVIRON)

    def test_litellm_form_is_a_whole_value(self) -> None:
        """Within a text it is text."""
        self.assertEqual(expanded("see os.environ/A", ENVIRON), "see os.environ/A")

    def test_whole(self) -> None:
        """A value that is one variable and nothing else is known as such."""
        self.assertEqual(whole_reference("${A}"), Reference("A"))
        self.assertEqual(whole_reference("$A"), Reference("A"))
        self.assertEqual(whole_reference("os.environ/A"), Reference("A"))
        self.assertEqual(whole_reference("${A:-x}"), Reference("A", "x"))
        for text in ["${A}${A}", "x$A", "$$", "A", ""]:
            self.assertIsNone(whole_reference(text), text)

    @given(st.text())
    def test_inserted_text_stays(self, value: str) -> None:
        """Any value arrives as it is, alone and within a text."""
        self.assertEqual(expanded("${V}", {"V": value}), value)
        self.assertEqual(expanded("<$V>", {"V": value}), f"<{value}>")

    @given(st.text(alphabet="$ab{}:-_/ ", max_size=20))
    def test_escaped_text_stays(self, text: str) -> None:
        """With its dollar signs doubled, any text means itself."""
        self.assertEqual(expanded(text.replace("$", "$$"), {}), text)


class DotenvTests(SynchronousTestCase):
    """The file ``.env``."""

    def test_values(self) -> None:
        """Blanks, quotation marks, comments and ``export``."""
        text = (
            "# a comment\n\nA=1\nexport B = two words  # why\nC='$A # raw'\r\n"
            'D="x\\ny \\"z\\"" # c\nE=\nF=a#b\nG=k=v\n'
        )
        values, wrong = dotenv(text)
        self.assertEqual(
            values,
            {"A": "1", "B": "two words", "C": "$A # raw", "D": 'x\ny "z"', "E": "", "F": "a#b",
             "G": "k=v"},
        )  # fmt: skip
        self.assertEqual(wrong, ())

    def test_wrong_lines(self) -> None:
        """Lines that are none are told."""
        self.assertEqual(dotenv("A\n1=2\nB=1\nC='x\nD=\"\n")[1], (1, 2, 4, 5))

    @given(st.text())
    def test_any_file(self, text: str) -> None:
        """No file is too strange to be read."""
        dotenv(text)
