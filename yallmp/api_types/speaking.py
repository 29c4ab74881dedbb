"""
In which dialect a backend is asked.

A client that speaks as its backend does is passed on untouched; any other one is translated into
the first dialect that the backend speaks.  Some servers speak more than their ``api_type`` says:
those are asked in the client's own dialect first (:mod:`yallmp.core.unspoken`).  One whose answers
have to be read more closely (``parse``) is never passed on untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from attrs import frozen

from yallmp.api_types import API_TYPES
from yallmp.api_types.translation import PUT_IN, Translation
from yallmp.core.asked import Asked
from yallmp.core.backend import Backend
from yallmp.dialects.parsing import parsing_of
from yallmp.dialects.table import DIALECTS
from yallmp.interfaces import IApiType, Occasion

#: The dialects that a backend of each type speaks.
SPEAKS = {
    "openai": ("chat",),
    "openai-responses": ("responses",),
    "anthropic": ("messages", "counting"),
}
#: Those that it may speak, too.
_MAY_SPEAK = {"openai": ("responses",)}
#: Who has those of OpenAI's endpoints that are in no dialect.
_ALL_ELSE = ("openai", "openai-responses")


@frozen
class Spoken:
    """
    How a backend is asked.

    :ivar tentative: whether it has yet to be seen that it has such a path.
    """

    api_type: IApiType
    tentative: bool = False


def native(dialect: str, backend: Backend) -> IApiType | None:
    """Who passes on what *backend* says to clients that speak *dialect*; else ``None``."""
    if backend.parse is not None and dialect:
        return None
    return _native(dialect, backend.api_type, backend.also)


@lru_cache(64)
def _native(dialect: str, api_type: str, also: tuple[str, ...]) -> IApiType | None:
    for each in (api_type, *also):
        if dialect in SPEAKS[each] if dialect else each in _ALL_ELSE:
            return API_TYPES[each]
    return None


def spoken(
    asked: Asked, backend: Backend, unspoken: Callable[[str, str], bool], occasion: Occasion
) -> Spoken | None:
    """
    How *backend* is asked for what it cannot pass on untouched, or may not be able to.

    :param unspoken: whether it is known that a backend does not speak a dialect.
    :param occasion: that of the answer, if it has to be translated.
    :returns: ``None`` if it cannot be asked for that.
    """
    dialect = asked.endpoint.dialect
    if not dialect:
        return None
    translated = {dialect, PUT_IN[backend.api_type]} <= DIALECTS.keys()
    if _may_speak(backend, dialect) and not unspoken(backend.name, dialect):
        return Spoken(API_TYPES[backend.api_type], tentative=translated)
    if not translated:
        return None
    return Spoken(Translation(dialect, backend.api_type, occasion, parsing_of(backend)))


def _may_speak(backend: Backend, dialect: str) -> bool:
    plain = backend.mock_response is None and backend.parse is None
    return plain and dialect in _MAY_SPEAK.get(backend.api_type, ())
