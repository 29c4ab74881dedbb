"""
Which dialects a backend turned out not to speak.

Many servers that speak OpenAI's chat completions speak Responses too, and many do not; nothing
but asking tells.  So it is asked in the client's own dialect first; if it knows no such path it
is asked in its own from then on, for an hour: servers are updated.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

#: For so long it is not asked again; seconds.
REMEMBERED = 3600.0
#: Answers to a request for a path that a server does not have.
_NO_PATH = (404, 405)
#: In such an answer these words tell of something else that it does not have.
_OTHERWISE = ("model", "previous_response", "response with id", "deployment")


@define
class Unspoken:
    """What is known of all backends, by their names; on the clock's time."""

    _until: dict[tuple[str, str], float] = field(factory=dict)

    def note(self, backend: str, dialect: str, now: float) -> None:
        """*backend* does not speak *dialect*."""
        self._until[backend, dialect] = now + REMEMBERED

    def has(self, backend: str, dialect: str, now: float) -> bool:
        """Whether it is known that *backend* does not speak *dialect*."""
        return self._until.get((backend, dialect), 0.0) > now

    def forget(self, backends: Iterable[str]) -> None:
        """These are not what they were."""
        gone = set(backends)
        self._until = {key: until for key, until in self._until.items() if key[0] not in gone}


def has_no_path(status: int, words: str) -> bool:
    """Whether an answer of *status* that says *words* (in lower case) is about the path."""
    return status in _NO_PATH and not any(word in words for word in _OTHERWISE)
