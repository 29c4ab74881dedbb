"""What is fuzzed: a parser, with what must hold for any bytes at all."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen


@frozen
class Target:
    """
    A function of bytes that raises nothing as long as all is well.

    :ivar name: what to call it on the command line.
    :ivar about: what is held to what.
    :ivar seeds: inputs to begin with: good ones, and what was found once.
    :ivar words: what stands in such inputs, for the dictionary.
    """

    name: str
    about: str
    check: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


class Broken(AssertionError):
    """A property does not hold."""


def same(one: object, other: object, what: str) -> None:
    """
    Hold *one* to *other*.

    :raises Broken: they differ.
    """
    if one != other:
        raise Broken(f"{what}: {one!r} is not {other!r}")


def must(condition: object, what: str) -> None:
    """
    Hold to *condition*.

    :raises Broken: it does not hold.
    """
    if not condition:
        raise Broken(what)


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """The input without its first two bytes, which say where it is cut into three."""
    places, rest = data[:2].ljust(2, b"\0"), data[2:]
    first, second = sorted(place * (len(rest) + 1) // 256 for place in places)
    return rest, [rest[:first], rest[first:second], rest[second:]]


def at(one: int, other: int, data: bytes) -> bytes:
    """An input that :func:`cut` takes apart again, for seeds."""
    return bytes([one, other]) + data
