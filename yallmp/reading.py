"""
A request's body, read: what it asks for, and whether that may be had.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from attrs import define
from twisted.logger import Logger

from yallmp.arrivals import Arrival
from yallmp.clerk_process import NotRead
from yallmp.core.access import Admitted, may_use
from yallmp.core.asked import RESPONSES, Asked, Endpoint, understand
from yallmp.core.call import Call
from yallmp.core.catalog import MAX_NAME
from yallmp.core.errors import ModelNotFound, NotFound, TooLarge, UnsupportedMedia
from yallmp.core.hops import HOPS, check_hops
from yallmp.core.jsonbody import Document
from yallmp.core.registry import Registry
from yallmp.core.understanding import Understand, Understood
from yallmp.inbound import ProxyRequest
from yallmp.interfaces import IClerk

_log = Logger()


@define
class Reader:
    """
    Makes a call of a request, step by step; what was known when a step failed is kept.
    """

    registry: Registry
    arrival: Arrival
    endpoint: Endpoint
    draw: Callable[[], float]
    resting: Callable[[Iterable[str]], Collection[str]]
    body: bytes = b""
    key_name: str | None = None
    model: str | None = None
    keep: str | None = None

    def read(self, request: ProxyRequest) -> Call:
        """
        The call.

        :raises ProxyError: it is none.
        """
        admitted = self._admitted(request)
        document = Document.parse(self.body)
        named = document.get("model")
        self.model = named if isinstance(named, str) else None
        return self._call(admitted, understand(self.endpoint, document))

    async def read_elsewhere(self, request: ProxyRequest, clerk: IClerk) -> Call:
        """
        The same, while *clerk* reads the body.

        :raises ProxyError: it is none.
        """
        admitted = self._admitted(request)
        try:
            understood: Understood = await clerk.ask(Understand(self.endpoint), self.body)
        except NotRead as error:
            _log.error("the body of {id} could not be read: {why}", id=self.arrival.id, why=error)
            raise TooLarge(
                "The body takes more time or memory to read than one may; send a smaller one, or"
                " one that is nested less."
            ) from None
        self.model = understood.model
        return self._call(admitted, understood.of(self.body))

    def _admitted(self, request: ProxyRequest) -> Admitted:
        config = self.registry.catalog.config
        self.body = request.body
        admitted = self.arrival.ends.admit(self.arrival.visit, config.access)
        self.key_name = admitted.key_name
        self._check_endpoint()
        self._check_encoding()
        if HOPS in self.arrival.visit.headers:
            check_hops(self.arrival.visit.headers, config.limits.max_hops)
        return admitted

    def _call(self, admitted: Admitted, asked: Asked) -> Call:
        config, routes = self.registry.catalog.config, self.registry.routes
        try:
            route = routes.find(asked.model, self.draw)
        except ModelNotFound:
            raise self.registry.catalog.not_found(asked.model, admitted.allows) from None
        if asked.bound:
            route = route.to_one(self.resting(b.name for b in route.legs))
        may_use(admitted, route.asked, route.others, alias=route.alias)
        self.keep = route.log_requests
        recorded = (self.keep or config.logging.requests) != "off"
        headers, query = self.arrival.headers, self.arrival.query
        return Call(self.arrival.id, asked, route, config, headers, query, recorded)

    def _check_endpoint(self) -> None:
        config = self.registry.catalog.config
        if self.endpoint is RESPONSES and not config.enable_responses_endpoint:
            raise NotFound(
                "The Responses API is switched off here; set"
                " general_settings.enable_responses_endpoint: true to switch it on."
            )

    def _check_encoding(self) -> None:
        encodings = self.arrival.visit.all("content-encoding")
        if any(value.strip().lower() not in ("", "identity") for value in encodings):
            raise UnsupportedMedia("A compressed body is not read; send it as it is.")

    def begin(self) -> Any:
        """The event that the exchange began, with what is known."""
        logging = self.registry.catalog.config.logging
        return self.arrival.begin(
            self.body,
            recorded=True,
            key_name=self.key_name,
            model=self.model and self.model[:MAX_NAME],
            keep=self.keep or logging.requests,
            bodies=logging.bodies,
        )
