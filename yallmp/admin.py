"""
The administration: models come and go while the proxy runs, and metrics tell of it.

Every handler is entered through :func:`checked`, and so are paths that do not exist:
whoever may not come in learns nothing about what is there.  Errors are raised and become
answers in one place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from attrs import Factory, define
from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from yallmp.answers import prepared_error, send_body, send_error, send_json
from yallmp.core.access import admit_admin, listens_on_loopback
from yallmp.core.backend import Backend
from yallmp.core.changes import Made, Register, Remove
from yallmp.core.differences import Differences
from yallmp.core.errors import (
    DuplicateKey,
    InvalidJSON,
    MethodNotAllowed,
    NotFound,
    ProxyError,
    TooLarge,
    UnsupportedMedia,
)
from yallmp.core.failures import AdminFailures
from yallmp.core.families import BREAKERS, IN_FLIGHT
from yallmp.core.jsonbody import Document
from yallmp.core.readings import Reading
from yallmp.core.registration import parse_registration
from yallmp.core.registry import Registered, Registry, in_force
from yallmp.inbound import ProxyRequest
from yallmp.interfaces import IChanges
from yallmp.metrics import Metrics

#: The largest body that is read here.
MAX_BODY = 1024 * 1024
_log = Logger()


def checked(handler: Callable[..., Any]) -> Callable[..., Any]:
    """*handler*, for those who may come in."""

    @wraps(handler)
    def enter_and_handle(self: AdminAPI, request: ProxyRequest, **arguments: str) -> Any:
        self.enter(request)
        return handler(self, request, **arguments)

    return enter_and_handle


@define(eq=False)
class AdminAPI:
    """
    The handlers.

    :ivar clock: for limits of failures.
    :ivar wall: the time of day, POSIX seconds.
    """

    registry: Registry
    clock: IReactorTime
    wall: Callable[[], float]
    changes: IChanges
    metrics: Metrics
    failures: AdminFailures = Factory(AdminFailures)

    app = Klein()
    app.url_map.merge_slashes = False  # a model may be called a//b

    def enter(self, request: ProxyRequest) -> None:
        """
        Check that whoever sent *request* may come in.

        :raises ProxyError: they may not.
        """
        config = self.registry.catalog.config
        visit = request.arrival.visit
        try:
            admit_admin(
                visit, config.access, listener_is_loopback=listens_on_loopback(config.server)
            )
        except ProxyError as error:
            raise self.failures.refusal(error, visit.peer, self.clock.seconds()) from None

    @app.route("/admin/models", methods=["POST"])
    @checked
    async def register(self, request: ProxyRequest) -> None:
        """Serve a model from now on, in place of all that had its name."""
        access = self.registry.catalog.config.access
        registration = parse_registration(_json_body(request), access, int(self.wall()))
        made = await self.changes.make(Register.of(registration))
        done = made.registered
        assert done is not None
        _log.info("model {model!r} registered", model=done.model)
        warnings = [*self._unknown_fallbacks(done), *_warnings(made)]
        answer = {
            "status": "ok",
            "model": done.model,
            "replaced": done.replaced,
            "fallbacks": list(done.fallbacks),
        }
        send_json(request, {**answer, "warnings": warnings} if warnings else answer)

    @app.route("/admin/models", methods=["GET"])
    @checked
    async def models(self, request: ProxyRequest) -> None:
        """Every backend with its state, without secrets."""
        reading = await self.metrics.read()
        backends = self.registry.catalog.config.backends
        data = [{**self._shown(each), **_everywhere(each.name, reading)} for each in backends]
        send_json(request, {"object": "list", "data": data})

    @app.route("/admin/models/<path:name>", methods=["DELETE"])
    @checked
    async def remove(self, request: ProxyRequest, name: str) -> None:
        """Stop serving a model; its name may contain slashes."""
        made = await self.changes.make(Remove(name))
        _log.info("model {model!r} removed", model=name)
        warnings = list(_warnings(made))
        answer = {"status": "ok", "model": name}
        send_json(request, {**answer, "warnings": warnings} if warnings else answer)

    @app.route("/admin/reload", methods=["POST"])
    @checked
    async def reload(self, request: ProxyRequest) -> None:
        """Read the configuration again, and put it in force if all of it is good."""
        made = await self.changes.reload()
        answer = reload_answer(made.differences)
        answer["warnings"] += _warnings(made)
        send_json(request, answer)

    @app.route("/metrics", methods=["GET"])
    @checked
    async def tell_metrics(self, request: ProxyRequest) -> None:
        """What all processes counted, for Prometheus."""
        accept = ", ".join(request.arrival.visit.all("accept"))
        media_type, text = await self.metrics.text(accept)
        send_body(request, 200, text, ((b"content-type", media_type),))

    def _shown(self, backend: Backend) -> dict[str, Any]:
        fallbacks = in_force(self.registry.catalog.config.fallbacks, backend.model_name)
        return {
            "name": backend.name,
            "model_name": backend.model_name,
            "api_base": backend.api_base or None,
            "api_type": backend.api_type,
            "api_key": "set" if backend.api_key else "none",
            "upstream_model": backend.sends or backend.model_name,
            "weight": backend.weight,
            "order": backend.order,
            "registered": backend.registered,
            "created": backend.created,
            "fallbacks": list(fallbacks),
            **self._state(backend.name),
        }

    def _state(self, name: str) -> dict[str, Any]:
        """Whether the backend called *name* rests, for how many seconds, and why."""
        breaker, now = self.registry.breakers.of(name), self.clock.seconds()
        left = round(breaker.rest_left(now), 1)
        return {"state": breaker.state(now).value, "rests_for": left, "why": breaker.why}

    def _unknown_fallbacks(self, done: Registered) -> list[str]:
        known = {listed.id for listed in self.registry.catalog.models()}
        return [
            f"The fallback {name!r} is not a known model; it is skipped as long as it is not."
            for name in done.fallbacks
            if name not in known and not self.registry.catalog.group(name)
        ]

    @app.handle_errors(ProxyError)
    def refused(self, request: Any, failure: Failure) -> None:
        """An error of ours."""
        assert isinstance(failure.value, ProxyError)
        send_error(request, failure.value)

    @app.handle_errors(HTTPException)
    def nowhere(self, request: Any, failure: Failure) -> bytes:
        """
        No such path or method: said only to those who may come in.

        Klein finishes the request itself where no handler was found.
        """
        try:
            self.enter(request)
            error = _no_such(failure.value, request)
        except ProxyError as refusal:
            error = refusal
        return prepared_error(request, error)

    @app.handle_errors(Exception)
    def failed(self, request: Any, failure: Failure) -> None:
        """An error that should not be: logged with its traceback, told without it."""
        _log.failure("the administration failed", failure)
        send_error(request, ProxyError("The proxy failed; its log says why."))


def reload_answer(told: Differences) -> dict[str, Any]:
    """What a reload has changed, what it could not, and what is to be read about it."""
    return {
        "status": "ok",
        "backends": {
            "added": list(told.added),
            "removed": list(told.removed),
            "changed": list(told.changed),
        },
        "settings": list(told.settings),
        "restart": list(told.restart),
        "warnings": list(told.warnings),
        "notes": list(told.notes),
    }


def _everywhere(name: str, reading: Reading) -> dict[str, Any]:
    """What the backend called *name* has under way, and in how many workers it rests."""
    in_flight = reading.get(IN_FLIGHT.name, {}).get((name,), [0])
    states = {
        labels[1]: value[0]
        for labels, value in reading.get(BREAKERS.name, {}).items()
        if labels[0] == name and value[0]
    }
    return {"in_flight": in_flight[0], "workers": states}


def _warnings(made: Made) -> Iterator[str]:
    """What whoever asked for a change should know of it, though it is in force."""
    if made.unkept is not None:
        yield f"This is in force, but admin.persist cannot be written: {made.unkept}."
    if made.behind:
        yield f"Workers that have not confirmed this yet: {made.behind}."


def _no_such(error: BaseException | None, request: ProxyRequest) -> ProxyError:
    methods = getattr(error, "valid_methods", None)
    if not methods:
        return NotFound(
            "There is nothing at this path; see /admin/models, /admin/reload and /metrics."
        )
    allowed = ", ".join(sorted(methods))
    return MethodNotAllowed(
        f"{request.method.decode('latin-1')} is not a method of this path; {allowed} are.",
        headers=((b"allow", allowed.encode("ascii")),),
    )


def _json_body(request: ProxyRequest) -> object:
    """The body as JSON, read strictly: no key twice, at any depth."""
    if request.getHeader(b"content-encoding") not in (None, b"identity"):
        raise UnsupportedMedia("A compressed body is not read; send it as it is.")
    body = request.content.read(MAX_BODY + 1) if request.content else b""
    if len(body) > MAX_BODY:
        raise TooLarge(f"The body is larger than {MAX_BODY} bytes.")
    document = Document.parse(body)
    try:
        return json.loads(document.body.decode(), object_pairs_hook=_unique)
    except ValueError:  # what the document let pass is to be counted with here
        raise InvalidJSON("The body has a number of thousands of digits.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicateKey(f"The body has the key {twice!r} twice.", param=twice)
    return found
