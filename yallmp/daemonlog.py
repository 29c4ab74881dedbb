"""
The daemon's own log: lines of text, or of JSON (``logging.format``).

Whatever is logged, one event cannot look like another: in text only the first line of an
event begins at the margin, and control characters are escaped; in JSON an event is one
line.  Known secrets are replaced in both, also within tracebacks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from attrs import frozen
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
)
from zope.interface import implementer

from yallmp.core.escapes import visible
from yallmp.core.masking import Masker
from yallmp.core.recorded import utc
from yallmp.core.settings import Logging
from yallmp.logfile import BoundedLog
from yallmp.outlet import outlet

_LEVELS = {"warning": "warn", "fatal": "critical"}


@implementer(ILogObserver)
class DaemonLog:
    """
    An observer that writes what is important enough, in the format of the moment.

    :param masker: gives the masker in force.
    """

    def __init__(self, outfile: IO[Any], masker: Callable[[], Masker], logging: Logging) -> None:
        self._outfile = outfile
        self._masker = masker
        self._write: ILogObserver
        self.change(logging)

    def __call__(self, event: LogEvent) -> None:
        """See ILogObserver."""
        self._write(event)

    def change(self, logging: Logging) -> None:
        """Write as *logging* says from now on."""
        line = json_line if logging.format == "json" else text_line
        masker = self._masker
        to_file = FileLogObserver(self._outfile, lambda event: line(event, masker()))
        least = LogLevel.lookupByName(_LEVELS.get(logging.level, logging.level))
        self._write = FilteringLogObserver(to_file, [LogLevelFilterPredicate(least)])


def text_line(event: LogEvent, masker: Masker) -> str | None:
    """*event* for a person; ``None`` if it says nothing."""
    text = _text(event, masker)
    if not text:
        return None
    indented = visible(text).replace("\n", "\n\t")
    time = utc(event.get("log_time", 0.0))[:23] + "Z"
    return f"{time} [{event.get('log_namespace', '-')}#{_level(event)}] {indented}\n"


def json_line(event: LogEvent, masker: Masker) -> str | None:
    """*event* for a program, as one JSON object; ``None`` if it says nothing."""
    text = _text(event, masker)
    if not text:
        return None
    told = {
        "time": utc(event.get("log_time", 0.0)),
        "level": _level(event),
        "namespace": event.get("log_namespace", "-"),
        "message": text,
    }
    return json.dumps({**told, **_access(event)}) + "\n"


def _access(event: LogEvent) -> dict[str, Any]:
    """The parts of a request's line, which its observer has masked."""
    access = event.get("access")
    return access if isinstance(access, dict) else {}


def _text(event: LogEvent, masker: Masker) -> str:
    """What *event* says, without known secrets; a request's line is there already."""
    said = isinstance(event.get("access"), dict)
    text = (
        event["line"] if said else eventAsText(event, includeTimestamp=False, includeSystem=False)
    )
    return masker.mask_text(text.strip("\n"))


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return "-" if level is None else str(level.name)


class LogFileError(Exception):
    """The daemon's own log cannot be written; the message is one line that says what to do."""


@frozen
class Output:
    """
    Where twistd was told to log: a file, standard output, or a place of its own (syslog).

    ``path`` is ``-`` for standard output and ``None`` for a place that is not ours to open.
    """

    path: str | None = "-"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Output:
        """What twistd's own *options* say."""
        if options.get("syslog") or options.get("logger"):
            return cls(None)
        name = options.get("logfile") or ("-" if options.get("nodaemon") else "twistd.log")
        return cls(name if name == "-" else os.path.abspath(os.path.join(_folder(options), name)))

    def outfile(self) -> IO[Any] | None:
        """
        What the daemon's log is written to; ``None`` where twistd does it.

        :raises LogFileError: the file cannot be written.
        """
        if self.path is None:
            return None
        return outlet(sys.stdout) if self.path == "-" else _opened(self.path)

    def observer(self, logging: Logging, masker: Callable[[], Masker]) -> DaemonLog | None:
        """
        What writes the daemon's log there; ``None`` to leave it to twistd.

        :raises LogFileError: the file cannot be written.
        """
        return observer_of(self.outfile(), logging, masker)


def observer_of(
    outfile: IO[Any] | None, logging: Logging, masker: Callable[[], Masker]
) -> DaemonLog | None:
    """What writes the daemon's log to *outfile*; ``None`` where that is left to twistd."""
    return None if outfile is None else DaemonLog(outfile, masker, logging)


def _opened(path: str) -> IO[Any]:
    """The file at *path*; a new one is its owner's alone, an old one stays as it is."""
    try:
        mode = None if os.path.exists(path) else 0o600
        file: IO[Any] = BoundedLog.fromFullPath(path, defaultMode=mode)
    except OSError as error:
        raise LogFileError(
            f"the log {path} cannot be written ({error.strerror}); choose another (--logfile)"
        ) from None
    return file


def _folder(options: Mapping[str, Any]) -> str:
    """The directory that a daemon changes to."""
    return str(options.get("rundir") or ".") if not options.get("nodaemon") else "."
