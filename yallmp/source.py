"""
Where a configuration comes from: a file, and the flags that beat it.

It is read at the start and again whenever somebody asks for it while the proxy runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from yallmp import files
from yallmp.core.settings import Config


@frozen
class Flags:
    """What the command line says in place of the file; ``None`` where it says nothing."""

    port: int | None = None
    host: str | None = None
    log_dir: str | None = None
    workers: int | None = None

    def over(self, config: Config) -> Config:
        """*config* with these flags in force."""
        return evolve(config, server=self._server(config), logging=self._logging(config))

    def _server(self, config: Config) -> Any:
        given = {"host": self.host, "port": self.port}
        changes: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        server = evolve(config.server, **changes, listen=None) if changes else config.server
        return server if self.workers is None else evolve(server, workers=self.workers)

    def _logging(self, config: Config) -> Any:
        if self.log_dir is None:
            return config.logging
        return evolve(config.logging, directory=self.log_dir)


@frozen
class Source:
    """
    A file and flags.

    A reload reads the same source again.
    """

    path: str
    flags: Flags = Flags()
    environ: Mapping[str, str] = field(factory=dict, repr=False)

    def load(self) -> Config:
        """
        The configuration as it is now.

        :raises ConfigError: with all its problems.
        """
        return self.flags.over(files.load(self.path, self.environ))


def counted(config: Config) -> Config:
    """*config* with the number of workers that ``auto`` means here."""
    server = config.server
    return evolve(config, server=evolve(server, workers=server.workers or cores()))


def cores() -> int:
    """How many cores this process may use; one where there cannot be several workers."""
    return len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else 1
