"""
Fallbacks and aliases as they are written.

``fallbacks`` is a list of mappings from a model to its fallbacks, as in LiteLLM, or one
such mapping.
"""

from __future__ import annotations

from yallmp.core import kinds, wirekinds
from yallmp.core.reading import Reading
from yallmp.core.yamltree import Map, Node, Seq

ByModel = tuple[tuple[str, tuple[str, ...]], ...]


def by_model(reading: Reading, node: Node) -> ByModel:
    """Models with the models that serve in their place."""
    found: dict[str, tuple[str, ...]] = {}
    for part in node.items if isinstance(node, Seq) else (node,):
        for model, child in _pairs(reading, part):
            if model in found:
                reading.problem(child, f"the fallbacks of {model} are given twice")
            found[model] = wirekinds.texts(reading, child)
    return tuple(found.items())


def _pairs(reading: Reading, part: Node) -> tuple[tuple[str, Node], ...]:
    if isinstance(part, Map):
        return part.items
    shown = reading.shown(part)
    if shown != "null":
        reading.problem(part, f"{shown} does not say whose fallbacks these are (model: [others])")
    return ()


def aliases(reading: Reading, node: Node) -> tuple[tuple[str, str], ...]:
    """Other names with the models that they mean; LiteLLM's ``hidden`` has no effect."""
    found = [(alias, _meant(reading, child)) for alias, child in reading.pairs(node)]
    return tuple((alias, model) for alias, model in found if model is not None)


def _meant(reading: Reading, node: Node) -> str | None:
    if not isinstance(node, Map):
        return kinds.text(reading, node)
    for key, child in node.items:
        if key == "hidden":
            reading.ignore(child, key, "/v1/models lists every alias")
        elif key != "model":
            reading.problem(child, "there is no setting of this name; an alias has a model")
    model = node.get("model")
    if model is None:
        reading.problem(node, "model is missing")
    return None if model is None else kinds.text(reading, model)
