"""
OpenAI's dialect: chat completions, completions, embeddings, rerank, moderations, Responses.

Requests go on byte for byte, but for the model's name and what the configuration adds or
leaves out.  Answers are looked at, never changed.  Sources: OpenAI's API reference
(chat completion chunk object, streaming events of Responses); rerank as in Jina's and
Cohere's APIs, which vLLM and LiteLLM serve.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from zope.interface import implementer

from yallmp.api_types.openai_shapes import assembled, error_in, exploded, usage_of
from yallmp.api_types.openai_streams import ChoiceStream, ResponseStream
from yallmp.core.asked import CHAT, RESPONSES, Asked
from yallmp.core.backend import Backend
from yallmp.core.errors import ProxyError, error_object
from yallmp.core.exchange import Splice
from yallmp.core.gate import Checked, Inspector
from yallmp.core.sse import ServerEvent, event_bytes
from yallmp.interfaces import IApiType

_THINKING = '{"type": "enabled"}'


@implementer(IApiType)
class OpenAI:
    """The dialect of every backend that says it is OpenAI-compatible."""

    def target(self, asked: Asked, query: str, backend: Backend) -> str:
        """``api_base``, the path without ``/v1``, the client's query, the backend's own."""
        given = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
        own = urlencode([(k, v) for k, v in backend.query if k not in given])
        whole = "&".join(part for part in (query, own) if part)
        return f"{backend.api_base}{asked.endpoint.path}{'?' if whole else ''}{whole}"

    def splices(self, asked: Asked, model: str, backend: Backend) -> tuple[Splice, ...]:
        """The model's name, thinking, ``extra_body`` and ``drop_params``; often nothing."""
        changes = {k: v for k, v in backend.extra_body if k not in asked.document}
        if backend.supports_reasoning and asked.endpoint is CHAT:
            changes.update(_thinking(asked))
        if model != asked.model:
            changes["model"] = json.dumps(model)
        return asked.document.splices(changes, backend.drop_params)

    def inspector(self, asked: Asked) -> Inspector:
        """One for events with ``choices``, or one for Responses."""
        return ResponseStream() if asked.endpoint is RESPONSES else ChoiceStream(asked.choices)

    def check(self, asked: Asked, body: bytes) -> Checked:
        """Whether *body* is JSON with what the endpoint promises, and no error."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return Checked(
                False, "the answer is not JSON" if body.strip() else "the answer is empty"
            )
        if not isinstance(value, dict):
            return Checked(False, "the answer is not a JSON object")
        error = error_in(value)
        if error is not None:
            return Checked(False, "the answer carries an error", error)
        return _promised(asked, value)

    def assembled(self, asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
        """One answer from a stream that came unasked."""
        return assembled(asked, events)

    def exploded(self, asked: Asked, body: bytes) -> bytes | None:
        """A stream from one answer, for a backend that does not stream."""
        return exploded(asked, body)

    def error_event(self, asked: Asked, error: ProxyError) -> bytes:
        """``data: {"error": …}``; for Responses an ``error`` event of its own shape."""
        if asked.endpoint is RESPONSES:
            told = {"type": "error", **error_object(error), "sequence_number": 0}
            told["type"] = "error"
            return event_bytes(json.dumps(told).encode(), b"error")
        return event_bytes(json.dumps({"error": error_object(error)}).encode())


def _thinking(asked: Asked) -> dict[str, str]:
    """The thinking block, unless the request's own names a type; its other fields stay."""
    given = asked.document.get("thinking")
    if not isinstance(given, dict) or not given:
        return {"thinking": _THINKING}
    if given.get("type"):
        return {}
    return {"thinking": json.dumps({**given, "type": "enabled"})}


def _promised(asked: Asked, value: dict[str, Any]) -> Checked:
    name = asked.endpoint.promises
    if name is None:
        ok = isinstance(value.get("output"), list)
        return Checked(
            ok,
            "" if ok else "the answer has no 'output'",
            None,
            value.get("status"),
            usage_of(value),
        )
    listed = value.get(name)
    if not isinstance(listed, list) or (name == "choices" and not listed):
        return Checked(False, f"the answer has no {name!r}")
    reasons = [c.get("finish_reason") for c in listed if isinstance(c, dict)]
    reason = next((r for r in reasons if isinstance(r, str)), None)
    return Checked(True, "", None, reason, usage_of(value))
