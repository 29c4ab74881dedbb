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
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from zope.interface import implementer

from yallmp.api_types.openai_glance import judged
from yallmp.api_types.openai_rescue import Comparison, Continuation, prefilled
from yallmp.api_types.openai_shapes import are_choices, error_in, exploded, usage_of
from yallmp.api_types.openai_streams import ChoiceStream, ResponseStream
from yallmp.api_types.openai_whole import assembled
from yallmp.api_types.parameters import settled
from yallmp.api_types.seals import without_seals
from yallmp.core.asked import CHAT, RESPONSES, Asked
from yallmp.core.backend import Backend
from yallmp.core.digits import loads
from yallmp.core.errors import DuplicateKey
from yallmp.core.exchange import Splice
from yallmp.core.inspector import Checked, Inspector
from yallmp.core.jsonbody import LONG, Document, apply
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.sealed import TRACE
from yallmp.interfaces import IApiType, Put

_THINKING = '{"type": "enabled"}'
#: What stays of a query; all else (a raw ``é``, a ``#``) would not be one upstream.
_QUERY = "!$%&'()*+,/:;<=>?@[\\]^`{|}\""


@implementer(IApiType)
class OpenAI:
    """The dialect of every backend that says it is OpenAI-compatible."""

    translates = False

    def target(self, asked: Asked, query: str, backend: Backend) -> str:
        """``api_base``, the path without ``/v1``, the client's query, the backend's own."""
        url = backend.api_base + asked.endpoint.path
        return url + _query(query, backend.query) if query or backend.query else url

    def put(self, asked: Asked, model: str, backend: Backend, begun: str = "") -> Put:
        """The client's body, with what is to be changed in it."""
        splices = self._splices(asked, model, backend)
        if begun:
            splices = prefilled(asked, splices, begun, backend)
        put = Put(apply(asked.document.body, splices), splices)
        is_sealed = asked.endpoint is RESPONSES and TRACE in put.body
        return without_seals("responses", put) if is_sealed else put

    def _splices(self, asked: Asked, model: str, backend: Backend) -> tuple[Splice, ...]:
        """The model's name, and what is configured for the body; often nothing."""
        named = {} if model == asked.model else {"model": _quoted(model)}
        reasons = backend.supports_reasoning and asked.endpoint is CHAT
        if not (reasons or backend.extra_body or backend.drop_params or backend.parameters):
            return asked.document.splices(named)
        changes = _thinking(asked) if reasons else {}
        changes.update((k, v) for k, v in backend.extra_body if k not in asked.document)
        gone = (*backend.drop_params, *settled(asked, changes, backend.parameters))
        changes.update(named)
        wanted = {k: v for k, v in changes.items() if k not in gone}
        return asked.document.splices(wanted, gone)

    def inspector(self, asked: Asked) -> Inspector:
        """One for events with ``choices``, or one for Responses."""
        return ResponseStream() if asked.endpoint is RESPONSES else ChoiceStream(asked.choices)

    def comparison(self, asked: Asked, delivered: Transcript) -> Inspector:
        """For an answer that is given anew."""
        return Comparison(delivered, ChoiceStream(asked.choices))

    def continuation(self, asked: Asked, delivered: Transcript) -> Inspector:
        """For an answer that goes on with the text."""
        return Continuation(delivered, ChoiceStream(asked.choices))

    def check(self, asked: Asked, body: bytes) -> Checked:
        """Whether *body* is JSON with what the endpoint promises, and no error."""
        return judged(asked, body) or read_whole(asked, body)

    def assembled(self, asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
        """One answer from a stream that came unasked."""
        return assembled(asked, events)

    def exploded(self, asked: Asked, body: bytes) -> bytes | None:
        """A stream from one answer, for a backend that does not stream."""
        return exploded(asked, body)


@lru_cache(1024)
def _quoted(model: str) -> str:
    """A model's name as JSON."""
    return json.dumps(model)


@lru_cache(64)
def _query(query: str, own: tuple[tuple[str, str], ...]) -> str:
    """The client's *query* with a backend's *own* where it has no such name; with its mark."""
    given = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    added = urlencode([(k, v) for k, v in own if k not in given])
    whole = "&".join(part for part in (quote(query, _QUERY), added) if part)
    return f"?{whole}" if whole else ""


def _thinking(asked: Asked) -> dict[str, str]:
    """The thinking block, unless the request's own names a type; its other fields stay."""
    given = asked.document.glance("thinking")
    if given is LONG:
        return {}
    if not isinstance(given, dict) or not given:
        return {"thinking": _THINKING}
    if given.get("type"):
        return {}
    return {"thinking": _enabled(asked.document.raw("thinking"), given)}


def _enabled(text: bytes, given: dict[str, Any]) -> str:
    """The block *text* with its type set and nothing else changed."""
    try:
        block = Document.parse(text)
    except DuplicateKey:
        return json.dumps({**given, "type": "enabled"})
    return apply(block.body, block.splices({"type": '"enabled"'})).decode()


def read_whole(asked: Asked, body: bytes) -> Checked:
    """What *body* is, all of it read."""
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        return Checked(False, "the answer is not JSON" if body.strip() else "the answer is empty")
    if not isinstance(value, dict):
        return Checked(False, "the answer is not a JSON object")
    error = error_in(value)
    if error is not None:
        return Checked(False, "the answer carries an error", error)
    return _promised(asked, value)


def _promised(asked: Asked, value: dict[str, Any]) -> Checked:
    """Whether *value* has what the endpoint promises, and what it says of itself."""
    name = asked.endpoint.promises or "output"
    listed = value.get(name)
    if name == "choices" and not are_choices(asked, listed):
        return Checked(False, "the answer has no usable 'choices'")
    if not isinstance(listed, list):
        return Checked(False, f"the answer has no {name!r}")
    return Checked(True, "", None, _reason(asked, value, listed), usage_of(value))


def _reason(asked: Asked, value: dict[str, Any], listed: list[Any]) -> str | None:
    """The first finish reason; for Responses its status."""
    if asked.endpoint is RESPONSES:
        reasons = [value.get("status")]
    else:
        reasons = [each.get("finish_reason") for each in listed if isinstance(each, dict)]
    return next((reason for reason in reasons if isinstance(reason, str)), None)
