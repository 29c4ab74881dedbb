"""
Which headers pass, and which are ours.

Towards a backend a closed list passes, so that no credential, cookie or hop-by-hop
header of a client ever leaves; from a backend everything passes but what belongs to its
own connection, its own site or the message's framing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

from yallmp.core.backend import Backend
from yallmp.core.exchange import HeaderPairs
from yallmp.core.hops import FIRST, HOPS_FIELD, one_more

_PASS_UP = {
    b"content-type", b"accept", b"user-agent", b"idempotency-key", b"traceparent",
    b"tracestate", b"x-request-id",
}  # fmt: skip
_PASS_UP_PREFIX = b"x-stainless-"
_DIALECT = {
    "openai": {b"openai-beta"},
    "anthropic": {b"anthropic-version", b"anthropic-beta"},
}
HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"trailers", b"transfer-encoding", b"upgrade",
}  # fmt: skip
#: Not even ``pass_headers`` lets these through: they are the connection's, ours to set, or
#: may hold a key of this proxy.
_NEVER_UP = HOP_BY_HOP | {
    b"host", b"content-length", b"content-encoding", b"accept-encoding", b"expect",
    b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", HOPS_FIELD,
}  # fmt: skip
_STAYS_DOWN = HOP_BY_HOP | {
    b"set-cookie", b"server", b"date", b"alt-svc", b"strict-transport-security",
    b"content-length", b"content-encoding", b"x-request-id", b"x-yallmp-id",
}  # fmt: skip
#: The version of Anthropic's API that requests are written for.
_VERSION = b"2023-06-01"
_CONNECTION = len(b"connection")
_STAYS_DOWN_PREFIXES = (b"access-control-", b"x-yallmp-")


def for_backend(headers: HeaderPairs, backend: Backend, *, repeat: bool) -> HeaderPairs:
    """
    The headers of an upstream request, without those of the message's framing.

    :param headers: what the client sent.
    :param repeat: whether this goes to the backend that an ``idempotency-key`` was
        already sent to (or to the first one).
    """
    listed, replaced, ours = _towards(backend)
    named = _named_by_connection(headers)
    passed, typed, hops = [], b"content-type" in replaced, FIRST
    for name, value in headers:
        lowered = name.lower()
        if lowered not in listed and not lowered.startswith(_PASS_UP_PREFIX):
            if lowered == HOPS_FIELD:
                hops = max(hops, one_more(value), key=int)
            continue
        if lowered in replaced or lowered in named:
            continue
        if repeat or lowered != b"idempotency-key":
            typed = typed or lowered == b"content-type"
            passed.append((lowered, value))
    if backend.api_type == "anthropic" and b"anthropic-version" not in replaced:
        passed += _version(passed)
    if not typed:
        passed.append((b"content-type", b"application/json"))
    return (*passed, (HOPS_FIELD, hops), *ours)


def _version(passed: HeaderPairs | list[tuple[bytes, bytes]]) -> HeaderPairs:
    """The version of the API that is spoken, for a client that does not say."""
    said = any(name == b"anthropic-version" for name, _ in passed)
    return () if said else ((b"anthropic-version", _VERSION),)


@lru_cache(1024)
def _towards(backend: Backend) -> tuple[frozenset[bytes], frozenset[bytes], HeaderPairs]:
    """Which of a client's headers pass, which *backend* replaces, and those that it adds."""
    extra = tuple((name.lower().encode(), value.encode()) for name, value in backend.extra_headers)
    replaced = frozenset(name for name, _ in extra)
    also = frozenset(name.encode("latin-1", "replace") for name in backend.pass_headers)
    listed = _PASS_UP | _DIALECT.get(backend.api_type, set()) | (also - _NEVER_UP)
    return frozenset(listed), replaced, (*_own(backend, replaced), *extra)


def _named_by_connection(headers: HeaderPairs) -> Collection[bytes]:
    """Headers that belong to the connection because ``Connection`` says so (RFC 9110, 7.6.1)."""
    named: list[bytes] = []
    for name, value in headers:
        if len(name) == _CONNECTION and name.lower() == b"connection":
            named += [token.strip().lower() for token in value.split(b",")]
    return named


def _own(backend: Backend, replaced: frozenset[bytes]) -> Iterable[tuple[bytes, bytes]]:
    yield b"accept-encoding", b"identity"
    named = b"x-api-key" if backend.api_type == "anthropic" else b"authorization"
    if backend.api_key and replaced.isdisjoint((named, b"authorization")):
        prefix = b"" if named == b"x-api-key" else b"Bearer "
        yield named, prefix + backend.api_key.encode()


def for_client(headers: HeaderPairs) -> HeaderPairs:
    """
    The headers of a backend's answer that its client gets.

    Repeated ones stay repeated; the backend's ``x-request-id`` becomes
    ``x-yallmp-upstream-request-id``.
    """
    named = _named_by_connection(headers)
    passed: list[tuple[bytes, bytes]] = []
    ids: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"x-request-id":
            ids.append((b"x-yallmp-upstream-request-id", value))
        elif not (
            lowered in _STAYS_DOWN or lowered.startswith(_STAYS_DOWN_PREFIXES) or lowered in named
        ):
            passed.append((lowered, value))
    return (*passed, *ids[:1])


def media_type(headers: HeaderPairs) -> bytes:
    """The media type of a message, in lower case, without parameters; empty if it has none."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""
