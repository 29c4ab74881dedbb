"""
``yallmp check``: what a configuration means, said without calling anybody.

The report is a value, :class:`Report`, made of the same catalog that requests are served
from; the text and the JSON are two ways to write it down.  No secret is in it: of a key it
says only whether there is one, of an address only where it leads.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

from attrs import asdict, evolve, frozen

from yallmp import files
from yallmp.certificates import CertificateError, check_certificates
from yallmp.core.backend import Backend
from yallmp.core.catalog import Catalog
from yallmp.core.config import ConfigError
from yallmp.core.escapes import visible
from yallmp.core.settings import Config, Server
from yallmp.core.tableview import Line, cases, table_of
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


@frozen
class Destination:
    """
    A backend as the report shows it.

    ``url`` is empty for one that is answered inside the process; ``proxy`` is the address of
    the proxy that it is asked through.  ``sends`` is the model
    name that it is asked for, ``None`` where that is the rest of what a wildcard matched.
    """

    name: str
    url: str
    sends: str | None
    api_type: str
    has_key: bool
    proxy: str | None
    order: int
    weight: float
    stream_rescue: str
    stream_commit: str
    prefill: str


@frozen
class Model:
    """
    What serves a name, in order: its own backends, then the models it falls back to.

    ``table`` says what follows each failure; it is empty for what cannot fail.
    """

    name: str
    backends: tuple[Destination, ...]
    fallbacks: tuple[str, ...]
    context_window_fallbacks: tuple[str, ...]
    content_policy_fallbacks: tuple[str, ...]
    table: tuple[Line, ...]


@frozen
class Report:
    """A checked configuration; ``warnings`` and ``notes`` are what its owner should read."""

    file: str
    ok: bool
    listens_on: str
    workers: str
    logs: str
    keys: tuple[str, ...]
    models: tuple[Model, ...]
    aliases: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


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


def report_of(path: str, config: Config, *, strict: bool = False) -> Report:
    """What *config*, read from *path*, means."""
    warnings = tuple(n.text for n in config.notices if n.level == "warning")
    return Report(
        file=path,
        ok=not (strict and warnings),
        listens_on=listener(config.server),
        workers=str(config.server.workers or "auto"),
        logs=config.logging.directory,
        keys=tuple(key.name for key in config.access.keys),
        models=tuple(models(Catalog(config))),
        aliases=config.fallbacks.aliases,
        warnings=warnings,
        notes=tuple(n.text for n in config.notices if n.level != "warning"),
    )


def listener(server: Server) -> str:
    """Where it listens, as one would write it in a URL, or as an endpoint."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    where = server.listen or f"{host}:{server.port}"
    return where if server.tls is None else f"{where} with TLS"


def models(catalog: Catalog) -> Iterator[Model]:
    """Every model, wildcards too, as in the file; those that only fall back come last."""
    aliases, failures = dict(catalog.config.fallbacks.aliases), cases(catalog.config.router)
    entries = [backend.model_name for backend in catalog.config.backends]
    listed = [model.id for model in catalog.models() if model.id not in aliases]
    for name in dict.fromkeys([*entries, *listed]):
        yield Model(
            name=name,
            backends=tuple(destination(b) for b in in_order(catalog.group(name))),
            fallbacks=catalog.fallbacks(name),
            context_window_fallbacks=catalog.context_window_fallbacks(name),
            content_policy_fallbacks=catalog.content_policy_fallbacks(name),
            table=table_of(catalog, name, failures),
        )


def in_order(group: Sequence[Backend]) -> list[Backend]:
    """A group by its tiers; within one the backends share the load."""
    return sorted(group, key=lambda backend: backend.order)


def destination(backend: Backend) -> Destination:
    """What the report shows of a backend."""
    return Destination(
        name=backend.name,
        url="" if backend.mock_response is not None else public_url(backend.api_base),
        sends=None if passes_on(backend) else backend.sends or backend.model_name,
        api_type=backend.api_type,
        has_key=backend.api_key is not None,
        proxy=backend.proxy.address if backend.proxy is not None else None,
        order=backend.order,
        weight=backend.weight,
        stream_rescue=backend.stream_rescue,
        stream_commit=backend.stream_commit,
        prefill=backend.prefill,
    )


def passes_on(backend: Backend) -> bool:
    """Whether it is asked for the rest of the name, just as that is."""
    return backend.is_wildcard and backend.sends in (None, "*")


def public_url(url: str) -> str:
    """*url* without what may be secret in it: user, password, query, fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


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
    if backend.api_type != "openai":
        yield f"speaks {backend.api_type}"
    if shared:
        yield f"order {backend.order}, weight {backend.weight:g}"
    for setting in ("stream_rescue", "stream_commit", "prefill"):
        value = getattr(backend, setting)
        if value != getattr(_PLAIN, setting):
            yield f"{setting} {value}"


def counted(number: int, noun: str) -> str:
    """*number* and *noun*, in the plural where it has to be."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
