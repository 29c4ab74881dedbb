"""
Who is at the door: the facts of a request that decide whether it may come in.

Nothing here decides; :mod:`yallmp.core.access` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from yallmp.core.addresses import is_loopback, is_near
from yallmp.core.errors import RequestFault

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:/?#@\[\]\\\s]+))(?::[0-9]{0,5})?")


@frozen
class Visit:
    """
    One request, before anything of it is believed.

    ``peer`` and ``local`` are the addresses of both ends of the connection, as the socket
    tells them; both are empty for a UNIX socket.  ``headers`` has names in lower case.
    """

    peer: str
    local: str
    method: str
    path: str
    version: str = "HTTP/1.1"
    headers: Mapping[str, tuple[str, ...]] = field(factory=dict, repr=False)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header."""
        return self.headers.get(name, ())

    def one(self, name: str) -> str | None:
        """
        The value of a header that may stand only once, without outer blanks.

        :raises RequestFault: it stands more than once: two readers could read two values.
        """
        values = self.all(name)
        if len(values) > 1:
            raise RequestFault(f"The header {name!r} may stand only once.", code="duplicate_header")
        return values[0].strip() if values else None

    @property
    def from_this_machine(self) -> bool:
        """Whether the peer is on this machine."""
        return not self.peer or is_loopback(self.peer)

    @property
    def from_nearby(self) -> bool:
        """Whether the peer is on this machine, a private network or the same link."""
        return not self.peer or is_near(self.peer)

    @property
    def on_loopback(self) -> bool:
        """Whether it came to a loopback address, where any web page can send a browser."""
        return bool(self.local) and is_loopback(self.local)

    @property
    def has_body(self) -> bool:
        """Whether a body is announced."""
        length = "".join(self.all("content-length")).strip()
        return bool(self.all("transfer-encoding")) or length.strip("0") != ""


def host_of(value: str) -> str | None:
    """
    The host in a ``Host`` header, in lower case, or ``None`` if it is none.

    >>> host_of("LocalHost.:8000"), host_of("[::1]:80"), host_of("a@b")
    ('localhost', '::1', None)
    """
    found = _HOST.fullmatch(value.strip().lower())
    return (found[1] or found[2]).removesuffix(".") if found else None


def is_loopback_name(host: str) -> bool:
    """Whether *host* always means this machine: an address, or ``localhost`` (RFC 6761, 6.3)."""
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)
