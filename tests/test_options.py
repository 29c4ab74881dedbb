"""The command line: flags beat the file, and mistakes are told in a line."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.scripts import twistd
from twisted.trial.unittest import SynchronousTestCase

from yallmp import __main__ as commands
from yallmp import __version__, options
from yallmp.core.settings import Config, Server
from yallmp.options import Options
from yallmp.source import Flags

ROOT = Path(__file__).parent.parent
GOOD = """\
model_list:
  - model_name: demo
    litellm_params: {mock_response: hello}
general_settings:
  server: {host: 127.0.0.2, port: 8123}
"""


class OptionsCase(SynchronousTestCase):
    """Options, read in a directory of their own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)

    def write(self, text: str, name: str = "config.yaml") -> str:
        """A configuration; its absolute path."""
        Path(name).write_text(text, encoding="utf-8")
        return os.path.abspath(name)

    def parsed(self, *words: str, environ: dict[str, str] | None = None) -> Options:
        """The options for *words*."""
        options = Options(environ or {})
        options.parseOptions(list(words))
        return options

    def refused(self, *words: str) -> tuple[int, str]:
        """The exit status and what stderr says of *words*."""
        said = io.StringIO()
        with redirect_stderr(said):
            error = self.assertRaises(SystemExit, self.parsed, *words)
        return int(str(error.code)), said.getvalue()

    def shown(self, *words: str) -> str:
        """What stdout says when *words* only ask for something."""
        said = io.StringIO()
        with redirect_stdout(said):
            error = self.assertRaises(SystemExit, self.parsed, *words)
        self.assertEqual(error.code, 0)
        return said.getvalue()


class LoadingTests(OptionsCase):
    """Where the configuration comes from."""

    def test_the_file_here(self) -> None:
        """Without an option it is ./config.yaml, as it stands."""
        self.write(GOOD)
        config = self.parsed().config
        self.assertEqual(config.server, Server("127.0.0.2", 8123))

    def test_the_environment_names_it(self) -> None:
        """$YALLMP_CONFIG comes before ./config.yaml."""
        self.write(GOOD)
        other = self.write(GOOD.replace("8123", "8124"), "other.yaml")
        config = self.parsed(environ={"YALLMP_CONFIG": other}).config
        self.assertEqual(config.server.port, 8124)

    def test_the_option_names_it(self) -> None:
        """-c comes before both, and its path is kept absolute."""
        path = self.write(GOOD, "mine.yaml")
        options = self.parsed("-c", "mine.yaml", environ={"YALLMP_CONFIG": "other.yaml"})
        self.assertEqual(options.source.path, path)

    def test_it_can_be_loaded_again(self) -> None:
        """The source stays the same wherever the process goes; its flags still hold."""
        path = self.write(GOOD)
        options = self.parsed("-p", "9000")
        os.chdir("/")
        Path(path).write_text(GOOD.replace("127.0.0.2", "127.0.0.3"), encoding="utf-8")
        self.assertEqual(options.source.load().server, Server("127.0.0.3", 9000))


class FlagTests(OptionsCase):
    """What flags change."""

    def test_flags_beat_the_file(self) -> None:
        """Each in its place."""
        self.write(GOOD)
        config = self.parsed("--port", "0", "--host", "::1", "--log-dir", "elsewhere").config
        self.assertEqual(config.server, Server("::1", 0))
        self.assertEqual(config.logging.directory, os.path.abspath("elsewhere"))

    def test_workers(self) -> None:
        """A number, or one for each core, at whatever endpoint the file says."""
        config = Config(server=Server(listen="tcp:1"))
        self.assertEqual(Flags(workers=3).over(config).server, Server(listen="tcp:1", workers=3))
        self.write(GOOD)
        for word, count in (("4", 4), ("auto", 0)):
            self.assertEqual(self.parsed("--workers", word).config.server.workers, count)
        for word in ("0", "-1", "129", "", "all", "٣"):
            status, said = self.refused(f"--workers={word}")
            self.assertEqual(status, 2)
            self.assertIn(f'--workers: "{word}" is neither auto nor a number', said)

    def test_a_flag_beats_an_endpoint(self) -> None:
        """Host and port take the place of server.listen."""
        config = Flags(port=9000).over(Config(server=Server(listen="unix:/run/x")))
        self.assertEqual(config.server, Server(port=9000, listen=None))

    def test_no_flag_changes_nothing(self) -> None:
        """The file's endpoint is left alone."""
        config = Config(server=Server(listen="unix:/run/x"))
        self.assertEqual(Flags().over(config), config)

    def test_bad_ports(self) -> None:
        """The message says what a port is."""
        for port in ("65536", "-1", "http", "", "1e3", "٣"):
            status, said = self.refused(f"--port={port}")
            self.assertEqual(status, 2)
            self.assertIn(f'--port: "{port}" is not a port number (0 to 65535)', said)
        self.assertIn("is not a port number", self.refused(f"--port={'9' * 5000}")[1])

    def test_empty_values(self) -> None:
        """An empty host would listen on all addresses without saying so."""
        for flag in ("host", "log-dir"):
            status, said = self.refused(f"--{flag}=")
            self.assertEqual(status, 2)
            self.assertIn(f"--{flag}: ", said)

    def test_unknown_options(self) -> None:
        """Two lines, not the whole help."""
        status, said = self.refused("--prot", "9000")
        self.assertEqual((status, said.count("\n")), (2, 2))
        self.assertIn("prot", said)

    def test_stray_arguments(self) -> None:
        """A file without -c is not taken silently."""
        self.assertEqual(self.refused("config.yaml")[0], 2)


class MistakeTests(OptionsCase):
    """A configuration that is none."""

    def test_all_problems_at_once(self) -> None:
        """One a line, with the status 1."""
        self.write("model_list:\n  - model_nam: a\n    litellm_params: {api_bas: b}\n")
        status, said = self.refused()
        self.assertEqual(status, 1)
        self.assertIn("model_nam", said)
        self.assertIn("api_bas", said)
        self.assertNotIn("Traceback", said)

    def test_nothing_acts_on_the_terminal(self) -> None:
        """A name that holds control characters is shown."""
        self.write('"mod\\e[2Jels": []\n')
        _, said = self.refused()
        self.assertNotIn("\x1b", said)
        self.assertIn("mod\\x1b[2Jels", said)

    def test_what_is_found_before_anything_is_loaded(self) -> None:
        """A log directory that is none, told in a line without control characters."""
        loaded: list[object] = []
        self.patch(options, "_alone", lambda *args: loaded.append(args))
        self.write(GOOD)
        self.write("", "file")
        for given, shown in (("file", "file cannot"), ("a\0\x1bb", "a\\x00\\x1bb cannot")):
            parsed = self.parsed("--port=0", f"--log-dir={given}")
            said = io.StringIO()
            with redirect_stderr(said):
                error = self.assertRaises(SystemExit, options.makeService, parsed)
            self.assertEqual((error.code, loaded), (1, []))
            self.assertIn(shown, said.getvalue())

    def test_no_file(self) -> None:
        """The path stands in the message, as it was given."""
        status, said = self.refused("-c", "nowhere.yaml")
        self.assertEqual(status, 1)
        self.assertTrue(said.startswith("nowhere.yaml"), said)


class HelpTests(OptionsCase):
    """What the command line says of itself."""

    def test_help(self) -> None:
        """Every option, every command, and examples with their line breaks."""
        said = self.shown("--help")
        for word in ("--config", "--port", "--host", "--log-dir", *commands.COMMANDS):
            self.assertIn(word, said)
        self.assertIn("\nExamples:\n  yallmp\n", said)

    def test_version(self) -> None:
        """Ours, not Twisted's."""
        self.assertEqual(self.shown("--version"), f"yallmp {__version__}\n")


class CommandTests(SynchronousTestCase):
    """``yallmp`` and its commands."""

    def test_an_unknown_command(self) -> None:
        """The closest one is named."""
        said = io.StringIO()
        with redirect_stderr(said):
            error = self.assertRaises(SystemExit, commands.main, ["chekc"])
        self.assertEqual(error.code, 2)
        self.assertIn('"chekc". Did you mean "check"?', said.getvalue())

    def test_the_foreground_leaves_no_pid_file(self) -> None:
        """Two can run in one directory; Windows knows no such option."""
        self.assertEqual(commands.twistd_options("posix"), ["--nodaemon", "--pidfile="])
        self.assertEqual(commands.twistd_options("win32"), ["--nodaemon"])

    def test_twistd_gets_the_options(self) -> None:
        """Everything after the name is the plugin's."""
        self.patch(sys, "argv", ["yallmp"])
        self.patch(twistd, "run", lambda: None)
        commands.main(["-p", "9000"])
        self.assertEqual(sys.argv[-3:], ["yallmp", "-p", "9000"])


REACTOR = """\
import sys
if "{first}":
    __import__("{first}")
if not {epoll}:
    sys.modules["yallmp.lightreactor"] = None
from yallmp.options import Options
options = Options({{}})
options.parseOptions(["-c", "config.yaml"])
from twisted.internet import reactor, default
stock = type(reactor).__module__ == default.install.__module__
print("twisted" if stock else type(reactor).__name__)
"""


class ReactorTests(OptionsCase):
    """Which reactor the process gets."""

    def chosen(self, setting: str, first: str = "", epoll: bool = True) -> str:
        """What it is with *setting*, in a process that imports *first* before anything else."""
        self.write(GOOD.replace("port: 8123", f"port: 8123, reactor: {setting}"))
        code = REACTOR.format(first=first, epoll=epoll)
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        return done.stdout.strip()

    def test_ours(self) -> None:
        """By default, where it can be."""
        self.write(GOOD)
        self.assertEqual(self.parsed().config.server.reactor, "light")
        ours = "LightReactor" if hasattr(select, "epoll") else "twisted"
        self.assertEqual(self.chosen("light"), ours)

    def test_twisteds(self) -> None:
        """If the file says so, if twistd has made one already, and where there is no epoll."""
        self.assertEqual(self.chosen("twisted"), "twisted")
        self.assertEqual(self.chosen("light", first="twisted.internet.reactor"), "twisted")
        self.assertEqual(self.chosen("light", epoll=False), "twisted")


class ImportTests(SynchronousTestCase):
    """What importing costs."""

    def test_no_reactor(self) -> None:
        """twistd can still choose one after the options are read."""
        look = "import sys, yallmp.options; sys.exit('twisted.internet.reactor' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=False)
        self.assertEqual(done.returncode, 0)
