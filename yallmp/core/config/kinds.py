"""
Kinds of values: what a setting may be, and what is said when it is something else.

A kind is a function of a :class:`yallmp.core.config.reading.Reading` and a node.  It gives the
value, or ``None`` if there is none: the setting is null, or wrong and a problem is written
down.  :data:`OFF` is a value: the setting is switched off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from yallmp.core.catalog import name_problem
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Node, Scalar

Kind = Callable[[Reading, Node], object]

#: The longest time that a setting may name; timers beyond it overflow.
MAX_SECONDS = 1_000_000
MAX_AGE = 100 * 366 * 86400

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgG])?(?:i?[bB])?")
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w|(?:second|minute|hour|day|week)s?)")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Switched(Enum):
    """A setting that is switched off, as opposed to one that nothing is said of."""

    OFF = "off"


OFF = Switched.OFF


def text(reading: Reading, node: Node) -> str | None:
    """Any text; numbers and dates as they are written."""
    scalar = reading.scalar(node)
    if scalar is None or scalar.value is None:
        return None
    if not isinstance(scalar.value, str):
        if scalar.source is None or isinstance(scalar.value, bool):
            reading.problem(node, f"{reading.shown(scalar)} is not text; put it in quotation marks")
            return None
        return scalar.source
    if not scalar.value and scalar.variable is None:
        reading.problem(node, "is empty; give it a value or remove it")
    return scalar.value or None


def secret(reading: Reading, node: Node) -> str | None:
    """A key: visible ASCII, never shown; an empty one counts as unset."""
    scalar = reading.scalar(node)
    if scalar is None:
        return None
    value = scalar.source if _is_number(scalar) and scalar.source else scalar.value
    if value is None or value == "":
        reading.warn(node, "is empty and counts as not set")
        return None
    if not isinstance(value, str):
        reading.problem(node, "is not text; put it in quotation marks")
        return None
    return checked_secret(reading, node, value)


def needed_secret(reading: Reading, node: Node) -> str | None:
    """A key that keeps people out, so that it may not be empty."""
    scalar = reading.scalar(node)
    if scalar is not None and scalar.value in (None, ""):
        reading.problem(node, "is empty: nothing would keep anybody out; set it, or remove it")
        return None
    return None if scalar is None else secret(reading, scalar)


def checked_secret(reading: Reading, node: Node, value: str) -> str | None:
    """*value* if it can stand in a header."""
    if value.isascii() and value.isprintable() and " " not in value:
        return value
    reading.problem(node, "has a blank, a line break or a character beyond ASCII in it")
    return None


def name(reading: Reading, node: Node) -> str | None:
    """The name of a model, a backend or a key."""
    value = text(reading, node)
    problem = name_problem(value) if value is not None else None
    if problem:
        reading.problem(node, f"{reading.shown(node)} {problem}")
        return None
    if value is not None and "*" in value[:-1]:
        reading.problem(node, f"{reading.shown(node)} has a * that is not its last character")
        return None
    return value


def boolean(reading: Reading, node: Node) -> bool | None:
    """True or false."""
    scalar = reading.typed(node)
    if scalar is None or scalar.value is None:
        return None
    if isinstance(scalar.value, bool):
        return scalar.value
    reading.problem(node, f"{reading.shown(scalar)} is not true or false")
    return None


def seconds(reading: Reading, node: Node) -> float | None:
    """A positive time."""
    value = seconds_or_zero(reading, node)
    if value == 0:
        reading.problem(node, "0 is not a positive number of seconds")
        return None
    return value


def seconds_or_zero(reading: Reading, node: Node) -> float | None:
    """A time that may be none at all."""
    value = _number(reading, node, "a number of seconds")
    if value is None or 0 <= value <= MAX_SECONDS:
        return value
    which = "is negative" if value < 0 else f"is more than {MAX_SECONDS} seconds"
    reading.problem(node, f"{reading.shown(node)} {which}")
    return None


def weight(reading: Reading, node: Node) -> float | None:
    """A share: zero or more."""
    value = _number(reading, node, "a number")
    if value is None or value >= 0:
        return value
    reading.problem(node, f"{reading.shown(node)} is negative")
    return None


def whole(least: int, most: int = 2**53) -> Kind:
    """The kind of integers from *least* to *most*."""

    def kind(reading: Reading, node: Node) -> int | None:
        scalar = reading.typed(node)
        if scalar is None or scalar.value is None:
            return None
        value = scalar.value
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        span = f"from {least} to {most}" if most < 2**53 else f"of at least {least}"
        reading.problem(node, f"{reading.shown(scalar)} is not a whole number {span}")
        return None

    return kind


def or_off(kind: Kind) -> Kind:
    """*kind*, or ``off``."""

    def with_off(reading: Reading, node: Node) -> object:
        scalar = reading.scalar(node)
        if scalar is not None and _word(scalar) == "off":
            return OFF
        return None if scalar is None else kind(reading, scalar)

    return with_off


def choice(*words: str) -> Kind:
    """The kind of settings that are one of *words*; ``on`` and ``off`` may be among them."""

    def kind(reading: Reading, node: Node) -> str | None:
        scalar = reading.scalar(node)
        if scalar is None or scalar.value is None:
            return None
        word = _word(scalar)
        if word in words:
            return word
        reading.problem(node, f"{reading.shown(scalar)} is not one of {', '.join(words)}")
        return None

    return kind


def size(reading: Reading, node: Node) -> int | None:
    """A positive number of bytes; ``k``, ``M`` and ``G`` are powers of 1024."""
    scalar = reading.typed(node)
    if scalar is None or scalar.value is None:
        return None
    is_text = isinstance(scalar.value, str) or _is_number(scalar)
    match = _SIZE.fullmatch(str(scalar.value).strip()) if is_text else None
    value = int(float(match[1]) * _FACTORS[(match[2] or "").lower()]) if match else 0
    if 0 < value < 2**53:
        return value
    reading.problem(node, f"{reading.shown(scalar)} is not a size (1000000, 64k, 32M, 1G)")
    return None


def kept_bytes(reading: Reading, node: Node) -> object:
    """How much of a body is recorded: ``full``, ``none`` or a size."""
    scalar = reading.typed(node)
    if scalar is None or scalar.value in (None, "full"):
        return None if scalar is None or scalar.value is None else OFF
    if scalar.value == "none" or (scalar.value == 0 and not isinstance(scalar.value, bool)):
        return 0
    if isinstance(scalar.value, str) and not _SIZE.fullmatch(scalar.value):
        reading.problem(node, f"{reading.shown(scalar)} is not full, none or a number of bytes")
        return None
    return size(reading, scalar)


def age(reading: Reading, node: Node) -> float | None:
    """A long time: seconds, or words such as ``7 days`` and ``12h``."""
    scalar = reading.typed(node)
    if scalar is None or scalar.value is None:
        return None
    match = _AGE.fullmatch(scalar.value.strip()) if isinstance(scalar.value, str) else None
    value = float(match[1]) * _PERIODS[match[2][0]] if match else scalar.value
    if _is_number(scalar) or match:
        assert isinstance(value, int | float)
        if 0 < value <= MAX_AGE:
            return float(value)
    reading.problem(node, f"{reading.shown(scalar)} is not an age (seconds, or: 12h, 7 days)")
    return None


def as_it_stands(reading: Reading, node: Node) -> Node:
    """The node itself, for what is read later."""
    return node


def path(reading: Reading, node: Node) -> str | None:
    """A path, made absolute."""
    value = text(reading, node)
    return None if value is None else reading.absolute(value)


def key_file(reading: Reading, node: Node) -> str | None:
    """The key in a file, without the white space around it."""
    content = _content(reading, node)
    if content is None:
        return None
    value = content.decode("utf-8", "replace").strip()
    if not value:
        reading.problem(node, "the file is empty")
        return None
    return checked_secret(reading, node, value)


def certificates(reading: Reading, node: Node) -> bytes | None:
    """The certificates in a file."""
    content = _content(reading, node)
    if content is not None and b"-----BEGIN CERTIFICATE-----" not in content:
        reading.problem(node, "the file holds no certificate in PEM form")
        return None
    return content


def _content(reading: Reading, node: Node) -> bytes | None:
    value = text(reading, node)
    return None if value is None else reading.content(node, value)


def _number(reading: Reading, node: Node, what: str) -> float | None:
    scalar = reading.typed(node)
    if scalar is None or scalar.value is None:
        return None
    value = scalar.value
    if _is_number(scalar) and isinstance(value, int | float) and abs(value) < 1e300:
        return float(value)
    reading.problem(node, f"{reading.shown(scalar)} is not {what}")
    return None


def _is_number(scalar: Scalar) -> bool:
    return isinstance(scalar.value, int | float) and not isinstance(scalar.value, bool)


def _word(scalar: Scalar) -> str | None:
    """The word that a scalar was meant as: YAML makes booleans of on and off."""
    if isinstance(scalar.value, bool):
        return "on" if scalar.value else "off"
    return scalar.value if isinstance(scalar.value, str) else None
