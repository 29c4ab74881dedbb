"""
The facts of a Twisted request, as the value that :mod:`yallmp.core.access` decides on.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.web.server import Request
from zope.interface import Interface

from yallmp.core.visit import Visit


class IVisit(Interface):
    """The facts of a request, once they were gathered; a component of it."""


def visit_of(request: Request) -> Visit:
    """The facts of *request*; headers keep their bytes, as Latin-1."""
    visit: Visit | None = request.getComponent(IVisit)
    if visit is None:
        visit = _gathered(request)
        request.setComponent(IVisit, visit)
    return visit


def _gathered(request: Request) -> Visit:
    return Visit(
        peer=_host(request.getClientAddress()),
        local=_host(request.getHost()),
        method=request.method.decode("latin-1"),
        path=request.path.decode("latin-1"),
        version=request.clientproto.decode("latin-1"),
        headers={
            name.decode("latin-1").lower(): tuple(value.decode("latin-1") for value in values)
            for name, values in request.requestHeaders.getAllRawHeaders()
        },
    )


def _host(address: IAddress) -> str:
    """The host of an address; empty for a UNIX socket, which is this machine's own."""
    return address.host if isinstance(address, (IPv4Address, IPv6Address)) else ""
