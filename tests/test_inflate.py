"""
Compressed answers are read, and bombs are not.
"""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.inflate import HARMLESS, MOST_MEMBERS, MOST_TIMES, Inflater, decoder
from yallmp.core.problems import AttemptFailed, Reason

TEXT = b'{"choices": [1, 2, 3]}' * 20


def undone(parts: list[bytes], encoding: bytes = b"gzip", limit: int = 10_000) -> bytes:
    """A body that came in *parts*, decoded."""
    decode = decoder(((b"Content-Encoding", encoding),), limit)
    return b"".join(decode(part) for part in parts)


class DecoderTests(SynchronousTestCase):
    """Which encodings are known."""

    def test_identity(self) -> None:
        """Nothing to undo: the bytes as they are, without a limit here."""
        for headers in ((), ((b"content-encoding", b" Identity"),), ((b"content-encoding", b""),)):
            decode = decoder(headers, 3)
            self.assertEqual(decode(b"12345"), b"12345")

    def test_known(self) -> None:
        """gzip and deflate, in any case."""
        self.assertEqual(undone([gzip.compress(TEXT)], b"GZIP"), TEXT)
        self.assertEqual(undone([gzip.compress(TEXT)], b" x-gzip "), TEXT)
        self.assertEqual(undone([zlib.compress(TEXT)], b"deflate"), TEXT)

    def test_unknown(self) -> None:
        """Others are an answer that cannot be used, and the message names them."""
        for headers in (
            ((b"content-encoding", b"br"),),
            ((b"content-encoding", b"gzip, gzip"),),
            ((b"content-encoding", b"gzip"), (b"content-encoding", b"deflate")),
        ):
            error = self.assertRaises(AttemptFailed, decoder, headers, 10)
            self.assertIs(error.problem.reason, Reason.INVALID)
            self.assertIn(headers[0][1].decode(), error.problem.message)

    def test_not_what_it_says(self) -> None:
        """Broken data is an answer that cannot be used."""
        for data in (TEXT, gzip.compress(TEXT)[:9] + b"\xff" * 30, zlib.compress(TEXT)[2:]):
            error = self.assertRaises(AttemptFailed, undone, [data])
            self.assertIs(error.problem.reason, Reason.INVALID)


class InflaterTests(SynchronousTestCase):
    """A little at a time."""

    @given(st.lists(st.integers(0, 200), max_size=6))
    def test_split_anywhere(self, cuts: list[int]) -> None:
        """Wherever reads split it, and byte by byte, the same comes out."""
        data = gzip.compress(TEXT)
        edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        parts = [data[a:b] for a, b in pairwise(edges)]
        self.assertEqual(undone(parts), TEXT)
        self.assertEqual(undone([bytes([byte]) for byte in data]), TEXT)

    def test_at_once(self) -> None:
        """What a backend flushed comes out with the read that brought it."""
        packer = zlib.compressobj(wbits=31)
        decode = decoder(((b"content-encoding", b"gzip"),), 1000)
        for event in (b"data: 1\n\n", b"data: 2\n\n"):
            read = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
            self.assertEqual(decode(read), event)

    def test_members(self) -> None:
        """gzip may come in several members; padding behind the end is none."""
        data = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
        for padding in (b"", b"\0" * 9, b"\x1f", b"junk" * 99):
            whole = data + padding
            self.assertEqual(undone([whole]), b"one two")
            for at in range(len(whole)):
                self.assertEqual(undone([whole[:at], whole[at:]]), b"one two", at)
            self.assertEqual(undone([bytes([byte]) for byte in whole]), b"one two")

    def test_limit(self) -> None:
        """Exactly the limit passes, a byte more does not."""
        data = gzip.compress(TEXT)
        self.assertEqual(undone([data], limit=len(TEXT)), TEXT)
        error = self.assertRaises(AttemptFailed, undone, [data], limit=len(TEXT) - 1)
        self.assertIn("limit", error.problem.message)

    def test_the_limit_is_for_all_together(self) -> None:
        """Reads and members count together."""
        data = gzip.compress(b"x" * 60)
        self.assertRaises(AttemptFailed, undone, [data, data], limit=100)

    def test_bombs(self) -> None:
        """Gigabytes in a few bytes are refused before they exist."""
        packer = zlib.compressobj(9, wbits=31)
        bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        self.assertRaises(AttemptFailed, undone, [bomb], limit=1000)

    def test_what_no_answer_becomes(self) -> None:
        """Fifty times as long, once it is long; little of it is made before it is refused."""
        largest = 64 * 2**20
        some = gzip.compress(b"x" * HARMLESS)
        self.assertEqual(len(undone([some], limit=largest)), HARMLESS)
        much = gzip.compress(b"x" * 4 * HARMLESS)
        error = self.assertRaises(AttemptFailed, undone, [much], limit=largest)
        self.assertIn("compressed", error.problem.message)
        inflater = Inflater(largest)
        for at in range(0, len(much), 100):
            try:
                made = inflater(much[at : at + 100])
            except AttemptFailed:
                return
            self.assertLess(len(made), HARMLESS + MOST_TIMES * 100 + 1)
        self.fail("it was not refused")

    def test_what_an_answer_becomes(self) -> None:
        """One that repeats itself, and a stream of like events, stay below that."""
        event = b'data: {"choices":[{"index":0,"delta":{"content":" ha"}}]}\n\n'
        packer = zlib.compressobj(9, wbits=31)
        reads = [packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for _ in range(50_000)]
        self.assertEqual(len(undone(reads, limit=64 * 2**20)), len(event) * 50_000)

    def test_members_without_end(self) -> None:
        """So many are read, also of nothing."""
        few = gzip.compress(b"x") * MOST_MEMBERS
        self.assertEqual(undone([few]), b"x" * MOST_MEMBERS)
        for nothing in (gzip.compress(b""), gzip.compress(b"")[:10] + b"\3\0" + bytes(8)):
            self.assertRaises(AttemptFailed, undone, [nothing * (MOST_MEMBERS + 1)])
