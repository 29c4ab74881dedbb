"""
What a client has had of a streamed answer, kept cheaply and within bounds.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.transcript import MOST, Transcript

SAID = st.lists(st.tuples(st.sampled_from(["content", "reasoning"]), st.text(max_size=3)))


class TranscriptTests(SynchronousTestCase):
    """Adding to it, copying it, and giving it up."""

    @given(SAID)
    def test_the_texts_of_each_field(self, said: list[tuple[str, str]]) -> None:
        """Joined in order; a field without text is none."""
        transcript, expected = Transcript(), dict[str, str]()
        for name, text in said:
            transcript.add(name, text)
            expected[name] = expected.get(name, "") + text
        self.assertEqual(transcript.fields, {k: v for k, v in expected.items() if v})

    def test_the_order_of_fields(self) -> None:
        """The one that spoke first comes first."""
        transcript = Transcript()
        for name in ("reasoning", "content", "reasoning"):
            transcript.add(name, "x")
        self.assertEqual(list(transcript.fields), ["reasoning", "content"])

    def test_pieces_are_joined(self) -> None:
        """Many of them are a few, and nothing of it is lost."""
        for texts in ([f"{n} " for n in range(1000)], ["x" * n for n in range(500, 0, -1)]):
            transcript = Transcript()
            for text in texts:
                transcript.add("content", text)
            self.assertEqual(transcript.fields["content"], "".join(texts))
            self.assertLess(len(transcript._parts["content"]), 20)

    def test_a_copy_is_its_own(self) -> None:
        """What is said behind it is not in the other."""
        one = Transcript(id="i")
        one.add("content", "a")
        other = one.copy()
        other.add("content", "b")
        one.add("refusal", "c")
        self.assertEqual(one.fields, {"content": "a", "refusal": "c"})
        self.assertEqual((other.fields, other.id, other.plain), ({"content": "ab"}, "i", True))

    def test_a_copy_counts_on(self) -> None:
        """The bound holds for all that the client has, whoever said it."""
        one = Transcript()
        one.add("content", "x" * MOST)
        other = one.copy()
        other.add("content", "x")
        self.assertTrue(one.plain)
        self.assertEqual((other.plain, other.fields), (False, {}))

    def test_what_nobody_wants_is_not_kept(self) -> None:
        """It is given up for good."""
        transcript = Transcript()
        transcript.add("content", "a")
        transcript.keep(True)
        self.assertEqual(transcript.fields, {"content": "a"})
        transcript.keep(False)
        transcript.keep(True)
        self.assertEqual((transcript.fields, transcript.plain), ({}, False))
