"""
The items of a streamed response, each with the events that tell of it.

An item is added, told piece by piece, and done; what it is then stands in the ``output`` of the
response.  Source: OpenAI's API reference, "Streaming events".
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from yallmp.dialects.answer import (
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    TextDelta,
)
from yallmp.dialects.conversation import Opaque, Reasoning
from yallmp.dialects.loose import members, text
from yallmp.dialects.responses_answers import logprobs_of
from yallmp.dialects.responses_events import Place
from yallmp.dialects.responses_reasoning import kept_text, summary_parts

JSON = Any


@define
class Message:
    """What the model says to whoever asked: texts and refusals."""

    place: Place
    whole: bool = True
    _parts: list[JSON] = field(factory=list)
    _open: JSON = None

    def __attrs_post_init__(self) -> None:
        self.place.added(self._item("in_progress"))

    def _item(self, status: str) -> JSON:
        name = self.place.named("msg")
        about = {"id": name, "type": "message", "status": status, "role": "assistant"}
        return {**about, "content": list(self._parts)}

    def _tell(self, kind: str, **about: JSON) -> None:
        item, number = self.place.named("msg"), self.place.number
        at = len(self._parts)
        self.place.events.tell(kind, item_id=item, output_index=number, content_index=at, **about)

    def text(self, delta: TextDelta) -> None:
        """More words."""
        if self._open is None or delta.fresh or "text" not in self._open:
            self._begin({"type": "output_text", "annotations": [], "logprobs": [], "text": ""})
        logprobs = logprobs_of(delta.logprobs)
        self._open["text"] += delta.text
        self._open["logprobs"] += logprobs
        if delta.text:
            self._tell("output_text.delta", delta=delta.text, logprobs=logprobs)

    def refuse(self, delta: RefusalDelta) -> None:
        """More of why not."""
        if self._open is None or "refusal" not in self._open:
            self._begin({"type": "refusal", "refusal": ""})
        self._open["refusal"] += delta.text
        self._tell("refusal.delta", delta=delta.text)

    def annotate(self, value: JSON) -> None:
        """A citation for the text that is open; it is told at its end, when its place is known."""
        if self._open is not None and "text" in self._open:
            self._open["annotations"].append(value)

    def _begin(self, part: JSON) -> None:
        self._end()
        self._open = part
        self._tell("content_part.added", part={**part})

    def _end(self) -> None:
        part, self._open = self._open, None
        if part is None:
            return
        if "refusal" in part:
            self._tell("refusal.done", refusal=part["refusal"])
        else:
            cited = [citation_of(each, part["text"]) for each in part["annotations"]]
            part["annotations"] = [each for each in cited if each]
            for at, each in enumerate(part["annotations"]):
                self._tell("output_text.annotation.added", annotation_index=at, annotation=each)
            self._tell("output_text.done", text=part["text"], logprobs=part["logprobs"])
        self._tell("content_part.done", part=part)
        self._parts.append(part)

    def done(self, status: str) -> JSON:
        """End it."""
        self._end()
        return self.place.done(self._item(status))


@define
class Thoughts:
    """What the model thinks, shown as the parts of a summary; what comes back is at the end."""

    place: Place
    whole: bool = True
    _part: Reasoning = field(factory=Reasoning)
    _shown: list[str] = field(factory=list)
    _open: tuple[int | None] | None = None

    def __attrs_post_init__(self) -> None:
        self.place.added({"id": self.place.named("rs"), "type": "reasoning", "summary": []})

    def _tell(self, kind: str, at: int, **about: JSON) -> None:
        item, number = self.place.named("rs"), self.place.number
        self.place.events.tell(
            f"reasoning_summary_{kind}",
            item_id=item,
            output_index=number,
            summary_index=at,
            **about,
        )

    def think(self, delta: ReasoningDelta) -> None:
        """More thoughts."""
        if not delta.text:
            return
        if self._open != (delta.summary,):
            self._end()
            self._open = (delta.summary,)
            self._shown.append("")
            self._tell("part.added", len(self._shown) - 1, part=_summary_part(""))
        self._shown[-1] += delta.text
        if delta.summary is None:
            self._part = evolve(self._part, text=self._part.text + delta.text)
        self._tell("text.delta", len(self._shown) - 1, delta=delta.text)

    def sign(self, end: ReasoningEnd) -> None:
        """What goes back with them."""
        self._part = evolve(
            self._part,
            signature=end.signature,
            encrypted=end.encrypted,
            id=end.id,
            redacted=end.redacted,
        )

    def _end(self) -> None:
        if self._open is not None:
            at = len(self._shown) - 1
            self._tell("text.done", at, text=self._shown[-1])
            self._tell("part.done", at, part=_summary_part(self._shown[-1]))
        self._open = None

    def done(self, status: str) -> JSON:
        """End them."""
        self._end()
        item: dict[str, JSON] = {"id": self.place.named("rs"), "type": "reasoning"}
        item["summary"] = summary_parts(self._shown)
        kept = kept_text(self._part)
        return self.place.done({**item, "encrypted_content": kept} if kept else item)


def _summary_part(words: str) -> JSON:
    return {"type": "summary_text", "text": words}


@define
class Own:
    """An item that comes whole, from a backend that speaks Responses itself."""

    place: Place
    part: Opaque
    whole: bool = True

    def done(self, status: str) -> JSON:
        """End it."""
        self.place.added(self.part.value)
        return self.place.done(self.part.value)


def citation_of(value: JSON, words: str) -> JSON:
    """
    The citation *value*, of whichever dialect, for a text that says *words*.

    Only what has a URL is one everywhere; ``None`` for all else.
    """
    told = members(value)
    inner = members(told.get("url_citation")) or told
    url, kind = text(inner.get("url")), text(told.get("type"))
    if not url and kind in ("file_citation", "container_file_citation", "file_path"):
        return told
    if not url:
        return None
    first, last = inner.get("start_index"), inner.get("end_index")
    return {
        "type": "url_citation",
        "start_index": first if isinstance(first, int) else 0,
        "end_index": last if isinstance(last, int) else len(words),
        "title": text(inner.get("title")) or url,
        "url": url,
    }
