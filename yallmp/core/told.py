"""
What a backend says of its own error, wherever in its body it says so.

Every provider has its own shape: OpenAI's ``{"error": {…}}``, Gemini's list of one of
those, Ollama's ``{"error": "…"}``, vLLM's flat object, FastAPI's ``{"detail": …}``, plain
text from whatever stands in between.  :func:`told_by` finds message, code and status in
all of them, and bears with everything else: a backend can send anything.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import frozen

from yallmp.core.digits import loads

#: So many wrappers are looked into, and so much of a message is kept.
_WRAPPERS = 8
_LONGEST = 16 * 1024
#: What the codes of errors inside a 200 (or a stream) amount to.
_CODE_STATUS = {
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "insufficient_quota": 429,
    "too_many_requests": 429, "resource_exhausted": 429, "context_length_exceeded": 400,
    "exceed_context_size_error": 400, "content_filter": 400, "content_policy_violation": 400,
    "image_content_policy_violation": 400, "invalid_request_error": 400, "invalid_prompt": 400,
    "invalid_argument": 400, "invalid_api_key": 401, "authentication_error": 401,
    "unauthenticated": 401, "billing_error": 402, "permission_error": 403,
    "permission_denied": 403, "not_found_error": 404, "not_found": 404, "model_not_found": 404,
    "request_too_large": 413, "server_error": 500, "internal_error": 500, "api_error": 500,
    "internal_server_error": 500, "internal": 500, "overloaded_error": 529,
    "service_unavailable": 503, "unavailable_error": 503, "unavailable": 503,
    "timeout_error": 504, "deadline_exceeded": 504,
}  # fmt: skip


@frozen
class Told:
    """
    What a backend says of its error.

    ``code`` are all its codes and types; ``more`` is what a provider behind it said.
    """

    message: str = ""
    code: str = ""
    status: int | None = None
    more: str = ""

    @property
    def words(self) -> str:
        """Everything to look through, in lower case."""
        return f"{self.code} {self.message} {self.more}".lower()


def parsed(body: bytes) -> Any:
    """*body* as JSON, or ``None``."""
    try:
        return loads(body)
    except (ValueError, RecursionError):
        return None


def parsed_object(body: bytes) -> dict[str, Any]:
    """*body* as a JSON object; an empty one if it is none."""
    value = parsed(body)
    return value if isinstance(value, dict) else {}


def told_in(body: bytes) -> Told:
    """What the body of an error answer says, be it JSON, text, or a page in HTML (nothing)."""
    value = parsed(body)
    if value is not None:
        return told_by(value)
    return text_in(body)


def text_in(body: bytes) -> Told:
    """What the beginning of *body* says as it stands, be it a text or a page in HTML (nothing)."""
    text = body[:_LONGEST].decode("utf-8", "replace").strip()
    return Told("" if text.startswith("<") else text)


def told_by(value: Any) -> Told:
    """
    What the parsed body *value* says of an error.

    Shapes: ``{"error": {…}}``, ``{"error": "…"}``, ``{"message": …}``, ``{"detail": …}``,
    and any of them in a list, of which the first counts.
    """
    for _ in range(_WRAPPERS):
        inner = _inside(value)
        if inner is None:
            break
        value = inner
    if isinstance(value, dict):
        return _told(value)
    return Told(_text(value) if isinstance(value, str) else "")


def _inside(value: Any) -> Any:
    """What *value* is wrapped around, or ``None``: it speaks for itself."""
    if isinstance(value, list):
        return value[0] if value else None
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, (dict, list)) and error:
        return error
    if value.get("message"):
        return None
    candidates = (error, value.get("detail"), value.get("errors"))
    return next((c for c in candidates if isinstance(c, (dict, list, str)) and c), None)


def _told(error: dict[str, Any]) -> Told:
    code, kind = error.get("code"), error.get("type")
    inner, behind = error.get("innererror"), error.get("metadata")
    codes = [code, kind, error.get("error"), inner.get("code") if isinstance(inner, dict) else None]
    return Told(
        message=_text(error.get("message") or error.get("msg") or ""),
        code=_text(" ".join(c for c in codes if isinstance(c, str))),
        status=_status(error.get("status"), code, kind),
        more=_text(behind.get("raw") or "") if isinstance(behind, dict) else "",
    )


def _text(value: Any) -> str:
    """*value* as text that can be encoded, of bounded length."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""
    return text[:_LONGEST].encode("utf-8", "replace").decode()


def _status(*candidates: Any) -> int | None:
    """The first of *candidates* that is, or stands for, the status of an error."""
    for told in candidates:
        known = _CODE_STATUS.get(told.lower()) if isinstance(told, str) else None
        if known:
            return known
        if isinstance(told, (int, str)) and re.fullmatch("[45][0-9][0-9]", str(told)[:4]):
            return int(told)
    return None
