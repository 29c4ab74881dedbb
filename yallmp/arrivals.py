"""
A request as it arrived, before anything is known of it.

Each request gets an id and a time as it comes; they travel with Twisted's request, so that
whoever answers it can tell of it.  What is the same for all requests of a connection is
put into words once for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.server import Request

from yallmp.core.access import DECISIVE, Admitted, admit
from yallmp.core.exchange import Begin, End, Event, HeaderPairs
from yallmp.core.settings import Access
from yallmp.core.visit import Visit
from yallmp.lazyrequest import LazyRequest

#: An id has so many bytes, and so many are made at a time.
ID_BYTES, IDS_AT_A_TIME = 6, 100
#: What is kept of each part of a line that was refused, in bytes.
_KEPT = 200
#: What a visitor shows of himself: the values of the headers that decide.
Shown = tuple[tuple[str, ...] | None, ...]
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@define(eq=False)
class Ends:
    """
    Both ends of a connection.

    :ivar client: the client's, as host and port.
    :ivar listener: ours, as a URL; ``http://unix`` for a UNIX socket.
    :ivar peer: the client's host; empty for a UNIX socket, which is this machine's own.
    :ivar local: our host, likewise.
    """

    client: str
    listener: str
    peer: str
    local: str
    _admitted: Admitted | None = None
    _access: Access | None = None
    _shown: Shown = ()

    def admit(self, visit: Visit, access: Access) -> Admitted:
        """
        Let a visitor on this connection in.

        Whoever shows the same as the last one who came in on it need not be looked at again.

        :raises ProxyError: see :func:`yallmp.core.access.admit`.
        """
        shown = tuple([visit.headers.get(name) for name in DECISIVE])
        if self._admitted is None or access is not self._access or shown != self._shown:
            self._admitted = None
            self._admitted = admit(visit, access)
            self._access, self._shown = access, shown
        return self._admitted


@define(eq=False)
class Arrival:
    """
    One request.

    ``began`` is on the clock's time, ``time`` POSIX seconds; ``visit`` is what decides
    whether it may come in.  ``told`` tells that its beginning was told already, by whom its
    end will be told too.

    :ivar client_request_id: the client's own ``x-request-id``, if it can be used.
    """

    id: str
    began: float
    time: float
    ends: Ends
    method: str
    path: str
    query: str = field(repr=False)
    headers: HeaderPairs = field(repr=False)
    visit: Visit = field(repr=False)
    client_request_id: str | None = None
    told: bool = False

    def begin(
        self,
        body: bytes,
        *,
        recorded: bool,
        key_name: str | None = None,
        model: str | None = None,
        keep: str = "on",
        bodies: int | None = None,
    ) -> Begin:
        """The event that it began."""
        self.told = True
        return Begin(
            self.id,
            self.time,
            self.ends.client,
            self.ends.listener,
            self.method,
            self.path,
            self.query,
            self.headers,
            body,
            self.client_request_id,
            key_name,
            model,
            recorded,
            keep,
            bodies,
        )


class Ids:
    """
    Ids of 12 hexadecimal digits.

    The system is asked for many at a time.

    :param token_hex: gives so many random bytes as hexadecimal digits.
    """

    def __init__(self, token_hex: Callable[[int], str]) -> None:
        self._token_hex = token_hex
        self._left: list[str] = []

    def __call__(self) -> str:
        """A new one."""
        if not self._left:
            digits = self._token_hex(ID_BYTES * IDS_AT_A_TIME)
            step = 2 * ID_BYTES
            self._left = [digits[at : at + step] for at in range(0, len(digits), step)]
        return self._left.pop()


@define
class Arrivals:
    """
    Makes arrivals, and tells of those that end with an answer of our own.

    ``new_id`` gives ids, ``wall`` POSIX seconds, ``tell`` takes events.
    """

    clock: IReactorTime
    wall: Callable[[], float]
    new_id: Callable[[], str]
    tell: Callable[[Event], None]

    def of(self, request: Request) -> Arrival:
        """The arrival of *request*."""
        path, _, query = request.uri.partition(b"?")
        headers = request.pairs if isinstance(request, LazyRequest) else _pairs(request)
        return self._made(request.channel, (request.method, path, query), headers, request)

    def unfinished(self, channel: Any, line: bytes) -> Arrival:
        """
        The arrival of a request on *channel* that has not come whole.

        :param line: its first line; headers are known as far as they came.
        """
        method, _, rest = line.partition(b" ")
        path, _, query = origin_form(rest.partition(b" ")[0]).partition(b"?")
        target = (method[:_KEPT], path[:_KEPT], query[:_KEPT])
        headers = channel.requests[-1].pairs if channel.requests else ()
        return self._made(channel, target, headers)

    def _made(
        self,
        channel: Any,
        target: tuple[bytes, bytes, bytes],
        headers: HeaderPairs,
        request: Request | None = None,
    ) -> Arrival:
        method, path, query = [part.decode("utf-8", "backslashreplace") for part in target]
        ends, named = ends_of(channel), by_name(headers)
        version = "HTTP/1.1" if request is None else request.clientproto.decode("latin-1")
        raw_path = target[1].decode("latin-1")
        visit = Visit(ends.peer, ends.local, method, raw_path, version, named)
        began, time = self.clock.seconds(), self.wall()
        given = _usable_id(named) if "x-request-id" in named else None
        return Arrival(self.new_id(), began, time, ends, method, path, query, headers, visit, given)

    def end(
        self,
        arrival: Arrival,
        status: int,
        sent: int,
        *,
        outcome: str | None = None,
        body: bytes | None = None,
    ) -> None:
        """Tell the end of *arrival*, answered by ourselves with *status*."""
        at = (self.clock.seconds() - arrival.began) * 1000
        told = outcome or ("success" if status < 400 else "rejected")
        self.tell(End(arrival.id, at, told, status, sent, body=body))


def origin_form(target: bytes) -> bytes:
    """*target* as a path: of a whole URL its path (RFC 9112, 3.2.2), of ``*`` one like it."""
    if target == b"*":
        return b"/*"
    scheme, _, rest = target.partition(b"://")
    if scheme.lower() not in (b"http", b"https"):
        return target
    path = re.search(rb"[/?]", rest)
    found = rest[path.start() :] if path else b""
    return found if found.startswith(b"/") else b"/" + found


def _pairs(request: Request) -> HeaderPairs:
    named = request.requestHeaders.getAllRawHeaders()
    return tuple((name, value) for name, values in named for value in values)


def by_name(headers: HeaderPairs) -> dict[str, tuple[str, ...]]:
    """The values of each header, by its name in lower case; bytes as Latin-1."""
    named: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        key = _lowered(name)
        text = value.decode("latin-1")
        named[key] = (*named[key], text) if key in named else (text,)
    return named


@lru_cache(1024)
def _lowered(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _usable_id(named: Mapping[str, tuple[str, ...]]) -> str | None:
    """The first ``x-request-id`` that can be used."""
    given = named["x-request-id"]
    return next((text for text in given if _REQUEST_ID.fullmatch(text)), None)


def ends_of(channel: Any) -> Ends:
    """Both ends of *channel*, put into words once."""
    ends: Ends | None = getattr(channel, "ends", None)
    if ends is None:
        ends = channel.ends = _ends(channel.getPeer(), channel.getHost(), channel.isSecure())
    return ends


def _ends(peer: IAddress, local: IAddress, secure: bool) -> Ends:
    listener = f"{'https' if secure else 'http'}://{authority(local)}"
    return Ends(authority(peer), listener, _host(peer), _host(local))


def _host(address: IAddress) -> str:
    return address.host if isinstance(address, (IPv4Address, IPv6Address)) else ""


def authority(address: IAddress) -> str:
    """*address* as host and port of a URL."""
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    return "unix"
