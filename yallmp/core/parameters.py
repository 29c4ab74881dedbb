"""
What the configuration says of a request's parameters: values of its own, or the last word.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen


@frozen
class Parameter:
    """
    One value in the body of a request.

    :ivar path: the names that lead to it: ``("thinking", "budget_tokens")``.
    :ivar value: JSON text.
    :ivar fixed: whether it is set whatever the client says.
    """

    path: tuple[str, ...]
    value: str
    fixed: bool = False

    @property
    def name(self) -> str:
        """The path as it is written in the configuration."""
        return ".".join(self.path)


def overlaps(one: Parameter, other: Parameter) -> bool:
    """Whether one of the two is the other, or inside of it."""
    length = min(len(one.path), len(other.path))
    return one.path[:length] == other.path[:length]


def merged(before: Sequence[Parameter], own: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """*before* with *own*, which replace those of the same path, or inside or around it."""
    kept = (each for each in before if not any(overlaps(each, new) for new in own))
    return (*kept, *own)
