"""
An entry of ``model_list``, and what comes over the network in its place, as a backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, fields_dict, frozen

from yallmp.core import proxies
from yallmp.core.backend import Backend, Parse, Patience, Tls
from yallmp.core.config import destination
from yallmp.core.config.destination import Destination
from yallmp.core.config.environment import Unexpandable, whole_reference
from yallmp.core.config.extending import Lineage, addressed, based, derived
from yallmp.core.config.kinds import name as checked_name
from yallmp.core.config.reading import Reading
from yallmp.core.config.schema import API_TYPES, ENTRY, ENTRY_LOGGING, PARAMS
from yallmp.core.config.sections import member, read_section
from yallmp.core.config.yamltree import Map, Node, Scalar, from_json
from yallmp.core.parameters import merged
from yallmp.core.proxies import BadProxy, Proxy

_OWN = {"api_base", "sends", "api_type", "also", "patience", "tls", "proxy", "parse"}
#: What is read under another name than that of its field, or into several.
_ELSEWHERE = ("api_types", "stream_timeout", "http_proxy", "parse")
_DIRECT = set(fields_dict(Backend)) - {"name", "model_name", "log_requests", *_OWN}


@frozen
class Entry:
    """
    An entry as it was read.

    ``backend`` carries the model's name as its own until all names are known; ``explicit``
    is the name that the file gives it.  ``unset`` is the variable that its key should have
    come from: such an entry is left out.
    """

    backend: Backend
    node: Node
    explicit: str | None = None
    unset: str | None = None


def parse_backend(
    model_name: str,
    params: Mapping[str, object],
    *,
    path: str = "litellm_params",
    api_types: tuple[str, ...] = API_TYPES,
) -> Backend:
    """
    A backend from JSON: checked like an entry of the file, but literal.

    Nothing is taken from the environment or from files.

    :param path: where *params* were, for problems; empty if at the top.
    :raises ConfigError: with everything that is wrong.
    """
    reading = Reading(api_types=api_types)
    checked_name(reading, Scalar("model_name", None, model_name))
    node = from_json(params, path)
    assert isinstance(node, Map)
    values = read_section(reading, node, PARAMS)
    backend = _backend(reading, node, model_name, _expanded(values))
    reading.finish()
    return backend


def read_entry(reading: Reading, lineage: Lineage, defaults: Mapping[str, Any]) -> Entry | None:
    """The entry at the end of *lineage*; ``None`` (and a problem) if it is none."""
    node = lineage[-1]
    unset = _unset_key(reading, lineage)
    if unset is not None:
        reading = reading.leniently()
    values = read_section(reading, node, ENTRY)
    if not _has_all(reading, node, values, derived=len(lineage) > 1):
        return None
    params = member(node, ENTRY, "litellm_params")
    place = params if isinstance(params, Map) else node
    model_name, own = values.get("model_name", "?"), _inherited(reading, lineage)
    backend = _backend(reading, place, model_name, over(defaults, own))
    keep = _keep(reading, lineage)
    return Entry(evolve(backend, log_requests=keep), node, values.get("name"), unset)


def over(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says of its *own*, and the *defaults* of all; parameters are merged."""
    values = {**defaults, **own}
    if "parameters" in defaults and own.get("parameters"):
        values["parameters"] = merged(defaults["parameters"], own["parameters"])
    return values


def _inherited(reading: Reading, lineage: Lineage) -> dict[str, Any]:
    """What all of *lineage* come to."""
    keyed = max((n for n, node in enumerate(lineage) if _says_key(node)), default=0)
    values = _own(reading, lineage[0], keyless=keyed > 0)
    for number, (base, node) in enumerate(pairwise(lineage), 1):
        name = checked_name(reading, base.get("model_name") or base) or "?"
        own, to = _own(reading, node, keyless=keyed > number), Destination(base, values)
        inherits = derived(based(base, values, name), own, _off(node))
        values = addressed(to, inherits)
        if not {"api_key", "api_key_file"} & own.keys():
            _tell_of_key(reading, to, Destination(node, values))
    return values


def _tell_of_key(reading: Reading, base: Destination, to: Destination) -> None:
    """A key that goes to another address than the one that it was written beside."""
    key = to.values.get("api_key") or to.values.get("api_key_file")
    if key and to.api_base and urlsplit(to.api_base).netloc != urlsplit(base.api_base).netloc:
        reading.warn(
            to.node.get("extends") or to.node,
            f"the key goes to another address than before ({urlsplit(to.api_base).netloc}); if it "
            "is meant to, say so with api_key, and otherwise leave api_key empty",
        )


def _says_key(node: Map) -> bool:
    """Whether an entry says anything of a key."""
    params = member(node, ENTRY, "litellm_params")
    return isinstance(params, Map) and bool(params.get("api_key") or params.get("api_key_file"))


def _own(reading: Reading, node: Map, *, keyless: bool) -> dict[str, Any]:
    """
    What the entry at *node* says itself.

    :param keyless: whether its key is not even looked at, as another one takes its place.
    """
    params = member(node, ENTRY, "litellm_params")
    if keyless and isinstance(params, Map):
        rest = (pair for pair in params.items if pair[0] not in ("api_key", "api_key_file"))
        params = evolve(params, items=tuple(rest))
    return _expanded(read_section(reading, params, PARAMS))


def _off(node: Map) -> tuple[str, ...]:
    """The settings that the entry at *node* says nothing behind the colon of."""
    params = member(node, ENTRY, "litellm_params")
    empty = [
        key
        for key, value in (params.items if isinstance(params, Map) else ())
        if isinstance(value, Scalar) and value.value is None
    ]
    return tuple(setting.target for key in empty if (setting := PARAMS.named(key)))


def _keep(reading: Reading, lineage: Lineage) -> str | None:
    """Which requests are recorded, as the nearest says that says it."""
    found = None
    for node in lineage:
        section = read_section(reading, member(node, ENTRY, "logging"), ENTRY_LOGGING)
        found = section.get("requests", found)
    return found


def treatment(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values of ``router_settings`` that are defaults for all backends."""
    tls = ("ssl_verify", "ssl_ca_file")
    names = {*_DIRECT, *fields_dict(Patience), *tls, *_ELSEWHERE}
    return _expanded({name: value for name, value in values.items() if name in names})


def _unset_key(reading: Reading, lineage: Lineage) -> str | None:
    """The variable that is wholly the entry's key, if it is unset or empty."""
    node = next((each for each in reversed(lineage) if _says_key(each)), None)
    params = member(node, ENTRY, "litellm_params") if node is not None else None
    return _unset(reading, params.get("api_key")) if isinstance(params, Map) else None


def _unset(reading: Reading, key: Node | None) -> str | None:
    if reading.environ is None or not isinstance(key, Scalar) or not isinstance(key.value, str):
        return None
    try:
        reference = whole_reference(key.value)
    except Unexpandable:  # told where the key is read
        return None
    if reference is None or reference.default is not None or reading.environ.get(reference.name):
        return None
    return reference.name


def _has_all(reading: Reading, node: Map, values: Mapping[str, Any], *, derived: bool) -> bool:
    named = node.get("model_name")
    if "model_name" not in values and not (named and reading.excuses(named)):
        reading.problem(node, "model_name is missing")
    params = member(node, ENTRY, "litellm_params")
    empty = params is None or (isinstance(params, Scalar) and params.value is None)
    if empty and not derived:
        reading.problem(node, "litellm_params is missing")
    return isinstance(params, Map) or (empty and derived)


def _expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """*values* with ``stream_timeout`` as what it stands for."""
    found = dict(values)
    both = found.pop("stream_timeout", None)
    if both is not None:
        found.setdefault("first_byte_timeout", both)
        found.setdefault("first_content_timeout", both)
    return found


def _backend(reading: Reading, node: Map, model_name: str, values: Mapping[str, Any]) -> Backend:
    to = Destination(node, values)
    destination.check(reading, to)
    _check_names(reading, to, model_name)
    direct = {name: value for name, value in values.items() if name in _DIRECT}
    patience = {name: value for name, value in values.items() if name in fields_dict(Patience)}
    direct["api_key"] = values.get("api_key", values.get("api_key_file"))
    return Backend(
        name=model_name,
        model_name=model_name,
        api_base=to.api_base,
        sends=to.sends,
        api_type=to.api_types[0],
        also=to.api_types[1:],
        patience=Patience(**patience),
        tls=Tls(values.get("ssl_verify", True), values.get("ssl_ca_file")),
        proxy=_proxy(reading, to),
        parse=_parse(values.get("parse", {})),
        **direct,
    )


def _parse(values: Mapping[str, Any]) -> Parse | None:
    """What is read out of its texts, if anything is."""
    found = Parse(**values)
    return None if found == Parse() else found


def _proxy(reading: Reading, to: Destination) -> Proxy | None:
    """What stands between: as configured, else as the environment has it."""
    if "http_proxy" in to.values or reading.environ is None or "mock_response" in to.values:
        found: Proxy | None = to.values.get("http_proxy")
        return found
    variable = proxies.variable_for(to.api_base, reading.environ)
    if variable is None:
        return None
    try:
        return proxies.parsed(reading.environ[variable].strip())
    except BadProxy as error:
        remedy = "set another, or http_proxy: off here, or name the host in NO_PROXY"
        reading.problem(to.node, f"the environment's {variable} {error}; {remedy}")
        return None


def _check_names(reading: Reading, to: Destination, model_name: str) -> None:
    if to.is_given("api_key") and to.is_given("api_key_file"):
        reading.problem(to.place("api_key_file"), "api_key is given too; give one of them")
    sent = to.values.get("model", "")
    if sent.endswith("/"):
        reading.problem(to.place("model"), f'"{sent}" names no model')
    if sent.endswith("*") and "target_model" not in to.values and not model_name.endswith("*"):
        reading.problem(to.place("model"), "ends in *, but model_name does not")
