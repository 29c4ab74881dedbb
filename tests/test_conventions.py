"""
How the code reads, in figures: short functions, short files, names that say something.

A function's length is its body's lines without the docstring.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.interface import InterfaceClass

ROOT = Path(__file__).parent.parent
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
CLASS = (type, InterfaceClass)

#: A link in a docstring: ``:class:`~yallmp.core.backend.Backend```.
LINK = re.compile(r":(?:mod|class|exc|func|meth|attr|data|obj):`~?([\w.]+)(?:\(\))?`")

#: Words that say nothing about what a module holds.
EMPTY_WORDS = {
    "common", "context", "engine", "handler", "handlers", "helper", "helpers", "manager",
    "misc", "processor", "util", "utils",
}  # fmt: skip


@frozen
class Source:
    """A file of the package."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The path below the project's folder."""
        return self.path.relative_to(ROOT).as_posix()

    def at(self, node: ast.stmt | ast.expr | ast.excepthandler) -> str:
        """Where *node* stands, as editors understand it."""
        return f"{self.name}:{node.lineno}"


def sources() -> Iterator[Source]:
    """The files of the package."""
    for path in sorted((ROOT / "yallmp").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        yield Source(path, text, ast.parse(text, str(path)))


SOURCES = list(sources())


def functions() -> Iterator[tuple[Source, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function and method of the package, nested ones too."""
    for source in SOURCES:
        for node in ast.walk(source.tree):
            if isinstance(node, FUNCTION):
                yield source, node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def public(source: Source) -> Iterator[tuple[str, ast.AST]]:
    """The module, its public classes and functions, and their public snake_case methods."""
    yield source.name, source.tree
    for node in source.tree.body:
        if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
            yield source.at(node), node
            if isinstance(node, ast.ClassDef):
                yield from public_methods(source, node)


def public_methods(source: Source, owner: ast.ClassDef) -> Iterator[tuple[str, ast.AST]]:
    """The methods that are ours to explain: camelCase ones are Twisted's."""
    for node in owner.body:
        if isinstance(node, FUNCTION) and node.name.islower() and node.name[0] != "_":
            yield source.at(node), node


def links(source: Source) -> Iterator[str]:
    """Where the docstrings of a file link to."""
    for node in ast.walk(source.tree):
        if isinstance(node, (*FUNCTION, ast.ClassDef, ast.Module)):
            yield from LINK.findall(ast.get_docstring(node) or "")


def module_of(source: Source) -> str:
    """The name that a file is imported by."""
    return source.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def leads_somewhere(source: Source, target: str) -> bool:
    """Whether *target* is a full name, or one in the module, in a class of it, or built in."""
    module = namedAny(module_of(source))
    inside = [value for value in vars(module).values() if isinstance(value, CLASS)]
    return any(has(place, target) for place in (module, *inside, builtins)) or is_full(target)


def has(place: object, dotted: str) -> bool:
    """Whether *dotted* can be reached from *place*; fields that are only declared count."""
    name, _, rest = dotted.partition(".")
    if isinstance(place, InterfaceClass):
        return not rest and name in place.names(all=True)
    declared = name in getattr(place, "__annotations__", {})
    found = hasattr(place, name) or declared
    return found and (not rest or has(getattr(place, name, None), rest))


def is_full(target: str) -> bool:
    """Whether a module and an object in it can be found by *target*."""
    try:
        namedAny(target)
    except ImportError:  # it may be a module for other systems than this
        return ROOT.joinpath(*target.split(".")).with_suffix(".py").exists()
    except (AttributeError, ValueError):
        return False
    return True


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The names of what a handler catches; ``BaseException`` for a bare ``except``."""
    if handler.type is None:
        return {"BaseException"}
    names = (node for node in ast.walk(handler.type) if isinstance(node, (ast.Name, ast.Attribute)))
    return {node.id if isinstance(node, ast.Name) else node.attr for node in names}


def swallows_cancellation(statement: ast.Try) -> bool:
    """Whether a broad ``except`` stands there without one for CancelledError above it."""
    for handler in statement.handlers:
        names = caught(handler)
        if "CancelledError" in names:
            return False
        if names & {"Exception", "BaseException"}:
            return not any(isinstance(node, ast.Raise) for node in handler.body)
    return False


class LengthTests(SynchronousTestCase):
    """A function does one thing, a file fits in one's head."""

    def test_typical_functions_are_short(self) -> None:
        """At most 7 lines at the median, 20 at the 90th percentile."""
        lengths = sorted(body_lines(function) for _, function in functions())
        median, ninth = lengths[len(lengths) // 2], lengths[len(lengths) * 9 // 10]
        self.assertLessEqual(median, 7)
        self.assertLessEqual(ninth, 20)

    def test_no_function_is_long(self) -> None:
        """None over 40 lines."""
        long = [
            f"{source.at(function)}: {function.name} has {body_lines(function)} lines"
            for source, function in functions()
            if body_lines(function) > 40
        ]
        self.assertEqual(long, [], "a function does one thing, in about ten lines")

    def test_no_file_is_long(self) -> None:
        """None over 300 lines."""
        long = [
            f"{source.name} has {count} lines"
            for source in SOURCES
            if (count := len(source.text.splitlines())) > 300
        ]
        self.assertEqual(long, [], "it has become two things: split it by what it is about")


class StyleTests(SynchronousTestCase):
    """What the linters do not hold."""

    def test_names_say_something(self) -> None:
        """No module is called after its being code."""
        empty = [s.name for s in SOURCES if set(s.path.stem.split("_")) & EMPTY_WORDS]
        self.assertEqual(empty, [], "a module is named for its noun")

    def test_no_shared_rebinding(self) -> None:
        """No ``global``, and a nested function with ``nonlocal`` is a class."""
        found = [
            source.at(node)
            for source in SOURCES
            for node in ast.walk(source.tree)
            if isinstance(node, (ast.Global, ast.Nonlocal))
        ]
        self.assertEqual(found, [])

    def test_what_is_public_is_explained(self) -> None:
        """Modules, classes, functions and methods say what they are for."""
        silent = [
            where
            for source in SOURCES
            if source.text.strip()
            for where, node in public(source)
            if isinstance(node, (*FUNCTION, ast.ClassDef, ast.Module))
            and not ast.get_docstring(node)
        ]
        self.assertEqual(silent, [], "a docstring says what it is and why it exists")

    def test_links_lead_somewhere(self) -> None:
        """What a docstring links to is there."""
        dead = [
            f"{source.name}: {target}"
            for source in SOURCES
            if source.path.stem != "__main__"
            for target in links(source)
            if not leads_somewhere(source, target)
        ]
        self.assertEqual(dead, [], "a renamed thing takes the links to it along")

    def test_cancellation_is_not_swallowed(self) -> None:
        """In a coroutine CancelledError, which is an Exception, passes a broad ``except``."""
        broad = [
            source.at(statement.handlers[0])
            for source, function in functions()
            if isinstance(function, ast.AsyncFunctionDef)
            for statement in ast.walk(function)
            if isinstance(statement, ast.Try) and swallows_cancellation(statement)
        ]
        self.assertEqual(broad, [], "put `except CancelledError: raise` above it")
