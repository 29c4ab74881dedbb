"""
A whole configuration file, section by section.

A mistake stops nothing: all are told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, fields_dict

from yallmp.core.config import apikeys, litellm, references
from yallmp.core.config.entries import Entry, read_entry, treatment
from yallmp.core.config.extending import Lineages
from yallmp.core.config.listenkinds import NOT_SHAREABLE, is_shareable
from yallmp.core.config.reading import Reading, no_files
from yallmp.core.config.references import Names
from yallmp.core.config.schema import API_TYPES, FILE
from yallmp.core.config.sections import member, read_section
from yallmp.core.config.yamltree import Map, Node, Scalar, Seq, compose
from yallmp.core.settings import Config, Identity, Limits, Logging, Router, Server

Values = Mapping[str, Any]


def parse(
    text: str,
    name: str,
    environ: Mapping[str, str],
    read_file: Callable[[str], bytes] = no_files,
    *,
    folder: str = "",
    api_types: tuple[str, ...] = API_TYPES,
) -> Config:
    """
    The configuration that *text* is.

    :param name: what to call the file in problems.
    :param read_file: gives the bytes of a file by its absolute path, or raises
        ``OSError``.
    :param folder: the absolute path that relative ones start from.
    :raises ConfigError: with everything that is wrong.
    """
    reading = Reading(name, environ, read_file, folder, api_types)
    root = compose(text, name, reading.problems)
    values = read_section(reading, root, FILE)
    _check_callbacks(reading, root)
    config = _assembled(reading, root, values)
    return evolve(config, notices=reading.finish())


def _assembled(reading: Reading, root: Map, values: Values) -> Config:
    router, other = values.get("router_settings", {}), values.get("litellm_settings", {})
    general = values.get("general_settings", {})
    entries = _entries(reading, root, {**treatment(other), **treatment(router)})
    names = _names(entries, router, other)
    references.check_aliases(reading, names, router.get("model_group_alias", ()))
    server = general.get("server", {})
    _check_server(reading, root, server)
    return Config(
        backends=tuple(entry.backend for entry in entries if entry.unset is None),
        fallbacks=references.fallbacks(reading, names, router, other),
        router=Router(**_of(Router, {**other, **router})),
        server=Server(**{**_of(Server, server), "tls": _identity(reading, root, server)}),
        access=apikeys.access(reading, member(root, FILE, "general_settings"), general, names),
        limits=Limits(**values.get("limits", {})),
        logging=Logging(**_logging(reading, values.get("logging", {}))),
        enable_responses_endpoint=general.get("enable_responses_endpoint", False),
        drain_timeout=general.get("drain_timeout", Config().drain_timeout),
        drain_delay=general.get("drain_delay", Config().drain_delay),
        persist=general.get("admin", {}).get("persist"),
    )


def _of(kind: type[Any], values: Values) -> dict[str, Any]:
    """Those of *values* that are fields of *kind*."""
    return {name: value for name, value in values.items() if name in fields_dict(kind)}


def _logging(reading: Reading, values: Values) -> dict[str, Any]:
    directory = values.get("directory", reading.absolute(Logging().directory))
    return {**values, "directory": directory}


def _entries(reading: Reading, root: Map, defaults: Values) -> Sequence[Entry]:
    node = root.get("model_list")
    if node is not None and not isinstance(node, Seq):
        reading.problem(node, "is not a list (of entries with model_name and litellm_params)")
        return ()
    items = node.items if node is not None else ()
    found = [*_read(reading, items, defaults)]
    entries = _called(reading, [entry for entry in found if entry is not None])
    left_out = [entry for entry in entries if entry.unset is not None]
    _tell_left_out(reading, left_out)
    if len(left_out) == len(entries) and None not in found:
        _no_model(reading, node or root, left_out)
    return entries


def _read(reading: Reading, items: Sequence[Node], defaults: Values) -> Iterator[Entry | None]:
    """All entries, those that extend several others as often; ``None`` for what is none."""
    lineages = Lineages(reading, items)
    for number, item in enumerate(items):
        if not isinstance(item, Map):
            reading.problem(item, _no_entry(reading, item))
            yield None
            continue
        found = lineages.of(number)
        if len(found) > 1 and item.get("name") is not None:
            reading.problem(item, f"extends {len(found)} entries, which cannot have one name")
            found = found[:1]
        yield from (read_entry(reading, lineage, defaults) for lineage in found)
        if not found:
            yield None


def _no_entry(reading: Reading, item: Node) -> str:
    if isinstance(item, Scalar) and item.value is None:
        return "is empty; give it model_name and litellm_params, or remove it"
    return f"{reading.shown(item)} is not a mapping (key: value)"


def _no_model(reading: Reading, node: Node, left_out: Sequence[Entry]) -> None:
    variables = list(dict.fromkeys(entry.unset for entry in left_out if entry.unset))
    if variables:
        message = f"no model is left in it; set one of: {', '.join(variables)}"
    else:
        message = "no model is configured: model_list is missing or empty"
    reading.problem(node, message)


def _tell_left_out(reading: Reading, left_out: Iterable[Entry]) -> None:
    models: dict[str, dict[str, None]] = {}
    for entry in left_out:
        models.setdefault(entry.unset or "", {})[entry.backend.model_name] = None
    for variable, names in models.items():
        reading.inform(f"left out, as {variable} is not set: {', '.join(names)}")


def _called(reading: Reading, entries: Sequence[Entry]) -> list[Entry]:
    """*entries* with the names of their backends: each its own, else the model's, numbered."""
    taken: set[str] = set()
    for entry in entries:
        if entry.explicit in taken:
            place = entry.node.get("name") if isinstance(entry.node, Map) else None
            reading.problem(place or entry.node, f"{entry.explicit} is the name of two entries")
        taken |= {entry.explicit} if entry.explicit else set()
    found = []
    for entry in entries:
        name = entry.explicit or (_free(entry, taken) if entry.unset is None else "")
        taken.add(name)
        found.append(evolve(entry, backend=evolve(entry.backend, name=name)))
    return found


def _free(entry: Entry, taken: set[str]) -> str:
    model = entry.backend.model_name
    numbered = (f"{model}#{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (model, *numbered) if name not in taken)


def _names(entries: Iterable[Entry], router: Values, other: Values) -> Names:
    served = frozenset(e.backend.model_name for e in entries if e.unset is None)
    every = frozenset(e.backend.model_name for e in entries)
    lists = (*other.get("fallbacks", ()), *router.get("fallbacks", ()))
    aliases = {named.name: named.models[0] for named in router.get("model_group_alias", ())}
    virtual = frozenset(named.name for named in lists) - every
    return Names(served, every - served, virtual, aliases)


def _check_server(reading: Reading, root: Map, server: Values) -> None:
    node = member(root, FILE, "general_settings")
    place = node.get("server") if isinstance(node, Map) else None
    if place is not None and "listen" in server and ("host" in server or "port" in server):
        reading.problem(place, "listen stands in place of host and port; give one or the other")
    several = server.get("workers", 1) != 1
    if place is not None and several and not is_shareable(server.get("listen")):
        reading.problem(place, f"workers: {NOT_SHAREABLE}")


def _identity(reading: Reading, root: Map, server: Values) -> Identity | None:
    """The certificate and the key, which are of no use without each other."""
    given = server.get("tls")
    if given is None:
        return None
    general = member(root, FILE, "general_settings")
    node = general.get("server") if isinstance(general, Map) else None
    place = (node.get("tls") if isinstance(node, Map) else None) or root
    missing = [name for name in ("cert", "key") if isinstance(place, Map) and not place.get(name)]
    for name in missing:
        reading.problem(place, f"{name} is missing: tls needs a cert and a key")
    if server.get("listen", "").removeprefix("haproxy:").startswith("ssl:"):
        reading.problem(place, "listen is an ssl endpoint already; give one or the other")
    return Identity(given["cert"], given["key"]) if len(given) == 2 else None


def _check_callbacks(reading: Reading, root: Map) -> None:
    """Some of LiteLLM's callbacks refuse requests; those are not passed over."""
    settings = root.get("litellm_settings")
    node = settings.get("callbacks") if isinstance(settings, Map) else None
    for item in reading.items(node) if node is not None else ():
        if reading.shown(item).strip('"') in litellm.RESTRICTING_CALLBACKS:
            reading.problem(
                item, f"{reading.shown(item)} refuses requests, which nothing does here"
            )
