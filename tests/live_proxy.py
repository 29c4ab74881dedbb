"""
The proxy as a user starts it, and its scripted backend: both processes of their own.

trial has no fixtures that outlive a test, so :func:`shared` starts one pair when it is first
needed, and the process's exit ends it.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from secrets import token_hex
from threading import Event
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from attrs import define, field
from openai import DefaultHttpxClient, OpenAI
from twisted.trial.unittest import SynchronousTestCase

from tests.live_backend import CHAT
from yallmp import replay

ROOT = Path(__file__).parent.parent
CLIENT_KEY = "sk-client-5b1d0c7e9f"
NARROW_KEY = "sk-narrow-7a3e21c4d8"
BACKEND_KEY = "sk-backend-c94e77a1b0"
SECRETS = (CLIENT_KEY, NARROW_KEY, BACKEND_KEY)
#: How long anything may take on a machine that is busy, in seconds.
PATIENCE = 20.0
ERRORS = (400, 401, 404, 409, 422, 429, 500, 503)
_LISTENS = re.compile(r"listens on 127\.0\.0\.1:(\d+)")
_direct = build_opener(ProxyHandler({}))


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """What *condition* gives once it is true; a failure that names *what* if it never is."""
    pause = Event()
    for _ in range(int(PATIENCE / 0.02)):
        found = condition()
        if found:
            return found
        pause.wait(0.02)
    raise AssertionError(f"in {PATIENCE:g} s not {what}")


def settled(value: Callable[[], int]) -> int:
    """What *value* gives once it has stayed the same for half a second."""
    steady = Steady(value)
    eventually(steady, "a value that stays the same")
    return steady.last


@define
class Steady:
    """Whether *value* is what it was half a second ago."""

    value: Callable[[], int]
    last: int = -1

    def __call__(self) -> bool:
        Event().wait(0.5)
        before, self.last = self.last, self.value()
        return before == self.last


def environment() -> dict[str, str]:
    """Ours, with the sources on the path."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@define(eq=False)
class BackendProcess:
    """The scripted backend."""

    process: subprocess.Popen[str] = field(init=False)
    port: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.live_backend"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def api_base(self) -> str:
        """Its address, as in a configuration."""
        return f"http://127.0.0.1:{self.port}/v1"

    def seen(self, tag: str) -> dict[str, Any]:
        """What became of the requests with *tag*."""
        with _direct.open(f"http://127.0.0.1:{self.port}/seen/{tag}", timeout=PATIENCE) as answer:
            told: dict[str, Any] = json.loads(answer.read())
        return told

    def release(self, tag: str) -> None:
        """Let the requests with *tag* go on."""
        url = f"http://127.0.0.1:{self.port}/release/{tag}"
        _direct.open(Request(url, b"", method="POST"), timeout=PATIENCE).close()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def entry(name: str, api_base: str, **params: Any) -> dict[str, Any]:
    """An entry of ``model_list``."""
    given = {"api_base": api_base, "api_key": BACKEND_KEY, **params}
    return {"model_name": name, "litellm_params": given}


def configuration(api_base: str, drain_timeout: float = 10) -> str:
    """A file with a model for every behaviour of the backend (JSON is YAML)."""
    names = [*CHAT, *(f"error-{status}" for status in ERRORS)]
    times = {"silent": {"request_timeout": 0.5}}
    models = [entry(name, api_base, **times.get(name, {})) for name in names]
    narrow = {"key": NARROW_KEY, "models": ["gated"]}
    value = {
        "model_list": [
            *models,
            entry("patient", api_base, target_model="silent"),
            entry("vendor/one", api_base, target_model="chat"),
            entry("dead", "http://127.0.0.1:9/v1"),
            entry("rescued", "http://127.0.0.1:9/v1"),
            entry("mended", api_base, target_model="breaks-off"),
            entry("never-mended", api_base, target_model="breaks-off"),
        ],
        "router_settings": {
            "fallbacks": [
                {"rescued": ["error-503", "chat"]},
                {"mended": ["chat"]},
                {"never-mended": ["structured"]},
            ],
            "num_retries": 0,
        },
        "general_settings": {
            "server": {"host": "127.0.0.1", "port": 0},
            "api_keys": {"tests": CLIENT_KEY, "narrow": narrow},
            "enable_responses_endpoint": True,
            "drain_timeout": drain_timeout,
        },
        "limits": {"upstream_idle": 1},
        "logging": {"directory": "logs"},
    }
    return json.dumps(value)


@define(eq=False)
class ProxyProcess:
    """
    The proxy with the configuration *text*, in a folder of its own.

    Its port is the system's choice, read from its log.
    """

    text: str
    folder: Path = field(init=False)
    process: subprocess.Popen[bytes] = field(init=False)
    port: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="yallmp-live-"))
        config = self.folder / "config.yaml"
        config.write_text(self.text, encoding="utf-8")
        with self.output.open("wb") as output:
            command = [sys.executable, "-m", "yallmp", "-c", str(config)]
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment(), stdout=output, stderr=output
            )
        self.port = int(eventually(self._listens, "a proxy that listens")[1])

    def _listens(self) -> re.Match[str] | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the proxy ended: {self.said}")
        return _LISTENS.search(self.said)

    @property
    def output(self) -> Path:
        """Where its own log goes."""
        return self.folder / "output.log"

    @property
    def said(self) -> str:
        """Its own log."""
        return self.output.read_text(encoding="utf-8")

    @property
    def base_url(self) -> str:
        """Its address, for the SDK."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def files(self, pattern: str) -> list[Path]:
        """Files below ``logs``, oldest first."""
        return sorted((self.folder / "logs").glob(pattern))

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit status after signal *number*."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def recorded(self) -> None:
        """Wait until no record is open: the recorder outlives the proxy by a moment."""
        eventually(lambda: not self.files("requests/*.part"), "every record whole")

    def remove(self) -> None:
        """End it if it still runs, and delete what it left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def secrets_in(folder: Path) -> list[str]:
    """Where a secret stands in a file below *folder* that is not the configuration."""
    return [
        f"{path.name}: {secret}"
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".yaml"
        for secret in SECRETS
        if secret.encode() in content(path)
    ]


def content(path: Path) -> bytes:
    """What is in a file; nothing if it has just got its final name."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def replays(log: Path) -> str:
    """What ``yallmp replay --dry-run`` shows of *log*."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        try:
            replay.main(["--dry-run", str(log)])
        except SystemExit as end:
            if end.code:
                raise AssertionError(f"{log.name} cannot be replayed") from None
    return shown.getvalue()


@cache
def shared() -> tuple[BackendProcess, ProxyProcess]:
    """A backend and a proxy for whoever does not harm them; they end with the tests' process."""
    backend = BackendProcess()
    atexit.register(backend.stop)
    proxy = ProxyProcess(configuration(backend.api_base))
    atexit.register(proxy.remove)
    return backend, proxy


class LiveCase(SynchronousTestCase):
    """
    Tests of a proxy that they share.

    ``tag`` is the name under which the backend knows a test's requests.
    """

    skip = None if os.name == "posix" else "the processes are ended by signals of POSIX"

    def setUp(self) -> None:
        self.backend, self.proxy = self._shared = shared()
        self.tag = token_hex(4)

    def tearDown(self) -> None:
        """Whatever a test did, records are closed, no secret is in them, nothing broke."""
        try:
            self._look_at_what_is_left()
        finally:
            if self.proxy not in self._shared:
                self.proxy.remove()

    def _look_at_what_is_left(self) -> None:
        if self.proxy.process.returncode != -signal.SIGKILL:
            self.proxy.recorded()
        self.assertEqual(secrets_in(self.proxy.folder), [])
        self.assertNotIn("Traceback", self.proxy.said)

    def seen(self) -> dict[str, Any]:
        """What became of this test's requests at the backend."""
        return self.backend.seen(self.tag)

    def left_alone(self) -> bool:
        """Whether the backend has seen this test's requests, and all are over."""
        seen = self.seen()
        return bool(seen["requests"]) and not seen["open"]

    def own_proxy(self, drain_timeout: float = 10) -> ProxyProcess:
        """A proxy for this test alone, in place of the shared one."""
        self.proxy = ProxyProcess(configuration(self.backend.api_base, drain_timeout))
        return self.proxy

    def client(self, api_key: str = CLIENT_KEY, **settings: Any) -> OpenAI:
        """The SDK, which tries once and waits as long as a busy machine needs."""
        given = {"max_retries": 0, "timeout": PATIENCE, **settings}
        http = DefaultHttpxClient(trust_env=False)
        client = OpenAI(base_url=self.proxy.base_url, api_key=api_key, http_client=http, **given)
        self.addCleanup(client.close)
        return client
