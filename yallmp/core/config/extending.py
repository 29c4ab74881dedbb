"""
``extends``: an entry that takes from another one what it does not say itself.

An entry has a *lineage*: the entry that extends nothing, those that extend it in turn, and itself.
Where it extends a model that several entries serve, it stands for as many: one for each of them.
Values are taken over as they were read, so that a mistake is told where it stands, once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from yallmp.core.config import kinds
from yallmp.core.config.destination import Destination
from yallmp.core.config.providers import PROVIDERS
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Map, Node, Scalar
from yallmp.core.parameters import merged

Values = Mapping[str, Any]
Lineage = tuple[Map, ...]
#: How many entries one entry may come to.
MAX_ENTRIES = 256
#: What an entry says of the one makes void what it inherits of the others.
_VOID = {
    "api_key": ("api_key_file",),
    "api_key_file": ("api_key",),
    "model": ("target_model",),
    "api_base": ("mock_response",),
}


@define
class Lineages:
    """
    Those of all entries of a list.

    :ivar items: the entries.
    """

    reading: Reading
    items: Sequence[Node]
    _found: dict[int, list[Lineage]] = field(factory=dict)
    _under_way: list[int] = field(factory=list)

    def of(self, number: int) -> list[Lineage]:
        """Those of the entry of that *number*; none, and a problem, if it has none."""
        if number not in self._found:
            self._under_way.append(number)
            self._found[number] = list(self._lineages(number))
            self._under_way.pop()
        return self._found[number]

    def _lineages(self, number: int) -> Iterator[Lineage]:
        node = self.items[number]
        if not isinstance(node, Map):
            return
        place = node.get("extends")
        name = kinds.name(self.reading, place) if place is not None else None
        if place is None or (isinstance(place, Scalar) and place.value is None):
            yield (node,)
        elif name is not None:
            bases = self._bases(place, name)
            lineages = [(*lineage, node) for base in bases for lineage in self.of(base)]
            if len(lineages) > MAX_ENTRIES:
                self.reading.problem(place, f"makes more than {MAX_ENTRIES} entries of this one")
            else:
                yield from lineages

    def _bases(self, place: Node, name: str) -> list[int]:
        """The entries called *name*: those that serve a model, else the one of that name."""
        bases = self._called("model_name", name) or self._called("name", name)
        circle = [base for base in bases if base in self._under_way]
        if circle:
            self.reading.problem(place, self._circle(circle[0], name))
            return []
        if not bases:
            self.reading.problem(place, f"there is no entry called {name}")
        return bases

    def _circle(self, first: int, name: str) -> str:
        if first == self._under_way[-1]:
            return (
                f"{name} would extend itself; to extend another entry of the same model, give "
                "that one a name of its own"
            )
        names = [_text(self.items[n], "model_name") for n in self._under_way]
        return f"goes in a circle: {', '.join(names[self._under_way.index(first) :])}, {name}"

    def _called(self, key: str, name: str) -> list[int]:
        quiet = self.reading.leniently()
        quiet.problems = []
        found = []
        for number, item in enumerate(self.items):
            node = item.get(key) if isinstance(item, Map) else None
            if isinstance(node, Scalar) and kinds.name(quiet, node) == name:
                found.append(number)
        return found


def _text(node: Node, key: str) -> str:
    found = node.get(key) if isinstance(node, Map) else None
    return str(found.value) if isinstance(found, Scalar) else "?"


def derived(base: Values, own: Values, off: Sequence[str]) -> dict[str, Any]:
    """
    *base* with what an entry says of its *own*.

    Mappings are merged, all else is replaced; what it says nothing after the colon of (*off*) is
    not taken over.
    """
    void = {name for key in own for name in _VOID.get(key, ())}
    values = {k: v for k, v in base.items() if k not in void and k not in off}
    for key, value in own.items():
        merge = _MERGED.get(key)
        values[key] = merge(values[key], value) if merge and values.get(key) else value
    return values


def based(node: Map, values: Values, model_name: str) -> dict[str, Any]:
    """*values* of an entry for those that extend it: asked for the same model as that is."""
    to = Destination(node, values)
    nameless = to.sends is None and not model_name.endswith("*")
    return {**values, "target_model": model_name} if nameless else dict(values)


def addressed(base: Destination, values: dict[str, Any]) -> dict[str, Any]:
    """*values* with the address of *base*, unless they lead to another one."""
    provider = Destination(base.node, values).provider
    if "api_base" in values or PROVIDERS.get(provider) or not base.api_base:
        return values
    return {**values, "api_base": base.api_base}


def _headers(base: Any, own: Any) -> Any:
    found = {name.lower(): (name, value) for name, value in (*base, *own)}
    return tuple(found.values())


def _pairs(base: Any, own: Any) -> Any:
    return tuple({**dict(base), **dict(own)}.items())


def _json(base: Any, own: Any) -> Any:
    """Values of a body: objects are merged at any depth."""
    found = dict(base)
    for name, value in own:
        before = found.get(name)
        found[name] = value if before is None else _deep_json(before, value)
    return tuple(found.items())


def _deep_json(base: str, own: str) -> str:
    return json.dumps(_deep(json.loads(base), json.loads(own)))


def _deep(base: Any, own: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return own
    both = {key: _deep(base[key], value) for key, value in own.items() if key in base}
    return {**base, **own, **both}


_MERGED: Mapping[str, Callable[[Any, Any], Any]] = {
    "extra_headers": _headers,
    "extra_body": _json,
    "query": _pairs,
    "parameters": merged,
    "parse": lambda base, own: {**base, **own},
}
