"""What goes in a circle ends."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import ProxyCase
from yallmp.core.backend import Backend
from yallmp.core.errors import LoopDetected, RequestFault
from yallmp.core.headers import for_backend
from yallmp.core.hops import FIRST, check_hops, one_more
from yallmp.core.settings import Limits


class HopsTests(SynchronousTestCase):
    """How many there were, and how many there may be."""

    def test_the_edge(self) -> None:
        """As many as may be pass, one more does not; without the header all do."""
        check_hops({}, 0)
        check_hops({"x-yallmp-hops": ("3",)}, 3)
        for values in (("4",), ("1", "4"), ("9999",)):
            with self.assertRaises(LoopDetected) as caught:
                check_hops({"x-yallmp-hops": values}, 3)
            self.assertIn((b"x-should-retry", b"false"), caught.exception.headers)

    @given(st.text(max_size=6))
    def test_any_value(self, value: str) -> None:
        """Anything but a number is the client's mistake."""
        try:
            check_hops({"x-yallmp-hops": (value,)}, 3)
        except (LoopDetected, RequestFault):
            pass
        else:
            self.assertIn(int(value), range(4))

    def test_one_more(self) -> None:
        """Each of them counts; nonsense, which is refused before, counts from the start."""
        self.assertEqual([one_more(each) for each in (b"0", b"3", b"x", b"")],
                         [b"1", b"4", FIRST, FIRST])  # fmt: skip

    def test_to_a_backend(self) -> None:
        """The largest of several, and once; whatever else the client says of it does not pass."""
        given_headers = ((b"X-Yallmp-Hops", b"2"), (b"x-yallmp-hops", b"1"))
        backend = Backend("b", "m", pass_headers=("x-yallmp-hops",))
        sent = for_backend(given_headers, backend, repeat=True)
        self.assertEqual([v for n, v in sent if n == b"x-yallmp-hops"], [b"3"])


class CircleTests(ProxyCase):
    """Through the proxy."""

    def ask(self, hops: bytes) -> bytes:
        """The raw answer to a request that went through so many."""
        body = b'{"model": "m", "messages": [{}]}'
        fields = b"Host: localhost\r\nX-Yallmp-Hops: %b\r\nContent-Length: %d" % (hops, len(body))
        head = b"POST /v1/chat/completions HTTP/1.1\r\n%b\r\n\r\n" % fields
        return bytes(self.raw(head + body).data)

    def test_a_circle(self) -> None:
        """It is told the backend, and ends where it is too many."""
        self.serve(self.fake("m"))
        self.assertIn(b"200 OK", self.ask(b"3"))
        _, _, headers, _ = self.fakes["m"].requests[0]
        self.assertEqual(headers.getRawHeaders("x-yallmp-hops"), ["4"])
        head, _, body = self.ask(b"4").partition(b"\r\n\r\n")
        self.assertIn(b"HTTP/1.1 508 ", head)
        self.assertEqual(json.loads(body)["error"]["code"], "loop_detected")
        self.assertIn(b"HTTP/1.1 400 ", self.ask(b"many"))
        self.assertEqual(len(self.fakes["m"].requests), 1)

    def test_as_configured(self) -> None:
        """None may come through another one."""
        self.serve(self.fake("m"), limits=Limits(max_hops=0))
        self.assertIn(b"HTTP/1.1 508 ", self.ask(b"1"))
