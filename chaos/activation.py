"""
A proxy that gets its listening socket from whoever starts it, as systemd does it.

The socket is the third descriptor of the process, ``LISTEN_FDS`` and ``LISTEN_PID`` say so
(``sd_listen_fds(3)``), and the process tells when it serves (``sd_notify(3)``).  Between two
lives of it connections wait in the socket's queue.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from chaos.item import Wrong
from chaos.proxy import PATIENCE, environment

#: Puts the socket in its place, says whose it is, and becomes the proxy.
_BECOME = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update("
    "LISTEN_FDS='1', LISTEN_FDNAMES='http', LISTEN_PID=str(os.getpid())); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


@define(eq=False)
class Activated:
    """
    A proxy on a socket that outlives it.

    :ivar command: what starts it; ``-c FILE`` is added.
    :ivar config: without ``server.listen``.
    """

    command: Sequence[str]
    config: dict[str, Any]
    _folder: Any = field(factory=lambda: tempfile.TemporaryDirectory(prefix="chaos-"))
    _socket: socket.socket = field(init=False)
    _told: socket.socket = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __attrs_post_init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(self._path("notify"))
        self._told.settimeout(PATIENCE)
        server = {"server": {"listen": "systemd:domain=INET:index=0"}}
        general = {**self.config.get("general_settings", {}), **server}
        text = json.dumps({**self.config, "general_settings": general})
        Path(self._path("config.yaml")).write_text(text, encoding="utf-8")

    def _path(self, name: str) -> str:
        return os.path.join(self._folder.name, name)

    @property
    def port(self) -> int:
        """Where it listens, in all its lives."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """
        Begin a life.

        :raises Wrong: it does not say that it serves.
        """
        number = self._socket.fileno()
        words = [
            sys.executable,
            "-c",
            _BECOME,
            str(number),
            *self.command,
            "-c",
            self._path("config.yaml"),
        ]
        environ = {**environment(), "NOTIFY_SOCKET": self._path("notify")}
        with open(self._path("output.log"), "ab") as output:
            self._process = subprocess.Popen(
                words, cwd=self._folder.name, env=environ, pass_fds=(number,),
                stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._hear("READY=1")

    def stop(self) -> None:
        """
        End this life.

        :raises Wrong: it does not say so, or does not end well.
        """
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        self._hear("STOPPING=1")
        status = process.wait(PATIENCE)
        if status != 0:
            raise Wrong(f"the proxy ended with status {status}: {self.said[-600:]}")

    @property
    def said(self) -> str:
        """Its own log, of all its lives."""
        return Path(self._path("output.log")).read_text(encoding="utf-8", errors="replace")

    def _hear(self, expected: str) -> None:
        try:
            told = self._told.recv(1024).decode()
        except TimeoutError:
            told = "nothing"
        if told != expected:
            raise Wrong(f"systemd is told {told}, not {expected}: {self.said[-600:]}")

    def remove(self) -> None:
        """End it, and delete what is left of it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        self._told.close()
        self._folder.cleanup()
