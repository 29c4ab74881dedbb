"""
The root of the server: what every request has, whoever serves it.

It gives each request its id and its headers, answers browsers' preflights, leads to the
API or to the administration, and tells of what neither of them tells of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import unquote_to_bytes

from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from yallmp.answers import send_error
from yallmp.arrivals import Arrival, Arrivals
from yallmp.channel import ProxyChannel
from yallmp.core.access import cors_headers, is_admin, is_preflight
from yallmp.core.asked import ENDPOINTS
from yallmp.core.errors import Forbidden, ProxyError, RequestFault, error_body
from yallmp.core.exchange import HeaderPairs
from yallmp.core.settings import Access
from yallmp.inbound import ProxyRequest
from yallmp.shortcuts import Shortcuts

_SERVER = (b"Server", b"yallmp")
_RECORDED = {f"{prefix}{each.path}" for each in ENDPOINTS for prefix in ("/v1", "")}


class Front(Resource):
    """
    The one resource that the site has.

    :param api: serves everything that is not below ``/admin``.
    :param shortcuts: serves the most frequent paths of *api* sooner.
    :param access: gives the access rules in force.
    """

    isLeaf = True

    def __init__(
        self,
        api: IResource,
        shortcuts: Shortcuts,
        admin: IResource,
        arrivals: Arrivals,
        access: Callable[[], Access],
    ) -> None:
        super().__init__()
        self._api = api
        self._shortcuts = shortcuts
        self._admin = admin
        self._arrivals = arrivals
        self._access = access

    def render(self, request: ProxyRequest) -> int:
        """Serve *request*."""
        arrival = request.arrival = self._arrivals.of(request)
        request.when_over(partial(self._over, request, arrival))
        request.have_preset(self._headers(arrival))
        try:
            self._lead_on(request)
        except ProxyError as error:
            send_error(request, error)
        return NOT_DONE_YET

    def _headers(self, arrival: Arrival) -> HeaderPairs:
        """What every answer has, whoever gives it."""
        own_id = arrival.id.encode()
        given = arrival.client_request_id
        return (
            _SERVER,
            (b"X-Request-Id", own_id if given is None else given.encode()),
            (b"X-Yallmp-Id", own_id),
            *cors_headers(arrival.visit, self._access()),
        )

    def _lead_on(self, request: ProxyRequest) -> None:
        if self._shortcuts.serve(request):
            return
        try:
            path = unquote_to_bytes(request.path).decode()
        except UnicodeDecodeError:
            raise RequestFault("The path is not UTF-8.") from None
        if is_preflight(request.arrival.visit):
            self._preflight(request)
        elif is_admin(path):
            self._render(self._admin, request)
        else:
            self._render(self._api, request)

    def _render(self, resource: IResource, request: ProxyRequest) -> None:
        """Klein answers at once only what it cannot decode."""
        if resource.render(request) is not NOT_DONE_YET:
            raise RequestFault("The request's target cannot be decoded.")

    def _preflight(self, request: ProxyRequest) -> None:
        if not request.responseHeaders.hasHeader(b"access-control-allow-origin"):
            raise Forbidden("This origin is not in general_settings.server.cors_origins.")
        request.setResponseCode(204)
        request.finish()

    def _over(self, request: ProxyRequest, arrival: Arrival, gone: bool) -> None:
        """Tell of a request that nobody has told of: it has only the daemon's line."""
        if not arrival.told:
            self._arrivals.tell(arrival.begin(b"", recorded=False))
            self._arrivals.end(arrival, request.code, request.sentLength)

    def refused(self, channel: ProxyChannel, error: ProxyError) -> Arrival:
        """Tell of a request that the parser refused with *error*."""
        body = error_body(error)
        arrival = self._unfinished(channel)
        self._arrivals.end(arrival, error.status, len(body), body=body)
        return arrival

    def left(self, channel: ProxyChannel) -> None:
        """Tell of a request whose client left before its body was whole."""
        self._arrivals.end(self._unfinished(channel), 499, 0, outcome="client_gone")

    def _unfinished(self, channel: ProxyChannel) -> Arrival:
        """The arrival of a request of which only a part has come; its beginning is told."""
        arrival = self._arrivals.unfinished(channel, channel.request_line)
        recorded = arrival.method == "POST" and arrival.path in _RECORDED
        self._arrivals.tell(arrival.begin(b"", recorded=recorded))
        return arrival
