"""
Reading a configuration: what is at hand for it, and what is found on the way.

A :class:`Reading` is passed to everything that reads a part of the tree.  Nothing stops at
the first mistake: a problem is written down and ``None`` stands in for the value, so that
its reader hears of all mistakes at once.

What came from an environment variable is never repeated in a message: it may be a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from attrs import define, evolve, field

from yallmp.core.config.environment import Unexpandable, Unset, expanded, refers, whole_reference
from yallmp.core.config.findings import ConfigError, Problem
from yallmp.core.config.yamltree import Map, Node, Scalar, Seq, scalar_value
from yallmp.core.settings import Notice

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_SHOWN = 60


def no_files(path: str) -> bytes:
    """Stands where no file may be read: what comes over the network names none."""
    raise OSError(0, "no files are read here")


@define
class Reading:
    """
    One reading of one configuration.

    ``environ`` is ``None`` where values are literal (registration).  ``read_file`` gives
    the bytes of an absolute path or raises ``OSError``; ``folder`` is what relative
    paths are relative to.  A *lenient* reading checks an entry that is left out: unset
    variables and files are passed over.
    """

    file: str = ""
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    read_file: Callable[[str], bytes] = no_files
    folder: str = ""
    api_types: tuple[str, ...] = ("openai",)
    lenient: bool = False
    problems: list[Problem] = field(factory=list)
    notices: list[Notice] = field(factory=list)
    ignored: dict[str, list[Problem]] = field(factory=dict)

    def leniently(self) -> Reading:
        """The same, for an entry that is left out; its notices go nowhere."""
        return evolve(self, lenient=True, notices=[], ignored={})

    def problem(self, node: Node, message: str) -> None:
        """*message* is wrong at *node*."""
        found = self._at(node, message)
        if found not in self.problems:
            self.problems.append(found)

    def excuses(self, node: Node) -> bool:
        """Whether a value that is missing at *node* needs no further word."""
        return self.lenient or any(
            (p.path, p.line) == (node.path, node.line) for p in self.problems
        )

    def warn(self, node: Node, message: str) -> None:
        """Its owner should know *message* about *node*."""
        notice = Notice(str(self._at(node, message)))
        if notice not in self.notices:
            self.notices.append(notice)

    def ignore(self, node: Node, key: str, difference: str) -> None:
        """*key* has no effect; it is said once, at its first place, with the *difference*."""
        message = f"{key} is LiteLLM's and ignored: {difference}"
        places, found = self.ignored.setdefault(message, []), self._at(node, message)
        if found not in places:
            places.append(found)

    def inform(self, text: str) -> None:
        """Worth a line, but nothing to change."""
        self.notices.append(Notice(text, "info"))

    def finish(self) -> tuple[Notice, ...]:
        """
        End the reading: all notices.

        :raises ConfigError: there are problems; by line, those of one line as found.
        """
        if self.problems:
            raise ConfigError(tuple(sorted(self.problems, key=lambda p: p.line or 0)))
        return (*self.notices, *(Notice(_counted(found)) for found in self.ignored.values()))

    def _at(self, node: Node, message: str) -> Problem:
        return Problem(message, node.path, node.line, self.file)

    def pairs(self, node: Node | None) -> Iterator[tuple[str, Node]]:
        """What is in a mapping; nothing (and a problem) if *node* is something else."""
        if node is None or _is_null(node):
            return
        if isinstance(node, Map):
            yield from node.items
        else:
            self.problem(node, f"{self.shown(node)} is not a mapping (key: value)")

    def items(self, node: Node) -> tuple[Node, ...]:
        """What is in a list; one value is a list of one."""
        if isinstance(node, Seq):
            return node.items
        if isinstance(node, Scalar):
            return () if node.value is None else (node,)
        self.problem(node, "is a mapping, where a list is expected")
        return ()

    def scalar(self, node: Node) -> Scalar | None:
        """*node* with its variables filled in; ``None`` (and a problem) if that cannot be."""
        if not isinstance(node, Scalar):
            kind = "a list" if isinstance(node, Seq) else "a mapping"
            self.problem(node, f"is {kind}, where one value is expected")
            return None
        if self.environ is None or not isinstance(node.value, str) or not refers(node.value):
            return node
        return self._filled(node, node.value, self.environ)

    def _filled(self, node: Scalar, text: str, environ: Mapping[str, str]) -> Scalar | None:
        try:
            value = expanded(text, environ)
            whole = whole_reference(text) is not None
        except Unset as unset:
            if not self.lenient:
                self.problem(node, f"{unset}; set it, or write ${{{unset.names[0]}:-default}}")
            return None
        except Unexpandable as error:
            self.problem(node, str(error))
            return None
        return evolve(node, value=value, source=None, variable=text, whole=whole)

    def typed(self, node: Node) -> Scalar | None:
        """As :meth:`scalar`, where a number or a boolean is expected."""
        scalar = self.scalar(node)
        if scalar is None or not scalar.whole:
            return scalar
        return evolve(scalar, value=scalar_value(str(scalar.value)))

    def shown(self, node: Node) -> str:
        """*node* as a message shows it."""
        if not isinstance(node, Scalar):
            return "a list" if isinstance(node, Seq) else "a mapping"
        if node.variable is not None:
            return f"the value of {_shortened(node.variable)}"
        if node.source is not None and not isinstance(node.value, str):
            return _shortened(node.source) or "nothing"
        return _shortened(json.dumps(node.value, ensure_ascii=False))

    def absolute(self, path: str) -> str:
        """*path* as seen from the configuration's folder."""
        if not self.folder or _ABSOLUTE.match(path):
            return path
        return f"{self.folder.rstrip('/')}/{path}"

    def content(self, node: Node, path: str) -> bytes | None:
        """The content of the file at *path*; ``None`` (and a problem) if there is none."""
        if self.lenient:
            return None
        try:
            return self.read_file(self.absolute(path))
        except OSError as error:
            self.problem(node, f"{path} cannot be read: {error.strerror or error}")
            return None


def _counted(places: list[Problem]) -> str:
    first, count = places[0], len(places)
    more = {1: "", 2: " (and in one more place)"}
    return f"{first}{more.get(count, f' (and in {count - 1} more places)')}"


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
