"""
JSON that somebody else wrote, looked at without relying on it.

A translator must not raise for what a backend sent, however odd it is: what is not of the kind
that was to be expected counts as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(value: Any) -> str:
    """*value* if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def text_or_none(value: Any) -> str | None:
    """*value* if it is a text that is not empty."""
    return value if isinstance(value, str) and value else None


def members(value: Any) -> dict[str, Any]:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """*value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in the list *value*."""
    return [each for each in listed(value) if isinstance(each, dict)]


def count(value: Any) -> int | None:
    """*value* if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """*value* if it is a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The members of *value* but those of *names*."""
    return {name: member for name, member in value.items() if name not in names}


def known(**values: Any) -> dict[str, Any]:
    """Those of *values* that are not ``None``."""
    return {name: value for name, value in values.items() if value is not None}
