"""
Framings that two readers could read differently: none is served as something else.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chaos.framing import CHUNKED, CHUNKS, KEY, MARKER, Framing, head, whole
from chaos.framings import framings
from tests.fakes import ProxyCase
from yallmp.channel import ProxyChannel
from yallmp.core.framing import are_plain, is_for_us
from yallmp.core.settings import Access, Key, Limits

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
ALL = tuple(framings())


class SmugglingTests(ProxyCase):
    """Each on a connection of its own, on the usual path and on the one that reads by lines."""

    def setUp(self) -> None:
        super().setUp()
        access = Access(keys=(Key("tests", KEY.decode()),))
        self.serve(self.fake("m"), access=access)

    def send(self, *reads: bytes) -> tuple[list[int], int, Any]:
        """The answers' statuses, the requests that the backend got, and the connection."""
        before = len(self.fakes["m"].requests)
        client = self.raw(reads[0])
        for data in reads[1:]:
            client.transport.write(data)
            self.net.pump()
        served = self.fakes["m"].requests[before:]
        for *_, body in served:
            self.assertNotIn(b'"content":"%b"' % MARKER, body)
        statuses = [int(each) for each in STATUS.findall(client.data) if each != b"100"]
        return statuses, len(served), client

    def judge(self, framing: Framing, reads: tuple[bytes, ...]) -> None:
        statuses, served, client = self.send(*reads)
        if framing.meant != "refuse":
            self.assertEqual(statuses, [200] * framing.number, framing.id)
            return
        self.assertEqual(served, 0, framing.id)
        self.assertEqual([s for s in statuses if s < 400 or s >= 500], [], framing.id)
        self.assertLessEqual(len(statuses), 1, framing.id)
        self.net.pass_time(4, step=1)
        self.assertIsNotNone(client.lost, framing.id)

    def test_there_are_enough(self) -> None:
        """Each with a name of its own."""
        self.assertEqual(len({each.id for each in ALL}), len(ALL))
        self.assertGreater(len(ALL), 100)

    def test_in_one_read(self) -> None:
        """As most of them would come."""
        for framing in ALL:
            self.judge(framing, (framing.data,))

    def test_line_by_line(self) -> None:
        """Twisted's parser alone: so also where a head that leaves no doubt is read at once."""
        self.patch(ProxyChannel, "_take", lambda self, data: False)
        for framing in ALL:
            self.judge(framing, (framing.data,))

    def test_cut_into_pieces(self) -> None:
        """A head, or a chunk, that comes in many reads is read no differently."""
        for framing in ALL:
            data = framing.data
            size = max(7, len(data) // 60)
            pieces = tuple(data[at : at + size] for at in range(0, len(data), size))
            self.judge(framing, pieces)

    def test_nothing_follows_an_error(self) -> None:
        """What stands behind a request that was refused is not served, whenever it comes."""
        bad = head(CHUNKED, b"Content-Length: 3")
        statuses, served, _ = self.send(bad, CHUNKS, whole(MARKER), whole(MARKER))
        self.assertEqual((statuses, served), ([400], 0))


class LimitTests(ProxyCase):
    """What is declared and too much is not waited for."""

    def test_a_chunk_that_is_too_large(self) -> None:
        """It is refused when its size is known; one that fills the body to the limit is not."""
        self.serve(self.fake("m"), limits=Limits(max_body_bytes=100))
        for size, before, refused in ((101, b"", True), (100, b"", False), (100, b"x", True)):
            start = b"1\r\nx\r\n" if before else b""
            data = head(CHUNKED) + start + b"%x\r\n" % size + b"x"
            client = self.raw(data)
            self.assertEqual(b"413" in client.data, refused, (size, before))
        self.net.pass_time(3)


class TrailerTests(SynchronousTestCase):
    """What may stand behind the last chunk."""

    @given(st.lists(st.binary(max_size=30), max_size=5))
    def test_any_bytes(self, lines: list[bytes]) -> None:
        """Nothing is an error here, and no line break passes."""
        if are_plain(lines):
            self.assertNotIn(b"\n", b"".join(lines))

    def test_what_comes_too_late(self) -> None:
        """A field that would have changed how the request was read."""
        self.assertTrue(are_plain([b"X-Checksum: 1", b"Server-Timing: a;b=c"]))
        self.assertFalse(are_plain([b"X: y", b"content-LENGTH: 5"]))


class TargetTests(SynchronousTestCase):
    """For whom a request is."""

    def test_forms(self) -> None:
        """A path, our own URL, and ``*`` for OPTIONS."""
        for method, target, hosts, ours in (
            (b"GET", b"/a?b", (b"any",), True),
            (b"GET", b"/a", (), True),
            (b"GET", b"/a", (b"one", b"one"), False),
            (b"GET", b"http://me:80/a", (b"ME",), True),
            (b"GET", b"HTTPS://me", (b"me",), True),
            (b"GET", b"http://me?x", (b"me",), True),
            (b"GET", b"http://you/a", (b"me",), False),
            (b"GET", b"http://me@you/a", (b"me@you",), False),
            (b"GET", b"http:///a", (b"",), False),
            (b"OPTIONS", b"*", (b"me",), True),
            (b"GET", b"*", (b"me",), False),
            (b"CONNECT", b"me:443", (b"me:443",), False),
            (b"GET", b"", (b"me",), False),
        ):
            self.assertEqual(is_for_us(method, target, hosts), ours, (method, target, hosts))

    @given(st.binary(max_size=30), st.binary(max_size=30))
    def test_any_target(self, target: bytes, host: bytes) -> None:
        """Nothing is an error here."""
        is_for_us(b"GET", target, (host,))
