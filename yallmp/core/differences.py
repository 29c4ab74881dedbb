"""
What is different between two configurations, for whoever has put the second in force.

Settings are named as they stand in the file.  What a running process cannot change (where it
listens, how many processes it is) is named apart: it needs a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from attrs import evolve, fields, frozen

from yallmp.core.settings import Config, Server

Names = tuple[str, ...]

#: Where the fields of each part stand in the file.
_PARTS = {
    "router": "router_settings.",
    "limits": "limits.",
    "logging": "logging.",
    "access": "general_settings.",
}
#: The fields that stand in another place, or under another name.
_ELSEWHERE = {
    "general_settings.keys": "general_settings.api_keys",
    "general_settings.allowed_hosts": "general_settings.server.allowed_hosts",
    "general_settings.cors_origins": "general_settings.server.cors_origins",
    "general_settings.private_backends": "general_settings.admin.private_backends",
    "general_settings.persist": "general_settings.admin.persist",
}
_FALLBACKS = {
    "by_model": "fallbacks",
    "default": "default_fallbacks",
    "context_window": "context_window_fallbacks",
    "content_policy": "content_policy_fallbacks",
    "aliases": "model_group_alias",
}
#: The fields of a configuration that are not single settings of ``general_settings``.
_NOT_SINGLE = {"backends", "fallbacks", "server", "notices", *_PARTS}
_SERVER = "general_settings.server."


@frozen
class Differences:
    """
    What a reload has changed.

    :ivar added: backends that are new, by name.
    :ivar removed: backends that are gone.
    :ivar changed: backends that have other settings.
    :ivar settings: all other settings that changed, by their path.
    :ivar restart: those that the file changes, but only a restart does.
    :ivar warnings: what its owner should read in the new file.
    :ivar notes: what its owner may want to know of it.
    """

    added: Names = ()
    removed: Names = ()
    changed: Names = ()
    settings: Names = ()
    restart: Names = ()
    warnings: Names = ()
    notes: Names = ()

    @property
    def are_none(self) -> bool:
        """Whether the new one is like the old one."""
        return not (self.added or self.removed or self.changed or self.settings or self.restart)

    def words(self) -> str:
        """What is different, in a line."""
        told = {
            "backends added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "settings": self.settings,
            "needing a restart": self.restart,
        }
        parts = [f"{what}: {', '.join(names)}" for what, names in told.items() if names]
        return "; ".join(parts) or "nothing is different"


def differences(old: Config, new: Config, read: Config) -> Differences:
    """
    What *new*, now in force, has different from *old*.

    :param read: the new one as its file says it, before what cannot change was kept.
    """
    before = {backend.name: evolve(backend, created=0) for backend in old.backends}
    after = {backend.name: evolve(backend, created=0) for backend in new.backends}
    return Differences(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(n for n in after if n in before and after[n] != before[n]),
        settings=tuple(_settings(old, new)),
        restart=tuple(_restart(new.server, read.server)),
        warnings=_texts(read, "warning"),
        notes=_texts(read, "info"),
    )


def _texts(config: Config, level: str) -> Names:
    return tuple(notice.text for notice in config.notices if notice.level == level)


def _settings(old: Config, new: Config) -> Iterator[str]:
    for part, prefix in _PARTS.items():
        yield from _paths(prefix, _unequal(getattr(old, part), getattr(new, part)))
    for name in _unequal(old.fallbacks, new.fallbacks):
        yield f"router_settings.{_FALLBACKS[name]}"
    if old.server.tls != new.server.tls:
        yield f"{_SERVER}tls"
    yield from _paths("general_settings.", set(_unequal(old, new)) - _NOT_SINGLE)


def _paths(prefix: str, names: Iterable[str]) -> Iterator[str]:
    """Where the fields *names* stand in the file."""
    return (_ELSEWHERE.get(f"{prefix}{name}", f"{prefix}{name}") for name in names)


def _restart(running: Server, read: Server) -> Iterator[str]:
    for name in _unequal(running, read):
        yield f"{_SERVER}{name}"


def _unequal(one: Any, other: Any) -> list[str]:
    """The fields in which two values of one class are different."""
    names = [field.name for field in fields(type(one)) if field.eq]
    return [name for name in names if getattr(one, name) != getattr(other, name)]
