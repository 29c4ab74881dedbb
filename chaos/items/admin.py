"""
Visits to the administration by those who may not come in.
"""

from __future__ import annotations

from collections.abc import Iterable

from chaos import secrets
from chaos.item import Item
from chaos.stand import Stand

_TARGET = "/admin/models"
_BODY = '{"model_name": "x", "api_base": "http://127.0.0.1:9/v1"}'
_JSON = "Content-Type: application/json"
#: What browsers, reverse proxies and tunnels add.
_TRACES = (
    "Origin: http://localhost", "Origin: null", "Origin: https://evil.example", "origin:",
    "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors",
    "Sec-CH-UA: x", "Access-Control-Request-Method: POST", "Forwarded: for=127.0.0.1",
    "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost", "X-Forwarded-Proto: http",
    "X-Forwarded: x", "X_Forwarded_For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Via: 1.1 x",
    "X-Original-Forwarded-For: 127.0.0.1", "True-Client-IP: ::1", "CF-Connecting-IP: ::1",
    "CDN-Loop: x", "X-Envoy-External-Address: ::1", "Fly-Client-IP: ::1", "X-Amzn-Trace-Id: x",
    "Tailscale-User-Login: x", "X-Client-IP: 127.0.0.1", "X-Cluster-Client-IP: 127.0.0.1",
)  # fmt: skip
#: Names that a page, or a proxy, may have called us by.
_HOSTS = (
    "evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "127.0.0.1.evil.example",
    "localhost@evil.example", "evil.example#localhost", "evil.example:localhost", "127.1",
    "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "[::]", "[::ffff:10.0.0.1]", "localhost:x",
    "localhost, evil.example", "localhost evil.example", "", "[::1", "::1", "lo\u00e7alhost",
    "local\u0000host", "localhost\\", "localhost/", "169.254.169.254",
)  # fmt: skip
_RIGHT_HOSTS = (
    "localhost",
    "LOCALHOST:80",
    "127.0.0.1",
    "127.0.0.1:8000",
    "[::1]:80",
    "a.localhost.",
)


def _request(
    *fields: str, host: str = "localhost", line: str = f"GET {_TARGET} HTTP/1.1", body: str = ""
) -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([line, f"Host: {host}", *length, *fields, "", body]).encode("latin-1")


def _refused_without_key() -> Iterable[bytes]:
    yield from (_request(trace) for trace in _TRACES)
    yield from (_request(host=host) for host in _HOSTS)
    post = f"POST {_TARGET} HTTP/1.1"
    for trace in _TRACES:
        yield _request(_JSON, trace, line=post, body=_BODY)
    for kind in (
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain; application/json", "application/jsonp", "application/csp-report",
        "text/plain\r\nContent-Type: application/json", "application/json, text/plain",
    ):  # fmt: skip
        yield _request(*([f"Content-Type: {kind}"] if kind else []), line=post, body=_BODY)
    yield _request(line=f"GET {_TARGET} HTTP/1.0")
    yield _request("Host: evil.example")
    yield _request(line=f"GET http://evil.example{_TARGET} HTTP/1.1")
    yield _request("Origin: https://evil.example", line=f"OPTIONS {_TARGET} HTTP/1.1")
    for target in ("POST /admin/reload", "GET /metrics", "DELETE /admin/models/m"):
        for trace in _TRACES[::3]:
            yield _request(trace, line=f"{target} HTTP/1.1")
    for path in ("/%61dmin/models", "/admin%2Fmodels", "/admin/models/", "/admin", "/admin/x"):
        yield _request("X-Forwarded-For: ::1", line=f"GET {path} HTTP/1.1")


def _refused_with_key() -> Iterable[bytes]:
    admin, client = secrets.ADMIN, secrets.CLIENT
    for given in (
        "", "Bearer", "Bearer ", f"Bearer {client}", f"Basic {admin}", f"Bearer{admin}", admin,
        f"Bearer\t{admin}", f"Bearer {admin}x", f"Bearer {admin[:-1]}", f"Bearer x{admin}",
        f"Bearer {admin.upper()}", f"Bearer {admin}, Bearer {admin}", f"Bearer {admin} {admin}",
        f"Bearer Bearer {admin}", f"Bearer {admin}\r\nAuthorization: Bearer x",
        f"Bearer x\r\nAuthorization: Bearer {admin}", f"Bearer {admin}\r\n x", f"Token {admin}",
        f"Bearer {admin}\u0000", "Bearer %", "Bearer null", "Bearer undefined", "Bearer None",
    ):  # fmt: skip
        yield _request(f"Authorization: {given}")
    for field in ("X-API-Key", "Api-Key", "X-Admin-Key", "Proxy-Authorization", "Cookie"):
        yield _request(f"{field}: {admin}")
        yield _request(f"{field}: Bearer {admin}")
    yield _request(line=f"GET {_TARGET}?key={admin.replace(chr(34), '%22')} HTTP/1.1")


def _admitted() -> Iterable[bytes]:
    yield from (_request(host=host) for host in _RIGHT_HOSTS)
    yield _request("Content-Type: application/JSON; charset=utf-8",
                   line=f"POST {_TARGET} HTTP/1.1", body=_BODY)  # fmt: skip


def _status(stand: Stand, request: bytes) -> int:
    caller = stand.caller(10.0)
    caller.send(request)
    answer = caller.answer()
    caller.close()
    return answer.status


def _try(stand: Stand, wrong: Iterable[bytes], right: Iterable[bytes]) -> None:
    """The wrong ones are refused, however many; the right ones are never."""
    tried = list(wrong)
    statuses = [_status(stand, request) for request in tried]
    let_in = [r for r, s in zip(tried, statuses, strict=True) if s not in (400, 403, 429)]
    if let_in:
        stand.note(f"let in: {let_in[0]!r}")
    stand.figure("11a", float(len(let_in)))
    stand.must(429 in statuses, "so many refused visits were never told to stop")
    for request in right:
        stand.must(_status(stand, request) == 200, f"a right visit is refused: {request!r}")
    stand.note(f"{len(tried)} visits refused")


def _open(stand: Stand) -> None:
    """Against a proxy that was started again without keys."""
    general = dict(stand.proxy.config["general_settings"])
    del general["api_keys"], general["admin_key"]
    stand.proxy.write({**stand.proxy.config, "general_settings": general})
    stand.proxy.end()
    stand.proxy.start()
    _try(stand, _refused_without_key(), _admitted())


def _keyed(stand: Stand) -> None:
    right = [_request(f"Authorization: {word} {secrets.ADMIN}") for word in ("Bearer", "bearer")]
    right.append(_request(f"Authorization: Bearer  {secrets.ADMIN} ", "Via: 1.1 x", host="any"))
    _try(stand, _refused_with_key(), right)


ITEMS = (
    Item(
        "admin.without-a-key",
        "pages, rebound names, proxies, tunnels and odd bodies visit an admin without a key",
        "none comes in; a program on this machine does, also after them",
        "takes whatever comes from 127.0.0.1 for a program of its owner",
        _open,
        config={},
        limit=60.0,
    ),
    Item(
        "admin.with-a-key",
        "the key in odd spellings, in other headers, in the query, twice; other keys",
        "none comes in; the right key does, also after them",
        "compares a part of what it is given",
        _keyed,
        config={},
        limit=60.0,
    ),
)
