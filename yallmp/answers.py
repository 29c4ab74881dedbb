"""
Whole answers of our own: JSON, and errors in OpenAI's shape.

What a backend answers goes through :mod:`yallmp.downstream`; everything that we say
ourselves goes through here, so that there is one shape.
"""

from __future__ import annotations

import json

from twisted.web.iweb import IRequest

from yallmp.core.errors import HeaderList, ProxyError, error_body
from yallmp.inbound import ProxyRequest

_JSON: HeaderList = ((b"content-type", b"application/json"),)


def send_body(request: IRequest, status: int, body: bytes, headers: HeaderList = ()) -> None:
    """Send *body* and finish; it is JSON, unless *headers* have a ``content-type``."""
    named = {name for name, _ in headers}
    whole = (*(header for header in _JSON if header[0] not in named), *headers)
    if isinstance(request, ProxyRequest):
        request.answer(status, whole, body)
    else:
        _send_plainly(request, status, body, whole)


def _send_plainly(request: IRequest, status: int, body: bytes, headers: HeaderList) -> None:
    """For a site of any kind."""
    request.setResponseCode(status)
    for name, value in (*headers, (b"content-length", b"%d" % len(body))):
        request.setHeader(name, value)
    if request.method != b"HEAD":
        request.write(body)
    request.finish()


def send_json(
    request: IRequest, value: object, status: int = 200, headers: HeaderList = ()
) -> None:
    """Send *value* as JSON and finish the request."""
    send_body(request, status, json.dumps(value).encode(), headers)


def send_error(request: IRequest, error: ProxyError, headers: HeaderList = ()) -> None:
    """Send *error* in OpenAI's shape, with its own headers and *headers*, and finish."""
    send_body(request, error.status, error_body(error), error.headers + headers)


def prepared_error(request: IRequest, error: ProxyError) -> bytes:
    """
    Prepare *error* as the answer, and give its body.

    For Klein's handlers of errors: where no handler was found it finishes the request itself.
    """
    body = error_body(error)
    request.setResponseCode(error.status)
    request.setHeader(b"content-type", b"application/json")
    request.setHeader(b"content-length", b"%d" % len(body))
    for name, value in error.headers:
        request.setHeader(name, value)
    return body
