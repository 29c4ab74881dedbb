"""
The JSON objects of a request, read member by member.

Whoever reads a request takes what it knows out of each object; what is left is kept as ``extra``,
so that nothing gets lost by not being thought of.  A member that is ``null`` says nothing.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from yallmp.core.errors import RequestFault

JSON = Any


@define
class Members:
    """
    The members of one object that were not taken yet.

    :ivar path: where the object stands, for whoever has to mend it; empty for the body.
    """

    path: str
    _left: dict[str, JSON] = field(repr=False)

    @classmethod
    def of(cls, value: JSON, path: str = "") -> Members:
        """
        Those of *value*.

        :raises RequestFault: it is no object.
        """
        if not isinstance(value, dict):
            raise wrong(path, "an object")
        return cls(path, {name: member for name, member in value.items() if member is not None})

    def at(self, name: str) -> str:
        """Where the member *name* stands."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether there is such a member that was not taken."""
        return name in self._left

    def take(self, name: str) -> JSON:
        """The member *name*, whatever it is; ``None`` if there is none."""
        return self._left.pop(name, None)

    def put(self, name: str, value: JSON) -> None:
        """Have *name* be there, for whoever takes the rest."""
        self._left[name] = value

    def text(self, name: str) -> str | None:
        """A text."""
        value = self.take(name)
        if value is None or isinstance(value, str):
            return value
        raise wrong(self.at(name), "a string")

    def needed(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if value is None:
            raise wrong(self.at(name), "a string")
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        value = self.take(name)
        if value is None or isinstance(value, bool):
            return value
        raise wrong(self.at(name), "true or false")

    def whole(self, name: str) -> int | None:
        """A whole number."""
        value = self.take(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise wrong(self.at(name), "a whole number")

    def number(self, name: str) -> float | None:
        """A number."""
        value = self.take(name)
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        raise wrong(self.at(name), "a number")

    def listed(self, name: str) -> list[JSON]:
        """A list; empty if there is none."""
        value = self.take(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise wrong(self.at(name), "a list")

    def within(self, name: str) -> Members:
        """The members of an object that must be there."""
        return Members.of(self.take(name), self.at(name))

    def rest(self) -> dict[str, JSON]:
        """All that was not taken."""
        left, self._left = self._left, {}
        return left


def wrong(path: str, wanted: str) -> RequestFault:
    """The error for a member at *path* that is not what is *wanted*."""
    return RequestFault(f"{path!r} must be {wanted}.", param=path)
