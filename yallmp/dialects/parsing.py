"""
What a local model says in plain text, read as what it means (``parse`` in the configuration).

Servers that do not know a model's ways pass on its thoughts and its calls of tools as text.  A
:class:`Parsing` stands between such a backend and everything else: its answers come out with
:class:`yallmp.dialects.conversation.Reasoning` and ``ToolCall``, whole ones and streams alike, and
in what it is asked thoughts go back as the text that they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, evolve, field, frozen

from yallmp.core.backend import Backend
from yallmp.core.sse import ServerEvent
from yallmp.dialects.answer import (
    Answer,
    Began,
    CallBegan,
    CallDelta,
    Choice,
    Delta,
    ReasoningDelta,
    ReasoningEnd,
    Stopped,
    TextDelta,
    Told,
)
from yallmp.dialects.callblocks import Call, Offered
from yallmp.dialects.conversation import JSON, Part, Reasoning, Request, Text, Turn
from yallmp.dialects.growing import Growing, deltas_of
from yallmp.dialects.tagged import THINK, UNTHINK, Piece, Tagged, Tags, Thought, Words
from yallmp.interfaces import Reader


def parsing_of(backend: Backend) -> Parsing | None:
    """How the answers of *backend* are read; ``None`` if they are taken as they come."""
    if backend.parse is None:
        return None
    reasoning, calls = backend.parse.reasoning, backend.parse.tool_calls
    return Parsing(Tags(reasoning != "off", reasoning == "open_think_tags", calls))


@frozen
class Parsing:
    """
    How one backend's answers are read.

    :ivar id: what the ids of calls are made of: the exchange's.
    """

    tags: Tags
    id: str = ""

    def knowing(self, request: Request, exchange: str) -> Parsing:
        """The same for the answer to *request*, whose tools say what a call can be."""
        schemas = {tool.name: tool.schema for tool in request.tools if tool.kind == "function"}
        choice = request.tool_choice
        offered = Offered({} if choice is not None and choice.kind == "none" else schemas)
        return evolve(self, tags=evolve(self.tags, offered=offered), id=exchange)

    def going_on(self) -> Parsing:
        """The same for an answer that goes on with a text: its thoughts were opened before."""
        return evolve(self, tags=evolve(self.tags, opened=False))

    def request(self, request: Request) -> Request:
        """*request*, with thoughts as the model writes them."""
        if not self.tags.thinks:
            return request
        return evolve(request, turns=tuple(map(_thinking_aloud, request.turns)))

    def reader(self, inner: Reader) -> Reader:
        """One that reads what *inner* took for text."""
        return ParsedReader(self, inner)

    def answer(self, answer: Answer) -> Answer:
        """*answer*, with what is in its texts; the same as of its stream."""
        choices = (self._choice(number, each) for number, each in enumerate(answer.choices))
        return evolve(answer, choices=tuple(choices))

    def _choice(self, number: int, choice: Choice) -> Choice:
        parsed, growing = ParsedChoice(self, number), Growing("")
        for delta in deltas_of(Answer("", choices=(choice,))):
            for new in parsed.read(delta):
                growing.add(new)
        for new in parsed.rest():
            growing.add(new)
        found = growing.answer().choices
        return evolve(found[0], extra=choice.extra) if found else choice


def _thinking_aloud(turn: Turn) -> Turn:
    """*turn* with its thoughts in its text, before what was said."""
    aloud = [part for part in turn.parts if isinstance(part, Reasoning) and _thoughts(part)]
    if turn.role != "assistant" or not aloud:
        return turn
    rest: list[Part] = [part for part in turn.parts if part not in aloud]
    thoughts = "\n\n".join(map(_thoughts, aloud))
    text = f"{THINK}\n{thoughts}\n{UNTHINK}\n\n"
    if rest and isinstance(rest[0], Text):
        rest[0] = evolve(rest[0], text=text + rest[0].text)
    else:
        rest.insert(0, Text(text))
    return evolve(turn, parts=tuple(rest))


def _thoughts(part: Reasoning) -> str:
    return part.text or "\n\n".join(part.summary)


@define
class ParsedChoice:
    """
    The deltas of one choice, read.

    :ivar number: what the choice is called in the ids of its calls.
    """

    parsing: Parsing
    number: int
    _tagged: Tagged = field(init=False)
    _calls: int = 0
    _own: dict[int, int] = field(factory=dict)
    _parsed: bool = False
    _logprobs: list[JSON] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._tagged = Tagged(self.parsing.tags)

    def read(self, delta: Delta) -> Iterator[Delta]:
        """What *delta* comes to."""
        if isinstance(delta, Began | Told):
            yield delta
        elif isinstance(delta, TextDelta):
            self._logprobs += delta.logprobs or ()
            yield from self._deltas(self._tagged.feed(delta.text), delta.choice)
        else:
            if isinstance(delta, ReasoningDelta):
                self._tagged.thought_elsewhere()
            yield from self._rest(delta.choice)
            yield self._renumbered(delta)

    def rest(self) -> Iterator[Delta]:
        """What was held back, at the end."""
        yield from self._rest(0)

    def _rest(self, choice: int) -> Iterator[Delta]:
        yield from self._deltas(self._tagged.end(), choice)
        if self._logprobs:
            yield TextDelta("", choice, self._told_logprobs())

    def _renumbered(self, delta: Delta) -> Delta:
        """A call that the backend told as one, behind those that it did not; or the end."""
        if isinstance(delta, CallBegan):
            self._own[delta.call] = self._calls
            self._calls += 1
        if isinstance(delta, CallBegan | CallDelta):
            return evolve(delta, call=self._own.get(delta.call, delta.call))
        if isinstance(delta, Stopped) and self._parsed and delta.stop.reason == "stop":
            return evolve(delta, stop=evolve(delta.stop, reason="tool_calls"))
        return delta

    def _deltas(self, pieces: Iterable[Piece], choice: int) -> Iterator[Delta]:
        for piece in pieces:
            if isinstance(piece, Words):
                yield TextDelta(piece.text, choice, self._told_logprobs())
            elif isinstance(piece, Thought):
                yield ReasoningDelta(piece.text, choice, fresh=piece.first)
            elif isinstance(piece, Call):
                yield from self._called(piece, choice)
            else:
                yield ReasoningEnd(choice)

    def _called(self, call: Call, choice: int) -> Iterator[Delta]:
        number = self._calls
        self._calls, self._parsed = number + 1, True
        called = f"call_{self.parsing.id}{self.number * 1000 + number}"
        yield CallBegan(number, called, call.name, choice)
        yield CallDelta(number, call.arguments, choice)

    def _told_logprobs(self) -> JSON:
        told, self._logprobs = self._logprobs, []
        return told or None


@define
class ParsedReader:
    """Reads a stream, and then what is in its texts."""

    parsing: Parsing
    inner: Reader
    _choices: dict[int, ParsedChoice] = field(factory=dict)

    def read(self, event: ServerEvent) -> Iterable[Delta]:
        """See :class:`yallmp.interfaces.Reader`."""
        for delta in self.inner.read(event):
            if isinstance(delta, Began | Told):
                yield delta
            else:
                yield from self._of(delta.choice).read(delta)

    def _of(self, choice: int) -> ParsedChoice:
        if choice not in self._choices:
            self._choices[choice] = ParsedChoice(self.parsing, choice)
        return self._choices[choice]
