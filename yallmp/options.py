"""
The command line of ``twistd yallmp`` and ``yallmp``.

Options are read, and the configuration with them, before twistd makes itself a daemon
and changes directory: what is wrong is said on the terminal at once, and relative paths
mean what they say there.  Nothing imported here loads the reactor, so that twistd can
still choose one; :func:`makeService` imports the rest when it is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, NoReturn

from attrs import evolve
from twisted.application.service import IService
from twisted.python import usage

from yallmp import __version__, files
from yallmp.core.config import ConfigError
from yallmp.core.config.listenkinds import MAX_WORKERS, worker_count
from yallmp.core.escapes import visible
from yallmp.core.settings import Config
from yallmp.daemonlog import Output
from yallmp.listening import ListeningError, check_listening
from yallmp.reactors import install_reactor
from yallmp.recorder import RecorderError, check_directory
from yallmp.source import Flags, Source, counted

SYNOPSIS = """\
Usage: yallmp [options]                          in the foreground
       twistd yallmp [options]                   as a daemon (twistd -n: in the foreground)
       yallmp check | drill | replay | --help    commands with options of their own"""

EXAMPLES = """
Commands:
      check      Read the configuration, report every problem, show what it means.
      drill      Rehearse failover on this configuration, without calling anybody.
      replay     Send a logged request again.

Examples:
  yallmp
      Serve with $YALLMP_CONFIG, or config.yaml in this directory.
  twistd --pidfile=/run/yallmp.pid yallmp -c /etc/yallmp/config.yaml
      The same as a daemon, with another configuration.
  yallmp --port 9000 --log-dir /tmp/yallmp
      For once on another port, with its logs elsewhere.
"""


def port_number(text: str) -> int:
    """*text* as a TCP port; 0 lets the system choose."""
    digits = text.lstrip("0") or "0"
    if not (text.isascii() and text.isdigit() and len(digits) <= 5 and int(digits) <= 65535):
        raise usage.UsageError(f'--port: "{text[:20]}" is not a port number (0 to 65535)')
    return int(digits)


def address(text: str) -> str:
    """*text* as an address to listen on; an empty one would mean all of them, unsaid."""
    if not text.strip():
        raise usage.UsageError("--host: an address is missing (0.0.0.0 is every IPv4 address)")
    return text.strip()


def workers(text: str) -> int:
    """*text* as a number of processes; 0 is one for each core."""
    count = worker_count(text)
    if count is None:
        raise usage.UsageError(
            f'--workers: "{text}" is neither auto nor a number from 1 to {MAX_WORKERS}'
        )
    return count


def directory(text: str) -> str:
    """*text* as an absolute path, which a daemon's change of directory leaves alone."""
    if not text:
        raise usage.UsageError("--log-dir: a directory is missing")
    return os.path.abspath(text)


def stop(lines: Sequence[str], status: int = 1) -> NoReturn:
    """End the process for a mistake that its user can mend: *lines* on stderr, no traceback."""
    print(visible("\n".join(lines)), file=sys.stderr)
    raise SystemExit(status)


class Options(usage.Options):
    """
    The options, parsed; ``config`` and ``source`` are set once they are.

    A mistake on the command line or in the configuration ends the process.
    """

    synopsis = SYNOPSIS
    longdesc = ""  # EXAMPLES keep their lines; usage would fill this as one paragraph
    optParameters: ClassVar[list[list[object]]] = [
        ["config", "c", None, "The configuration [default: $YALLMP_CONFIG, else config.yaml]"],
        ["port", "p", None, "The port to listen on; beats the file", port_number],
        ["host", None, None, "The address to listen on; beats the file", address],
        ["workers", None, None, "How many processes serve, or auto; beats the file", workers],
        ["log-dir", None, None, "Where request and error logs go; beats the file", directory],
    ]

    source: Source
    config: Config

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__()
        self.environ = environ

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        print(f"yallmp {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; what is wrong is said in a line or a few, in place of twistd's whole help."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            stop([f"yallmp: {error}", "Try: yallmp --help"], status=2)

    def postOptions(self) -> None:
        """Find and load the configuration, while the working directory is still the user's."""
        found = files.find(self["config"], self.environ, os.getcwd())
        flags = Flags(self["port"], self["host"], self["log-dir"], self["workers"])
        self.source = Source(os.path.abspath(found), flags, self.environ)
        try:
            self.config = evolve(self.source, path=found).load()  # messages name it as given
        except ConfigError as error:
            stop([str(problem) for problem in error.problems])
        install_reactor(self.config.server.reactor)

    def getSynopsis(self) -> str:
        """The same text under twistd and without it."""
        return self.synopsis

    def getUsage(self, width: int | None = None) -> str:
        """The options and, with their line breaks, the examples."""
        return str(super().getUsage(width)) + EXAMPLES


def makeService(options: Options) -> IService:
    """The service that twistd runs: the proxy itself, or what supervises several of them."""
    config = counted(options.config)
    _look_around(config)
    make = _alone if config.server.workers == 1 else _supervisor
    return make(config, Output.of(options.parent or {}), options.source)


def _look_around(config: Config) -> None:
    """
    Find out what most often keeps a daemon from starting, before all of it is loaded.

    It is looked at once more when the parts are made; but loading those takes a second.
    """
    try:
        check_directory(config.logging.directory)
        check_listening(config.server)
    except (RecorderError, ListeningError) as error:
        _cannot_start(error)


def _alone(config: Config, output: Output, source: Source) -> IService:
    from yallmp import tap  # noqa: PLC0415 - it loads the reactor, which twistd may yet choose

    try:
        return tap.makeService(config, output, source=source)
    except tap.CANNOT_START as error:
        _cannot_start(error)


def _supervisor(config: Config, output: Output, source: Source) -> IService:
    from yallmp import fleet  # noqa: PLC0415 - it does, too, and tap would be too much

    try:
        return fleet.makeService(config, output, source=source)
    except fleet.CANNOT_START as error:
        _cannot_start(error)


def _cannot_start(error: Exception) -> NoReturn:
    stop([f"yallmp: {visible(line)}" for line in str(error).splitlines()])
