"""
Models registered at run time, kept in a file over restarts (``admin.persist``).

The file is JSON: ``{"version": 1, "models": [{"created", "fallbacks", "source"}]}``, where
``source`` is what was registered.  The keys of backends are in it, as they must be, so it
is readable only by its owner.  It is written whole, beside itself, and then put in place,
so that a crash leaves either the old one or the new one.

What is read back goes through the same checks as a registration.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from yallmp.core.changes import Change, Made, Reload, made_of, make, read, written
from yallmp.core.config.findings import ConfigError, Problem
from yallmp.core.errors import Conflict, RequestFault
from yallmp.core.registry import Registration, Registry
from yallmp.core.settings import Access
from yallmp.interfaces import IChanges
from yallmp.reloads import Repeated, tell
from yallmp.systemd import Herald, silent

VERSION = 1
_log = Logger()


@define(eq=False)
class Persistence:
    """Keeps the registered models of *registry* where its configuration says, if it does."""

    registry: Registry

    def restore(self) -> None:
        """
        Register again what was kept, at the start; what the file names now is left out.

        :raises ConfigError: what was kept cannot be used.
        """
        config = self.registry.catalog.config
        if config.persist is None:
            return
        named = {backend.model_name for backend in config.backends}
        for registration in load(config.persist, config.access):
            if registration.model_name not in named:
                self.registry.register(registration)

    def save(self) -> None:
        """
        Keep what is registered now.

        :raises OSError: the file cannot be written.
        """
        path = self.registry.catalog.config.persist
        if path is not None:
            _write(os.path.realpath(path), encoded(self.registry.registrations))

    def save_or_say(self) -> str | None:
        """Keep what is registered now; what is in the way of that, which is logged, if it is."""
        try:
            self.save()
        except OSError as error:
            _log.error("registered models cannot be kept: {error}", error=error)
            return error.strerror
        return None


async def nothing_to_read() -> Reload:
    """
    Stands where a configuration did not come from a file.

    :raises Conflict: always.
    """
    raise Conflict("This configuration did not come from a file that could be read again.")


@implementer(IChanges)
@define(eq=False)
class Alone:
    """
    Changes where no other worker has to make them.

    :ivar rereading: reads the configuration again.
    :ivar herald: is told of reloads.
    """

    persistence: Persistence
    rereading: Callable[[], Awaitable[Reload]] = nothing_to_read
    herald: Herald = field(factory=partial(silent, None))
    _reloads: Repeated = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reloads = Repeated(self._reload)

    @classmethod
    def of(cls, registry: Registry) -> Alone:
        """Changes of *registry*."""
        return cls(Persistence(registry))

    async def make(self, change: Change) -> Made:
        """See :class:`IChanges`."""
        made = make(self.persistence.registry, change)
        return made_of(made, self.persistence.save_or_say())

    async def reload(self) -> Made:
        """See :class:`IChanges`."""
        return await self._reloads()

    async def _reload(self) -> Made:
        self.herald.reloading()
        try:
            made = await self.make(await self.rereading())
        finally:
            self.herald.ready()
        tell(made)
        return made


def encoded(registrations: tuple[Registration, ...]) -> bytes:
    """The content of the file for *registrations*."""
    models = [written(each) for each in registrations]
    return json.dumps({"version": VERSION, "models": models}, indent=1).encode() + b"\n"


def load(path: str, access: Access) -> tuple[Registration, ...]:
    """
    What is kept at *path*; nothing if there is no such file.

    :raises ConfigError: it cannot be read, or something in it cannot be used.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise OSError(0, "it is not a regular file")
            _warn_if_open(path, mode)
            return _decoded(json.loads(file.read()), access)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    except RequestFault as error:
        raise _unusable(path, error.message) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _unusable(path, "is not a list of models that this version has written") from None


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; a pipe would wait for somebody who writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _decoded(content: Any, access: Access) -> tuple[Registration, ...]:
    if content["version"] != VERSION:
        raise RequestFault(f"has version {content['version']!r}, not {VERSION}")
    return tuple(read(model, access) for model in content["models"])


def _unusable(path: str, why: str) -> ConfigError:
    remedy = "correct it, or move it away to start without the models in it"
    return ConfigError((Problem(f"{why.rstrip('.')}; {remedy}", "admin.persist", file=path),))


def _warn_if_open(path: str, mode: int) -> None:
    if os.name == "posix" and mode & 0o077:
        _log.warn("{path} has keys in it and can be read by others: chmod 600 it", path=path)


def _write(path: str, content: bytes) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".yallmp-", dir=folder)  # made with 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
