"""
What a configuration means, as a value: a :class:`Report`.

It is made of the same catalog that requests are served from.  No secret is in it: of a key it
says only whether there is one, of an address only where it leads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from attrs import frozen

from yallmp.core.backend import Backend
from yallmp.core.catalog import Catalog
from yallmp.core.settings import Config, Server
from yallmp.core.tableview import Line, cases, table_of


@frozen
class Destination:
    """
    A backend as the report shows it.

    ``url`` is empty for one that is answered inside the process; ``proxy`` is the address of
    the proxy that it is asked through.  ``sends`` is the model
    name that it is asked for, ``None`` where that is the rest of what a wildcard matched.
    ``fixed`` are the parameters that no client may override; ``parse`` is what is read out of its
    texts, in the words of the configuration.
    """

    name: str
    url: str
    sends: str | None
    api_type: str
    also: tuple[str, ...]
    has_key: bool
    proxy: str | None
    order: int
    weight: float
    stream_rescue: str
    stream_commit: str
    prefill: str
    parameters: tuple[str, ...]
    fixed: tuple[str, ...]
    parse: tuple[str, ...]


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
        also=backend.also,
        has_key=backend.api_key is not None,
        proxy=backend.proxy.address if backend.proxy is not None else None,
        order=backend.order,
        weight=backend.weight,
        stream_rescue=backend.stream_rescue,
        stream_commit=backend.stream_commit,
        prefill=backend.prefill,
        parameters=tuple(each.name for each in backend.parameters if not each.fixed),
        fixed=tuple(each.name for each in backend.parameters if each.fixed),
        parse=parsed(backend),
    )


def parsed(backend: Backend) -> tuple[str, ...]:
    """What is read out of a backend's texts."""
    both = (backend.parse.reasoning, backend.parse.tool_calls) if backend.parse else ()
    return tuple(word for word in both if word != "off")


def passes_on(backend: Backend) -> bool:
    """Whether it is asked for the rest of the name, just as that is."""
    return backend.is_wildcard and backend.sends in (None, "*")


def public_url(url: str) -> str:
    """*url* without what may be secret in it: user, password, query, fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
