"""When garbage is collected: less often than usual, and what was there is left alone."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tests.fakes import ProxyCase, error, good_either, silent
from yallmp.attempts import Attempt
from yallmp.core.jsonbody import Document
from yallmp.core.settings import Limits
from yallmp.course import Course
from yallmp.forwarding import Exchange
from yallmp.garbage import NEW_OBJECTS, Garbage
from yallmp.inbound import ProxyRequest
from yallmp.site import ProxySite


class Knot:
    """An object that holds itself; only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def knot() -> weakref.ref[Knot]:
    """What tells whether a knot is still there."""
    return weakref.ref(Knot())


class GarbageTests(SynchronousTestCase):
    """The service."""

    def setUp(self) -> None:
        self.usual = gc.get_threshold()
        self.garbage = Garbage()

    def start(self) -> None:
        """Start it, until the end of the test."""
        self.garbage.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self.garbage.running:
            self.garbage.stopService()

    def test_what_is_there_is_frozen(self) -> None:
        """The collector never looks at it again; garbage from before is gone first."""
        before = knot()
        mine: list[Any] = []
        mine.append(mine)
        self.start()
        self.assertIsNone(before())
        self.assertGreater(gc.get_freeze_count(), 1000)
        self.assertFalse(any(each is mine for each in gc.get_objects()))

    def test_it_is_seldom(self) -> None:
        """Not never: cycles of failures are found when enough is new."""
        self.start()
        self.assertEqual(gc.get_threshold()[0], NEW_OBJECTS)
        self.assertTrue(gc.isenabled())
        first = knot()
        kept = [[each] for each in range(self.usual[0])]
        self.assertIsNotNone(first())
        kept += [[each] for each in range(2 * NEW_OBJECTS)]
        self.assertIsNone(first(), len(kept))

    def test_the_end(self) -> None:
        """Everything is as it was."""
        self.start()
        self.stop()
        self.assertEqual((gc.get_threshold(), gc.get_freeze_count()), (self.usual, 0))


class CycleTests(ProxyCase):
    """What a request was made of is gone with it, and does not wait for the collector."""

    kinds = (Exchange, Course, Attempt, ProxyRequest, Document)

    def left_over(self) -> list[str]:
        """The names of the kinds of objects that are there, and were not before."""
        new = [o for o in gc.get_objects() if type(o) in self.kinds and id(o) not in self.before]
        return [type(each).__name__ for each in new]

    def setUp(self) -> None:
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        self.kept = [each for each in gc.get_objects() if type(each) in self.kinds]
        self.before = set(map(id, self.kept))

    def test_answers(self) -> None:
        """Whole ones and streams."""
        self.serve(self.fake("m", good_either))
        for stream in (False, True):
            self.finish(self.ask(stream=stream))
            self.assertEqual(self.left_over(), [], stream)

    def test_failures(self) -> None:
        """With another backend that answers, and with none."""
        self.serve(self.fake("m", error(500)))
        self.finish(self.ask())
        self.assertEqual(self.left_over(), [])

    def test_clients_that_leave(self) -> None:
        """While they are served."""
        self.serve(self.fake("m", silent))
        got = self.ask()
        got.leave()
        self.net.pass_time(0.1)
        del got
        self.assertEqual(self.left_over(), [])

    def test_bodies_that_nobody_wants(self) -> None:
        """Klein may hold on to a request, but not to its body."""
        self.serve(self.fake("m", good_either))
        for path in ("/v1/nowhere", "/v1/models", "/admin/models", "/admin/nowhere"):
            self.finish(self.ask(path=path, body=b"x" * 10_000))
            made = [each for each in gc.get_objects() if isinstance(each, ProxyRequest)]
            self.assertEqual([len(each.body) for each in made if each.body], [], path)


class UploadTests(SynchronousTestCase):
    """Bodies on their way in."""

    def setUp(self) -> None:
        site = ProxySite(Resource(), Limits, None, lambda channel: None, Clock())
        self.channel: Any = site.buildProtocol(None)
        self.channel.makeConnection(StringTransport())
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def send(self, framing: bytes, body: bytes) -> weakref.ref[Any]:
        """Send a head and a part of a body; what tells whether the request is still there."""
        self.channel.dataReceived(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
        self.channel.dataReceived(body)
        return weakref.ref(self.channel.requests[0])

    def test_cut_off(self) -> None:
        """Nothing of it stays, whatever its framing."""
        for framing, body in (
            (b"Content-Length: 100", b"ab"),
            (b"Transfer-Encoding: chunked", b"2\r\nab\r\n"),
        ):
            self.setUp()
            request = self.send(framing, body)
            self.channel.connectionLost(Failure(ConnectionDone()))
            self.assertIsNone(request(), framing)

    def test_tiny_chunks(self) -> None:
        """They are not kept one by one: each would take many times its size."""
        request = self.send(b"Transfer-Encoding: chunked", b"2\r\nab\r\n" * 500)()
        held = sum(sys.getsizeof(each) for each in request._parts) + len(request._loose)
        self.assertEqual(held, 1000)
