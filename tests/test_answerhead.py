"""The head of an answer, and that nothing gets into it that ends a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.answerhead import answer_head

PARTS = st.lists(
    st.sampled_from((b"a", b"X-B", b": ", b"\r", b"\n", b"\r\n", b"\0", b"\xff", b" "))
)
TEXT = PARTS.map(b"".join)


class AnswerHeadTests(SynchronousTestCase):
    """Bytes of a status and headers."""

    def test_a_head(self) -> None:
        """In order, repeated ones too, as they are given."""
        head = answer_head(b"HTTP/1.1", 404, ((b"X-a", b"1"), (b"B", b""), (b"X-a", b"\xff")))
        self.assertEqual(head, b"HTTP/1.1 404 Not Found\r\nX-a: 1\r\nB: \r\nX-a: \xff\r\n\r\n")

    def test_without_headers(self) -> None:
        """Still a head."""
        self.assertEqual(answer_head(b"HTTP/1.0", 200, ()), b"HTTP/1.0 200 OK\r\n\r\n")

    def test_an_unknown_status(self) -> None:
        """Has a reason all the same."""
        head = answer_head(b"HTTP/1.1", 299, ())
        self.assertEqual(head, b"HTTP/1.1 299 Unknown Status\r\n\r\n")

    def test_what_ends_a_line(self) -> None:
        """Becomes a blank in a value; a header with such a name is left out."""
        pairs = ((b"a", b"1\r\nSet-Cookie: b\0c\n"), (b"b\r\nc", b"2"), (b"d e", b"3"), (b"", b"4"))
        head = answer_head(b"HTTP/1.1", 200, pairs)
        self.assertEqual(head, b"HTTP/1.1 200 OK\r\na: 1 Set-Cookie: b c\r\n\r\n")

    @given(st.lists(st.tuples(TEXT, TEXT)))
    def test_anything(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """There are never more lines than headers, and one empty one, at the end."""
        head = answer_head(b"HTTP/1.1", 200, pairs)
        lines = head.split(b"\r\n")
        self.assertEqual(lines[-2:], [b"", b""])
        self.assertNotIn(b"", lines[:-2])
        self.assertLessEqual(len(lines) - 3, len(pairs))
        for line in lines:
            self.assertEqual([byte for byte in b"\r\n\0" if byte in line], [])
