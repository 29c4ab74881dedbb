"""
What stays when a configuration takes the place of another.

The listener does not move while it listens, and a model that was there is not younger because
its file was read again.
"""

from __future__ import annotations

from attrs import evolve

from yallmp.core.backend import Backend
from yallmp.core.settings import Config, Server


def renewed(read: Config, before: Config) -> Config:
    """*read* in the place of *before*."""
    server = _as_it_listens(read.server, before.server)
    return evolve(read, server=server, backends=_aged(read, before), notices=())


def _as_it_listens(read: Server, running: Server) -> Server:
    """The listener, which stays; but where it speaks TLS its certificate is read again."""
    if read.tls is None or running.tls is None:
        return running
    return evolve(running, tls=read.tls)


def _aged(config: Config, before: Config) -> tuple[Backend, ...]:
    """The backends of *config*; those of a model that was there came when it did."""
    came: dict[str, int] = {}
    for backend in before.backends:
        came.setdefault(backend.model_name, backend.created)
    return tuple(evolve(b, created=came.get(b.model_name, b.created)) for b in config.backends)
