"""
``yallmp`` and ``python -m yallmp``: the daemon in the foreground, and its commands.

Without a command this is ``twistd -n yallmp`` with the same options, but without a PID
file, so that several can run in one directory.  Commands are found by name when they are
asked for: none of them costs the daemon's start anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from twisted.python.reflect import namedAny
from twisted.python.runtime import platformType
from twisted.scripts import twistd

from yallmp.options import stop
from yallmp.outlet import hold_standard_streams

#: Each takes its arguments and ends the process.
COMMANDS = {
    "check": "yallmp.check.main",
    "drill": "yallmp.drilling.rehearse",
    "replay": "yallmp.replay.main",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command in *argv* (default: the process's own arguments), or serve."""
    hold_standard_streams()
    words = sys.argv[1:] if argv is None else list(argv)
    if not words or words[0].startswith("-"):
        serve(words)
    elif words[0] in COMMANDS:
        namedAny(COMMANDS[words[0]])(words[1:])
    else:
        stop(unknown(words[0]), status=2)


def serve(options: Sequence[str]) -> None:
    """Serve in the foreground until a signal comes, by way of twistd."""
    if not _is_somewhere():
        stop(["yallmp: the current directory was removed; change to another one (cd)"])
    sys.argv[1:] = [*twistd_options(platformType), "yallmp", *options]
    twistd.run()


def _is_somewhere() -> bool:
    """Whether there is a current directory; Python and twistd take that for granted."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def twistd_options(platform: str | None) -> list[str]:
    """twistd's own options for the foreground; on Windows it has no PID file."""
    return ["--nodaemon"] if platform == "win32" else ["--nodaemon", "--pidfile="]


def unknown(word: str) -> list[str]:
    """What to say about a command that is none."""
    close = get_close_matches(word, COMMANDS, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return [f'yallmp: there is no command "{word}".{hint}', "Try: yallmp --help"]


if __name__ == "__main__":
    main()
