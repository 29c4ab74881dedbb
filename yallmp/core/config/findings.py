"""
What is wrong with a configuration, said to the person who wrote it.

Everything is found in one pass and told at once: a :class:`Problem` for what stops the
start, a :class:`yallmp.core.settings.Notice` for what should be read all the same.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Problem:
    """
    One thing that must be changed, with its place.

    >>> str(Problem('"soon" is not a number of seconds', "router_settings.deadline", 12, "c.yaml"))
    'c.yaml:12: router_settings.deadline: "soon" is not a number of seconds'

    ``line`` counts from 1; it is ``None`` where there are no lines (JSON), ``path`` and
    ``file`` are empty where there is none.
    """

    message: str
    path: str = ""
    line: int | None = None
    file: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self._place(), self.path, self.message) if part)

    def _place(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class ConfigError(Exception):
    """A configuration that cannot be used; ``problems`` are all its problems, in order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
