"""
Errors that a client sees: whose fault it is, which status, which code.

Every error of ours is a :class:`ProxyError`; its class says whose fault it is and
carries the status and the ``code`` that clients match on, its message is written for
the person who must act on it.  :func:`error_body` is the one place that gives them
OpenAI's shape (``{"error": {"message", "type", "param", "code"}}``, OpenAI API
reference, "Error codes").
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

HeaderList = tuple[tuple[bytes, bytes], ...]


class ProxyError(Exception):
    """
    Something that ends a request, told to the client.

    :param message: what is wrong and what to do, without secrets or addresses.
    :param param: the request's field at fault, if one is.
    :param code: in place of the class's own code.
    :param status: in place of the class's own status.
    :param headers: further headers of the answer (``allow``, ``retry-after``).
    """

    status: int = 500
    type: ClassVar[str] = "server_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        headers: HeaderList = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.headers = headers


class RequestFault(ProxyError):
    """The client's request is wrong; sending it again unchanged will not help."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class InvalidJSON(RequestFault):
    """The body is not the JSON object that it should be."""

    code = "invalid_json"


class DuplicateKey(RequestFault):
    """A top-level key stands twice: two readers could see two different requests."""

    code = "duplicate_key"


class MissingParameter(RequestFault):
    """A field that the endpoint needs is missing or of the wrong kind."""

    code = "missing_parameter"


class Unauthorized(RequestFault):
    """No key, or not one of ours."""

    status = 401
    code = "invalid_api_key"


class Forbidden(RequestFault):
    """Known or not, this client may not do this."""

    status = 403
    code = "forbidden"


class NotFound(RequestFault):
    """No such path."""

    status = 404
    code = "not_found"


class ModelNotFound(RequestFault):
    """No model of that name (the status is OpenAI's)."""

    status = 404
    code = "model_not_found"


class MethodNotAllowed(RequestFault):
    """The path is known, the method is not."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(RequestFault):
    """The request came too slowly."""

    status = 408
    code = "request_timeout"


class Conflict(RequestFault):
    """The change would break something else that is configured."""

    status = 409
    code = "conflict"


class BadConfiguration(RequestFault):
    """
    The configuration that was to be put in force cannot be; the one before stays.

    :param problems: everything that is wrong, a line each.
    """

    code = "invalid_configuration"

    def __init__(self, problems: tuple[str, ...], status: int = 400) -> None:
        super().__init__("The configuration was not changed: " + "\n".join(problems), status=status)
        self.problems = problems


class TooLarge(RequestFault):
    """The body is over the configured limit."""

    status = 413
    code = "request_too_large"


class TargetTooLong(RequestFault):
    """The request's target (path and query) is over the limit."""

    status = 414
    code = "uri_too_long"


class UnsupportedMedia(RequestFault):
    """The body's encoding or type is not one that is read here."""

    status = 415
    code = "unsupported_media_type"


class TooManyFailures(RequestFault):
    """Too many wrong keys from one peer."""

    status = 429
    code = "rate_limit_exceeded"


class HeadTooLarge(RequestFault):
    """The request's header block is over the limit."""

    status = 431
    code = "request_header_fields_too_large"


class Overloaded(ProxyError):
    """We are at a limit of our own; a moment later it may work."""

    status = 503
    code = "proxy_overloaded"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers=((b"retry-after", b"1"),))


class LoopDetected(ProxyError):
    """The request goes in a circle; whoever configured that has to end it."""

    status = 508
    code = "loop_detected"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers=((b"x-should-retry", b"false"),))


class BackendFault(ProxyError):
    """No backend gave an answer; the code says how the chosen one failed."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"


def error_object(error: ProxyError) -> dict[str, Any]:
    """The inner object of OpenAI's error shape."""
    told: dict[str, Any] = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    if isinstance(error, BadConfiguration):
        told["problems"] = list(error.problems)
    return told


def error_body(error: ProxyError) -> bytes:
    """The body of an error answer, in OpenAI's shape, as UTF-8 JSON."""
    return json.dumps({"error": error_object(error)}).encode()
