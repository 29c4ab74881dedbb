"""More connections than may be."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.test_channel import parsed
from tests.test_requesthead import Root
from tests.test_sweep import HERE, Wire
from yallmp.channel import ProxyChannel
from yallmp.core.settings import Limits
from yallmp.core.shares import WHOLE, Share
from yallmp.crowd import AT_A_TIME, SAID_EVERY, TurnedAway
from yallmp.refusing import DISCARD_TIME
from yallmp.site import ProxySite

GONE = Failure(ConnectionDone())


class CrowdTests(SynchronousTestCase):
    """A site that takes three."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.limits = Limits(max_connections=3)
        self.serve()

    def serve(self, share: Share = WHOLE) -> None:
        """A site of its own."""
        root = Root()
        self.site = ProxySite(root, lambda: self.limits, root.refused, root.gone, self.clock, share)

    def connect(self) -> tuple[Any, Wire]:
        """One more connection; its protocol, if it has one, and its transport."""
        protocol: Any = self.site.buildProtocol(HERE)
        wire = Wire(HERE, HERE)
        if protocol is not None:
            protocol.makeConnection(wire)
        return protocol, wire

    def test_the_edge(self) -> None:
        """Three are served, the fourth is told, and another one is when one of them goes."""
        channels = [self.connect()[0] for _ in range(3)]
        self.assertTrue(all(isinstance(each, ProxyChannel) for each in channels))
        _, wire = self.connect()
        self.assertEqual(parsed(wire.value())[0], 503)
        self.assertEqual(parsed(wire.value())[1]["code"], "proxy_overloaded")
        self.assertIn(b"\r\nretry-after: 1\r\n", wire.value())
        self.assertIn(b"\r\nConnection: close\r\n", wire.value())
        channels[0].connectionLost(GONE)
        self.assertIsInstance(self.connect()[0], ProxyChannel)
        self.assertIsInstance(self.connect()[0], TurnedAway)
        self.assertEqual(self.site.crowd.count, 2)

    def test_it_goes(self) -> None:
        """When it has read the answer, or soon after; no timer is left."""
        channels = [self.connect()[0] for _ in range(3)]
        quick, _ = self.connect()
        slow, wire = self.connect()
        slow.dataReceived(b"x" * 1000)
        quick.connectionLost(GONE)
        self.clock.advance(DISCARD_TIME)
        self.assertTrue(wire.aborted)
        slow.connectionLost(GONE)
        for each in channels:
            each.connectionLost(GONE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_very_many(self) -> None:
        """Only some are told at a time; those beyond them are closed at once."""
        for _ in range(3):
            self.connect()
        turned = [self.connect()[0] for _ in range(AT_A_TIME)]
        self.assertIsNone(self.connect()[0])
        turned[0].connectionLost(GONE)
        self.assertIsNotNone(self.connect()[0])

    def test_it_is_said(self) -> None:
        """Now and then, however many come."""
        with capturedLogs() as said:
            for _ in range(10):
                self.connect()
            self.clock.advance(SAID_EVERY)
            self.connect()
        lines = [formatEvent(each) for each in said]
        self.assertEqual([("1 more" in each, "7 more" in each) for each in lines],
                         [(True, False), (False, True)])  # fmt: skip

    def test_descriptors_are_short(self) -> None:
        """Then it is for them to say; a higher setting changes nothing."""
        self.site.room = 1
        self.connect()
        self.assertIsInstance(self.connect()[0], TurnedAway)

    def test_reloaded(self) -> None:
        """The limit in force is the one that counts."""
        self.limits = Limits(max_connections=1)
        self.connect()
        self.assertIsInstance(self.connect()[0], TurnedAway)
        self.limits = Limits(max_connections=2)
        self.assertIsInstance(self.connect()[0], ProxyChannel)

    def test_shared(self) -> None:
        """One of three workers takes its part of them."""
        self.serve(Share(1, 3))
        self.assertEqual(self.site.most, 1)
