"""
Values that are hidden because of their names: headers and query parameters.

A value whose name speaks of a secret is hidden whoever sent it, known or not.  So that a
person can still tell one key from another, a token of 20 or more characters shows its
first three; a shorter one, a password or a cookie shows nothing, and nothing ever shows
how long it was.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_plus

MASK = "****"
#: A token must be this long to show its start.
LEAST_SHOWN = 20
SHOWN = 3

_WORDS = {
    "token", "secret", "key", "auth", "password", "apikey", "authorization",
    "authentication", "cookie", "credential", "credentials", "signature", "sig", "jwt",
    "passwd", "pwd",
}  # fmt: skip
#: Words in other spellings: ``accessToken``, ``X-ApiKey``.
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_WHOLLY = re.compile(r"cookie|passw|pwd|secret|sig|credential", re.IGNORECASE)
_TOKEN = re.compile(rb"(?:(?:Bearer|Token) +)?([!-~]{%d,})" % LEAST_SHOWN, re.IGNORECASE)
_SCHEME = re.compile(rb"(Bearer|Basic|Digest|Negotiate|Token|AWS4-HMAC-SHA256) ", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/?#]+(?=@)")
_PARAMETER = re.compile(r"([^&;=]+)=([^&;]*)")


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """
    Whether a header or a query parameter of this name holds a secret.

    >>> is_secret_name("X-Auth-Token"), is_secret_name("x-ratelimit-limit-tokens")
    (True, False)
    """
    dashed = name.lower().replace("_", "-").replace(".", "-")
    if "ratelimit" in dashed or dashed.endswith("-tokens") or dashed == "idempotency-key":
        return False
    return any(word.lower() in _WORDS for word in (*dashed.split("-"), *_WORD.findall(name)))


@lru_cache(maxsize=1024)
def shown_of(name: bytes) -> int | None:
    """How much of a token in the header *name* is shown; ``None`` if the header is no secret."""
    text = name.decode("latin-1")
    if not is_secret_name(text):
        return None
    return 0 if _WHOLLY.search(text) else SHOWN


def header_by_name(name: bytes, value: bytes) -> bytes:
    """
    The value of a header, hidden if its name speaks of a secret.

    >>> header_by_name(b"authorization", b"Bearer sk-0123456789abcdefghij")
    b'Bearer sk-****'
    """
    shown = shown_of(name)
    return value if shown is None or not value else _hidden(value, shown)


def _hidden(value: bytes, shown: int) -> bytes:
    token = _TOKEN.fullmatch(value)
    if token:
        return value[: token.start(1) + shown] + MASK.encode()
    scheme = _SCHEME.match(value)
    return (scheme[0] if scheme else b"") + MASK.encode()


def query_by_name(query: str) -> str:
    """A query (what follows the question mark) in which the values of secret names are hidden."""
    return _PARAMETER.sub(_parameter, query) if "=" in query else query


def _parameter(found: re.Match[str]) -> str:
    name, value = unquote_plus(found[1]), found[2]
    if not value or not is_secret_name(name):
        return found[0]
    shows = len(value) >= LEAST_SHOWN and "%" not in value and not _WHOLLY.search(name)
    return f"{found[1]}={value[:SHOWN] if shows else ''}{MASK}"


def url_by_name(url: str) -> str:
    """A URL without its user info and with its query's secrets hidden."""
    base, mark, query = url.partition("?")
    return _USER_INFO.sub(MASK, base) + mark + query_by_name(query)
