"""
Fallbacks and aliases as they are written.

``fallbacks`` is a list of mappings from a model to its fallbacks, as in LiteLLM, or one
such mapping.  What is read keeps its place, because whether a name is known can only be
said when all are (:mod:`yallmp.core.config.references`).
"""

from __future__ import annotations

from attrs import frozen

from yallmp.core.config import kinds, wirekinds
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Map, Node, Seq


@frozen
class Named:
    """The models that stand under one name (a model's, an alias), and where."""

    name: str
    models: tuple[str, ...]
    node: Node


def by_model(reading: Reading, node: Node) -> tuple[Named, ...]:
    """Models with the models that serve in their place."""
    found: dict[str, Named] = {}
    for part in node.items if isinstance(node, Seq) else (node,):
        for model, child in _pairs(reading, part):
            if model in found:
                reading.problem(child, f"the fallbacks of {model} are given twice")
            found[model] = Named(model, wirekinds.texts(reading, child), child)
    return tuple(found.values())


def _pairs(reading: Reading, part: Node) -> tuple[tuple[str, Node], ...]:
    if isinstance(part, Map):
        return part.items
    shown = reading.shown(part)
    if shown not in ("null", "nothing"):
        reading.problem(part, f"{shown} does not say whose fallbacks these are (model: [others])")
    return ()


def for_all(reading: Reading, node: Node) -> Named:
    """The models that serve in place of any that has no fallbacks of its own."""
    return Named("*", wirekinds.texts(reading, node), node)


def aliases(reading: Reading, node: Node) -> tuple[Named, ...]:
    """Other names with the one model that each means; LiteLLM's ``hidden`` has no effect."""
    found = [(alias, _meant(reading, child), child) for alias, child in reading.pairs(node)]
    return tuple(Named(alias, (model,), child) for alias, model, child in found if model)


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
