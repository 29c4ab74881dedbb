"""
Answers, written as Responses: streams, and whole ones, which are what their stream comes to.

An answer is items: thoughts, a message, calls.  Each is announced, told in deltas and told again
whole, numbered by its place; every event has its number.  Source: OpenAI's API reference,
"Streaming events" of Responses.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field

from yallmp.core.sse import event_bytes
from yallmp.dialects.answer import (
    Annotated,
    Answer,
    Began,
    CallBegan,
    CallDelta,
    Delta,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    Stop,
    Stopped,
    TextDelta,
    Tokens,
    Told,
)
from yallmp.dialects.chat_words import citation_of
from yallmp.dialects.customs import arguments_as_input
from yallmp.dialects.growing import deltas_of, more_known
from yallmp.dialects.responses_shapes import CUT, customs_in, hidden_of, response_of, usage_of
from yallmp.interfaces import Occasion

JSON = Any
Item = dict[str, JSON]
_PARTS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
_SAID = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning_text": "response.reasoning_text",
}


@define
class ResponsesWriter:
    """
    Writes one stream.

    :ivar id: the response's id, once it is known.
    :ivar response: the response as it is so far.
    """

    occasion: Occasion
    id: str | None = None
    response: dict[str, JSON] = field(factory=dict)
    _number: int = 0
    _message: Item | None = None
    _thoughts: Item | None = None
    _part: Item | None = None
    _summary: int | None = None
    _calls: dict[int, Item] = field(factory=dict)
    _stop: Stop | None = None
    _tokens: Tokens | None = None

    def write(self, delta: Delta) -> bytes:
        """The events that *delta* makes."""
        if isinstance(delta, Told):
            self._tokens = more_known(self._tokens, delta.tokens)
            return b""
        if isinstance(delta, Began):
            self._tokens = more_known(self._tokens, delta.tokens)
            return self._begin(delta)
        if delta.choice != 0:
            return b""
        return self._begin(Began()) + self._said(delta)

    def end(self) -> bytes:
        """What is open is closed; then the whole response, with what was used."""
        rest = self._begin(Began()) + self._close() + self._close_calls()
        cut = CUT.get(self._stop.reason) if self._stop is not None else None
        self.response["status"] = "incomplete" if cut else "completed"
        self.response["incomplete_details"] = {"reason": cut} if cut else None
        self.response["usage"] = usage_of(self._tokens or Tokens())
        return rest + self._event(f"response.{self.response['status']}", response=self.response)

    def _event(self, kind: str, **members: JSON) -> bytes:
        value = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return event_bytes(json.dumps(value).encode(), kind.encode())

    def _begin(self, began: Began) -> bytes:
        if self.id is not None:
            return b""
        self.id = f"resp_{self.occasion.id}"
        self.response = response_of(self.id, began, self.occasion)
        created = self._event("response.created", response=self.response)
        return created + self._event("response.in_progress", response=self.response)

    def _said(self, delta: Delta) -> bytes:
        if isinstance(delta, TextDelta):
            return self._speak("output_text", delta.text, fresh=delta.fresh)
        if isinstance(delta, RefusalDelta):
            return self._speak("refusal", delta.text, fresh=False)
        if isinstance(delta, ReasoningDelta):
            return self._think(delta)
        if isinstance(delta, ReasoningEnd):
            return self._sign(delta)
        if isinstance(delta, CallBegan):
            return self._call(delta)
        return self._rare(delta)

    def _rare(self, delta: Delta) -> bytes:
        if isinstance(delta, CallDelta):
            return self._argue(delta)
        if isinstance(delta, Annotated):
            return self._cite(delta.value)
        if isinstance(delta, Stopped):
            self._stop = delta.stop
        return b""

    def _add(self, kind: str, prefix: str, **members: JSON) -> tuple[Item, bytes]:
        """A new item of the output."""
        output = self.response["output"]
        name = f"{prefix}_{self.occasion.id}{len(output)}"
        item = {"id": name, "type": kind, "status": "in_progress", **members}
        output.append(item)
        return item, self._event("response.output_item.added", **self._at(item), item=item)

    def _at(self, item: Item) -> dict[str, JSON]:
        return {"output_index": self.response["output"].index(item)}

    def _done(self, item: Item) -> bytes:
        item["status"] = "completed"
        return self._event("response.output_item.done", **self._at(item), item=item)

    def _place(self, item: Item) -> dict[str, JSON]:
        """Where the part that is open stands."""
        index = len(item["content"]) - 1
        return {"item_id": item["id"], **self._at(item), "content_index": index}

    def _speak(self, kind: str, words: str, *, fresh: bool) -> bytes:
        if not words:
            return b""
        data = b""
        if self._message is None:
            data = self._close() + self._close_calls()
            self._message, added = self._add("message", "msg", role="assistant", content=[])
            data += added
        if self._part is None or self._part["type"] != kind or fresh:
            data += self._close_part(self._message) + self._open_part(self._message, kind)
        return data + self._more(self._message, kind, words)

    def _open_part(self, item: Item, kind: str) -> bytes:
        more: Item = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
        self._part = {"type": kind, _PARTS[kind]: "", **more}
        item["content"].append(self._part)
        return self._event("response.content_part.added", **self._place(item), part=self._part)

    def _more(self, item: Item, kind: str, words: str) -> bytes:
        assert self._part is not None
        self._part[_PARTS[kind]] += words
        logprobs: Item = {"logprobs": []} if kind == "output_text" else {}
        return self._event(f"{_SAID[kind]}.delta", **self._place(item), delta=words, **logprobs)

    def _close_part(self, item: Item) -> bytes:
        part, self._part = self._part, None
        if part is None:
            return b""
        kind, place = part["type"], self._place(item)
        logprobs: Item = {"logprobs": []} if kind == "output_text" else {}
        told = {_PARTS[kind]: part[_PARTS[kind]], **logprobs}
        done = self._event(f"{_SAID[kind]}.done", **place, **told)
        return done + self._event("response.content_part.done", **place, part=part)

    def _close(self) -> bytes:
        """End the message or the thoughts that are open."""
        item = self._message or self._thoughts
        if item is None:
            return b""
        data = self._close_part(item) + self._close_summary()
        self._message = self._thoughts = None
        return data + self._done(item)

    def _think(self, delta: ReasoningDelta) -> bytes:
        if not delta.text:
            return b""
        data = self._close() if self._thoughts is None or delta.fresh else b""
        if self._thoughts is None:
            data += self._close_calls()
            self._thoughts, added = self._add("reasoning", "rs", summary=[], content=[])
            data += added
        if delta.summary is not None:
            return data + self._sum_up(self._thoughts, delta.summary, delta.text)
        if self._part is None:
            data += self._open_part(self._thoughts, "reasoning_text")
        return data + self._more(self._thoughts, "reasoning_text", delta.text)

    def _sum_up(self, item: Item, number: int, words: str) -> bytes:
        data = self._close_part(item)
        if self._summary != number:
            data += self._close_summary()
            self._summary = number
            item["summary"].append({"type": "summary_text", "text": ""})
            data += self._summed("part.added", part=item["summary"][-1])
        item["summary"][-1]["text"] += words
        return data + self._summed("text.delta", delta=words)

    def _summed(self, what: str, **members: JSON) -> bytes:
        item = self._thoughts or {}
        at = {"item_id": item["id"], **self._at(item), "summary_index": len(item["summary"]) - 1}
        return self._event(f"response.reasoning_summary_{what}", **at, **members)

    def _close_summary(self) -> bytes:
        if self._summary is None or self._thoughts is None:
            return b""
        part, self._summary = self._thoughts["summary"][-1], None
        return self._summed("text.done", text=part["text"]) + self._summed("part.done", part=part)

    def _sign(self, end: ReasoningEnd) -> bytes:
        hidden = hidden_of(end, self._part["text"] if self._part is not None else "")
        data = b""
        if self._thoughts is None:
            if hidden is None:
                return b""
            data = self._close() + self._close_calls()
            self._thoughts, added = self._add("reasoning", "rs", summary=[], content=[])
            data += added
        if hidden is not None:
            self._thoughts["encrypted_content"] = hidden
        return data + self._close()

    def _call(self, began: CallBegan) -> bytes:
        data = self._close()
        if began.custom or began.name in customs_in(self.occasion.echo):
            item, added = self._add("custom_tool_call", "ctc", call_id=began.id,
                                    name=began.name, input="")  # fmt: skip
        else:
            item, added = self._add("function_call", "fc", call_id=began.id,
                                    name=began.name, arguments="")  # fmt: skip
        self._calls[began.call] = {"item": item, "free": began.custom, "told": ""}
        return data + added

    def _argue(self, delta: CallDelta) -> bytes:
        call = self._calls.get(delta.call)
        if call is None:
            return b""
        call["told"] += delta.arguments
        item = call["item"]
        if item["type"] == "custom_tool_call":
            return b""  # its text is known when the function's arguments are whole
        item["arguments"] += delta.arguments
        at = {"item_id": item["id"], **self._at(item)}
        kind = "response.function_call_arguments.delta"
        return self._event(kind, **at, delta=delta.arguments)

    def _close_calls(self) -> bytes:
        calls, self._calls = list(self._calls.values()), {}
        return b"".join(map(self._close_call, calls))

    def _close_call(self, call: Item) -> bytes:
        item = call["item"]
        at = {"item_id": item["id"], **self._at(item)}
        if item["type"] == "function_call":
            item["arguments"] = item["arguments"] or "{}"
            kind = "response.function_call_arguments.done"
            told = {"name": item["name"], "arguments": item["arguments"]}
            return self._event(kind, **at, **told) + self._done(item)
        words = call["told"] if call["free"] else arguments_as_input(call["told"])
        item["input"] = words
        kind = "response.custom_tool_call_input"
        data = self._event(f"{kind}.delta", **at, delta=words)
        return data + self._event(f"{kind}.done", **at, input=words) + self._done(item)

    def _cite(self, value: JSON) -> bytes:
        cited = citation_of(value)
        if cited is None or self._message is None or (self._part or {}).get("annotations") is None:
            return b""
        assert self._part is not None
        annotation = {"type": "url_citation", **cited["url_citation"]}
        self._part["annotations"].append(annotation)
        at = len(self._part["annotations"]) - 1
        kind = "response.output_text.annotation.added"
        place = self._place(self._message)
        return self._event(kind, **place, annotation_index=at, annotation=annotation)


def whole_of(answer: Answer, occasion: Occasion) -> dict[str, JSON]:
    """*answer* as a client of Responses gets it."""
    writer = ResponsesWriter(occasion)
    for delta in deltas_of(answer):
        writer.write(delta)
    writer.end()
    return writer.response
