"""
Anthropic's Messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zope.interface import implementer

from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import Answer
from yallmp.dialects.conversation import Request
from yallmp.dialects.losses import Written
from yallmp.dialects.messages_answers import answer_of, whole_of
from yallmp.dialects.messages_bodies import body_of
from yallmp.dialects.messages_reading import MessagesReader
from yallmp.dialects.messages_requests import request_of
from yallmp.dialects.messages_writing import MessagesWriter, resumed
from yallmp.interfaces import IDialect, Occasion, Reader, Writer


@implementer(IDialect)
class Messages:
    """The dialect called ``messages``."""

    def request(self, body: Mapping[str, Any]) -> Request:
        """What the client asks for."""
        return request_of(body)

    def body(self, request: Request) -> Written:
        """*request* as a backend that speaks Messages gets it."""
        return body_of(request)

    def echo(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers repeat nothing of their request."""
        return {}

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """A backend's whole answer."""
        return answer_of(body)

    def whole(self, answer: Answer, occasion: Occasion) -> dict[str, Any]:
        """*answer* as the client gets it."""
        return whole_of(answer, occasion)

    def reader(self) -> Reader:
        """A fresh reader for a backend's stream."""
        return MessagesReader()

    def writer(self, occasion: Occasion) -> Writer:
        """A fresh writer for a client's stream."""
        return MessagesWriter(occasion)

    def resumed(self, occasion: Occasion, delivered: Transcript) -> Writer:
        """One that writes on in the block that is open."""
        return resumed(occasion, delivered)
