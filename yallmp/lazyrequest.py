"""
Twisted's request, as Klein needs it, without what most requests never use.

What can be made of the head's fields or of the target is made when somebody asks for it,
and then kept.  What comes with the connection is the connection's.
"""

from __future__ import annotations

from functools import cached_property
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.web.http import parse_qs
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from yallmp.core.exchange import HeaderPairs


class LazyRequest(Request):
    """
    A request that is made quickly.

    :ivar pairs: the fields of its head, as they came.
    :ivar body: its body.
    :ivar preset: headers that every answer to it has, unless it has others of the same name.
    """

    channel: Any
    transport: Any
    queued = False
    pairs: HeaderPairs = ()
    body: bytes = b""
    preset: HeaderPairs = ()
    _parsePOSTFormSubmission = False  # noqa: N815

    def __init__(self, channel: Any) -> None:
        self.channel = self._arrived_on = channel
        self.transport = channel.transport

    def have_preset(self, headers: HeaderPairs) -> None:
        """Every answer has *headers*, also where something was set for it before."""
        self.preset = headers
        made: Headers | None = self.__dict__.get("responseHeaders")
        for name, value in headers if made is not None else ():
            made.addRawHeader(name, value)  # type: ignore[union-attr]

    def getRequestHostname(self) -> bytes:  # noqa: N802
        """
        The same for every request.

        Klein asks for it to find a route, and what it makes of a strange ``Host`` is an
        error before any handler; ours do not depend on it, and ``core.access`` judges it.
        """
        return b"yallmp"

    @cached_property
    def client(self) -> Any:
        """The address of who asks."""
        return self._arrived_on.getPeer()

    @cached_property
    def host(self) -> Any:
        """The address at which we were asked."""
        return self._arrived_on.getHost()

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]  # noqa: N802
        """The fields of the head, by name."""
        return _named(self.pairs)

    @cached_property
    def responseHeaders(self) -> Headers:  # type: ignore[override]  # noqa: N802
        """What was set for the answer, by name."""
        return _named(self.preset)

    @cached_property
    def content(self) -> BytesIO:  # type: ignore[override]
        """The body, to read from."""
        return BytesIO(self.body)

    @cached_property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        """What the target's query says."""
        _, mark, query = self.uri.partition(b"?")
        return parse_qs(query, 1) if mark else {}

    @cached_property
    def prepath(self) -> list[bytes]:  # type: ignore[override]
        """The part of the path that led to whoever serves it."""
        return []

    @cached_property
    def postpath(self) -> list[bytes]:  # type: ignore[override]
        """The part of the path that is left."""
        return [unquote_to_bytes(part) for part in self.path[1:].split(b"/")]

    @cached_property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]
        """The cookies that came."""
        found = self.__dict__["received_cookies"] = {}
        self.parseCookies()
        return found

    @cached_property
    def cookies(self) -> list[bytes]:  # type: ignore[override]
        """The cookies that are sent."""
        return []

    @cached_property
    def notifications(self) -> list[Deferred[None]]:  # type: ignore[override]
        """Stays empty: ``when_over`` has its place."""
        return []

    @cached_property
    def _adapterCache(self) -> dict[str, object]:  # type: ignore[override]  # noqa: N802
        return {}


def _named(pairs: HeaderPairs) -> Headers:
    headers = Headers()
    for name, value in pairs:
        headers.addRawHeader(name, value)
    return headers
