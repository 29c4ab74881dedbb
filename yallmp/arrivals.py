"""
A request as it arrived, before anything is known of it.

Each request gets an id and a time as it comes; they travel with Twisted's request as a
component (:class:`IArrival`), so that whoever answers it can tell of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import define, field
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request
from zope.interface import Attribute, Interface, implementer

from yallmp.core.exchange import Begin, End, Event, HeaderPairs

#: What is kept of each part of a line that was refused, in bytes.
_KEPT = 200
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")


class IArrival(Interface):
    """What is known of a request from its arrival: see :class:`Arrival`."""

    id = Attribute("12 hexadecimal digits of our own")


@implementer(IArrival)
@define(eq=False)
class Arrival:
    """
    One request.

    ``began`` is on the clock's time, ``time`` POSIX seconds.  ``told`` tells that its
    beginning was told already, by whom its end will be told too.
    """

    id: str
    began: float
    time: float
    client: str
    listener: str
    method: str
    path: str
    query: str
    headers: HeaderPairs = field(repr=False)
    told: bool = False

    @property
    def client_request_id(self) -> str | None:
        """The client's own ``x-request-id``, if it can be used."""
        for name, value in self.headers:
            if name.lower() == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return value.decode("ascii")
        return None

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
            self.client,
            self.listener,
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
        headers = _pairs(request.requestHeaders)
        listener = _listener(request.getHost(), secure=request.isSecure())
        target = (request.method, path, query)
        return self._made(request.getClientAddress(), listener, target, headers)

    def unfinished(self, channel: HTTPChannel, line: bytes) -> Arrival:
        """
        The arrival of a request on *channel* that has not come whole.

        :param line: its first line; headers are known as far as they came.
        """
        method, _, rest = line.partition(b" ")
        path, _, query = origin_form(rest.partition(b" ")[0]).partition(b"?")
        listener = _listener(channel.getHost(), secure=channel.isSecure())
        target = (method[:_KEPT], path[:_KEPT], query[:_KEPT])
        headers = _pairs(channel.requests[-1].requestHeaders) if channel.requests else ()
        return self._made(channel.getPeer(), listener, target, headers)

    def _made(
        self,
        peer: IAddress,
        listener: str,
        target: tuple[bytes, bytes, bytes],
        headers: HeaderPairs,
    ) -> Arrival:
        method, path, query = (part.decode("utf-8", "backslashreplace") for part in target)
        return Arrival(
            self.new_id(),
            self.clock.seconds(),
            self.wall(),
            authority(peer),
            listener,
            method,
            path,
            query,
            headers,
        )

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


def _pairs(headers: Headers) -> HeaderPairs:
    return tuple((name, value) for name, values in headers.getAllRawHeaders() for value in values)


def _listener(host: IAddress, *, secure: bool) -> str:
    """The URL at which we listen; ``http://unix`` for a UNIX socket."""
    return f"{'https' if secure else 'http'}://{authority(host)}"


def authority(address: IAddress) -> str:
    """*address* as host and port of a URL."""
    if isinstance(address, IPv6Address):
        return f"[{address.host}]:{address.port}"
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    return "unix"
