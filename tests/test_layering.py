"""
Who may import whom, read from the source of every module.

A module may import what stands in its own layer or below, and nothing goes in a circle.
``core`` and ``api_types`` decide and translate; they touch neither the reactor nor the
clock nor files, so that they can be tested by calling them.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent

#: The layers, lowest first; ``api_types.*`` is every module in it.
LAYERS: list[list[str]] = [
    # The packages themselves: yallmp/__init__.py, yallmp/core/__init__.py.
    ["", "core"],
    # Words, formats and parsers that know nothing of ours.
    [
        "core.proxies",
        "core.addresses", "core.backlog", "core.digits", "core.errors", "core.escapes",
        "core.frames", "core.jsontext", "core.maskers", "core.masking", "core.needles",
        "core.nesting", "core.parameters",
        "core.recordframe", "core.retention",
        "core.search", "core.secretnames", "core.spellings", "core.sse", "core.told",
        "core.transcript",
        "core.families", "core.ordering", "core.readings", "core.shares", "core.work",
    ],
    # The values that the parts share.
    ["core.backend", "core.exchange", "core.settings"],
    # Decisions; reading the configuration is a package of its own.
    [
        "core.access", "core.account", "core.answerhead", "core.asked", "core.breaker", "core.call",
        "core.catalog",
        "core.changes", "core.control", "core.counts",
        "core.curl", "core.differences",
        "core.failures", "core.framing", "core.gate", "core.headers", "core.hops", "core.inflate",
        "core.inspector",
        "core.jsonbody",
        "core.lastword", "core.listing", "core.masked", "core.meaning",
        "core.openapi", "core.openapi_shapes",
        "core.problems", "core.recalled", "core.record", "core.recorded",
        "core.recordtext",
        "core.registration", "core.registry", "core.renewal", "core.replies", "core.requesthead",
        "core.rescue",
        "core.resend",
        "core.retries", "core.routing", "core.seam", "core.secrets", "core.tableview",
        "core.tablewords", "core.telling", "core.understanding", "core.unspoken",
        "core.verdicts", "core.visit", "core.voice",
        "core.config", "core.config.*",
    ],
    # What is said, in no dialect.
    [
        "dialects", "dialects.answer", "dialects.conversation", "dialects.growing",
        "dialects.losses", "dialects.sealed",
    ],
    # How each dialect and each kind of backend puts it.
    ["interfaces"],
    ["dialects.*"],
    ["api_types", "api_types.*"],
    # What touches the world, each one thing.
    [
        "endpoints", "tunnel", "twistedpool", "wire",
        "answers", "arrivals", "bodies", "bulk", "certificates", "channel", "clerk",
        "clerk_child", "clerk_process", "crowd", "daemonlog",
        "descriptors", "downstream", "exposition", "framing", "gaps",
        "garbage", "gauges", "identity", "inbound", "intake", "lag", "lazyrequest", "lean",
        "lean.*",
        "lightreactor", "listening", "logfile", "logged", "losses", "metrics", "mock", "names",
        "outlet", "partfile", "playback",
        "pulse", "punctual", "reactors", "record_files", "recorder", "recorder_child",
        "recorder_process",
        "refusing", "report",
        "shortcuts", "siblings", "unread",
        "reloads", "signals", "site", "slots",
        "sweep", "systemd", "totals", "transports", "upstream", "wires", "worker_process",
    ],
    # One request.
    [
        "accessline", "counted", "asking", "attempts", "broken", "course", "endings", "examining",
        "forwarding", "gates", "observers",
        "reading", "recording", "relay",
        "rescuing", "stories", "tally", "tools",
        "wholes",
    ],
    # What is served.
    ["admin", "api", "front", "persistence"],
    # The process and its commands.
    [
        "agreement", "census", "check", "daemon", "drill", "drill.*", "duty", "files", "replay",
        "rereading", "source", "supervisor",
    ],
    ["fleet", "tap"],
    ["drilling"],
    ["options", "worker"],
    ["__main__"],
]  # fmt: skip

#: What pure modules may not import, with everything inside it.
IMPURE = {
    "asyncio", "concurrent", "ctypes", "fcntl", "glob", "io", "klein", "logging",
    "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "select", "selectors",
    "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "treq", "twisted",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "breakpoint", "exec", "eval", "__import__"}

#: The imports inside functions: what loads the reactor, which may yet be chosen, the
#: one of ours, which is for Linux only, and the library for metrics, which few need.
LATE = {
    ("metrics", "yallmp.exposition.exposition"),
    ("options", "yallmp.fleet"),
    ("options", "yallmp.tap"),
    ("reactors", "yallmp.lightreactor"),
    ("worker", "yallmp.tap"),
}


@frozen
class Module:
    """A module of yallmp: its name below ``yallmp`` and its syntax tree."""

    name: str
    tree: ast.Module

    @property
    def is_pure(self) -> bool:
        """Whether it decides or translates only."""
        return self.name.split(".")[0] in ("core", "api_types", "dialects")


def modules() -> Iterator[Module]:
    """Every module of the package."""
    for path in sorted((ROOT / "yallmp").rglob("*.py")):
        parts = path.relative_to(ROOT / "yallmp").with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield Module(name, ast.parse(path.read_text(encoding="utf-8"), str(path)))


MODULES = list(modules())
NAMES = {module.name for module in MODULES}


def imported(node: ast.AST) -> list[str]:
    """The full names that an import statement may bind; nothing for other nodes."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        return [f"{base}.{alias.name}" for alias in node.names]
    return []


def own(full: str) -> str | None:
    """The module of ours that *full* (a module, or a name in one) means, below ``yallmp``."""
    parts = full.split(".")
    if parts[0] != "yallmp":
        return None
    below = parts[1:]
    while below and ".".join(below) not in NAMES:
        below = below[:-1]
    return ".".join(below)


def own_imports(module: Module) -> set[str]:
    """The modules of ours that *module* imports anywhere in it."""
    names = (name for node in ast.walk(module.tree) for name in imported(node))
    return {found for name in names if (found := own(name)) is not None}


def layer(name: str) -> int:
    """The layer of a module, counted from below; -1 if it was not placed."""
    package = name.rpartition(".")[0] + ".*"
    for index, members in enumerate(LAYERS):
        if name in members or ("." in name and package in members):
            return index
    return -1


def late_imports(module: Module) -> set[tuple[str, str]]:
    """The imports inside functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    inside = (n for f in ast.walk(module.tree) if isinstance(f, functions) for n in ast.walk(f))
    return {(module.name, full) for node in inside for full in imported(node)}


class LayeringTests(SynchronousTestCase):
    """The order of the layers holds."""

    def test_every_module_has_its_place(self) -> None:
        """A new module is placed by whoever adds it."""
        homeless = sorted(name for name in NAMES if layer(name) < 0)
        self.assertEqual(
            homeless,
            [],
            "these modules have no layer yet: add each to LAYERS in tests/test_layering.py, "
            "as low as its imports allow",
        )

    def test_every_module_has_one_place(self) -> None:
        """A module that stood in two layers would be held to the lower one only."""
        placed = Counter(name for members in LAYERS for name in members)
        self.assertEqual([name for name, times in placed.items() if times > 1], [])

    def test_imports_go_downwards(self) -> None:
        """No module imports from a layer above its own."""
        upwards = [
            f"{module.name} imports {other}"
            for module in MODULES
            for other in sorted(own_imports(module))
            if layer(other) > layer(module.name) >= 0
        ]
        self.assertEqual(upwards, [], "imports go downwards only (LAYERS in this file)")

    def test_nothing_imports_in_a_circle(self) -> None:
        """Not within a layer either."""
        graph = {module.name: own_imports(module) - {module.name} for module in MODULES}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            self.fail(f"a circle of imports: {' ← '.join(error.args[1])}")

    def test_no_relative_imports(self) -> None:
        """A name says where it comes from."""
        relative = [
            module.name
            for module in MODULES
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ImportFrom) and node.level
        ]
        self.assertEqual(relative, [])

    def test_no_imports_inside_functions(self) -> None:
        """What a module needs stands at its top, but for the one that loads the reactor."""
        late = {found for module in MODULES for found in late_imports(module)}
        self.assertEqual(late - LATE, set(), "move these imports to the top of their modules")


class PurityTests(SynchronousTestCase):
    """``core`` and ``api_types`` touch nothing."""

    def test_no_impure_imports(self) -> None:
        """No reactor, clock, file, process, thread or randomness."""
        impure = [
            f"{module.name} imports {full}"
            for module in MODULES
            if module.is_pure
            for node in ast.walk(module.tree)
            for full in imported(node)
            if full.split(".")[0] in IMPURE
        ]
        self.assertEqual(impure, [], "take it as an argument; whoever is above passes it in")

    def test_no_impure_calls(self) -> None:
        """No built-in that reads, writes or runs something."""
        calls = [
            f"{module.name}:{node.lineno} calls {node.func.id}"
            for module in MODULES
            if module.is_pure
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in IMPURE_CALLS
        ]
        self.assertEqual(calls, [], "leave this to the modules above")

    def test_the_names_are_real(self) -> None:
        """The list of built-ins above has no slip of the pen in it."""
        self.assertEqual([name for name in IMPURE_CALLS if not hasattr(builtins, name)], [])
