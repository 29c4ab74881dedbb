"""
A backend that speaks another dialect than its client.

To everything above, a :class:`Translation` is a kind of backend like any other.  What it is asked
is read in the client's dialect and put in the backend's; there it is looked at by whoever
understands that (its own ``api_type``), for what is content, an error or the end does not depend
on who listens; and what goes on to the client is written in its own dialect again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import evolve, frozen
from zope.interface import implementer

from yallmp.api_types import API_TYPES
from yallmp.api_types.translated import Following, TranslatedStream
from yallmp.core.asked import ENDPOINTS, Asked, Endpoint
from yallmp.core.backend import Backend
from yallmp.core.digits import loads
from yallmp.core.inspector import Checked, Inspector
from yallmp.core.jsonbody import Document
from yallmp.core.rescue import Agreement, Repetition
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.conversation import Request, Text, Turn
from yallmp.dialects.parsing import Parsing
from yallmp.dialects.table import DIALECTS
from yallmp.interfaces import IApiType, IDialect, Occasion, Put, Reader

#: The dialect that a request is put in, for each type of backend.
PUT_IN = {"openai": "chat", "openai-responses": "responses", "anthropic": "messages"}


@implementer(IApiType)
@frozen
class Translation:
    """
    Between a client of one dialect and a backend of another.

    It holds names only, so that it can be sent to where large bodies are read.

    :ivar heard: the client's dialect.
    :ivar api_type: the backend's type.
    :ivar occasion: what answers have beside what was said.
    :ivar parsing: what else the backend's texts are read as.
    """

    heard: str
    api_type: str
    occasion: Occasion
    parsing: Parsing | None = None
    translates = True

    @property
    def _client(self) -> IDialect:
        return DIALECTS[self.heard]

    @property
    def _backend(self) -> IDialect:
        return DIALECTS[PUT_IN[self.api_type]]

    @property
    def _inner(self) -> IApiType:
        return API_TYPES[self.api_type]

    def target(self, asked: Asked, query: str, backend: Backend) -> str:
        """The backend's own path; the client's query is about another."""
        return self._inner.target(self._there(asked), "", backend)

    def put(self, asked: Asked, model: str, backend: Backend, begun: str = "") -> Put:
        """The request in the backend's dialect, with what is configured for the backend."""
        body = loads(asked.document.body)
        request, parsing = evolve(self._client.request(body), model=model), self.parsing
        if parsing is not None:
            request = parsing.request(request)
            parsing = parsing.knowing(request, self.occasion.id)
        written = self._backend.body(_begun(request, begun))
        document = Document.parse(json.dumps(written.body).encode())
        put = self._inner.put(
            evolve(self._there(asked), document=document, model=model), model, backend
        )
        occasion = evolve(self.occasion, echo=self._client.echo(body))
        answers = evolve(self, occasion=occasion, parsing=parsing)
        return Put(put.body, None, written.dropped, answers)

    def _there(self, asked: Asked) -> Asked:
        """What is asked for, as the backend has it."""
        endpoint = _endpoint(PUT_IN[self.api_type])
        return evolve(asked, endpoint=endpoint, wants_usage=True)

    def inspector(self, asked: Asked) -> Inspector:
        """One for the backend's events, which passes on the client's."""
        inner = self._inner.inspector(self._there(asked))
        return TranslatedStream(
            inner, self._reader(self.parsing), self._client.writer(self.occasion)
        )

    def _reader(self, parsing: Parsing | None) -> Reader:
        reader = self._backend.reader()
        return reader if parsing is None else parsing.reader(reader)

    def comparison(self, asked: Asked, delivered: Transcript) -> Inspector:
        """For an answer that is given anew."""
        reader = self._reader(self.parsing)
        return self._following(asked, delivered, reader, Agreement(delivered.fields))

    def continuation(self, asked: Asked, delivered: Transcript) -> Inspector:
        """For an answer that goes on with the text."""
        repetition = Repetition(delivered.fields.get("content", ""))
        reader = self._reader(self.parsing and self.parsing.going_on())
        return self._following(asked, delivered, reader, repetition)

    def _following(
        self,
        asked: Asked,
        delivered: Transcript,
        reader: Reader,
        beside: Agreement | Repetition,
    ) -> Inspector:
        inner = self._inner.inspector(self._there(asked))
        writer = self._client.resumed(self.occasion, delivered)
        return Following(inner, reader, writer, delivered, beside)

    def check(self, asked: Asked, body: bytes) -> Checked:
        """What a whole answer is, and what it is for the client."""
        checked = self._inner.check(self._there(asked), body)
        if not checked.ok:
            return checked
        answer = self._backend.answer(loads(body))
        if self.parsing is not None:
            answer = self.parsing.answer(answer)
        whole = json.dumps(self._client.whole(answer, self.occasion)).encode()
        return evolve(checked, body=whole)

    def assembled(self, asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
        """One answer of the backend's from a stream that came unasked."""
        return self._inner.assembled(self._there(asked), events)

    def exploded(self, asked: Asked, body: bytes) -> bytes | None:
        """The stream that the backend's answer would have been."""
        return self._inner.exploded(self._there(asked), body)


def _begun(request: Request, text: str) -> Request:
    """*request*, with *text* as the beginning of the answer if there is any."""
    if not text:
        return request
    return evolve(request, turns=(*request.turns, Turn("assistant", (Text(text),))))


def _endpoint(dialect: str) -> Endpoint:
    return next(each for each in ENDPOINTS if each.dialect == dialect)
