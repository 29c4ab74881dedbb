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
from datetime import timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from attrs import field, frozen

from yallmp.core.exchange import HeaderPairs
from yallmp.core.told import Told, text_in, told_by, told_in
from yallmp.core.work import LARGE


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
    MEMORY = "memory"
    DIVERGED = "diverged"


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
    the code of the error event if the answer had begun; ``spent`` are the seconds that a
    timeout waited in vain; ``pointless`` tells a client not to try again, whatever the row says.
    """

    reason: Reason
    message: str = ""
    status: int | None = None
    wait: Wait | None = None
    headers: HeaderPairs = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    code: str = "upstream_error"
    spent: float = 0.0
    pointless: bool = False

    @property
    def word(self) -> str:
        """The status if there is one, else the class: for ``x-yallmp-route``."""
        return str(self.status) if self.status else self.reason.value


class AttemptFailed(Exception):
    """An attempt came to nothing; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message or problem.reason.value)
        self.problem = problem


_CONTENT_FILTER = re.compile(
    r"content[_ -]?filter|content[_ ](management )?policy|content_policy_violation"
    r"|responsibleaipolicy|usage (polic|guideline)|safety[_ ](system|check)"
    r"|violat\w+ (of )?(our |the |its |their )?((usage|use|content|safety|acceptable) )*"
    r"(polic|guideline)|(?<![-/\w])moderation(?!s\b)|(was|were|been) flagged"
    r"|prohibited_content|inappropriate content|data_inspection_failed|content exists risk"
)
_CONTEXT_LENGTH = re.compile(
    r"context[_ ](length|window|size|limit)|maximum context|maximum (prompt|model) length"
    r"|max_model_len|max_prompt_tokens|(prompt|inputs?) (is|are) too (long|large)"
    r"|too many (input )?tokens|token count .{0,40}(exceeds|supports)|reduce the length"
    r"|string_above_max_length|must have less than \d+ tokens|tokens`? \+ `?max_new_tokens"
    r"|exceeds? the (model'?s )?(maximum|max) .{0,20}token"
)
_TOO_LARGE = re.compile(r"request too large|request_too_large|tokens_limit_reached")
_NO_MONEY = (
    r"insufficient[_ ](quota|balance|credits?|funds)|(out of|no|not enough) (credits?|funds)"
    r"|exceeded your current quota|spend(ing)?[_ ]limit|billing[_ ]((hard[_ ])?limit|not_active)"
    r"|credit balance|api usage limits?"
)
_QUOTA = re.compile(_NO_MONEY)
#: A limit that is over in a moment is none of money, whatever else the text advertises.
_SOON = re.compile(r"(?<!_)(try again|retry) (in|after) [\d.]+ ?(ms|s|m|h)")
_ACCOUNT = re.compile(
    rf"{_NO_MONEY}|\bcredits?\b|\bbilling\b|\bquota\b|quota_exceeded"
    r"|api[_ -]?key (is )?(not valid|not found|invalid|expired|missing)"
    r"|(invalid|incorrect|expired|missing|no)[_ ](x-)?api[_ -]?key"
)
#: The backend, or a proxy before it, refuses *our* credentials.
_REFUSED = {401, 402, 403, 407}
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
    if status == 429 and _speaks_of_money(words):
        return Reason.QUOTA
    return Reason.ACCOUNT if status == 400 and _ACCOUNT.search(words) else None


def _speaks_of_money(words: str) -> bool:
    return "insufficient_quota" in words or bool(_QUOTA.search(words) and not _SOON.search(words))


def _by_wait(status: int, wait: Wait | None, longest: float) -> Reason | None:
    if wait is None or status not in _MAY_NAME_WAIT:
        return None
    return Reason.WAIT if wait.seconds <= longest + wait.slack else Reason.LONG_WAIT


def _by_status(status: int) -> Reason:
    if status in _REFUSED:
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


def wait_of(headers: HeaderPairs, now: float) -> Wait | None:
    """
    The wait that answer *headers* name: ``retry-after-ms``, else ``retry-after``.

    A wait of nothing is none: then the pause is ours to choose.

    :param now: POSIX seconds, for dates (RFC 9110, 10.2.3).
    """
    named = {name.lower(): value.strip().decode("latin-1") for name, value in headers}
    milliseconds = _number(named.get(b"retry-after-ms", ""))
    if milliseconds is not None:
        return _wait(milliseconds / 1000)
    seconds = _number(named.get(b"retry-after", ""))
    if seconds is not None:
        return _wait(seconds)
    return _until(named.get(b"retry-after", ""), now)


def _wait(seconds: float, slack: float = 0.0) -> Wait | None:
    return Wait(seconds, slack) if seconds > 0 else None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else None


def _until(text: str, now: float) -> Wait | None:
    try:
        when = parsedate_to_datetime(text)
        if when.tzinfo is None:
            when = when.replace(tzinfo=timezone.utc)
        return _wait(when.timestamp() - now, slack=1.0)
    except (ValueError, TypeError, OverflowError):
        return None


def status_problem(
    status: int, headers: HeaderPairs, body: bytes, now: float, retry_after_max: float
) -> Problem:
    """
    The problem that an answer with an error status is.

    No error is as large as :data:`yallmp.core.work.LARGE`: such a body is not read, but for the
    words at its beginning, and not passed on.
    """
    large = len(body) > LARGE
    told, wait = text_in(body) if large else told_in(body), wait_of(headers, now)
    reason = reason_of(status, told, wait, retry_after_max)
    return Problem(reason, told.message[:500], status, wait, headers, b"" if large else body)


def answer_problem(error: Any, headers: HeaderPairs, now: float, longest: float) -> Problem:
    """
    The problem that an error inside a successful answer is.

    Its code or status decides like that of an error answer; without either it only
    leads on to the next backend.
    """
    told, wait = told_by({"error": error}), wait_of(headers, now)
    reason = (
        Reason.ANSWER_ERROR if told.status is None else reason_of(told.status, told, wait, longest)
    )
    kept = tuple(pair for pair in headers if pair[0].lower().startswith(b"retry-after"))
    return Problem(reason, told.message[:500], told.status, wait, kept, _error_body(error, told))


def _error_body(error: Any, told: Told) -> bytes:
    """The body of an error answer with *error* in it."""
    try:
        return json.dumps({"error": error if isinstance(error, dict) else _object(told)}).encode()
    except (ValueError, RecursionError):
        return json.dumps({"error": _object(told)}).encode()


def _object(told: Told) -> dict[str, Any]:
    """OpenAI's error object for an error that came as something else."""
    message = told.message or "The backend reported an error."
    return {"message": message, "type": "upstream_error", "param": None, "code": None}
