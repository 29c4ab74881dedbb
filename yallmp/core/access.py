"""
Who may do what, decided from the facts of a request (``docs/security.md``).

Without keys the API serves the neighbourhood: this machine, private networks, the same
link.  What protects it there is that web pages are kept out.  A page cannot hide the
``Origin`` of what it sends, so an origin that is not listed is refused; and a page that
has made its own name point to this machine (DNS rebinding) cannot hide that name, so on
loopback the ``Host`` must be a loopback name.

With keys, whoever has one comes in, from anywhere; a page needs its origin listed still.

The administration has a key of its own.  Without it, only a program on this machine comes
in, and nothing that may have come through a proxy or a browser.

Every refusal says what to do about it.  Keys are compared by their SHA-256 digests, each
in constant time and always all of them, so that the time taken tells nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import unquote

from attrs import frozen

from yallmp.core.errors import Forbidden, HeaderList, Unauthorized
from yallmp.core.settings import Access, Key, Server
from yallmp.core.visit import Visit, host_of, is_loopback_name

#: The headers that decide whether someone comes in; each may stand once.
DECISIVE = ("authorization", "x-api-key", "host", "origin")
_BEARER = re.compile(r"bearer +(\S.*)", re.IGNORECASE)
_CHALLENGE: HeaderList = ((b"www-authenticate", b"Bearer"),)
#: What tells of a reverse proxy, a tunnel or a browser in between, with dashes.
_PROXIED = {
    "via", "cdn-loop", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-host", "x-scheme",
    "x-remote-ip", "x-remote-addr", "x-proxyuser-ip", "x-nginx-proxy", "x-request-start",
    "x-arr-ssl", "x-cloud-trace-context",
}  # fmt: skip
_PROXIED_PREFIXES = (
    "forwarded", "x-forwarded", "x-original-", "x-envoy-", "x-amzn-", "x-azure-", "x-appengine-",
    "x-goog-iap-", "true-client-", "cf-", "fly-", "fastly-", "tailscale-", "ngrok-",
)  # fmt: skip
_OF_PAGES = ("origin", "sec-fetch-", "sec-ch-", "access-control-request-")
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_.!*-]+( *, *[A-Za-z0-9_.!*-]+)*")
_PREFLIGHT_AGE = b"600"
#: A colon of an endpoint's description that is not escaped.
_COLON = re.compile(r"(?<!\\):")


@frozen
class Admitted:
    """
    Someone who may use the API.

    ``key_name`` is ``None`` where there are no keys; ``models`` is what the key is limited
    to, ``None`` for everything.
    """

    key_name: str | None = None
    models: tuple[str, ...] | None = None

    def allows(self, model: str) -> bool:
        """Whether *model* may be used; a limit that ends in ``*`` allows what starts alike."""
        return self.models is None or any(_covers(limit, model) for limit in self.models)


def _covers(limit: str, model: str) -> bool:
    return model == limit or (limit.endswith("*") and model.startswith(limit[:-1]))


def admit(visit: Visit, access: Access) -> Admitted:
    """
    Let a visitor to ``/v1`` in.

    :raises Unauthorized: no key, a wrong one, or a stranger where there are no keys.
    :raises Forbidden: a web page, or a name that is not this machine's.
    :raises RequestFault: a header that decides stands twice.
    """
    _check_single(visit)
    _check_origin(visit, access)
    if access.keys:
        return _by_key(visit, access.keys)
    if not visit.from_nearby:
        raise Unauthorized(
            "This proxy has no keys, so it serves only its own machine and private networks."
            " To serve others, set general_settings.api_keys.",
            headers=_CHALLENGE,
        )
    _check_host(visit, access)
    return Admitted()


def _check_single(visit: Visit) -> None:
    headers = visit.headers
    for name in DECISIVE:
        if len(headers.get(name, ())) > 1:
            visit.one(name)


def _check_origin(visit: Visit, access: Access) -> None:
    if "origin" not in visit.headers:
        return
    origin = visit.one("origin") or ""
    if not _is_listed(origin, access.cors_origins):
        raise Forbidden(
            f"Web pages of {origin!r} may not use this proxy. To allow them, add the origin"
            " to general_settings.server.cors_origins."
        )


def _is_listed(origin: str, listed: Iterable[str]) -> bool:
    return any(each == "*" or each.lower().rstrip("/") == origin.lower() for each in listed)


def _check_host(visit: Visit, access: Access) -> None:
    if not visit.on_loopback:
        return
    host = host_of(visit.one("host") or "")
    allowed = {host_of(each) for each in access.allowed_hosts}
    if host is None or not (is_loopback_name(host) or host in allowed or "*" in allowed):
        raise Forbidden(
            "The Host header is not a name of this machine, as if a web page had sent this."
            " If it is meant, add the name to general_settings.server.allowed_hosts."
        )


def _by_key(visit: Visit, keys: Iterable[Key]) -> Admitted:
    tokens = _tokens(visit)
    if not tokens:
        raise Unauthorized(
            "A key is needed: send one of general_settings.api_keys as"
            " 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
            headers=_CHALLENGE,
        )
    digests = [_digest(token) for token in tokens]
    right = [key for digest in digests for key in keys if compare_digest(key.digest, digest)]
    if not right:
        raise Unauthorized("The key is not one of general_settings.api_keys.", headers=_CHALLENGE)
    return Admitted(right[0].name, right[0].models)


def _tokens(visit: Visit) -> list[str]:
    bearer = _BEARER.fullmatch(visit.one("authorization") or "")
    tokens = [bearer[1]] if bearer else []
    if visit.headers.get("x-api-key"):
        tokens += filter(None, [visit.one("x-api-key")])
    return tokens


def _digest(token: str) -> bytes:
    """Of the bytes as they came: a header's text is its bytes as Latin-1."""
    return sha256(token.encode("latin-1", "replace")).digest()


def may_use(
    admitted: Admitted, model: str, fallbacks: Collection[str] = (), *, alias: str | None = None
) -> None:
    """
    Check a key's limit.

    :param model: what the client asked for, as it was found (not a wildcard's pattern).
    :param fallbacks: every other model that would come to serve the request.
    :param alias: the alias by which *model* was asked for; allowing it allows its model.
    :raises Forbidden: one of them is not among the key's models.
    """
    if not (admitted.allows(model) or (alias is not None and admitted.allows(alias))):
        raise Forbidden(
            f"The key {admitted.key_name!r} may not use the model {alias or model!r}; its"
            " models are set in general_settings.api_keys.",
            code="model_not_allowed",
            param="model",
        )
    for each in fallbacks if admitted.models is not None else ():
        if not admitted.allows(each):
            raise Forbidden(
                f"The key {admitted.key_name!r} may not use {each!r}, which {model!r} falls"
                " back to; add it to the key's models, or take it out of the fallbacks.",
                code="model_not_allowed",
                param="model",
            )


def is_preflight(visit: Visit) -> bool:
    """Whether a browser asks what a page may send (Fetch standard, "CORS-preflight fetch")."""
    asks = visit.all("origin") and visit.all("access-control-request-method")
    return visit.method == "OPTIONS" and bool(asks)


def cors_headers(visit: Visit, access: Access) -> HeaderList:
    """
    What tells a browser that a page may read the answer, errors too; needs no key.

    Empty where there is no origin, where it is not listed, and for the administration.
    """
    origins = visit.all("origin")
    if not origins:
        return ()
    if len(origins) != 1 or not _is_listed(origins[0].strip(), access.cors_origins):
        return ()
    if is_admin(unquote(visit.path)):
        return ()
    answer: HeaderList = (
        (b"access-control-allow-origin", origins[0].strip().encode("latin-1")),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"origin"),
    )
    return answer + tuple(_preflight_headers(visit)) if is_preflight(visit) else answer


def _preflight_headers(visit: Visit) -> Iterator[tuple[bytes, bytes]]:
    yield b"access-control-allow-methods", b"GET, POST, OPTIONS"
    yield b"access-control-max-age", _PREFLIGHT_AGE
    wanted = ",".join(visit.all("access-control-request-headers")).strip()
    if len(wanted) <= 2000 and _HEADER_NAMES.fullmatch(wanted):
        yield b"access-control-allow-headers", wanted.encode("ascii")
    if visit.all("access-control-request-private-network") == ("true",):
        yield b"access-control-allow-private-network", b"true"


def is_admin(path: str) -> bool:
    """Whether *path*, decoded, is one of the administration's."""
    return path in ("/admin", "/metrics") or path.startswith("/admin/")


def listens_on_loopback(server: Server) -> bool:
    """Whether nobody outside this machine can reach the listener; in doubt, no."""
    if server.listen is None:
        return is_loopback_name(server.host.strip("[]").lower())
    kind, *parts = (part.replace("\\:", ":") for part in _COLON.split(server.listen))
    interfaces = [part.partition("=")[2] for part in parts if part.startswith("interface=")]
    return kind == "unix" or (
        kind in ("tcp", "tcp6", "ssl") and bool(interfaces) and is_loopback_name(interfaces[-1])
    )


def admit_admin(visit: Visit, access: Access, *, listener_is_loopback: bool) -> None:
    """
    Let a visitor to ``/admin`` in.

    :raises Forbidden: neither the admin key nor, without one, a program on this machine.
    :raises RequestFault: a header that decides stands twice.
    """
    _check_single(visit)
    if access.admin_key is not None:
        _check_admin_key(visit, access.admin_key)
        return
    reason = next(_reasons_against(visit, access, listener_is_loopback), None)
    if reason is not None:
        raise Forbidden(
            f"The administration is closed: there is no admin key, and {reason}. Set"
            " general_settings.admin_key and send it as 'Authorization: Bearer KEY'."
        )


def _check_admin_key(visit: Visit, admin_key: str) -> None:
    bearer = _BEARER.fullmatch(visit.one("authorization") or "")
    given = _digest(bearer[1]) if bearer else b""
    if not compare_digest(given, sha256(admin_key.encode()).digest()):
        raise Forbidden(
            "The administration needs general_settings.admin_key as 'Authorization: Bearer KEY'"
            + ("; this is another one." if bearer else ".")
        )


def _reasons_against(visit: Visit, access: Access, listener_is_loopback: bool) -> Iterator[str]:
    """Why a visitor without a key may be someone else than a program on this machine."""
    if not listener_is_loopback:
        yield "the proxy listens on more than loopback"
    if access.keys:
        yield "the API has keys"
    if not visit.from_this_machine:
        yield "the request comes from another machine"
    host = host_of(visit.one("host") or "")
    if host is None or not is_loopback_name(host):
        yield "the Host header is not a loopback name"
    if visit.version != "HTTP/1.1":
        yield "the request is not HTTP/1.1"
    yield from _traces_of_others(visit)
    media_type = (visit.one("content-type") or "").partition(";")[0].strip().lower()
    if visit.has_body and media_type != "application/json":
        yield "the Content-Type is not application/json"


def _traces_of_others(visit: Visit) -> Iterator[str]:
    for name in visit.headers:
        plain = name.replace("_", "-")
        if plain.startswith(_OF_PAGES):
            yield "the request comes from a web page"
        elif plain in _PROXIED or plain.startswith(_PROXIED_PREFIXES):
            yield f"the header {name!r} tells of a proxy in between"
