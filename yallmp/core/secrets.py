"""
The secrets that this process knows, so that they can be replaced wherever they appear.

A secret stays known after a reload or a registration has taken it out of force: records
of requests that used it are still being written, and backends may still repeat it.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress

from attrs import Factory, define, field

from yallmp.core.secretnames import is_secret_name
from yallmp.core.settings import Config

#: How many secrets that are no longer in force are remembered, the latest.
MAX_RETIRED = 1000


def secrets_of(config: Config) -> frozenset[str]:
    """Every secret in *config*: all keys, and what is named like one in what backends get."""
    keys = [key.secret for key in config.access.keys]
    values = [config.access.admin_key, *keys, *_of_backends(config)]
    return frozenset(value for value in values if value)


def _of_backends(config: Config) -> Iterator[str | None]:
    for backend in config.backends:
        yield backend.api_key
        if backend.proxy is not None and backend.proxy.credentials is not None:
            yield from (backend.proxy.credentials, backend.proxy.credentials.partition(":")[2])
        for name, value in (*backend.extra_headers, *backend.query):
            if is_secret_name(name):
                yield value
                yield from _within(value)
        for name, text in backend.extra_body:
            yield from _strings(json.loads(text), is_secret_name(name))


def _within(value: str) -> Iterator[str]:
    """What of a header's value is a secret by itself: a token, or both parts of ``Basic``."""
    scheme, _, token = value.rpartition(" ")
    yield token
    if scheme.lower() == "basic":
        with suppress(ValueError):
            whole = b64decode(token, validate=True).decode()
            yield from (whole, whole.partition(":")[2])


def _strings(value: object, secret: bool) -> Iterator[str]:
    """The texts in a JSON value whose own name, or that of what they are in, tells a secret."""
    if isinstance(value, str) and secret:
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _strings(each, secret or is_secret_name(name))
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each, secret)


@define
class Secrets:
    """All secrets in force, and the latest of those that were."""

    known: frozenset[str] = field(default=frozenset(), repr=False)
    _current: frozenset[str] = field(default=frozenset(), repr=False)
    _retired: dict[str, None] = Factory(dict)

    @classmethod
    def retiring(cls, secrets: Iterable[str]) -> Secrets:
        """None in force, and *secrets* that were."""
        retired = dict.fromkeys(secrets)
        return cls(known=frozenset(retired), retired=retired)

    @property
    def retired(self) -> tuple[str, ...]:
        """The latest that are no longer in force, oldest first."""
        return tuple(self._retired)

    def update(self, current: Iterable[str]) -> None:
        """*current* are the secrets in force from now on."""
        now = frozenset(current)
        retired = [*(s for s in self._retired if s not in now), *(self._current - now)]
        self._retired = dict.fromkeys(retired[-MAX_RETIRED:])
        self._current = now
        self.known = now | frozenset(self._retired)
