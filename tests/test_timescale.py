"""
Time that passes faster.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.network import MemoryNetwork
from yallmp.drill.timescale import ScaledReactor


class ScaledTests(SynchronousTestCase):
    """A clock eight times as fast."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.scaled = ScaledReactor(self.clock, 8.0)
        self.calls: list[tuple[object, ...]] = []

    def test_time(self) -> None:
        """A real second is eight."""
        self.clock.advance(1)
        self.assertEqual(self.scaled.seconds(), 8)

    def test_calls(self) -> None:
        """What is due in eight seconds happens in one, with its arguments."""
        call = self.scaled.callLater(8, lambda *a, **k: self.calls.append((a, k)), 1, b=2)
        self.assertEqual((call.getTime(), call.active()), (8, True))
        self.clock.advance(0.99)
        self.assertEqual(self.calls, [])
        self.clock.advance(0.01)
        self.assertEqual((self.calls, call.active()), ([((1,), {"b": 2})], False))

    def test_changes(self) -> None:
        """Reset, delayed and cancelled in scaled seconds."""
        call = self.scaled.callLater(8, self.calls.append, ())
        self.clock.advance(0.5)
        call.reset(16)
        self.assertEqual(call.getTime(), 20)
        call.delay(4)
        self.assertEqual(call.getTime(), 24)
        self.assertEqual([each.getTime() for each in self.scaled.getDelayedCalls()], [24])
        call.cancel()
        self.clock.advance(100)
        self.assertEqual(self.calls, [])

    def test_everything_else_is_the_reactors(self) -> None:
        """Sockets, and what it provides."""
        network = MemoryNetwork()
        scaled = ScaledReactor(network, 8.0)
        verifyObject(IReactorTime, scaled)
        self.assertTrue(IReactorTCP.providedBy(scaled))
        self.assertEqual(scaled.connectTCP, network.connectTCP)
        network.close()
