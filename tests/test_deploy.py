"""What stands in ``deploy/`` and the ``Dockerfile``: that it fits the rest of the project."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from yallmp import files
from yallmp.core.config import ConfigError
from yallmp.core.settings import Config
from yallmp.daemon import AFTER_DRAIN

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "deploy" / "docker"
IMAGE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
KEYS = {"YALLMP_API_KEY": "a-key-of-some-length", "YALLMP_ADMIN_KEY": "another-key-of-some-length"}


class ImageTests(SynchronousTestCase):
    """The image."""

    def test_what_is_copied_is_there(self) -> None:
        """Everything that the Dockerfile takes from the repository."""
        sources = re.findall(r"^COPY (?!--from)(.+) \S+$", IMAGE, re.MULTILINE)
        self.assertGreater(len(sources), 3)
        for name in " ".join(sources).split():
            self.assertTrue((ROOT / name).exists(), name)

    def test_it_is_not_root(self) -> None:
        """What runs is another user's, and owns where it writes."""
        self.assertIn("\nUSER yallmp\n", IMAGE)
        self.assertIn("-o yallmp -g yallmp -m 0700 /data", IMAGE)

    def test_somebody_asks_how_it_is(self) -> None:
        """By the endpoint that asks nobody else."""
        self.assertRegex(IMAGE, r"HEALTHCHECK (?:.|\n)*/health'")


class ConfigurationTests(SynchronousTestCase):
    """What the image serves by itself."""

    path = str(DOCKER / "config.yaml")

    def test_it_is_closed(self) -> None:
        """Clients and the administrator need keys."""
        access = files.load(self.path, KEYS).access
        self.assertEqual([key.name for key in access.keys], ["default"])
        self.assertEqual(access.admin_key, KEYS["YALLMP_ADMIN_KEY"])

    def test_it_does_not_start_open(self) -> None:
        """A key that was forgotten is an error that names its variable."""
        error = self.assertRaises(ConfigError, files.load, self.path, {})
        for name in KEYS:
            self.assertIn(name, str(error))


class ComposeTests(SynchronousTestCase):
    """The example for ``docker compose``."""

    def setUp(self) -> None:
        text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
        self.service = yaml.safe_load(text)["services"]["yallmp"]

    def test_the_keys_are_asked_for(self) -> None:
        """compose itself refuses to start without them."""
        for name in KEYS:
            self.assertTrue(self.service["environment"][name].startswith(f"${{{name}:?"))

    def test_it_may_end_in_peace(self) -> None:
        """It gets longer than requests do."""
        needed = Config().drain_timeout + AFTER_DRAIN
        self.assertGreater(int(self.service["stop_grace_period"].rstrip("s")), needed)

    def test_it_may_do_little(self) -> None:
        """No capabilities, nothing to write to but its volume; the port is for this machine."""
        self.assertEqual(self.service["cap_drop"], ["ALL"])
        self.assertTrue(self.service["read_only"])
        self.assertEqual(self.service["ports"], ["127.0.0.1:8000:8000"])
