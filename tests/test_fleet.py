"""A supervisor put together from a configuration, and the command that starts its workers."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.application.service import IService
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests import logged
from tests.test_tap import MOCK
from tests.workforce import WorkersReactor
from yallmp import fleet
from yallmp.core.backend import Tls
from yallmp.core.control import Order
from yallmp.core.settings import Config, Logging, Server
from yallmp.core.shares import Share
from yallmp.daemonlog import Output
from yallmp.source import Source
from yallmp.worker import read_order

REGISTERED = {"model_name": "kept", "litellm_params": {"api_base": "https://h.example/v1"}}


class FleetCase(SynchronousTestCase):
    """A supervisor of two."""

    skip = None if sys.platform.startswith("linux") else "several workers need Linux"

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.config = Config(
            backends=(MOCK,),
            server=Server(port=0, workers=2),
            logging=Logging(directory=str(self.folder / "logs")),
        )
        self.reactor = WorkersReactor()
        self.addCleanup(os.umask, os.umask(0o022))

    def make(self, output: Output = Output("-"), **settings: Any) -> Any:  # noqa: B008
        """The supervisor for the configuration with other *settings*."""
        config, source = evolve(self.config, **settings), Source("config.yaml")
        service = fleet.makeService(config, output, self.reactor, source=source)
        self.addCleanup(service._port.close)
        return service

    def start(self, service: Any) -> None:
        """Start it, and let its workers begin."""
        service.privilegedStartService()
        service.startService()
        self.reactor.pump()


class ServiceTests(FleetCase):
    """``makeService``."""

    def test_a_service(self) -> None:
        """It is one, and nothing runs yet: twistd starts it after it has forked."""
        service = self.make()
        self.assertTrue(verifyObject(IService, service))
        self.assertEqual(self.reactor.workers, [])

    def test_workers_get_what_is_in_force(self) -> None:
        """The configuration with the time of day, and the models that were kept."""
        path = self.folder / "models.json"
        kept = {"created": 7, "fallbacks": None, "source": REGISTERED}
        path.write_text(json.dumps({"version": 1, "models": [kept]}))
        path.chmod(0o600)
        self.start(self.make(persist=str(path)))
        for worker in self.reactor.up:
            demo, added = worker.registry.catalog.config.backends
            self.assertGreater(demo.created, 1_700_000_000)
            self.assertEqual((added.model_name, added.created), ("kept", 7))

    def test_what_its_user_can_mend(self) -> None:
        """Each ends in a line: nothing is left for the workers to stumble over."""
        file = self.folder / "file"
        file.write_bytes(b"")
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        bad = evolve(MOCK, tls=Tls(ca_pem=b"nothing"))
        for settings in (
            {"logging": Logging(directory=str(file))},
            {"server": Server(port=taken.getsockname()[1], workers=2)},
            {"server": Server(listen="unix:/run/y", workers=2)},
            {"backends": (bad,)},
            {"persist": str(file)},
            {"output": Output(str(self.folder))},
        ):
            error = self.assertRaises(fleet.CANNOT_START, self.make, **settings)
            self.assertNotIn("\n", str(error))


class LogTests(FleetCase):
    """Where the log of workers goes."""

    def test_standard_output(self) -> None:
        """They have it from their supervisor, and write themselves."""
        self.start(self.make())
        for worker in self.reactor.up:
            self.assertEqual((worker.descriptors[1], worker.descriptors[2]), (1, 2))

    def test_a_file(self) -> None:
        """One process writes it, whole lines of all, and a new one is its owner's alone."""
        path = self.folder / "daemon.log"
        self.start(self.make(Output(str(path))))
        one, two = self.reactor.up
        one.log(b"from o")
        two.log(b"from two\n")
        one.log(b"ne\n")
        self.assertEqual(path.read_text(), "from two\nfrom one\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_a_place_of_twistds_own(self) -> None:
        """Each line is an event."""
        self.start(self.make(Output(None)))
        said = logged.texts(self)
        self.reactor.up[0].log(b"one {x}\ntwo\xff\n", 2)
        self.assertEqual(said, ["one {x}", "two�"])


class CommandTests(SynchronousTestCase):
    """What is run."""

    def test_modules_are_found(self) -> None:
        """Where the supervisor finds them, though it may change its directory."""
        self.patch(sys, "path", ["", "here", "/there"])
        command = fleet.command_of(Output("-"))
        self.assertEqual(command.arguments[0], sys.executable)
        here = os.getcwd()
        self.assertEqual(command.arguments[3:], (here, f"{here}/here", "/there"))

    def test_an_order(self) -> None:
        """It is read to its end from a pipe that gives it in pieces; what follows stays."""
        order = Order(Share(1, 2), Config((MOCK,) * 5))
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, order.encoded() + b"next")
        os.close(writing)
        self.assertEqual(read_order(reading), order)
        self.assertEqual(os.read(reading, 10), b"next")
        self.assertRaises(EOFError, read_order, reading)

    def test_no_order(self) -> None:
        """A worker whose supervisor is gone before it has said what to do ends quietly."""
        command = [sys.executable, "-c", "from yallmp.worker import main; main()"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run(
            command, input=b"12", capture_output=True, env=environment, timeout=60, check=False
        )
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (1, b"", b""))
