"""
Registered models survive a restart.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any
from unittest import skipIf

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.config.findings import ConfigError
from yallmp.core.registration import parse_registration
from yallmp.core.registry import Registry
from yallmp.core.settings import Access, Config
from yallmp.persistence import Persistence, encoded, load

BASE = "https://api.example.com/v1"
SECRET = "backend-key-0123456789"
#: The superuser may write everywhere.
IS_ROOT = os.name != "posix" or os.geteuid() == 0


class PersistenceCase(SynchronousTestCase):
    """Has a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.path = self.folder / "models.json"

    def started(self, *models: str, persist: bool = True, **access: Any) -> Registry:
        """A registry just started with these models in its file, restored."""
        backends = tuple(Backend(model, model, api_base=BASE) for model in models)
        config = Config(
            backends, access=Access(**access), persist=str(self.path) if persist else None
        )
        registry = Registry(config)
        Persistence(registry).restore()
        return registry

    def register(self, registry: Registry, **body: Any) -> None:
        """Register a model, and keep it."""
        registry.register(parse_registration({"api_base": BASE, **body}, Access(), 1234))
        Persistence(registry).save()


class KeepingTests(PersistenceCase):
    """What is registered is there again after a restart."""

    def test_restart(self) -> None:
        """Everything comes back: settings, keys, fallbacks, times, the order."""
        first = self.started("a")
        self.register(first, name="z/1", api_key=SECRET, weight=2, fallbacks=["a"])
        self.register(first, name="c", query={"api-version": "1"}, fallbacks=[])
        self.register(first, name="c", model="up")
        second = self.started("a")
        self.assertEqual(second.registrations, first.registrations)
        self.assertEqual(second.catalog, first.catalog)
        self.assertEqual(second.catalog.group("z/1")[0].api_key, SECRET)
        self.assertEqual(second.catalog.group("c")[0].created, 1234)

    def test_removal(self) -> None:
        """A model that was removed stays removed."""
        first = self.started("a")
        self.register(first, name="c")
        first.remove("c")
        Persistence(first).save()
        self.assertEqual(self.started("a").registrations, ())

    def test_the_file_of_the_configuration_wins(self) -> None:
        """A model that the configuration names now is not the kept one."""
        self.register(self.started("a"), name="c", model="kept")
        self.assertFalse(self.started("a", "c").catalog.group("c")[0].registered)

    def test_switched_off(self) -> None:
        """Without ``admin.persist`` nothing is written or read."""
        self.register(self.started("a", persist=False), name="c")
        self.assertFalse(self.folder.exists())

    def test_many_restarts(self) -> None:
        """What is kept does not change by being read and written again."""
        self.register(self.started(), name="c", fallbacks="x")
        once = self.path.read_bytes()
        Persistence(self.started()).save()
        self.assertEqual(self.path.read_bytes(), once)

    @given(st.text(min_size=1, max_size=20), st.lists(st.sampled_from(["x", "ü", "a/b"])))
    def test_any_key(self, key: str, fallbacks: list[str]) -> None:
        """Whatever can be registered comes back as it was."""
        body = {"name": "m", "api_base": BASE, "extra_body": {"k": key}, "fallbacks": fallbacks}
        registration = parse_registration(body, Access(), 5)
        self.folder.mkdir(exist_ok=True)
        self.path.write_bytes(encoded((registration,)))
        self.path.chmod(0o600)
        self.assertEqual(load(str(self.path), Access()), (registration,))


class FileTests(PersistenceCase):
    """The file itself."""

    @skipIf(os.name != "posix", "permissions of POSIX")
    def test_only_its_owner_reads_it(self) -> None:
        """The keys of backends are in it: 0600, also in place of one that was open."""
        self.folder.mkdir()
        self.path.write_text('{"version": 1, "models": []}')
        self.path.chmod(0o644)
        self.register(self.started(), name="c", api_key=SECRET)
        self.assertIn(SECRET, self.path.read_text())
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder), ["models.json"])

    @skipIf(os.name != "posix", "links of POSIX")
    def test_links(self) -> None:
        """A link stays one; what it points to is replaced."""
        self.folder.mkdir()
        real = self.folder / "real.json"
        self.path.symlink_to(real.absolute())
        self.register(self.started(), name="c")
        self.assertTrue(self.path.is_symlink())
        self.assertIn('"c"', real.read_text())

    def test_what_cannot_be_written(self) -> None:
        """A failure leaves nothing behind, and the old content where it was."""
        self.register(self.started(), name="c")
        before = self.path.read_bytes()
        self.patch(os, "replace", self.full)
        self.assertRaises(OSError, self.register, self.started(), name="d")
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual(os.listdir(self.folder), ["models.json"])

    def full(self, *_: Any) -> None:
        """What a full disk does."""
        raise OSError(28, "No space left on device")


class UnusableTests(PersistenceCase):
    """A file that cannot be used stops the start with one line that says what to do."""

    def refuse(self, content: bytes, *words: str, **access: Any) -> None:
        """The start fails, and the line has these words."""
        self.folder.mkdir(exist_ok=True)
        self.path.write_bytes(content)
        self.path.chmod(0o600)
        error = self.assertRaises(ConfigError, self.started, "a", **access)
        (problem,) = error.problems
        self.assertEqual(len(str(problem).splitlines()), 1)
        self.assertNotIn(SECRET, str(problem))
        for word in (str(self.path), "admin.persist", "move it away", *words):
            self.assertIn(word, str(problem))

    def test_content(self) -> None:
        """Anything but what this version writes."""
        for content in (
            b"", b"{", b"[]", b"5", b"{}", b"\xff", b'{"version": 1}',
            b'{"version": 1, "models": 5}',
            b'{"version": 1, "models": [{}]}', b'{"version": 1, "models": [5]}', b"[" * 100000,
            b'{"version": 1, "models": [{"source": 5, "fallbacks": null, "created": 1}]}',
            b'{"version": 1, "models": [{"source": {}, "fallbacks": null, "created": null}]}',
        ):  # fmt: skip
            self.refuse(content)
        self.refuse(b'{"version": 2, "models": []}', "version 2")

    def test_models(self) -> None:
        """A model that may not be registered any more is named."""
        registration = parse_registration(
            {"name": "c", "api_base": "http://127.0.0.1/v1", "api_key": SECRET}, Access(), 5
        )
        content = encoded((registration,))
        self.refuse(content, "'c'", "private_backends", private_backends=False)
        self.refuse(content.replace(b'"api_key"', b'"api_kee"'), "'c'", "api_kee")

    @skipIf(IS_ROOT, "the superuser reads everything")
    def test_unreadable(self) -> None:
        """A file that cannot be read."""
        self.folder.mkdir()
        self.path.write_text(json.dumps({"version": 1, "models": []}))
        self.path.chmod(0)
        self.assertRaises(ConfigError, self.started)

    def test_a_folder(self) -> None:
        """Something that is no file."""
        self.path.mkdir(parents=True)
        error = self.assertRaises(ConfigError, self.started)
        self.assertIn("cannot be read", str(error))

    @skipIf(os.name != "posix", "there are no such pipes")
    def test_a_pipe(self) -> None:
        """It is refused, and nobody waits for a writer."""
        self.folder.mkdir()
        os.mkfifo(self.path)
        error = self.assertRaises(ConfigError, self.started)
        self.assertIn("it is not a regular file", str(error))
