"""
The seam: ``IAgent``, and what a request is on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from attrs import define, evolve, frozen
from twisted.internet.defer import Deferred, fail
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from yallmp.core.exchange import HeaderPairs
from yallmp.core.proxies import Proxy
from yallmp.lean.connection import Connection
from yallmp.lean.pool import LeanPool


class Unsendable(Exception):
    """A request that would not be one: a line break in its target or a header."""


@implementer(IAgent)
@define(eq=False)
class LeanAgent:
    """
    An agent for one attempt.

    :ivar endpoint_for: gives the endpoint of an address.
    :ivar took: is told of the connection that the attempt got.
    :ivar proxy: asked in place of the backend for what is not encrypted.
    """

    pool: LeanPool
    endpoint_for: Callable[[URI], Any]
    took: Callable[[Connection], Any]
    fresh: bool = False
    proxy: Proxy | None = None

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,
    ) -> Deferred[IResponse]:
        """Send a request whose body is there already."""
        pairs = tuple(
            (name, value)
            for name, values in (headers or Headers()).getAllRawHeaders()
            for value in values
        )
        body = b"" if bodyProducer is None else bodyProducer.whole
        return self.send(method, uri.decode("ascii"), pairs, body)

    def send(self, method: bytes, url: str, pairs: HeaderPairs, body: bytes) -> Deferred[IResponse]:
        """The same with its parts as they are."""
        try:
            to = parsed(url)
            if self.proxy is not None:
                to, pairs = for_proxy(to, pairs, self.proxy)
            data = head_of_request(method, to, pairs, len(body)), body
        except (Unsendable, ValueError):
            return fail()
        waiting = None if self.fresh else self.pool.take(to.key)
        if waiting is not None:
            return self._sent(waiting, data)
        return self.pool.connect(to.key, self.endpoint_for(to.uri)).addCallback(self._sent, data)

    def _sent(self, connection: Connection, data: tuple[bytes, bytes]) -> Deferred[IResponse]:
        self.took(connection)
        return connection.request(*data)


@frozen
class Address:
    """
    Where a request goes: its parts as the wire has them, made once for each URL.

    :ivar key: what connections are kept under.
    """

    uri: URI
    host: bytes
    target: bytes
    key: tuple[bytes, bytes, int]


@lru_cache(1024)
def parsed(url: str) -> Address:
    """
    The parts of *url*.

    :raises ValueError: it is none.
    """
    uri = URI.fromBytes(url.encode("ascii"))
    return Address(uri, uri.netloc, uri.originForm, (uri.scheme, uri.host, uri.port))


def for_proxy(to: Address, pairs: HeaderPairs, proxy: Proxy) -> tuple[Address, HeaderPairs]:
    """A request that a proxy passes on: its target is the whole URL; TLS passes it by."""
    if to.uri.scheme != b"http":
        return to, pairs
    return evolve(to, target=to.uri.toBytes()), (*pairs, *proxy.headers)


def head_of_request(method: bytes, to: Address, pairs: HeaderPairs, length: int) -> bytes:
    """
    The head of a request.

    :raises Unsendable: something in it would end a line.
    """
    fields = b"".join([b"\r\n%s: %s" % pair for pair in pairs])
    told = (method, to.target, to.host, fields, length)
    head = b"%s %s HTTP/1.1\r\nHost: %s%s\r\nContent-Length: %d\r\n\r\n" % told
    lines = len(pairs) + 4
    if head.count(b"\r") != lines or head.count(b"\n") != lines or b"\0" in head:
        raise Unsendable("a line break in a request's target or header")
    return head
