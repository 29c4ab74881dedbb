"""
The daemon's line: one for each exchange, when it is over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Protocol

from yallmp.core.escapes import escape_text
from yallmp.core.exchange import Begin, End
from yallmp.core.masking import Masker

#: A word that needs no second look.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]+")


class Says(Protocol):
    """What a ``twisted.logger.Logger`` does, as far as it is needed here."""

    def info(self, format: str, **values: Any) -> None:  # noqa: A002 - the name is Twisted's
        """Say something that is as it should be."""


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

    def say(self, begin: Begin, end: End) -> None:
        """Say how the exchange that began so ended."""
        access = self._masked(_parts(begin, end))
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
    words = {key: _word(value) for key, value in parts.items()}
    first = f"{words.pop('method')} {words.pop('path')}"
    return " ".join([first, *(f"{key}={word}" for key, word in words.items())])


def _word(value: object) -> str:
    if isinstance(value, (int, float)) or (isinstance(value, str) and _PLAIN.fullmatch(value)):
        return str(value)
    text = "-" if value is None else escape_text(str(value))
    plain = text and not any(character in ' "=' for character in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
