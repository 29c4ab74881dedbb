"""
YAML and JSON as one tree that remembers where everything stands.

PyYAML composes the file into its own nodes, which know their lines; this module turns them
into :class:`Scalar`, :class:`Seq` and :class:`Map`, whose ``path`` and ``line`` are those
that a problem is reported with.  A scalar keeps its text besides its value, because YAML
makes numbers, booleans and dates of words that were meant as words.

What would surprise is refused: a key that stands twice, a tag, a document in a document,
nesting deeper than :data:`MAX_DEPTH`, and aliases that blow a small file up into more than
:data:`MAX_NODES` nodes.  ``<<`` merges as usual; a key of one's own wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from attrs import define, frozen
from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from yallmp.core.config.findings import ConfigError, Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 100_000

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_TEXTS = {f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value"}
_VALUES = {f"{_TAG}{name}" for name in ("null", "bool", "int", "float")}

Value = str | int | float | bool | None


@frozen
class Node:
    """A place in a configuration; in a mapping it is that of the key."""

    path: str
    line: int | None


@frozen
class Scalar(Node):
    """
    One value.

    ``source`` is its text where YAML could have read something else into it (plain
    scalars), ``None`` where its kind is beyond doubt (quoted, or JSON).  ``variable`` is
    the text with ``$`` in it that an inserted environment variable came from, ``whole``
    whether there was nothing but that variable.
    """

    value: Value
    source: str | None = None
    variable: str | None = None
    whole: bool = False


@frozen
class Seq(Node):
    """A list."""

    items: tuple[Node, ...]


@frozen
class Map(Node):
    """A mapping with its keys in order, each once."""

    items: tuple[tuple[str, Node], ...]

    def get(self, key: str) -> Node | None:
        """What stands under *key*, or ``None``."""
        return dict(self.items).get(key)


def inside(path: str, key: str) -> str:
    """The path of *key* in the mapping at *path*."""
    return f"{path}.{key}" if path else key


def from_json(value: object, path: str) -> Node:
    """The tree of a value that was JSON; nesting was bounded by whoever parsed it."""
    if isinstance(value, Mapping):
        pairs = ((str(k), from_json(v, inside(path, str(k)))) for k, v in value.items())
        return Map(path, None, tuple(pairs))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return Seq(path, None, tuple(from_json(v, f"{path}[{i}]") for i, v in enumerate(value)))
    if value is None or isinstance(value, str | int | float | bool):
        return Scalar(path, None, value)
    raise TypeError(f"{path}: {type(value).__name__} is no JSON value")


def compose(text: str, file: str, problems: list[Problem]) -> Map:
    """
    The tree of a whole configuration.

    :param problems: gets what is wrong and can be passed over.
    :raises ConfigError: it is no YAML, no mapping, or too much.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError((_syntax_problem(error, file),)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {chr(error.character)!a} is not allowed in YAML"
        raise ConfigError((Problem(message, "", line, file),)) from None
    found = _Tree(file, problems).node(root, "", 1) if root is not None else None
    if found is None or (isinstance(found, Scalar) and found.value is None):
        raise ConfigError((Problem("there is nothing in it", "", None, file),))
    if not isinstance(found, Map):
        raise ConfigError((Problem("it must be a mapping (model_list: …)", "", 1, file),))
    return found


def scalar_value(text: str) -> Value:
    """What YAML makes of *text* as a plain scalar, for values that came as text."""
    text = text.strip()
    tag = _Loader("").resolve(ScalarNode, text, (True, False))
    return _value(ScalarNode(str(tag), text)) if tag in _VALUES else text


class _Loader(yaml.SafeLoader):
    """The safe loader, which gives up before Python's stack does."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise yaml.composer.ComposerError(None, None, message, mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    words = ", ".join(part for part in (error.context, error.problem) if part)
    if error.problem and "\\t" in error.problem:
        words += " (YAML is indented with blanks, not tabs)"
    return Problem(f"not YAML: {words}", "", mark.line + 1 if mark else None, file)


def _value(node: ScalarNode) -> Value:
    """The value of a scalar; the text where it only looks like a number (``0b``)."""
    loader = _Loader("")
    try:
        value: Value = loader.construct_object(node)
    except (ValueError, OverflowError, yaml.YAMLError):
        return str(node.value)
    return value


@define
class _Tree:
    """Turns PyYAML's nodes into ours, counting them: an alias counts wherever it is used."""

    file: str
    problems: list[Problem]
    count: int = 0
    depth: int = 0

    def problem(self, message: str, path: str, line: int) -> None:
        self.problems.append(Problem(message, path, line, self.file))

    def node(self, node: yaml.Node, path: str, line: int) -> Node:
        self._admit(path, line)
        self.depth += 1
        found = self._converted(node, path, line)
        self.depth -= 1
        return found

    def _admit(self, path: str, line: int) -> None:
        self.count += 1
        if self.count > MAX_NODES or self.depth > MAX_DEPTH:
            message = "its aliases (*name) make too much of it"
            raise ConfigError((Problem(message, path, line, self.file),))

    def _converted(self, node: yaml.Node, path: str, line: int) -> Node:
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return Map(path, line, tuple(self._pairs(node, path)))
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            items = enumerate(node.value)
            return Seq(path, line, tuple(self.node(n, f"{path}[{i}]", _line(n)) for i, n in items))
        return self._scalar(node, path, line)

    def _scalar(self, node: yaml.Node, path: str, line: int) -> Scalar:
        plain = isinstance(node, ScalarNode) and node.style is None
        if isinstance(node, ScalarNode) and node.tag in _VALUES:
            return Scalar(path, line, _value(node), str(node.value) if plain else None)
        if not (isinstance(node, ScalarNode) and node.tag in (*_TEXTS, _MERGE)):
            self.problem(f"the tag {node.tag.replace(_TAG, '!!')} is not known here", path, line)
            return Scalar(path, line, None)
        return Scalar(path, line, str(node.value), str(node.value) if plain else None)

    def _pairs(self, node: MappingNode, path: str) -> Iterator[tuple[str, Node]]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if key_node.tag == _MERGE:
                merged = {**self._merged(value_node, path, line), **merged}
                continue
            key = self._key(key_node, path)
            if key is not None and key in own:
                self.problem(f"stands twice, first in line {lines[key]}", inside(path, key), line)
            elif key is not None:
                own[key] = self.node(value_node, inside(path, key), line)
                lines[key] = line
        yield from {**merged, **own}.items()

    def _key(self, node: yaml.Node, path: str) -> str | None:
        if isinstance(node, ScalarNode):
            return str(node.value)
        self.problem("a key must be text", path, _line(node))
        return None

    def _merged(self, node: yaml.Node, path: str, line: int) -> dict[str, Node]:
        """What ``<<`` brings in; of several mappings the first to name a key wins."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        found: dict[str, Node] = {}
        for source in sources:
            if not isinstance(source, MappingNode):
                self.problem("<< takes a mapping (*name)", path, line)
                continue
            part = self.node(source, path, line)
            found = {**(dict(part.items) if isinstance(part, Map) else {}), **found}
        return found


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
