"""
All targets, by name.

Some need no more than a parser, others the whole proxy: a target is looked for in one module
after the other, so that what it does not need is not loaded (under atheris that takes long).
"""

from __future__ import annotations

from importlib import import_module

from chaos.fuzz.target import Target

MODULES = ("chaos.fuzz.wire", "chaos.fuzz.text", "chaos.fuzz.client")


def every() -> dict[str, Target]:
    """All of them."""
    return {each.name: each for module in MODULES for each in import_module(module).TARGETS}


def called(name: str) -> Target:
    """
    The target *name*.

    :raises KeyError: there is none.
    """
    for module in MODULES:
        for each in import_module(module).TARGETS:
            if each.name == name:
                return each
    raise KeyError(name)
