"""
Proxies between us and backends: which one, as the environment tells it.

``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` have no standard; they are read as curl reads
them.  The name in lower case wins over the one in upper case, also if it is empty, which
switches the proxy off.  ``NO_PROXY`` lists names (each with all that end in it), addresses,
networks (``10.0.0.0/8``), all of them with or without a port, or ``*``.  This machine itself is
never asked for by way of a proxy that only the environment names.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from yallmp.core.addresses import is_loopback

_DEFAULT_PORT = 80
_PORTS = {"http": 80, "https": 443}
_LIKE = "http://proxy.example:3128"
#: A name or an address with a port behind it; an IPv6 address then stands in brackets.
_WITH_PORT = re.compile(r"(?P<host>[^:]+|\[.*\]):(?P<port>\d+)")


class BadProxy(ValueError):
    """What should name a proxy names none that can be used; it is not repeated (passwords)."""


@frozen(cache_hash=True)
class Proxy:
    """
    A proxy that speaks HTTP, and who we are to it.

    :ivar credentials: ``user:password``, if it wants to know.
    """

    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Where it is, without who we are."""
        return authority(self.host, self.port)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What a request brings for the proxy alone."""
        if self.credentials is None:
            return ()
        return ((b"Proxy-Authorization", b"Basic " + b64encode(self.credentials.encode())),)


def authority(host: str, port: int) -> str:
    """*host* and *port* as they stand in a request."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parsed(text: str) -> Proxy:
    """
    The proxy at *text*, ``http://user:password@host:port`` or a part of that.

    :raises BadProxy: it is none.
    """
    usual = text.isascii() and text.isprintable() and " " not in text
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        usual, host, port = False, None, None
    if not usual or not host or port == 0 or parts.path not in ("", "/") or parts.query:
        raise BadProxy(f"is not the address of a proxy such as {_LIKE}")
    if parts.scheme != "http":
        raise BadProxy(f"is a proxy of another kind; only such as {_LIKE} can be used")
    return Proxy(host, port or _DEFAULT_PORT, _credentials(parts.username, parts.password))


def _credentials(user: str | None, password: str | None) -> str | None:
    if user is None:
        return None
    return f"{unquote(user)}:{unquote(password or '')}"


def variable_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The variable of *environ* that names a proxy for *url*, if one does."""
    parts = urlsplit(url)
    host, scheme = (parts.hostname or "").rstrip("."), parts.scheme
    if not host or host == "localhost" or host.endswith(".localhost") or is_loopback(host):
        return None
    port = parts.port or _PORTS.get(scheme, 0)
    name = _set(f"{scheme}_proxy", environ)
    excepted = _set("no_proxy", environ)
    if name is None or (excepted and is_excepted(host, port, environ[excepted])):
        return None
    return name


def _set(name: str, environ: Mapping[str, str]) -> str | None:
    """*name*, in either case, if it is set to something."""
    found = name if name in environ else name.upper()
    return found if environ.get(found, "").strip() else None


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Whether *no_proxy* says that *host* is asked directly."""
    return any(_covers(entry, host, port) for entry in re.split(r"[\s,]+", no_proxy) if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port is not None:
        entry = with_port["host"]
        if int(with_port["port"]) != port:
            return False
    entry = entry.strip("[]").rstrip(".").lower()
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:  # one of the two is a name
        name = entry.removeprefix("*").removeprefix(".")
        return bool(name) and f".{host}".endswith(f".{name}")
