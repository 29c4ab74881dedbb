"""What systemd is told, and what its units say."""

from __future__ import annotations

import os
import socket
from configparser import RawConfigParser
from pathlib import Path
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.settings import Config
from yallmp.daemon import AFTER_DRAIN
from yallmp.systemd import Herald, Messenger, herald_of, silent

UNITS = Path(__file__).parent.parent / "deploy" / "systemd"
POSIX = hasattr(socket, "AF_UNIX")


class HeraldTests(SynchronousTestCase):
    """What is said, and when."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[str] = []

    def test_signs_of_life(self) -> None:
        """They begin when we serve and come well within the time that systemd waits."""
        herald = Herald(self.clock, self.said.append, 30.0)
        self.clock.advance(10.0)
        self.assertEqual(self.said, [])
        herald.ready()
        self.clock.pump([10.0] * 3)
        self.assertEqual(self.said, ["READY=1"] + ["WATCHDOG=1"] * 4)

    def test_a_second_readiness(self) -> None:
        """After a reload: the signs of life go on as they were."""
        herald = Herald(self.clock, self.said.append, 30.0, now=lambda: 5_000)
        herald.ready()
        herald.reloading()
        herald.ready()
        self.clock.advance(10.0)
        expected = [
            "READY=1",
            "WATCHDOG=1",
            "RELOADING=1\nMONOTONIC_USEC=5",
            "READY=1",
            "WATCHDOG=1",
        ]
        self.assertEqual(self.said, expected)

    def test_nobody_waits_for_signs(self) -> None:
        """Then there is no timer."""
        Herald(self.clock, self.said.append).ready()
        self.assertEqual((self.said, self.clock.getDelayedCalls()), (["READY=1"], []))

    def test_the_end(self) -> None:
        """Is told as it begins."""
        Herald(self.clock, self.said.append).stopping()
        self.assertEqual(self.said, ["STOPPING=1"])

    def test_nobody_listens(self) -> None:
        """Started by hand: nothing is sent, nothing fails."""
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}):
            herald_of(environ, self.clock).ready()
        silent(self.clock).stopping()

    def test_whose_watchdog(self) -> None:
        """Only signs of this process are waited for, and only for a time that is one."""
        for usec, pid, patience in (
            ("30000000", str(os.getpid()), 30.0),
            ("30000000", "1", None),
            ("0", str(os.getpid()), None),
            ("soon", str(os.getpid()), None),
        ):
            environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
            self.assertEqual(herald_of(environ, self.clock).patience, patience)
        self.assertEqual(
            herald_of({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "500000"}, self.clock).patience, 0.5
        )


@skipUnless(POSIX, "there are no UNIX sockets")
class MessengerTests(SynchronousTestCase):
    """How it is sent."""

    def test_a_path_and_an_abstract_name(self) -> None:
        """systemd uses either."""
        path = os.path.relpath(self.mktemp())  # its absolute path may be too long for a socket
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for name, address in ((path, path), (f"@yallmp-{os.getpid()}", f"\0yallmp-{os.getpid()}")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                systemd.bind(address)
                systemd.setblocking(False)
                Messenger(name).send("READY=1")
                self.assertEqual(systemd.recv(100), b"READY=1")

    def test_nobody_is_there(self) -> None:
        """The message is lost, and nothing else."""
        Messenger(self.mktemp()).send("READY=1")


class UnitTests(SynchronousTestCase):
    """The units in the repository."""

    def unit(self, name: str) -> RawConfigParser:
        """A unit, as far as it can be read in this way: of settings that repeat, the last."""
        parser = RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(UNITS / name)
        return parser

    def test_the_service(self) -> None:
        """systemd learns from us when we serve, and our stop is not cut short."""
        service = self.unit("yallmp.service")["Service"]
        self.assertEqual(service["Type"], "notify")
        self.assertGreater(int(service["TimeoutStopSec"]), Config().drain_timeout + AFTER_DRAIN)
        self.assertIn("-HUP", service["ExecReload"])
        self.assertEqual(service["DynamicUser"], "yes")

    def test_the_socket(self) -> None:
        """It listens where yallmp would by itself."""
        self.assertEqual(self.unit("yallmp.socket")["Socket"]["ListenStream"], "127.0.0.1:8000")
