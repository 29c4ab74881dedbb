"""
The whole: put together from a configuration, and run as a process as users do.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Timer
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from attrs import evolve
from twisted.application.service import IService
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.test_plugin import ROOT, TWISTD
from yallmp.certificates import CertificateError
from yallmp.core.backend import Backend, Tls
from yallmp.core.masking import Masker
from yallmp.core.settings import Config, Logging, Server
from yallmp.daemonlog import LogFileError, Output
from yallmp.listening import ListeningError
from yallmp.recorder import RecorderError
from yallmp.source import Source
from yallmp.tap import CANNOT_START, makeService

MOCK = Backend("demo", "demo", mock_response="hello")
#: How long a process may take for anything, on a machine that is busy; seconds.
PATIENCE = 60.0


class ServiceTests(SynchronousTestCase):
    """``makeService``."""

    def setUp(self) -> None:
        self.logs = str(Path(self.mktemp()).absolute())
        logging = Logging(directory=self.logs)
        self.config = Config(backends=(MOCK,), server=Server(port=0), logging=logging)
        self.reactor = MemoryReactorClock()

    def make(self, **settings: Any) -> IService:
        """The service for the configuration with other *settings*."""
        config = evolve(self.config, **settings)
        return makeService(config, Output(None), self.reactor, source=Source("config.yaml"))

    def test_a_service(self) -> None:
        """It is one, and nothing of it runs yet: twistd starts it after it has forked."""
        service = self.make()
        self.assertTrue(verifyObject(IService, service))
        self.assertFalse(service.running)
        self.assertEqual((self.reactor.tcpServers, self.reactor.getDelayedCalls()), ([], []))

    def test_it_listens_where_it_is_told(self) -> None:
        """With the one site."""
        self.addCleanup(os.umask, os.umask(0o022))
        self.make(server=Server("::1", 0)).privilegedStartService()
        ((port, site, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface, type(site).__name__), (0, "::1", "ProxySite"))

    def test_what_its_user_can_mend(self) -> None:
        """Each is one of the errors that end in a line instead of a traceback."""
        file = Path(self.mktemp())
        file.write_bytes(b"")
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        bad = evolve(MOCK, tls=Tls(ca_pem=b"nothing"))
        for settings, kind in (
            ({"logging": Logging(directory=str(file))}, RecorderError),
            ({"server": Server(port=port)}, ListeningError),
            ({"server": Server(listen="bogus:1")}, ListeningError),
            ({"backends": (bad,)}, CertificateError),
        ):
            self.assertIn(kind, CANNOT_START)
            self.assertNotIn("\n", str(self.assertRaises(kind, self.make, **settings)))


class OutputTests(SynchronousTestCase):
    """Where the daemon's log goes."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.masker = Masker(())

    def observer(self, path: str | None, **logging: Any) -> Any:
        """What writes to *path*."""
        return Output(path).observer(Logging(**logging), lambda: self.masker)

    def test_twistds_options(self) -> None:
        """A file, standard output, or a place of twistd's own; a daemon has a file of its own."""
        here = os.getcwd()
        for options, path in (
            ({}, f"{here}/twistd.log"),
            ({"nodaemon": True}, "-"),
            ({"logfile": "-"}, "-"),
            ({"logfile": "a.log"}, f"{here}/a.log"),
            ({"logfile": "/var/log/a.log", "nodaemon": True}, "/var/log/a.log"),
            ({"rundir": "/run/y"}, "/run/y/twistd.log"),
            ({"rundir": "/run/y", "logfile": "a.log"}, "/run/y/a.log"),
            ({"rundir": "/run/y", "logfile": "a.log", "nodaemon": True}, f"{here}/a.log"),
            ({"syslog": True}, None),
            ({"logger": "a.b", "logfile": "a.log"}, None),
        ):
            self.assertEqual(Output.of(options).path, path, options)

    def test_a_place_of_twistds_own(self) -> None:
        """It is left to twistd."""
        self.assertIsNone(self.observer(None))

    def test_standard_output(self) -> None:
        """As it is when the service is made: twistd replaces it later."""
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        observer = self.observer("-")
        self.patch(sys, "stdout", io.StringIO())
        Logger(namespace="y", observer=observer).info("hello")
        self.assertTrue(out.getvalue().endswith("[y#info] hello\n"))

    def test_a_new_file(self) -> None:
        """It is its owner's alone, whatever the mask is."""
        self.addCleanup(os.umask, os.umask(0o000))
        path = self.folder / "new.log"
        Logger(namespace="y", observer=self.observer(str(path))).info("hello")
        self.assertIn("hello", path.read_text())
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_a_file_that_is_there(self) -> None:
        """It goes on, and keeps the mode that somebody gave it."""
        path = self.folder / "old.log"
        path.write_text("before\n")
        path.chmod(0o640)
        Logger(namespace="y", observer=self.observer(str(path))).info("hello")
        self.assertTrue(path.read_text().startswith("before\n2"))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)

    def test_a_file_that_cannot_be_written(self) -> None:
        """A line that names it and says what to do."""
        for path in (self.folder, self.folder / "no" / "such" / "folder"):
            said = str(self.assertRaises(LogFileError, self.observer, str(path)))
            self.assertIn(str(path), said)
            self.assertIn("--logfile", said)
        self.assertIn(LogFileError, CANNOT_START)

    def test_level_and_style(self) -> None:
        """As ``logging`` says."""
        path = self.folder / "y.log"
        observer = self.observer(str(path), level="warning", format="json")
        for level in (LogLevel.info, LogLevel.warn, LogLevel.error):
            Logger(namespace="y", observer=observer).emit(level, "hello")
        levels = [json.loads(line)["level"] for line in path.read_text().splitlines()]
        self.assertEqual(levels, ["warn", "error"])


def eventually(true: Callable[[], Any], what: str) -> Any:
    """The first true value of *true*, looked at again and again."""
    for _ in range(int(PATIENCE / 0.05)):
        value = true()
        if value:
            return value
        Event().wait(0.05)
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


class ProcessCase(SynchronousTestCase):
    """Processes in a folder of their own; a port is free when a test begins."""

    skip = None if os.name == "posix" else "the processes are ended by signals of POSIX"

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.write("config.yaml", logging={"directory": "logs"})

    def write(self, name: str, **settings: Any) -> None:
        """A configuration, which is JSON and so YAML."""
        demo = {"model_name": "demo", "litellm_params": {"mock_response": "hello"}}
        (self.folder / name).write_text(json.dumps({"model_list": [demo], **settings}))

    def start(self, *command: str, **streams: Any) -> subprocess.Popen[str]:
        """Python with *command*."""
        environ: Mapping[str, str] = {
            **{k: v for k, v in os.environ.items() if not k.startswith("YALLMP_")},
            "PYTHONPATH": str(ROOT),
        }
        streams = streams or {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [sys.executable, *command], cwd=self.folder, env=environ, text=True, **streams
        )
        watch = Timer(PATIENCE, process.kill)
        watch.start()
        self.addCleanup(watch.cancel)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def commands(self, *options: str) -> list[subprocess.Popen[str]]:
        """Both commands that serve in the foreground, started with the same *options*."""
        foreground = ("-c", TWISTD, "-n", "--pidfile=", "yallmp")
        return [self.start("-m", "yallmp", *options), self.start(*foreground, *options)]


class ForegroundTests(ProcessCase):
    """``yallmp`` and ``twistd -n yallmp``."""

    def test_signals_end_it_well(self) -> None:
        """SIGTERM and SIGINT: status 0, nothing on stderr."""
        both = self.commands("--port=0")
        for process, number in zip(both, (signal.SIGTERM, signal.SIGINT), strict=True):
            assert process.stdout is not None
            self.assertTrue(any("listens on 127.0.0.1:" in line for line in process.stdout))
            process.send_signal(number)
        for process in both:
            _, err = process.communicate()
            self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual(self.names(), {"config.yaml", "logs"})

    def names(self) -> set[str]:
        """What is in the folder."""
        return {path.name for path in self.folder.iterdir()}

    def check_refusal(self, process: subprocess.Popen[str], *words: str) -> None:
        """It ends with status 1 and one line, which has these *words*."""
        out, err = process.communicate()
        self.assertEqual((process.returncode, out), (1, ""))
        self.assertEqual(err.count("\n"), 1, err)
        for word in words:
            self.assertIn(word, err)

    def test_what_keeps_it_from_starting(self) -> None:
        """A port in use, a file in place of the log directory: a line each, and no traceback."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        in_use = self.commands(f"--port={port}")
        (self.folder / "file").write_text("")
        unwritable = self.start("-m", "yallmp", "--port=0", "--log-dir=file")
        for process in in_use:
            self.check_refusal(process, f"127.0.0.1:{port}", "another program", "--port")
        self.check_refusal(unwritable, str(self.folder / "file"), "--log-dir")

    def test_an_endpoint_in_use(self) -> None:
        """It is known only when it is bound; then the log has the line."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        self.write("in_use.yaml", general_settings={"server": {"listen": listen}})
        process = self.start("-m", "yallmp", "-c", "in_use.yaml")
        out, err = process.communicate()
        self.assertEqual((process.returncode, err), (1, ""))
        self.assertRegex(out, r"cannot listen: 127\.0\.0\.1:[0-9]+: another program")
        self.assertNotIn("Traceback", out)


class DaemonTests(ProcessCase):
    """``twistd yallmp``."""

    def twistd(self, *options: str) -> tuple[int, str]:
        """The status and stderr of twistd, which returns when the daemon is there."""
        with (self.folder / "stderr").open("w+") as err:
            process = self.start("-c", TWISTD, "yallmp", *options, stderr=err)
            status = process.wait()
            err.seek(0)
            return status, err.read()

    def lines(self) -> list[dict[str, Any]]:
        """The daemon's log."""
        path = self.folder / "twistd.log"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def said(self, words: str) -> list[str]:
        """What the daemon said with these *words* in it."""
        return [line["message"] for line in self.lines() if words in line["message"]]

    def test_from_start_to_stop(self) -> None:
        """It leaves a PID file and a log, in JSON if told so, answers, and ends on SIGTERM."""
        self.write("config.yaml", logging={"directory": "logs", "format": "json"})
        self.assertEqual(self.twistd("--port=0"), (0, ""))
        pid_file = self.folder / "twistd.pid"
        pid = int(pid_file.read_text())
        self.addCleanup(end, pid)
        (said,) = eventually(lambda: self.said("listens on"), "it listens")
        self.ask(said.rpartition(" ")[2])
        eventually(lambda: self.said("demo"), "a line for the request")
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pid_file.exists(), "the PID file is gone")
        self.assertEqual(stat.S_IMODE((self.folder / "twistd.log").stat().st_mode), 0o600)
        (record,) = (self.folder / "logs" / "requests").iterdir()
        self.assertEqual((record.suffix, stat.S_IMODE(record.stat().st_mode)), (".log", 0o600))

    def ask(self, authority: str) -> None:
        """A request, which is answered."""
        body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "hi"}]})
        asked = Request(f"http://{authority}/v1/chat/completions", body.encode())
        with build_opener(ProxyHandler({})).open(asked, timeout=PATIENCE) as answer:
            self.assertIn(b"hello", answer.read())

    def test_an_endpoint_in_use(self) -> None:
        """twistd does not wait for a daemon that cannot listen, and the PID file is gone."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        self.write("config.yaml", general_settings={"server": {"listen": listen}})
        status, err = self.twistd()
        self.assertEqual(status, 1)
        self.assertIn("another program listens there", err)
        self.assertNotIn("Traceback", err + (self.folder / "twistd.log").read_text())
        pid_file = self.folder / "twistd.pid"
        eventually(lambda: not pid_file.exists(), "the PID file is gone")  # twistd did not wait


def end(pid: int) -> None:
    """Kill a daemon that a failed test has left."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
