"""When garbage is collected: less often than usual, and what was there is left alone."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import ProxyCase, error, good_either
from yallmp.attempts import Attempt
from yallmp.core.jsonbody import Document
from yallmp.course import Course
from yallmp.forwarding import Exchange
from yallmp.garbage import NEW_OBJECTS, Garbage
from yallmp.inbound import ProxyRequest


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
        """The names of the kinds of objects that are still there."""
        return [type(each).__name__ for each in gc.get_objects() if type(each) in self.kinds]

    def setUp(self) -> None:
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

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
