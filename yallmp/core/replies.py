"""
What the client is told when nothing could answer.

A backend's own answer goes on as it is (status, headers, body), or the client gets an
error of ours that names the model and the class of failure: never an address, a key or
a path.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from yallmp.core.errors import BackendFault, error_body
from yallmp.core.exchange import HeaderPairs
from yallmp.core.headers import for_client
from yallmp.core.problems import Problem, Reason
from yallmp.core.told import parsed, told_by
from yallmp.core.verdicts import TABLE

_MESSAGES = {
    "upstream_unreachable": "The backend for {model} cannot be reached.",
    "upstream_dns": "The name of the backend for {model} cannot be resolved.",
    "upstream_connect_timeout": "The backend for {model} did not accept a connection in time.",
    "upstream_tls": "The TLS connection to the backend for {model} failed.",
    "upstream_disconnected": "The backend for {model} closed the connection without an answer.",
    "upstream_protocol": "The backend for {model} did not answer with valid HTTP.",
    "upstream_timeout": "The backend for {model} did not answer in time.",
    "deadline_exceeded": "The deadline for {model} passed before there was an answer.",
    "upstream_auth": "The backend for {model} refused the proxy's own credentials or account.",
    "upstream_redirect": "The backend for {model} answered with a redirect, which is not followed.",
    "upstream_invalid_response": "The backend for {model} sent an answer that cannot be used.",
    "upstream_incomplete": "The answer of the backend for {model} was cut short.",
    "upstream_idle_timeout": "The backend for {model} fell silent in the middle of its answer.",
    "stream_lifetime_exceeded": "The stream for {model} took longer than is allowed.",
    "proxy_shutdown": "The proxy is shutting down.",
    "proxy_overloaded": "There is no room in memory for the answer for {model}; try again.",
    "overloaded": "The backend for {model} has as many requests as it may.",
}
_OTHERWISE = "The backend for {model} failed."
_FAILED = "The backend failed."
_CUT = "The backend for {model} closed the connection in the middle of its answer."
#: When a client may try again that found a backend, or us, full; seconds.
_COME_BACK = b"1"
_SHOULD_RETRY = b"x-should-retry"


@frozen
class Reply:
    """A whole answer."""

    status: int
    headers: HeaderPairs
    body: bytes = field(repr=False)


def fault(code: str, model: str, status: int | None = None, told: str = "") -> BackendFault:
    """The error of ours with *code*; *told* is what the backend said, if that may be passed on."""
    message = _MESSAGES.get(code, _OTHERWISE).format(model=repr(model))
    return BackendFault(f"{message} It said: {told}" if told else message, code=code, status=status)


def reply_to(problem: Problem, model: str, mask: Callable[[bytes], bytes]) -> Reply:
    """
    The answer for a request whose last word is *problem*.

    :param mask: replaces known secrets.
    """
    row = TABLE[problem.reason]
    hint: HeaderPairs = () if row.retry and not problem.pointless else ((_SHOULD_RETRY, b"false"),)
    if row.status is None and problem.status is not None:
        return _as_it_is(problem, problem.status, model, mask, hint)
    if problem.reason in (Reason.FULL, Reason.MEMORY):
        hint = ((b"retry-after", _COME_BACK),)
    return _ours(fault(row.code, model, row.status), hint)


def _as_it_is(
    problem: Problem, status: int, model: str, mask: Callable[[bytes], bytes], hint: HeaderPairs
) -> Reply:
    replaced = {name for name, _ in hint}
    headers = tuple(
        (name, mask(value)) for name, value in for_client(problem.headers) if name not in replaced
    )
    if parsed(problem.body) is None:
        kept = tuple(pair for pair in headers if pair[0] != b"content-type")
        return _ours(fault("upstream_error", model, status), kept + hint)
    if not any(name == b"content-type" for name, _ in headers):
        headers += ((b"content-type", b"application/json"),)
    return Reply(status, headers + hint, mask(problem.body))


def _ours(error: BackendFault, headers: HeaderPairs) -> Reply:
    content_type = (b"content-type", b"application/json")
    return Reply(error.status, (content_type, *headers), error_body(error))


def error_of(reply: Reply) -> BackendFault:
    """The error that *reply* tells, for a client whose stream has begun already."""
    told = told_by(parsed(reply.body))
    code = told.code.split(" ")[0] or "upstream_error"
    return BackendFault(told.message or _FAILED, code=code, status=reply.status)


def event_error(problem: Problem, model: str, mask: Callable[[bytes], bytes]) -> BackendFault:
    """The error for a stream that broke with *problem* after it had begun."""
    told = mask(problem.message.encode()).decode("utf-8", "replace") if _may_tell(problem) else ""
    if problem.code == "upstream_disconnected":
        return BackendFault(_CUT.format(model=repr(model)), code=problem.code)
    return fault(problem.code, model, told=told)


def _may_tell(problem: Problem) -> bool:
    """Whether the message is a backend's own, of an error that is none of our credentials."""
    said = problem.reason is Reason.ANSWER_ERROR or TABLE[problem.reason].status is None
    return said and bool(problem.body) and problem.code == "upstream_error"
