"""
The keys that clients show, in the three forms that they may be written in.

A list of keys, a mapping from names to keys, or a mapping from names to ``{key, models}``.
LiteLLM's ``master_key`` is the one key of clients and the admin key at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yallmp.core.catalog import name_problem
from yallmp.core.config import kinds
from yallmp.core.config.reading import Reading
from yallmp.core.config.references import Names, check_allowed
from yallmp.core.config.schema import KEY
from yallmp.core.config.sections import read_section
from yallmp.core.config.yamltree import Map, Node, Scalar, inside
from yallmp.core.settings import Access, Key


def access(reading: Reading, node: Node | None, values: Mapping[str, Any], names: Names) -> Access:
    """
    Who may do what.

    :param node: ``general_settings``.
    :param values: what was read of it.
    """
    server, admin = values.get("server", {}), values.get("admin", {})
    listed = values.get("api_keys")
    keys = _keys(reading, listed, names) if listed is not None else ()
    admin_key = values.get("admin_key")
    master = node.get("master_key") if isinstance(node, Map) else None
    if master is not None:
        _check_master(reading, master, values)
        admin_key = values.get("master_key")
        keys = (Key("master", admin_key),) if admin_key else ()
    return Access(
        keys=keys,
        admin_key=admin_key,
        allowed_hosts=server.get("allowed_hosts", ()),
        cors_origins=server.get("cors_origins", ()),
        private_backends=admin.get("private_backends", True),
    )


def _check_master(reading: Reading, node: Node, values: Mapping[str, Any]) -> None:
    others = [key for key in ("api_keys", "admin_key") if key in values]
    if others:
        reading.problem(node, f"stands for api_keys and admin_key; {others[0]} is given too")


def _keys(reading: Reading, node: Node, names: Names) -> tuple[Key, ...]:
    before = len(reading.problems)
    found = tuple(_each(reading, node, names))
    if not found and len(reading.problems) == before:
        reading.problem(node, "no key is left in it: nobody could come in; set one, or remove it")
    _check_distinct(reading, node, found)
    return found


def _each(reading: Reading, node: Node, names: Names) -> Iterator[Key]:
    for name, child in _named(reading, node):
        problem = name_problem(name)
        if problem:
            reading.problem(child, f"the name of the key {problem}")
        values: dict[str, Any] = {}
        if isinstance(child, Map):
            values = read_section(reading, child, KEY)
            _check_key(reading, child, values, names)
        else:
            values["key"] = kinds.secret(reading, child)
        if values.get("key"):
            yield Key(name, values["key"], values.get("models"))


def _named(reading: Reading, node: Node) -> Iterator[tuple[str, Node]]:
    """The keys with their names; those of a list are called key-1 and so on."""
    if isinstance(node, Map):
        yield from node.items
    else:
        for number, item in enumerate(reading.items(node), 1):
            yield f"key-{number}", item


def _check_key(reading: Reading, node: Map, values: Mapping[str, Any], names: Names) -> None:
    models = node.get("models")
    if node.get("key") is None:
        reading.problem(node, "key is missing")
    if models is None:
        return
    if values.get("models") == ():
        reading.problem(
            models, "an empty list admits to nothing; without it everything may be asked"
        )
    check_allowed(reading, names, models, values.get("models", ()))


def _check_distinct(reading: Reading, node: Node, keys: tuple[Key, ...]) -> None:
    owners: dict[str, str] = {}
    for key in keys:
        if key.secret in owners:
            place = Scalar(inside(node.path, key.name), node.line, None)
            reading.problem(place, f"is the same key as {owners[key.secret]}'s")
        owners.setdefault(key.secret, key.name)
