"""
``parameters``: what a backend's requests say where the client says nothing, or whatever it says.

The names are those of the backend's own dialect.  A value is its own default; a mapping with
``default`` in it says more, any other mapping leads to parameters inside of one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches

from yallmp.core.config import kinds
from yallmp.core.config.reading import Reading
from yallmp.core.config.wirekinds import plain
from yallmp.core.config.yamltree import Map, Node, Scalar
from yallmp.core.parameters import Parameter, overlaps

_SAID = ("default", "allow_override")
#: What is no parameter, with what is to be set instead.
_REFUSED = {
    "model": "is set by target_model",
    "messages": "belongs to the client",
    "stream": "belongs to the client: an answer comes in the way that it was asked for",
    "n": "belongs to the client: it gets as many answers as it asked for",
}


def parameters(reading: Reading, node: Node) -> tuple[Parameter, ...]:
    """All of them, in order."""
    found: list[Parameter] = []
    for place, parameter in _found(reading, node, ()):
        other = next((each for each in found if overlaps(each, parameter)), None)
        if other is not None:
            reading.problem(place, f"{parameter.name} and {other.name} set the same")
        found.append(parameter)
    return tuple(found)


def _found(
    reading: Reading, node: Node, before: tuple[str, ...]
) -> Iterator[tuple[Node, Parameter]]:
    for key, child in reading.pairs(node):
        path = (*before, *key.split("."))
        refusal = _REFUSED.get(path[0])
        if "" in path:
            reading.problem(child, f"{json.dumps(key)} has an empty name in it")
        elif refusal:
            reading.problem(child, refusal)
        else:
            yield from _at(reading, child, path)


def _at(reading: Reading, node: Node, path: tuple[str, ...]) -> Iterator[tuple[Node, Parameter]]:
    if isinstance(node, Scalar) and node.value is None:
        return
    if not isinstance(node, Map):
        yield node, Parameter(path, _json(reading, node))
    elif any(node.get(key) is not None for key in _SAID):
        yield from _detailed(reading, node, path)
    elif node.items:
        yield from _found(reading, node, path)
    else:
        reading.problem(node, "is empty; write default: {} if that is to be sent")


def _detailed(
    reading: Reading, node: Map, path: tuple[str, ...]
) -> Iterator[tuple[Node, Parameter]]:
    _check_names(reading, node)
    default, may = node.get("default"), node.get("allow_override")
    free = kinds.boolean(reading, may) if may is not None else None
    if default is None or (isinstance(default, Scalar) and default.value is None):
        reading.problem(node, "has no default; what is not to be sent at all goes to drop_params")
    else:
        yield node, Parameter(path, _json(reading, default), fixed=free is False)


def _check_names(reading: Reading, node: Map) -> None:
    for key, child in node.items:
        if key not in _SAID:
            close = get_close_matches(key, _SAID, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            reading.problem(child, f"stands beside default and allow_override{hint}")


def _json(reading: Reading, node: Node) -> str:
    return json.dumps(plain(reading, node))
