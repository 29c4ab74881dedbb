"""The configuration is read again beside the one in force, with everything that it needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests import logged
from tests.test_names import Reactor
from yallmp.core.changes import Reload
from yallmp.core.errors import BadConfiguration
from yallmp.core.families import RELOADED, RELOADS_FAILED
from yallmp.core.masking import Masker
from yallmp.rereading import PATIENCE, History, Rereading, reading
from yallmp.source import Flags, Source

GOOD = "model_list: [{model_name: m, litellm_params: {mock_response: hi}}]\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"
KEPT = {"model_name": "kept", "litellm_params": {"api_base": "https://h.example/v1"}}


class RereadingCase(SynchronousTestCase):
    """A folder with a configuration."""

    def setUp(self) -> None:
        self.folder = Path(os.path.abspath(self.mktemp()))
        self.folder.mkdir()
        self.file = self.folder / "c.yaml"
        self.write(GOOD)

    def write(self, text: str) -> None:
        """The file is this now."""
        self.file.write_text(text)

    @property
    def source(self) -> Source:
        """Where it comes from."""
        return Source(str(self.file), Flags(log_dir=str(self.folder / "logs")), {})

    def refused(self) -> BadConfiguration:
        """Why it cannot be used."""
        return self.assertRaises(BadConfiguration, reading, self.source, 5)  # type: ignore[no-any-return]


class ReadingTests(RereadingCase):
    """What is found out."""

    def test_good(self) -> None:
        """Flags win, its models have come now, and the log directory is there."""
        change = reading(self.source, 5)
        self.assertEqual(change.config.backends[0].created, 5)
        self.assertTrue((self.folder / "logs" / "requests").is_dir())
        self.assertEqual(change.config.server.workers, 1)

    def test_all_problems(self) -> None:
        """As they are told at the start, with the file and the line."""
        self.write(GOOD + "limits: {max_body_bytes: soon}\nlogging: {levle: info}\n")
        error = self.refused()
        self.assertEqual(error.status, 400)
        self.assertEqual([p.split(": ")[0] for p in error.problems], [
            f"{self.file}:2", f"{self.file}:3"
        ])  # fmt: skip

    def test_no_file(self) -> None:
        """It may be gone, half written, or something else."""
        for make in (self.file.unlink, lambda: self.write(GOOD[:30]), lambda: self.write("")):
            make()
            self.assertIn(str(self.file), self.refused().problems[0])
        self.file.unlink()
        self.file.mkdir()
        self.assertIn("regular file", self.refused().problems[0])

    def test_dotenv_is_read_again(self) -> None:
        """Like the file itself."""
        self.write(GOOD.replace("hi", "$SAYS"))
        for says in ("one", "two"):
            (self.folder / ".env").write_text(f"SAYS={says}\n")
            self.assertEqual(reading(self.source, 5).config.backends[0].mock_response, says)

    def test_bad_certificates(self) -> None:
        """What looks like one may be none."""
        (self.folder / "ca.pem").write_text(CERTIFICATE)
        self.write(GOOD.replace("hi}", "hi, ssl_ca_file: ca.pem}"))
        self.assertIn("ssl_ca_file", self.refused().problems[0])

    def test_no_log_directory(self) -> None:
        """The file is good, but it cannot be in force here."""
        (self.folder / "logs").write_text("")
        error = self.refused()
        self.assertEqual(error.status, 409)
        self.assertIn("cannot be written", error.problems[0])

    def test_models_that_were_kept(self) -> None:
        """They come along, so that a file that is named now loses none; a bad one is refused."""
        self.write(GOOD + "general_settings: {admin: {persist: models.json}}\n")
        path = self.folder / "models.json"
        path.write_text(json.dumps(
            {"version": 1, "models": [{"created": 7, "fallbacks": None, "source": KEPT}]}
        ))  # fmt: skip
        path.chmod(0o600)
        (kept,) = reading(self.source, 5).kept
        self.assertEqual(kept.model_name, "kept")
        path.write_text("x")
        self.assertIn(str(path), self.refused().problems[0])


class ThreadTests(RereadingCase):
    """Reading elsewhere."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = Reactor()
        self.works: list[Callable[[], None]] = []
        self.wall = 5.0
        masker = Masker({"a-known-secret-value"})
        self.rereading = Rereading(
            self.source, self.reactor, lambda: self.wall, lambda: masker, self.works.append
        )
        self.said = logged.texts(self)

    def read(self) -> Deferred[Reload]:
        """Read in a thread that a test runs."""
        return Deferred.fromCoroutine(self.rereading())

    def test_good(self) -> None:
        """Nothing is read before the thread does."""
        read = self.read()
        self.assertNoResult(read)
        self.works.pop()()
        self.assertEqual(self.successResultOf(read).config.backends[0].name, "m")
        self.assertEqual((self.said, self.reactor.getDelayedCalls()), ([], []))

    def test_bad(self) -> None:
        """It is logged once, with all problems, and no secret that is known stands there."""
        self.write(GOOD + "limits: {max_body_bytes: a-known-secret-value}\n")
        read = self.read()
        self.works.pop()()
        error = self.failureResultOf(read, BadConfiguration).value
        self.assertIn(error.problems[0], self.said[0])
        self.assertIn("stays in force", self.said[0])
        self.assertNotIn("a-known-secret-value", self.said[0] + error.message)

    def test_what_came_of_it_so_far(self) -> None:
        """The metrics tell when the one in force was read, and how often that failed."""
        history = self.rereading.history
        self.assertEqual(history, History(5.0, 0))
        self.wall = 6.0
        self.read()
        self.works.pop()()
        self.assertEqual(history, History(6.0, 0))
        self.wall = 7.0
        self.write("x")
        failing = self.read()
        self.works.pop()()
        self.failureResultOf(failing, BadConfiguration)
        self.assertEqual(history, History(6.0, 1))
        told = {family: values[()] for family, values in history.read()}
        self.assertEqual(told, {RELOADED: [6.0], RELOADS_FAILED: [1]})

    def test_a_disk_that_hangs(self) -> None:
        """It is given up, and what comes of it later goes nowhere."""
        read = self.read()
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.failureResultOf(read, BadConfiguration).value.status, 409)
        self.works.pop()()

    def test_a_bug(self) -> None:
        """Whoever waits hears of it all the same."""
        self.patch(Source, "load", lambda _: 1 / 0)
        read = self.read()
        self.works.pop()()
        self.failureResultOf(read, ZeroDivisionError)
