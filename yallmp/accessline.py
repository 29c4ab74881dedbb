"""
The daemon's line: one for each exchange, when it is over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from yallmp.core.escapes import escape_text
from yallmp.core.exchange import Begin, End
from yallmp.core.masking import Masker

#: A word that needs no second look.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]+")


class Says(Protocol):
    """What a ``twisted.logger.Logger`` does, as far as it is needed here."""

    def info(self, format: str, **values: Any) -> None:  # noqa: A002 - the name is Twisted's
        """Say something that is as it should be."""


@frozen
class _Asked:
    """What the daemon's line needs of the beginning."""

    method: str
    path: str
    model: str | None
    key: str | None


@implementer(ILogObserver)
class AccessLine:
    """
    Says one line for each exchange, recorded or not, when it is over.

    The event also carries the parts of the line as ``access``, for logs in JSON.

    :param log: says it.
    :param masker: gives the masker in force.
    """

    def __init__(self, log: Says, masker: Callable[[], Masker]) -> None:
        self._log = log
        self._masker = masker
        self._open: dict[str, _Asked] = {}

    def __call__(self, event: LogEvent) -> None:
        """Remember what was asked; say how it ended."""
        told = event.get("exchange")
        if isinstance(told, Begin):
            self._open[told.id] = _Asked(told.method, told.path, told.model, told.key_name)
        elif isinstance(told, End) and told.id in self._open:
            access = self._masked(_parts(self._open.pop(told.id), told))
            self._log.info("{line}", line=access_line(access), access=access)

    def _masked(self, parts: dict[str, object]) -> dict[str, object]:
        """
        *parts* without known secrets; all that others say is looked at once.

        The path comes last there: it may have been cut, in the middle of a secret.
        """
        mask = self._masker().mask_text
        texts = [v for k, v in parts.items() if isinstance(v, str) and k != "path"]
        together = "\n".join([*texts, str(parts["path"])])
        if mask(together) == together:
            return parts
        return {k: mask(v) if isinstance(v, str) else v for k, v in parts.items()}


def _parts(asked: _Asked, end: End) -> dict[str, object]:
    return {
        "method": asked.method,
        "path": asked.path,
        "model": asked.model,
        "key": asked.key,
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
    words = {key: _word(value) for key, value in parts.items()}
    first = f"{words.pop('method')} {words.pop('path')}"
    return " ".join([first, *(f"{key}={word}" for key, word in words.items())])


def _word(value: object) -> str:
    if isinstance(value, (int, float)) or (isinstance(value, str) and _PLAIN.fullmatch(value)):
        return str(value)
    text = "-" if value is None else escape_text(str(value))
    plain = text and not any(character in ' "=' for character in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
