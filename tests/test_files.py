"""The files of a configuration, on a real file system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from yallmp import files
from yallmp.core.config import ConfigError
from yallmp.core.config.yamltree import MAX_BYTES

MOCK = "model_list: [{model_name: m, litellm_params: {mock_response: $TEXT}}]\n"


class FileCase(SynchronousTestCase):
    """A folder to write into."""

    def setUp(self) -> None:
        """Make it."""
        self.folder = Path(os.path.abspath(self.mktemp()))
        self.folder.mkdir()

    def write(self, name: str, content: str | bytes) -> str:
        """The path of a new file."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def problems(self, path: str, environ: dict[str, str] | None = None) -> list[str]:
        """What is wrong with a configuration."""
        error: Any = self.assertRaises(ConfigError, files.load, path, environ or {"TEXT": "t"})
        return [str(problem) for problem in error.problems]


class LoadTests(FileCase):
    """The file itself."""

    def test_load(self) -> None:
        """It is read; paths start from its folder; a byte order mark is no harm."""
        path = self.write("c.yaml", b"\xef\xbb\xbf" + MOCK.encode())
        config = files.load(path, {"TEXT": "hello"})
        self.assertEqual(config.backends[0].mock_response, "hello")
        self.assertEqual(config.logging.directory, str(self.folder / "logs"))

    def test_relative(self) -> None:
        """The name is shown as given; the folder is absolute all the same."""
        path = os.path.relpath(self.write("c.yaml", MOCK))
        self.assertEqual(
            files.load(path, {"TEXT": "x"}).logging.directory, str(self.folder / "logs")
        )
        self.assertTrue(self.problems(path, {"A": ""})[0].startswith(f"{path}:1: model_list[0]."))

    def test_missing(self) -> None:
        """One line that says what to do."""
        path = str(self.folder / "none.yaml")
        self.assertEqual(
            self.problems(path),
            [f"{path}: there is no such file; name it with -c FILE or in $YALLMP_CONFIG"],
        )

    def test_not_a_file(self) -> None:
        """A folder, a pipe."""
        self.assertIn("it is not a regular file", self.problems(str(self.folder))[0])
        os.mkfifo(self.folder / "pipe")
        self.assertIn("it is not a regular file", self.problems(str(self.folder / "pipe"))[0])

    def test_too_large(self) -> None:
        """One MiB is enough."""
        path = self.write("c.yaml", MOCK + "#" * MAX_BYTES)
        self.assertEqual(
            self.problems(path), [f"{path}: it cannot be read: it is larger than 1048576 bytes"]
        )

    def test_not_utf8(self) -> None:
        """With the line."""
        path = self.write("c.yaml", b"a: 1\nb: \xff\n")
        self.assertEqual(self.problems(path), [f"{path}:2: this is not UTF-8"])

    def test_key_file(self) -> None:
        """A key in a file beside it, and one that is not there."""
        self.write("key", "sk-1\n")
        text = (
            "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key_file: %s}}]\n"
        )
        config = files.load(self.write("c.yaml", text % "key"), {})
        self.assertEqual(config.backends[0].api_key, "sk-1")
        (said,) = self.problems(self.write("c.yaml", text % "nokey"))
        self.assertIn("api_key_file: nokey cannot be read: No such file or directory", said)


class DotenvTests(FileCase):
    """``.env`` beside the configuration."""

    def test_environment_wins(self) -> None:
        """It fills in what the environment does not say."""
        path = self.write("c.yaml", MOCK)
        self.write(".env", "TEXT=from-dotenv\n")
        for environ, text in [({}, "from-dotenv"), ({"TEXT": "real"}, "real")]:
            self.assertEqual(files.load(path, environ).backends[0].mock_response, text)

    def test_a_folder(self) -> None:
        """A virtual environment of that name is passed over."""
        path = self.write("c.yaml", MOCK)
        (self.folder / ".env").mkdir()
        self.assertEqual(len(files.load(path, {"TEXT": "x"}).backends), 1)

    def test_wrong_lines(self) -> None:
        """They are told with the name of the file, never shown."""
        path = self.write("c.yaml", MOCK)
        self.write(".env", "A=1\nsk-secret\n")
        self.assertEqual(self.problems(path), [f"{self.folder}/.env:2: this is not NAME=value"])


class FindTests(SynchronousTestCase):
    """Which file."""

    def test_order(self) -> None:
        """The option, else the variable, else the default; an empty variable is none."""
        environ = {"YALLMP_CONFIG": "/e.yaml"}
        self.assertEqual(files.find("/o.yaml", environ, "/w"), "/o.yaml")
        self.assertEqual(files.find(None, environ, "/w"), "/e.yaml")
        self.assertEqual(files.find(None, {"YALLMP_CONFIG": ""}, "/w"), "/w/config.yaml")
        self.assertEqual(files.find("o.yaml", {}, "/w"), "/w/o.yaml")

    def test_as_written(self) -> None:
        """In the process's own directory a relative path stays as it is."""
        self.assertEqual(files.find("sub/o.yaml", {}, os.getcwd()), "sub/o.yaml")
        self.assertEqual(files.find(None, {}, os.getcwd()), "config.yaml")
