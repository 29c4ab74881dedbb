"""
The daemon's line: one for each exchange, when it is over.

It says much the same each time, so what was found out about a word (that no secret is in
it, whether it has to be quoted) is remembered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache

from attrs import define
from twisted.logger import ILogObserver, LogLevel

from yallmp.core.escapes import escape_text
from yallmp.core.exchange import Begin, End
from yallmp.core.masking import Masker

#: A word that needs no second look.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]+")
#: What stands first, without its name.
_FIRST = ("method", "path")
#: Longer words are not remembered, so that others cannot make us remember much.
_MEMORABLE = 200


@define
class AccessLine:
    """
    Says one line for each exchange, recorded or not, when it is over.

    The event also carries the parts of the line as ``access``, for logs in JSON.

    :ivar observer: takes it: the daemon's own log, or Twisted's publisher.
    :ivar masker: gives the masker in force.
    """

    observer: ILogObserver
    masker: Callable[[], Masker]

    def say(self, begin: Begin, end: End) -> None:
        """Say how the exchange that began so ended."""
        masker = self.masker()
        parts = _parts(begin, end)
        access = {key: _masked(value, masker) for key, value in parts.items()}
        self.observer(
            {
                "log_level": LogLevel.info,
                "log_namespace": "yallmp",
                "log_format": "{line}",
                "log_time": begin.time + end.at / 1000,
                "line": access_line(access),
                "access": access,
            }
        )


def _masked(value: object, masker: Masker) -> object:
    """A part without known secrets; it may have been cut, in the middle of one."""
    if not isinstance(value, str):
        return value
    mask = _mask if len(value) < _MEMORABLE else _mask.__wrapped__
    return mask(value, masker)


@lru_cache(maxsize=512)
def _mask(text: str, masker: Masker) -> str:
    return masker.mask_text(text)


def _parts(begin: Begin, end: End) -> dict[str, object]:
    return {
        "method": begin.method,
        "path": begin.path,
        "model": begin.model,
        "key": begin.key_name,
        "backend": end.backend,
        "status": end.status,
        "ms": round(end.at, 1),
        "attempts": end.attempts,
        "outcome": end.outcome,
        "id": end.id,
    }


def access_line(parts: dict[str, object]) -> str:
    """
    The daemon's line for a request: method, path, then ``key=value``; a dash for none.

    A value that is not one plain word is quoted, so that it cannot pass for another part.
    """
    words = [f"{key}={_word(value)}" for key, value in parts.items() if key not in _FIRST]
    return " ".join([*(_word(parts[key]) for key in _FIRST), *words])


def _word(value: object) -> str:
    if not isinstance(value, str):
        return "-" if value is None else str(value)
    return _quoted(value) if len(value) < _MEMORABLE else _quoted.__wrapped__(value)


@lru_cache(maxsize=512)
def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    text = escape_text(value)
    plain = text and not any(character in ' "=' for character in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
