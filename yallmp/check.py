"""
``yallmp check``: what a configuration means, said without calling anybody.

The report is a value (:mod:`yallmp.core.meaning`); the text and the JSON are two ways to write
it down.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from attrs import asdict, evolve

from yallmp import files
from yallmp.certificates import CertificateError, check_certificates
from yallmp.core.backend import Backend
from yallmp.core.config import ConfigError
from yallmp.core.escapes import visible
from yallmp.core.meaning import Destination, Model, Report, report_of
from yallmp.core.tablewords import told
from yallmp.identity import IdentityError, check_identity
from yallmp.rereading import notices

EXAMPLES = """\
examples:
  yallmp check
      Check $YALLMP_CONFIG, or config.yaml in this directory.
  yallmp check /etc/yallmp/config.yaml --strict && systemctl reload yallmp
      Reload only what is good, and without a warning.

The status is 0 if yallmp would start with this file, otherwise 1.
"""

#: A backend of which the file says nothing but where it is.
_PLAIN = Backend("", "")
_SAID_OF = {"parameters": "defaults for", "fixed": "itself sets", "parse": "texts are read:"}


def main(argv: Sequence[str]) -> NoReturn:
    """Check the file that *argv* names, or the one that the daemon would take, and exit."""
    options = parser().parse_args(argv)
    path = files.find(options.file, os.environ, os.getcwd())
    try:
        config = files.load(path, os.environ)
        check_certificates(config.backends)
        check_identity(config.server)
    except ConfigError as error:
        fail(path, [str(problem) for problem in error.problems], as_json=options.json)
    except (CertificateError, IdentityError) as error:
        fail(path, [f"{path}: {error}"], as_json=options.json)
    config = evolve(config, notices=(*config.notices, *notices(config, time.time())))
    report = report_of(path, config, strict=options.strict)
    print(as_json(report) if options.json else visible("\n".join(as_text(report))))
    sys.exit(0 if report.ok else 1)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="yallmp check",
        description="Read the configuration, report every problem, show what it means.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("file", nargs="?", help="default: $YALLMP_CONFIG, else config.yaml")
    result.add_argument("--strict", action="store_true", help="a warning is a problem, too")
    result.add_argument("--json", action="store_true", help="for programs")
    return result


def fail(path: str, problems: Sequence[str], *, as_json: bool) -> NoReturn:
    """Report what keeps the file at *path* from being a configuration, and exit with 1."""
    if as_json:
        print(json.dumps({"file": path, "ok": False, "problems": problems}, indent=2))
    else:
        said = "\n".join([*problems, f"{path}: {counted(len(problems), 'problem')}"])
        print(visible(said), file=sys.stderr)
    sys.exit(1)


def as_json(report: Report) -> str:
    """The report for programs; ``problems`` is there as it is for a bad file."""
    return json.dumps({**asdict(report), "problems": []}, indent=2)


def as_text(report: Report) -> Iterator[str]:
    """The report for people, in lines."""
    yield from (f"warning: {text}" for text in report.warnings)
    yield from (f"note: {text}" for text in report.notes)
    yield from verdict(report)
    yield f"It listens on {report.listens_on}{staffed(report)} and writes logs to {report.logs}."
    yield asked_for(report.keys)
    for model in report.models:
        yield from ("", *model_lines(model))
    if report.aliases:
        yield from ("", *(f"{alias} is another name for {name}" for alias, name in report.aliases))
    yield from told((model.name, model.table) for model in report.models)


def staffed(report: Report) -> str:
    """With how many processes it listens, in words, if that is worth any."""
    if report.workers == "auto":
        return " with a worker for each core"
    return "" if report.workers == "1" else f" with {report.workers} workers"


def asked_for(keys: Sequence[str]) -> str:
    """Whom it serves, in a line."""
    if keys:
        return f"It asks clients for a key ({', '.join(keys)})."
    return "It asks clients for no key, and serves this machine and private networks only."


def verdict(report: Report) -> Iterator[str]:
    """Whether the file is good, in a line."""
    if report.ok:
        yield f"{report.file} is good: {counted(len(report.models), 'model')}."
    else:
        warnings = counted(len(report.warnings), "warning")
        yield f"{report.file} would do, but has {warnings}, and --strict allows none."


def model_lines(model: Model) -> Iterator[str]:
    """A model's name and, below it, what serves it."""
    yield model.name
    shared = len({backend.order for backend in model.backends}) < len(model.backends)
    for number, backend in enumerate(model.backends, 1):
        yield f"  {number}. {backend.name}: {', '.join(facts(backend, shared=shared))}"
    lists = {
        "then": model.fallbacks,
        "if the context is too long": model.context_window_fallbacks,
        "if a content filter refuses": model.content_policy_fallbacks,
    }
    yield from (f"  {when}: {', '.join(names)}" for when, names in lists.items() if names)


def facts(backend: Destination, *, shared: bool) -> Iterator[str]:
    """
    What to know of a backend, in a few words each.

    :param shared: whether it shares the load with others of its model.
    """
    if not backend.url:
        yield "answered here (mock_response)"
        return
    yield backend.url
    yield f'asked for "{backend.sends}"' if backend.sends else "asked for the rest of the name"
    yield "with a key" if backend.has_key else "without a key"
    if backend.proxy is not None:
        yield f"through the proxy {backend.proxy}"
    if backend.api_type != "openai" or backend.also:
        yield f"speaks {' and '.join((backend.api_type, *backend.also))}"
    if shared:
        yield f"order {backend.order}, weight {backend.weight:g}"
    for verb in ("parameters", "fixed", "parse"):
        if getattr(backend, verb):
            yield f"{_SAID_OF[verb]} {', '.join(getattr(backend, verb))}"
    for setting in ("stream_rescue", "stream_commit", "prefill"):
        value = getattr(backend, setting)
        if value != getattr(_PLAIN, setting):
            yield f"{setting} {value}"


def counted(number: int, noun: str) -> str:
    """*number* and *noun*, in the plural where it has to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
