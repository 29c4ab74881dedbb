"""What a reload has changed, in words that stand in the file."""

from __future__ import annotations

from typing import Any

from attrs import evolve, fields
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.config.schema import paths
from yallmp.core.differences import Differences, differences
from yallmp.core.settings import Access, Config, Fallbacks, Key, Limits, Notice, Server

OLD = Config((Backend("a", "a", created=1), Backend("b", "b"), Backend("c", "c")))


class Other:
    """Is like nothing that is configured."""


def changed(part: str, name: str) -> Config:
    """The old one with another value for one field, whatever it may be."""
    value: Any = Other()
    return evolve(OLD, **{part: evolve(getattr(OLD, part), **{name: value})})


class DifferenceTests(SynchronousTestCase):
    """Two configurations."""

    def test_none(self) -> None:
        """One that is read again unchanged has none, though it came at another time."""
        again = evolve(OLD, backends=(evolve(OLD.backends[0], created=9), *OLD.backends[1:]))
        told = differences(OLD, again, again)
        self.assertTrue(told.are_none)
        self.assertEqual(told.words(), "nothing is different")

    def test_backends(self) -> None:
        """They come, go, and are set otherwise."""
        new = Config((Backend("d", "d"), Backend("a", "a"), Backend("b", "b", weight=2)))
        told = differences(OLD, new, new)
        self.assertEqual((told.added, told.removed, told.changed), (("d",), ("c",), ("b",)))
        self.assertFalse(told.are_none)
        self.assertEqual(told.words(), "backends added: d; removed: c; changed: b")

    def test_settings(self) -> None:
        """Each by its path; a key's value is not told."""
        new = evolve(
            OLD,
            limits=Limits(max_body_bytes=1),
            fallbacks=Fallbacks(default=("a",)),
            access=Access((Key("alice", "secret-key"),), private_backends=False),
            drain_timeout=1.0,
            persist="/x",
        )
        told = differences(OLD, new, new)
        self.assertEqual(
            set(told.settings),
            {
                "limits.max_body_bytes", "router_settings.default_fallbacks",
                "general_settings.api_keys", "general_settings.admin.private_backends",
                "general_settings.drain_timeout", "general_settings.admin.persist",
            },
        )  # fmt: skip
        self.assertNotIn("secret-key", told.words())

    def test_what_needs_a_restart(self) -> None:
        """It is what the file says of the listener and the running process does otherwise."""
        read = evolve(OLD, server=Server(port=9), notices=(Notice("look"), Notice("by", "info")))
        told = differences(OLD, OLD, read)
        self.assertEqual(told, Differences(
            restart=("general_settings.server.port",), warnings=("look",), notes=("by",)
        ))  # fmt: skip

    def test_every_path_stands_in_the_file(self) -> None:
        """Whatever changes, it is told by a name that the documentation knows."""
        known = {path.removesuffix("[]") for path in paths()}
        for part in ("router", "limits", "logging", "access", "fallbacks"):
            for field in fields(type(getattr(OLD, part))):
                new = changed(part, field.name)
                (path,) = differences(OLD, new, new).settings
                self.assertTrue(path in known or path == "general_settings.api_keys", path)
        known.add("general_settings.server.tls")
        for field in fields(Server):
            (path,) = differences(OLD, OLD, changed("server", field.name)).restart
            self.assertIn(path, known)
        single = {f.name for f in fields(Config)} - {"backends", "fallbacks", "server", "notices"}
        for name in single - {"router", "limits", "logging", "access"}:
            new = evolve(OLD, **{name: Other()})
            (path,) = differences(OLD, new, new).settings
            self.assertIn(path, known)
