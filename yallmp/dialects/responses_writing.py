"""
Answers of Responses, written: as a stream, or whole.

Items follow each other: one is over before the next begins.  Where a backend tells calls side by
side, all but the first wait until that has its arguments.  A whole answer is what its stream would
have come to, so the two cannot differ.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from yallmp.dialects.answer import (
    Annotated,
    Answer,
    Began,
    CallBegan,
    CallDelta,
    Delta,
    OpaquePart,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    Stop,
    Stopped,
    TextDelta,
    Tokens,
    Told,
)
from yallmp.dialects.growing import deltas_of, more_known
from yallmp.dialects.responses_calls import Call
from yallmp.dialects.responses_events import Events, Item, Place
from yallmp.dialects.responses_objects import Response
from yallmp.dialects.responses_offers import Offers
from yallmp.dialects.responses_output import Message, Own, Thoughts
from yallmp.dialects.responses_parts import NAME
from yallmp.dialects.responses_tools import tools_of
from yallmp.interfaces import Occasion

JSON = Any


@define
class ResponsesWriter:
    """
    Writes one stream.

    :ivar response: the response as it is now; whole behind the end.
    """

    occasion: Occasion
    response: JSON = None
    _events: Events = field(factory=Events)
    _head: Response | None = None
    _offers: Offers = field(factory=Offers)
    _output: list[JSON] = field(factory=list)
    _open: Item | None = None
    _calls: dict[int, Call] = field(factory=dict)
    _ids: set[str] = field(factory=set)
    _later: list[Delta] = field(factory=list)
    _stop: Stop | None = None
    _tokens: Tokens | None = None

    @property
    def id(self) -> str | None:
        """The response's id, once the client has it."""
        return self._head.id if self._head else None

    def write(self, delta: Delta) -> bytes:
        """The events that *delta* makes."""
        if isinstance(delta, Told):
            self._tokens = more_known(self._tokens, delta.tokens)
        elif isinstance(delta, Began):
            self._tokens = more_known(self._tokens, delta.tokens)
            self._begin(delta)
        elif delta.choice == 0:
            self._begin(Began())
            self._take(delta)
        return self._events.taken()

    def end(self) -> bytes:
        """The end of what is open, and of the response."""
        self._begin(Began())
        while self._later:
            self._close()
            self._drain()
        stop = self._stop or Stop("stop")
        name = self._value(stop)["status"]
        self._close(name)
        self.response = self._value(stop)
        self._events.tell(name, response=self.response)
        return self._events.taken()

    def _begin(self, began: Began) -> None:
        if self._head is not None:
            return
        self._offers = Offers.of(tools_of(self.occasion.echo.get("tools")))
        created = self.occasion.time if began.created is None else began.created
        name, tier = f"resp_{self.occasion.id}", began.extra.get("service_tier")
        model = began.model or self.occasion.model
        self._head = Response(name, model, created, self.occasion, tier)
        for kind in ("created", "in_progress"):
            self._events.tell(kind, response=self._value(None))

    def _value(self, stop: Stop | None) -> JSON:
        assert self._head is not None
        return self._head.value(list(self._output), stop, self._tokens)

    def _take(self, delta: Delta) -> None:
        """Write *delta*, or keep it until its turn."""
        if isinstance(delta, Stopped):
            self._stop = delta.stop
        elif self._is_for_open_call(delta):
            self._argue(delta)
            if self._later and self._open is not None and self._open.whole:
                self._drain()
        elif self._later or not (self._open is None or self._open.whole):
            self._later.append(delta)
            self._drain()
        else:
            self._say(delta)

    def _is_for_open_call(self, delta: Delta) -> bool:
        return isinstance(delta, CallDelta) and self._calls.get(delta.call) is self._open

    def _argue(self, delta: Delta) -> None:
        if isinstance(delta, CallDelta) and isinstance(self._open, Call):
            self._open.argue(delta.arguments)

    def _drain(self) -> None:
        """Write what was kept, as far as its turn has come."""
        while self._later and (self._open is None or self._open.whole):
            delta = self._later.pop(0)
            self._argue(delta) if self._is_for_open_call(delta) else self._say(delta)
        if isinstance(self._open, Call):
            self._catch_up(self._open)

    def _catch_up(self, call: Call) -> None:
        """Arguments of the call that is open, among what was kept for later."""
        mine = [each for each in self._later if self._is_for_open_call(each)]
        if not mine:
            return
        self._later = [each for each in self._later if not self._is_for_open_call(each)]
        for each in mine:
            self._argue(each)
        if call.whole:
            self._drain()

    def _say(self, delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            if delta.text or delta.logprobs or isinstance(self._open, Message):
                self._message().text(delta)
        elif isinstance(delta, RefusalDelta):
            self._message().refuse(delta)
        elif isinstance(delta, Annotated):
            if isinstance(self._open, Message):
                self._open.annotate(delta.value)
        elif isinstance(delta, ReasoningDelta):
            self._thoughts(fresh=delta.fresh).think(delta)
        elif isinstance(delta, ReasoningEnd):
            self._thoughts(fresh=False).sign(delta)
            self._close()
        elif isinstance(delta, CallBegan):
            self._close()
            self._call(delta)
        elif isinstance(delta, OpaquePart) and delta.part.dialect == NAME:
            self._close()
            self._open = Own(self._place(), delta.part)

    def _message(self) -> Message:
        if not isinstance(self._open, Message):
            self._close()
            self._open = Message(self._place())
        return self._open

    def _thoughts(self, *, fresh: bool) -> Thoughts:
        if not isinstance(self._open, Thoughts) or fresh:
            self._close()
            self._open = Thoughts(self._place())
        return self._open

    def _call(self, began: CallBegan) -> None:
        """A call; one without an id of its own gets one, for clients tell calls apart by it."""
        place = self._place()
        if not began.id or began.id in self._ids:
            began = evolve(began, id=place.named("call"))
        self._ids.add(began.id)
        self._open = self._calls[began.call] = Call(place, self._offers, began)

    def _place(self) -> Place:
        return Place(self._events, len(self._output), self.occasion.id)

    def _close(self, status: str = "completed") -> None:
        if self._open is not None:
            self._output.append(self._open.done(status))
            self._open = None


def whole_of(answer: Answer, occasion: Occasion) -> dict[str, JSON]:
    """*answer* as a client of Responses gets it."""
    writer = ResponsesWriter(occasion, events=Events(mute=True))
    for delta in deltas_of(answer):
        writer.write(delta)
    writer.end()
    response: dict[str, JSON] = writer.response
    return response
