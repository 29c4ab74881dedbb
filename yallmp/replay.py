"""
``yallmp replay LOG``: sends a logged request again and shows the answer.

What is sent is decided in :mod:`yallmp.core.resend`, how in :mod:`yallmp.playback`; here
are the command line and the file.  Exit status: 0 for an answer 2xx, 1 for any other or
none, 2 for a log that cannot be read or replayed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from getopt import GetoptError, gnu_getopt
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from treq.client import HTTPClient
from twisted.internet.task import react
from twisted.python import usage
from twisted.web.client import Agent

from yallmp import __version__
from yallmp.core.curl import command, sayable
from yallmp.core.escapes import escape_text, visible
from yallmp.core.record import RecordError, parse
from yallmp.core.resend import CannotReplay, Choices, Resend, is_http_url, resend, without_key
from yallmp.playback import NoAnswer, Player, output
from yallmp.upstream import WholeBody

KEY_VARIABLE = "YALLMP_API_KEY"
STREAM_MODES = {"auto": None, "on": True, "off": False}

EXAMPLES = """
Examples:
  yallmp replay logs/requests/20261019_081502-3f9c2a7b10de_gpt-4o.log
      Send the request to the proxy that logged it.
  YALLMP_API_KEY=... yallmp replay --base-url https://api.openai.com --model gpt-4o LOG
      Send it elsewhere, for another model, with a key.
  yallmp replay --print-curl LOG
      Print a curl command that does the same; send nothing.
"""


def seconds(text: str) -> float:
    """*text* as a positive number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise usage.UsageError(f'--timeout: "{text}" is not a number of seconds')
    return number


def stream_mode(text: str) -> str:
    """*text* as one of the modes."""
    if text not in STREAM_MODES:
        raise usage.UsageError(f'--stream-mode: "{text}" is none of auto, on, off')
    return text


def base_url(text: str) -> str:
    """*text* as the beginning of a URL."""
    if not is_http_url(text):
        raise usage.UsageError(f'--base-url: "{text}" is not an http:// or https:// address')
    return text


class Options(usage.Options):
    """The command line of ``yallmp replay``."""

    synopsis = "Usage: yallmp replay [options] LOG"
    longdesc = ""  # EXAMPLES keep their lines; usage would fill this as one paragraph
    optParameters: ClassVar[list[list[object]]] = [
        ["base-url", None, None, "Where to send it [default: the proxy that logged it]", base_url],
        ["model", None, None, "The model to ask for [default: as logged]"],
        ["stream-mode", None, "auto", "on or off: whether to stream; auto: as logged", stream_mode],
        ["timeout", None, 600.0, "Seconds without a sign of life before giving up", seconds],
        ["api-key", None, None, f"Sent as a bearer token [default: ${KEY_VARIABLE}]"],
    ]
    optFlags: ClassVar[list[list[object]]] = [
        ["print-curl", None, "Print a curl command for a POSIX shell, and send nothing"],
        ["dry-run", None, "Show what would be sent, and send nothing"],
    ]

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        print(f"yallmp {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; options may stand before the log or behind it."""
        words = sys.argv[1:] if options is None else list(options)
        try:
            found, rest = gnu_getopt(words, self.shortOpt, self.longOpt)
        except GetoptError as error:
            raise usage.UsageError(str(error)) from None
        first = [word for name, value in found for word in self._words(name, value)]
        super().parseOptions([*first, "--", *rest])

    def _words(self, name: str, value: str) -> list[str]:
        return [name, value] if f"{name[2:]}=" in self.longOpt else [name]

    def parseArgs(self, log: str) -> None:  # type: ignore[override] # usage reads the signature
        """The log to replay."""
        self["log"] = log

    def getUsage(self, width: int | None = None) -> str:
        """The options and, with their line breaks, the examples."""
        return str(super().getUsage(width)) + EXAMPLES


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command with *argv* (default: the process's own arguments) and exit."""
    options = Options()
    try:
        options.parseOptions(sys.argv[1:] if argv is None else list(argv))
    except usage.UsageError as error:
        fail(f"{error}\nTry: yallmp replay --help")
    run(options, os.environ)


def run(options: Options, environ: Mapping[str, str]) -> NoReturn:
    """Do what *options* say, and exit."""
    request = loaded(options["log"], chosen(options, environ))
    for warning in request.warnings:
        warn(warning)
    if options["print-curl"]:
        from_environ = not options["api-key"] and environ.get(KEY_VARIABLE)
        print_curl(request, KEY_VARIABLE if from_environ else None)
    elif options["dry-run"]:
        print(preview(without_key(request)))
    else:
        react(_play, (request, options["timeout"]))
    raise SystemExit(0)


async def _play(reactor: Any, request: Resend, timeout: float) -> NoReturn:
    """Send *request* and exit with the status that its answer deserves."""
    client = HTTPClient(Agent(reactor), data_to_body_producer=WholeBody)
    player = Player(client, reactor, output(sys.stdout), warn, timeout)
    raise SystemExit(await outcome(player, request))


async def outcome(player: Player, request: Resend) -> int:
    """The exit status after *player* has sent *request*."""
    try:
        status = await player.play(request)
    except NoAnswer as trouble:
        warn(str(trouble))
        return 1
    return 0 if 200 <= status < 300 else 1


def print_curl(request: Resend, key_variable: str | None) -> None:
    """Print the command; say which headers it cannot hold."""
    kept = sayable(request)
    for name, _ in request.headers:
        if name not in dict(kept):
            warn(f"Left out, as a command line cannot hold its value: {name.decode()}.")
    print(command(request, key_variable))


def preview(request: Resend) -> str:
    """What would be sent, for a person."""
    pairs = (
        (name + b": " + value).decode("utf-8", "backslashreplace")
        for name, value in request.headers
    )
    head = [f"{request.method} {request.url}", *map(escape_text, pairs)]
    body = visible(request.body.decode("utf-8", "backslashreplace"))
    return "\n".join([*head, f"(body: {len(request.body)} bytes)", "", body])


def warn(text: str) -> None:
    """Say *text* beside the answer."""
    print(f"yallmp replay: {visible(text)}", file=sys.stderr)


def chosen(options: Options, environ: Mapping[str, str]) -> Choices:
    """What the command line and the environment choose."""
    return Choices(
        options["base-url"],
        options["model"],
        STREAM_MODES[options["stream-mode"]],
        options["api-key"] or environ.get(KEY_VARIABLE) or None,
        unasked=not options["api-key"],
    )


def loaded(path: str, choices: Choices) -> Resend:
    """The request in the log at *path*; a log that cannot be used ends the process."""
    try:
        return resend(parse(Path(path).read_bytes()), choices)
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror or error}")
    except (RecordError, CannotReplay) as error:
        fail(f"{path}: {error}")


def fail(message: str) -> NoReturn:
    """End the process with *message*: there is nothing that could be sent."""
    warn(message)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
