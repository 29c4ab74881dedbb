"""
The API that clients speak: ``/v1/…``, and the same without ``/v1``.

A Klein tree names the endpoints.  A request becomes a :class:`yallmp.core.call.Call`
(:mod:`yallmp.reading`), or an error; everything else is forwarding's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any, NoReturn

from attrs import define
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from yallmp.answers import prepared_error, send_body, send_error, send_json
from yallmp.arrivals import Arrival, Arrivals
from yallmp.clerk_process import NotRead
from yallmp.core.access import admit
from yallmp.core.asked import (
    CHAT,
    COMPLETIONS,
    COUNT_TOKENS,
    EMBEDDINGS,
    MESSAGES,
    MODERATIONS,
    RERANK,
    RESPONSES,
    Endpoint,
)
from yallmp.core.call import Call
from yallmp.core.catalog import Listed
from yallmp.core.errors import (
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    Overloaded,
    ProxyError,
    RequestFault,
    TooLarge,
)
from yallmp.core.listing import model_for, models_for
from yallmp.core.openapi import document
from yallmp.core.registry import Registry
from yallmp.core.replies import fault
from yallmp.core.voice import spoken_body
from yallmp.core.work import LARGE
from yallmp.counted import ESTIMATED, Estimate, is_estimated
from yallmp.downstream import Client
from yallmp.forwarding import Forwarding
from yallmp.inbound import ProxyRequest
from yallmp.interfaces import IClerk
from yallmp.reading import Reader

_DESCRIPTION = json.dumps(document()).encode()
_log = Logger()


def both(app: Klein, path: str, method: str) -> Callable[[Any], Any]:
    """Serve *method* at *path* with and without its ``/v1``."""

    def decorate(handler: Any) -> Any:
        for each in (f"/v1{path}", path):
            app.route(each, methods=[method])(handler)
        return handler

    return decorate


@define(eq=False)
class API:
    """
    The handlers.

    :ivar draw: gives random numbers, 0 ≤ x < 1.
    :ivar draining: whether the proxy is about to stop.
    :ivar clerk: reads large bodies.
    """

    registry: Registry
    forwarding: Forwarding
    arrivals: Arrivals
    clock: IReactorTime
    draw: Callable[[], float]
    draining: Callable[[], bool]
    clerk: IClerk

    app = Klein()
    app.url_map.merge_slashes = False  # a model may be called a//b

    @both(app, "/chat/completions", "POST")
    def chat_completions(self, request: ProxyRequest) -> Any:
        """Chat, streamed or not."""
        return self._forward(request, CHAT)

    @both(app, "/completions", "POST")
    def completions(self, request: ProxyRequest) -> Any:
        """Plain text completions, streamed or not."""
        return self._forward(request, COMPLETIONS)

    @both(app, "/embeddings", "POST")
    def embeddings(self, request: ProxyRequest) -> Any:
        """Embeddings."""
        return self._forward(request, EMBEDDINGS)

    @both(app, "/rerank", "POST")
    def rerank(self, request: ProxyRequest) -> Any:
        """Documents put in order by a reranking model."""
        return self._forward(request, RERANK)

    @both(app, "/moderations", "POST")
    def moderations(self, request: ProxyRequest) -> Any:
        """Classification of what a text contains."""
        return self._forward(request, MODERATIONS)

    @both(app, "/responses", "POST")
    def responses(self, request: ProxyRequest) -> Any:
        """The Responses API, where it is switched on."""
        return self._forward(request, RESPONSES)

    @both(app, "/messages", "POST")
    def messages(self, request: ProxyRequest) -> Any:
        """Anthropic's Messages, streamed or not."""
        return self._forward(request, MESSAGES)

    @both(app, "/messages/count_tokens", "POST")
    def count_tokens(self, request: ProxyRequest) -> Any:
        """How many tokens a message would have; counted by a backend, or estimated here."""
        return self._forward(request, COUNT_TOKENS)

    @both(app, "/models", "GET")
    def models(self, request: ProxyRequest) -> None:
        """What can be asked for."""
        listed, query = self._visible(request), request.arrival.query
        send_json(request, models_for(listed, query, anthropic=_is_anthropic(request)))

    @both(app, "/models/<path:name>", "GET")
    def model(self, request: ProxyRequest, name: str) -> None:
        """One model; its name may contain slashes."""
        found = next((each for each in self._visible(request) if each.id == name), None)
        if found is None:
            raise ModelNotFound(f"The model {name!r} is not configured here.", param="model")
        send_json(request, model_for(found, anthropic=_is_anthropic(request)))

    @app.route("/", methods=["GET"])
    @app.route("/health", methods=["GET"])
    @app.route("/health/liveliness", methods=["GET"])
    @app.route("/health/liveness", methods=["GET"])
    @app.route("/livez", methods=["GET"])
    @app.route("/healthz", methods=["GET"])
    def health(self, request: ProxyRequest) -> None:
        """The reactor turns; no backend is asked."""
        send_json(request, {"status": "ok"})

    @app.route("/health/readiness", methods=["GET"])
    @app.route("/readyz", methods=["GET"])
    def readiness(self, request: ProxyRequest) -> None:
        """Whether new requests are welcome."""
        draining = self.draining()
        status = "draining" if draining else "ok"
        send_json(request, {"status": status}, 503 if draining else 200)

    @app.route("/openapi.json", methods=["GET"])
    def description(self, request: ProxyRequest) -> None:
        """What is served here, in OpenAPI; like health it tells nothing of this proxy."""
        send_body(request, 200, _DESCRIPTION)

    @app.handle_errors(ProxyError)
    def refused(self, request: Any, failure: Failure) -> None:
        """An error of ours."""
        assert isinstance(failure.value, ProxyError)
        send_error(request, failure.value)

    @app.handle_errors(WrongMethod)
    def wrong_method(self, request: Any, failure: Failure) -> bytes:
        """The path is known, the method is not."""
        assert isinstance(failure.value, WrongMethod)
        return prepared_error(request, wrong_method(failure.value))

    @app.handle_errors(HTTPException)
    def unknown_path(self, request: Any, failure: Failure) -> bytes:
        """No such path."""
        return prepared_error(request, NotFound(f"There is nothing at {_path(request)}."))

    @app.handle_errors(Exception)
    def failed(self, request: Any, failure: Failure) -> None:
        """An error that should not be: logged with its traceback, told without it."""
        _log.failure("serving {path} failed", failure, path=_path(request))
        send_error(request, ProxyError("The proxy failed; its log says why."))

    def _visible(self, request: ProxyRequest) -> list[Listed]:
        catalog = self.registry.catalog
        admitted = admit(request.arrival.visit, catalog.config.access)
        listed = catalog.models()
        return [each for each in listed if admitted.allows(each.id)]

    def _forward(self, request: ProxyRequest, endpoint: Endpoint) -> Any:
        arrival = request.arrival
        reader = Reader(self.registry, arrival, endpoint, self.draw, self._resting)
        if len(request.body) > LARGE:
            return Deferred.fromCoroutine(self._forward_later(request, reader))
        try:
            call = reader.read(request)
        except ProxyError as error:
            self.arrivals.tell(reader.begin())
            self._reject(request, arrival, error, endpoint)
            return None
        self.arrivals.tell(reader.begin())
        if endpoint is COUNT_TOKENS and is_estimated(call):
            self._estimated(request, arrival, Estimate()(call.asked.document.body))
            return None
        return self.forwarding.serve(call, Client(request, self.clock), arrival.began)

    async def _forward_later(self, request: ProxyRequest, reader: Reader) -> None:
        """The same for a body that is read elsewhere meanwhile."""
        arrival, client = reader.arrival, Client(request, self.clock)
        arrival.told = True  # whatever comes, it is told here
        reading = Deferred.fromCoroutine(reader.read_elsewhere(request, self.clerk))
        deadline = self.registry.catalog.config.router.deadline
        reading.addTimeout(deadline, self.clock, _unread)
        with self.forwarding.expecting(reading):
            try:
                call = await reading
            except ProxyError as error:
                self.arrivals.tell(reader.begin())
                self._reject(request, arrival, error, reader.endpoint)
            except CancelledError:
                self.arrivals.tell(reader.begin())
                self._give_up(request, arrival, client, reader.endpoint)
            else:
                self.arrivals.tell(reader.begin())
                await self._serve_large(request, call, client)

    async def _serve_large(self, request: ProxyRequest, call: Call, client: Client) -> None:
        if call.asked.endpoint is not COUNT_TOKENS or not is_estimated(call):
            await self.forwarding.serve(call, client, request.arrival.began)
            return
        try:
            found = await self.clerk.ask(Estimate(), call.asked.document.body)
        except NotRead:
            found = TooLarge("The body takes more time or memory to count than one may.")
        self._estimated(request, request.arrival, found)

    def _estimated(
        self, request: ProxyRequest, arrival: Arrival, found: bytes | RequestFault
    ) -> None:
        if isinstance(found, RequestFault):
            self._reject(request, arrival, found, COUNT_TOKENS)
            return
        self.arrivals.end(arrival, 200, len(found), body=found)
        send_body(request, 200, found, ESTIMATED)

    def _give_up(
        self, request: ProxyRequest, arrival: Arrival, client: Client, endpoint: Endpoint
    ) -> None:
        """The client left while its body was read, or we stop."""
        if client.gone:
            self.arrivals.end(arrival, 499, 0, outcome="client_gone")
        else:
            self._reject(request, arrival, fault("proxy_shutdown", "", 503), endpoint)

    def _resting(self, names: Iterable[str]) -> Collection[str]:
        return self.registry.breakers.resting(names, self.clock.seconds())

    def _reject(
        self, request: ProxyRequest, arrival: Arrival, error: ProxyError, endpoint: Endpoint
    ) -> None:
        body = spoken_body(error, endpoint)
        self.arrivals.end(arrival, error.status, len(body), outcome="rejected", body=body)
        headers = (*error.headers, (b"x-yallmp-attempts", b"0"))
        send_body(request, error.status, body, headers)


def _unread(result: object, seconds: float) -> NoReturn:
    """A large body was not read in all the time that its request has."""
    raise Overloaded("Too many large bodies wait to be read here; try again a little later.")


def wrong_method(error: WrongMethod) -> MethodNotAllowed:
    """405, with the methods that there are."""
    allowed = ", ".join(sorted(error.valid_methods or ()))
    return MethodNotAllowed(
        f"This path takes {allowed or 'other methods'}.", headers=((b"allow", allowed.encode()),)
    )


def _is_anthropic(request: ProxyRequest) -> bool:
    """Whether the client is one of Anthropic's API."""
    return "anthropic-version" in request.arrival.visit.headers


def _path(request: ProxyRequest) -> str:
    return request.path.decode("utf-8", "replace")
