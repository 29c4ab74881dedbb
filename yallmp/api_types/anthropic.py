"""
Backends that speak Messages: Anthropic's own, and servers that do as it does.

Requests go on byte for byte, as for OpenAI's dialect; what differs is how answers are looked at.
Source: Anthropic's API reference (Messages, Streaming, Errors).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zope.interface import implementer

from yallmp.api_types.anthropic_streams import MessageStream, usage_in
from yallmp.api_types.openai import OpenAI
from yallmp.api_types.openai_shapes import error_in
from yallmp.api_types.seals import without_seals
from yallmp.api_types.translated import Following
from yallmp.core.asked import COUNT_TOKENS, Asked
from yallmp.core.backend import Backend
from yallmp.core.digits import loads
from yallmp.core.inspector import Checked, Inspector
from yallmp.core.rescue import Agreement, Repetition
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.growing import Growing, deltas_of
from yallmp.dialects.loose import members, text_or_none
from yallmp.dialects.sealed import TRACE
from yallmp.dialects.table import DIALECTS
from yallmp.interfaces import IApiType, Occasion, Put

_MESSAGES = DIALECTS["messages"]


@implementer(IApiType)
class Anthropic(OpenAI):
    """The dialect of Messages, passed on untouched."""

    def put(self, asked: Asked, model: str, backend: Backend, begun: str = "") -> Put:
        """The client's body, without what another provider thought."""
        put = super().put(asked, model, backend, begun)
        return without_seals("messages", put) if TRACE in put.body else put

    def inspector(self, asked: Asked) -> Inspector:
        """One for events of Messages."""
        return MessageStream()

    def comparison(self, asked: Asked, delivered: Transcript) -> Inspector:
        """For an answer that is given anew: what is new of it is written in the open block."""
        return _following(asked, delivered, Agreement(delivered.fields))

    def continuation(self, asked: Asked, delivered: Transcript) -> Inspector:
        """For an answer that goes on with the text."""
        beside = Repetition(delivered.fields.get("content", ""))
        return _following(asked, delivered, beside)

    def check(self, asked: Asked, body: bytes) -> Checked:
        """Whether *body* is a message, and no error."""
        try:
            value = loads(body)
        except (ValueError, RecursionError):
            empty = "the answer is not JSON" if body.strip() else "the answer is empty"
            return Checked(False, empty)
        if not isinstance(value, dict):
            return Checked(False, "the answer is not a JSON object")
        error = error_in(value)
        if error is not None:
            return Checked(False, "the answer carries an error", error)
        return _count(value) if asked.endpoint is COUNT_TOKENS else _message(value)

    def assembled(self, asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
        """One message from a stream that came unasked."""
        grown, reader = Growing("messages"), _MESSAGES.reader()
        for event in events:
            for delta in reader.read(event):
                grown.add(delta)
        answer = grown.answer()
        if not answer.choices:
            return None
        return json.dumps(_MESSAGES.whole(answer, _occasion(asked))).encode()

    def exploded(self, asked: Asked, body: bytes) -> bytes | None:
        """The stream that one message would have been."""
        if not self.check(asked, body).ok:
            return None
        writer = _MESSAGES.writer(_occasion(asked))
        deltas = deltas_of(_MESSAGES.answer(loads(body)))
        return b"".join(map(writer.write, deltas)) + writer.end()


def _count(value: dict[str, Any]) -> Checked:
    counted = isinstance(value.get("input_tokens"), int)
    return Checked(counted, "" if counted else "the answer has no 'input_tokens'")


def _message(value: dict[str, Any]) -> Checked:
    if not isinstance(value.get("content"), list):
        return Checked(False, "the answer has no 'content'")
    usage, reason = usage_in(members(value.get("usage"))), text_or_none(value.get("stop_reason"))
    return Checked(True, "", None, reason, usage)


def _occasion(asked: Asked) -> Occasion:
    """For what says itself which message it is."""
    return Occasion("0", 0, asked.model)


def _following(asked: Asked, delivered: Transcript, beside: Agreement | Repetition) -> Inspector:
    writer = _MESSAGES.resumed(_occasion(asked), delivered)
    return Following(MessageStream(), _MESSAGES.reader(), writer, delivered, beside)
