"""
Our own endpoints, described in OpenAPI 3.1: what ``GET /openapi.json`` serves.

The description is the same whatever is configured, so that it tells nothing about this
proxy, and whoever reads it needs no key.  What depends on the configuration is said as it may
be: keys are optional, because a proxy without ``api_keys`` has none.
(``tests/test_openapi.py`` holds it to the routes that there are.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yallmp import __version__
from yallmp.core.asked import ENDPOINTS, Endpoint
from yallmp.core.openapi_shapes import Schema, named, schemas

#: Which value each forwarded endpoint takes; all others take ``Input``.
_ASKED = {"chat": "Chat", "messages": "Chat", "completions": "Prompt", "responses": "Prompt"}
_PROMISED = {"choices": "Choices", "data": "Data", "results": "Results", None: "Response",
             "content": "Message"}  # fmt: skip
#: Where a process says that it works.
LIVE = ("/", "/health", "/health/liveliness", "/health/liveness", "/livez", "/healthz")
#: Where it says whether new requests are welcome.
READY = ("/health/readiness", "/readyz")
#: What can go wrong with any request at all.
_ANYWHERE = (400, 403, 405, 408, 413, 414, 431, 500, 503)
_MEANINGS = {
    400: "The request is wrong.",
    401: "No key, or not one of ours.",
    403: "Whoever asks may not do this.",
    404: "No such path, or no such model.",
    405: "The path is known, the method is not.",
    408: "The request came too slowly.",
    409: "It cannot be done as things are here.",
    413: "The body is too large.",
    414: "The target is too long.",
    415: "The body is compressed.",
    429: "Too many wrong keys from one peer, or the backend's own limit.",
    431: "The head is too large.",
    500: "A bug of ours.",
    502: "No backend gave an answer.",
    503: "We, or the backends, have no room; or we are about to stop.",
    504: "No backend answered in time.",
    508: "The request goes in a circle.",
}


def document() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "yallmp",
            "version": __version__,
            "description": "An LLM proxy that speaks OpenAI's API. Every /v1/x is there as /x, too."
            " A limit of the HTTP parser (400, 408, 413, 414, 431) ends the connection, and"
            " its answer has none of our headers.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": dict(_paths()),
        "components": {
            "schemas": schemas(),
            "responses": {str(status): _refusal(status) for status in _MEANINGS},
            "headers": _headers(),
            "securitySchemes": _schemes(),
        },
    }


def _schemes() -> dict[str, Any]:
    bearer = {"type": "http", "scheme": "bearer"}
    return {
        "bearer": {**bearer, "description": "One of general_settings.api_keys."},
        "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "admin": {**bearer, "description": "general_settings.admin_key."},
    }


def _headers() -> dict[str, Any]:
    """Ours; what the parser refuses has none of them, so that none has to be there."""
    text: Schema = {"type": "string"}
    count: Schema = {"type": "integer", "minimum": 0}
    return {
        "X-Request-Id": {"schema": text, "description": "The client's own, if it may be one."},
        "X-Yallmp-Id": {"schema": text, "description": "Our id; the log's name has it."},
        "X-Yallmp-Backend": {"schema": text, "description": "Who answered, or was asked last."},
        "X-Yallmp-Attempts": {"schema": count, "description": "How many backends were asked."},
        "X-Yallmp-Route": {"schema": text, "description": "Each attempt with its outcome."},
        "Allow": {"schema": text, "required": True},
        "Retry-After": {"schema": text, "description": "Seconds, or a date."},
        "WWW-Authenticate": {"schema": text, "required": True},
    }


def _with(*names: str) -> dict[str, Any]:
    every = ("X-Request-Id", "X-Yallmp-Id", *names)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in every}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _refusal(status: int) -> dict[str, Any]:
    more = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
    headers = _with(*(more[status],) if status in more else ())
    content = _json(named("Error"))
    return {"description": _MEANINGS[status], "headers": headers, "content": content}


def _refusals(*statuses: int) -> dict[str, Any]:
    every = sorted({*_ANYWHERE, *statuses})
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in every}


def _good(schema: Schema, description: str = "It is done.") -> dict[str, Any]:
    return {"200": {"description": description, "headers": _with(), "content": _json(schema)}}


def _paths() -> Iterator[tuple[str, Any]]:
    for prefix in ("/v1", ""):
        for endpoint in ENDPOINTS:
            yield prefix + endpoint.path, {"post": _forwarded(endpoint)}
        yield f"{prefix}/models", {"get": _models()}
        yield f"{prefix}/models/{{id}}", {"parameters": [_in_path("id")], "get": _one_model()}
    for path in (*LIVE, *READY):
        yield path, {"get": _health()}
    yield "/openapi.json", {"get": _itself()}
    yield from _administration()


def _operation(
    summary: str, tag: str, responses: dict[str, Any], schemes: tuple[str, ...] = (), **more: Any
) -> dict[str, Any]:
    """An operation; where it has *schemes*, a key is needed if one is configured."""
    keys: list[dict[str, list[str]]] = [{scheme: []} for scheme in schemes]
    security = [*keys, {}] if keys else []
    made = {"summary": summary, "tags": [tag], "security": security, "responses": responses}
    return {**made, **more}


def _in_path(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "description": "A model's name; slashes may stand in it as they are.",
    }


def _in_head(name: str, description: str) -> dict[str, Any]:
    schema: Schema = {"type": "string"}
    return {"name": name, "in": "header", "schema": schema, "description": description}


_KEYS = ("bearer", "key")


def _body(name: str, *, required: bool = True) -> dict[str, Any]:
    return {"required": required, "content": _json(named(name))}


def _forwarded(endpoint: Endpoint) -> dict[str, Any]:
    """A path whose requests go to backends, and whose answers are theirs."""
    return _operation(
        f"Forwarded to a backend's {endpoint.path}",
        "forwarded",
        {
            "200": _passed(endpoint),
            **_refusals(401, 404, 415, 429, 502, 504, 508),
            "default": _passed_error(),
        },
        _KEYS,
        parameters=[_in_head("X-Request-Id", "Your own id for the request.")],
        requestBody=_body(_ASKED.get(endpoint.name, "Input")),
    )


def _told() -> dict[str, Any]:
    return _with("X-Yallmp-Backend", "X-Yallmp-Attempts", "X-Yallmp-Route")


def _passed(endpoint: Endpoint) -> dict[str, Any]:
    content = _json(named(_PROMISED[endpoint.promises]))
    if endpoint.streams:
        content["text/event-stream"] = {"schema": {}}
    return {"description": "The backend's answer.", "headers": _told(), "content": content}


def _passed_error() -> dict[str, Any]:
    content = {"*/*": {"schema": named("BackendError")}}
    return {"description": "The backend's own error.", "headers": _told(), "content": content}


def _models() -> dict[str, Any]:
    answers = {**_good(named("Models")), **_refusals(401)}
    return _operation("What can be asked for", "models", answers, _KEYS)


def _one_model() -> dict[str, Any]:
    answers = {**_good(named("Model")), **_refusals(401, 404)}
    return _operation("One model", "models", answers, _KEYS)


def _health() -> dict[str, Any]:
    answers = {**_good(named("Status"), "It works."), **_refusals()}
    stops = {"description": "It is about to stop, or has no room.", "headers": _with()}
    either: Schema = {"anyOf": [named("Status"), named("Error")]}
    answers["503"] = {**stops, "content": _json(either)}
    return _operation("Whether the proxy works; no backend is asked", "health", answers)


def _itself() -> dict[str, Any]:
    answers = {**_good({"type": "object"}, "OpenAPI 3.1."), **_refusals()}
    return _operation("This description", "health", answers)


def _administration() -> Iterator[tuple[str, Any]]:
    yield "/admin/models", {"get": _list_backends(), "post": _register()}
    name = {"name": "name", "in": "path", "required": True}
    yield (
        "/admin/models/{name}",
        {"parameters": [{**_in_path("name"), **name}], "delete": _remove()},
    )
    yield "/admin/reload", {"post": _reload()}
    yield "/metrics", {"get": _metrics()}


def _admin(summary: str, answers: dict[str, Any], *more: int, **rest: Any) -> dict[str, Any]:
    whole = {**answers, **_refusals(429, *more)}
    return _operation(summary, "administration", whole, ("admin",), **rest)


def _list_backends() -> dict[str, Any]:
    return _admin("Every backend with its state", _good(named("Backends")))


def _register() -> dict[str, Any]:
    body = _body("Registration")
    return _admin("Serve a model from now on", _good(named("Registered")), 415, requestBody=body)


def _remove() -> dict[str, Any]:
    return _admin("Stop serving a model", _good(named("Removed")), 404, 409)


def _reload() -> dict[str, Any]:
    return _admin("Read the configuration again", _good(named("Reloaded")), 409)


def _metrics() -> dict[str, Any]:
    kinds = ("text/plain", "application/openmetrics-text")
    content = {kind: {"schema": {"type": "string"}} for kind in kinds}
    good = {"description": "For Prometheus.", "headers": _with(), "content": content}
    return _admin("What all processes counted", {"200": good})
