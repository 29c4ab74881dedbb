"""
What went wrong in one attempt, named.

A :class:`Problem` is one failure; its :class:`Reason` is the row of the decision table
(:mod:`yallmp.core.verdicts`) that it falls under.  Backends say the same thing in many
ways: :func:`reason_of` knows statuses, the codes that people match on, and, where
providers have only prose, the words they use (sources: the error pages of OpenAI, Azure
OpenAI, Anthropic, Gemini, Groq, vLLM, llama.cpp and Ollama).
"""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from attrs import field, frozen

from yallmp.core.exchange import HeaderPairs


class Reason(Enum):
    """The rows of the decision table; the value is the word used in logs and headers."""

    UNREACHABLE = "unreachable"
    DNS = "dns"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    DISCONNECTED = "disconnected"
    PROTOCOL = "protocol"
    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    ACCOUNT = "account"
    AUTH = "auth"
    UNKNOWN_THERE = "unknown_there"
    AT_FAULT = "at_fault"
    BUSY = "busy"
    WAIT = "wait"
    LONG_WAIT = "long_wait"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    SERVER_ERROR = "server_error"
    UNABLE = "unable"
    REDIRECT = "redirect"
    ANSWER_ERROR = "error_in_answer"
    INVALID = "invalid_response"
    INCOMPLETE = "incomplete"
    FULL = "full"


@frozen
class Wait:
    """
    How long a backend asked us to wait, in seconds.

    ``slack`` is what may be added without breaking ``retry_after_max``: a date has no
    fractions, so it is allowed a second.
    """

    seconds: float
    slack: float = 0.0


@frozen
class Problem:
    """
    One failed attempt.

    ``status`` is the backend's (or what its error in a 200 amounts to); ``headers`` and
    ``body`` are what it sent, for answers that are passed on as they are; ``code`` is
    the code of the error event if the answer had begun.
    """

    reason: Reason
    message: str = ""
    status: int | None = None
    wait: Wait | None = None
    headers: HeaderPairs = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    code: str = "upstream_error"

    @property
    def word(self) -> str:
        """The status if there is one, else the class: for ``x-yallmp-route``."""
        return str(self.status) if self.status else self.reason.value


class AttemptFailed(Exception):
    """An attempt came to nothing; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message or problem.reason.value)
        self.problem = problem


@frozen
class Told:
    """What a backend says of its error, wherever in its body it says so."""

    message: str = ""
    code: str = ""
    status: int | None = None

    @property
    def words(self) -> str:
        """Everything to look through, in lower case."""
        return f"{self.code} {self.message}".lower()


_CONTENT_FILTER = re.compile(
    r"content[_ ]?filter|content[_ ]policy|content_policy_violation|responsibleaipolicy"
    r"|content management policy|usage polic|safety system|moderation"
)
_CONTEXT_LENGTH = re.compile(
    r"context_length|context[_ ]window|context length|maximum context|context size"
    r"|prompt is too long|input is too long|too many (input )?tokens|max_prompt_tokens"
    r"|reduce the length|string_above_max_length"
    r"|exceeds? the (model'?s )?(maximum|max) .{0,20}token"
)
_TOO_LARGE = re.compile(r"request too large|request_too_large|tokens_limit_reached")
_QUOTA = re.compile(
    r"insufficient_quota|exceeded your current quota|spend(ing)? limit|billing|credit balance"
    r"|out of credits|insufficient (balance|credits|funds)"
)
_ACCOUNT = re.compile(
    r"credit|billing|quota|insufficient balance"
    r"|api[_ -]?key (is )?(not valid|invalid|expired|missing)"
    r"|(invalid|incorrect|expired|missing|no)[_ ](x-)?api[_ -]?key"
)
#: What the codes of errors inside a 200 (or a stream) amount to.
_CODE_STATUS = {
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "insufficient_quota": 429,
    "too_many_requests": 429, "context_length_exceeded": 400, "content_filter": 400,
    "content_policy_violation": 400, "invalid_request_error": 400, "invalid_prompt": 400,
    "invalid_api_key": 401, "authentication_error": 401, "permission_error": 403,
    "not_found_error": 404, "model_not_found": 404, "request_too_large": 413,
    "server_error": 500, "internal_error": 500, "api_error": 500, "internal_server_error": 500,
    "overloaded_error": 529, "service_unavailable": 503, "timeout_error": 504,
}  # fmt: skip
_UNKNOWN_THERE = {404, 405, 410}
_BUSY = {408, 409, 425}
_MAY_NAME_WAIT = {429, 503, 529}
_UNABLE = {501, 505}


def reason_of(status: int, told: Told, wait: Wait | None, retry_after_max: float) -> Reason:
    """
    The row for an answer with *status* that is no success.

    :param wait: what the backend asked for, if it did.
    :param retry_after_max: the longest wait that is kept (``router_settings``).
    """
    if 300 <= status < 400:
        return Reason.REDIRECT
    return (
        _by_words(status, told.words)
        or _by_wait(status, wait, retry_after_max)
        or _by_status(status)
    )


def _by_words(status: int, words: str) -> Reason | None:
    if status in (400, 403) and _CONTENT_FILTER.search(words):
        return Reason.CONTENT_FILTER
    if status == 413 or (status in (400, 422, 500) and _CONTEXT_LENGTH.search(words)):
        return Reason.CONTEXT_LENGTH
    if status == 429 and _TOO_LARGE.search(words):
        return Reason.CONTEXT_LENGTH
    if status == 429 and _QUOTA.search(words):
        return Reason.QUOTA
    return Reason.ACCOUNT if status == 400 and _ACCOUNT.search(words) else None


def _by_wait(status: int, wait: Wait | None, longest: float) -> Reason | None:
    if wait is None or status not in _MAY_NAME_WAIT:
        return None
    return Reason.WAIT if wait.seconds <= longest + wait.slack else Reason.LONG_WAIT


def _by_status(status: int) -> Reason:
    if status in (401, 402, 403):
        return Reason.AUTH
    if status in _UNKNOWN_THERE:
        return Reason.UNKNOWN_THERE
    if status in _BUSY:
        return Reason.BUSY
    if status == 429:
        return Reason.RATE_LIMIT
    if status >= 500:
        return Reason.UNABLE if status in _UNABLE else Reason.SERVER_ERROR
    return Reason.AT_FAULT


def told_by(value: Any) -> Told:
    """
    What the parsed body *value* says of an error.

    Shapes: ``{"error": {…}}``, ``{"error": "…"}``, ``{"message": …}``, ``{"detail": …}``,
    and any of them as the only element of a list.
    """
    if isinstance(value, list) and value:
        return told_by(value[0])
    if not isinstance(value, dict):
        return Told(message=value if isinstance(value, str) else "")
    inner = value.get("error") or value.get("detail")
    if isinstance(inner, (dict, str)):
        return told_by(inner)
    return _told(value)


def _told(error: dict[str, Any]) -> Told:
    code = error.get("code")
    inner = error.get("innererror")
    codes = [code, error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    return Told(
        message=str(error.get("message") or ""),
        code=" ".join(str(c) for c in codes if isinstance(c, str)),
        status=_status(error.get("status"), code, error.get("type")),
    )


def _status(*candidates: Any) -> int | None:
    for told in candidates:
        candidate = _CODE_STATUS.get(told, told) if isinstance(told, str) else told
        if str(candidate).isdecimal() and 400 <= int(candidate) <= 599:
            return int(candidate)
    return None


def parsed(body: bytes) -> Any:
    """*body* as JSON, or ``None``."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def wait_of(headers: HeaderPairs, now: float) -> Wait | None:
    """
    The wait that answer *headers* name: ``retry-after-ms``, else ``retry-after``.

    :param now: POSIX seconds, for dates (RFC 9110, 10.2.3).
    """
    named = {name.lower(): value.strip().decode("latin-1") for name, value in headers}
    milliseconds = _number(named.get(b"retry-after-ms", ""))
    if milliseconds is not None:
        return Wait(milliseconds / 1000)
    seconds = _number(named.get(b"retry-after", ""))
    if seconds is not None:
        return Wait(seconds)
    return _until(named.get(b"retry-after", ""), now)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else None


def _until(text: str, now: float) -> Wait | None:
    try:
        return Wait(max(0.0, parsedate_to_datetime(text).timestamp() - now), slack=1.0)
    except (ValueError, TypeError, OverflowError):
        return None


def status_problem(
    status: int, headers: HeaderPairs, body: bytes, now: float, retry_after_max: float
) -> Problem:
    """The problem that an answer with an error status is."""
    told, wait = told_by(parsed(body)), wait_of(headers, now)
    reason = reason_of(status, told, wait, retry_after_max)
    return Problem(reason, told.message[:500], status, wait, headers, body)


def answer_problem(error: Any, headers: HeaderPairs, now: float, longest: float) -> Problem:
    """
    The problem that an error inside a successful answer is.

    Its code or status decides like that of an error answer; without either it only
    leads on to the next backend.
    """
    told, wait = told_by({"error": error}), wait_of(headers, now)
    body = json.dumps({"error": error if isinstance(error, dict) else {"message": str(error)}})
    reason = (
        Reason.ANSWER_ERROR if told.status is None else reason_of(told.status, told, wait, longest)
    )
    kept = tuple(pair for pair in headers if pair[0].lower().startswith(b"retry-after"))
    return Problem(reason, told.message[:500], told.status, wait, kept, body.encode())
