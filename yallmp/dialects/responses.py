"""
OpenAI's Responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from zope.interface import implementer

from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import Answer
from yallmp.dialects.conversation import Request
from yallmp.dialects.losses import Written
from yallmp.dialects.responses_answers import answer_of
from yallmp.dialects.responses_bodies import body_of
from yallmp.dialects.responses_objects import echo_of
from yallmp.dialects.responses_reading import ResponsesReader
from yallmp.dialects.responses_requests import request_of
from yallmp.dialects.responses_writing import ResponsesWriter, whole_of
from yallmp.interfaces import IDialect, Occasion, Reader, Writer


@implementer(IDialect)
class Responses:
    """The dialect called ``responses``."""

    def request(self, body: Mapping[str, Any]) -> Request:
        """What the client asks for."""
        return request_of(body)

    def body(self, request: Request) -> Written:
        """*request* as a backend that speaks Responses gets it."""
        return body_of(request)

    def echo(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The members that the response object repeats."""
        return echo_of(body)

    def answer(self, body: Mapping[str, Any]) -> Answer:
        """A backend's whole answer."""
        return answer_of(body)

    def whole(self, answer: Answer, occasion: Occasion) -> dict[str, Any]:
        """*answer* as the client gets it."""
        return whole_of(answer, occasion)

    def reader(self) -> Reader:
        """A fresh reader for a backend's stream."""
        return ResponsesReader()

    def writer(self, occasion: Occasion) -> Writer:
        """A fresh writer for a client's stream."""
        return ResponsesWriter(occasion)

    def resumed(self, occasion: Occasion, delivered: Transcript) -> Writer:
        """One that writes on; a stream that was passed on untouched is never gone on with."""
        if isinstance(delivered.place, ResponsesWriter):
            return deepcopy(delivered.place)  # an attempt that fails leaves no trace in the next
        return ResponsesWriter(occasion)
