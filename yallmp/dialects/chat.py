"""
OpenAI's chat completions, which nearly every server speaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from zope.interface import implementer

from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import Answer
from yallmp.dialects.chat_answers import answer_of, whole
from yallmp.dialects.chat_bodies import body_of
from yallmp.dialects.chat_reading import ChatReader
from yallmp.dialects.chat_requests import request_of
from yallmp.dialects.chat_writing import ChatWriter
from yallmp.dialects.conversation import Request
from yallmp.dialects.losses import Written
from yallmp.interfaces import IDialect, Occasion, Reader, Writer


@implementer(IDialect)
class Chat:
    """The dialect called ``chat``."""

    def request(self, body: Mapping[str, Any]) -> Request:
        """What the client asks for."""
        return request_of(body)

    def body(self, request: Request) -> Written:
        """*request* as a chat backend gets it."""
        return body_of(request)

    def echo(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers repeat nothing of their request."""
        return {}

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """A backend's whole answer."""
        return answer_of(body)

    def whole(self, answer: Answer, occasion: Occasion) -> dict[str, Any]:
        """*answer* as the client gets it."""
        return whole(answer, occasion)

    def reader(self) -> Reader:
        """A fresh reader for a backend's stream."""
        return ChatReader()

    def writer(self, occasion: Occasion) -> Writer:
        """A fresh writer for a client's stream."""
        return ChatWriter(occasion)

    def resumed(self, occasion: Occasion, delivered: Transcript) -> Writer:
        """One that writes on; of what was passed on untouched it takes over the id."""
        if isinstance(delivered.place, ChatWriter):
            return deepcopy(delivered.place)  # an attempt that fails leaves no trace in the next
        writer = ChatWriter(occasion, delivered.id)
        writer.write_on()
        return writer
