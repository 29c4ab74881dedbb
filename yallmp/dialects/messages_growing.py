"""
Blocks of a stream that is written in Messages, as they grow.

A block keeps the deltas that have not gone out yet, and knows when it is over.  Text and thoughts
are over as soon as something else comes; a call is not before its arguments are whole, for another
one may be told beside it.
"""

from __future__ import annotations

import json
import re

from attrs import define, field

from yallmp.dialects.answer import CallBegan, ReasoningDelta, ReasoningEnd
from yallmp.dialects.conversation import Reasoning
from yallmp.dialects.messages_answers import call_block
from yallmp.dialects.messages_words import BETWEEN, Block, input_of, signature_of

#: What changes how deep a piece of JSON is: brackets, quotation marks, and what escapes them.
_TURNS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


@define
class GrowingBlock:
    """
    One block.

    :ivar kind: what it is to whoever sorts deltas; not quite its type.
    :ivar start: as it begins.
    :ivar deltas: those that have not gone out.
    """

    kind: str
    start: Block
    deltas: list[Block] = field(factory=list)

    def is_over(self, last: bool) -> bool:
        """Whether nothing more can come; *last* tells that no block has begun behind it."""
        return not last

    def taken(self, ends: bool) -> list[Block]:
        """The deltas that can go out; with *ends* they are the last."""
        taken, self.deltas = self.deltas, []
        return taken


@define
class WholeBlock(GrowingBlock):
    """A block that comes whole."""

    def is_over(self, last: bool) -> bool:
        """It is."""
        return True


@define
class ThoughtBlock(GrowingBlock):
    """
    A ``thinking`` block.

    :ivar said: the thoughts, of which only the lengths count: of the text and of the summary's
        parts, which the signature may have to tell.
    """

    kind: str = "thinking"
    start: Block = field(factory=lambda: {"type": "thinking", "thinking": "", "signature": ""})
    over: bool = False
    said: list[int] = field(factory=lambda: [0])
    _at: int | None = None
    _end: ReasoningEnd = field(factory=ReasoningEnd)

    def think(self, delta: ReasoningDelta) -> None:
        """More thoughts; another part of the summary is set off from what stands before."""
        if not delta.text:
            return
        place = 0 if delta.summary is None else 1 + delta.summary
        begins = self._at is not None and place != self._at
        self._at = place
        self.said += [0] * (place + 1 - len(self.said))
        self.said[place] += len(delta.text)
        text = BETWEEN + delta.text if begins else delta.text
        self.deltas.append({"type": "thinking_delta", "thinking": text})

    def sign(self, end: ReasoningEnd) -> None:
        """They are over, and *end* is what goes back with them."""
        self.over, self._end = True, end

    def is_over(self, last: bool) -> bool:
        """It is signed, or something else came."""
        return self.over or not last

    def taken(self, ends: bool) -> list[Block]:
        """The deltas; the signature is the last of them."""
        taken = super().taken(ends)
        return [*taken, self._signature()] if ends else taken

    def _signature(self) -> Block:
        text, *summary = ("x" * length for length in self.said)
        end = self._end
        thoughts = Reasoning(text, tuple(summary), end.signature, end.encrypted, end.id)
        return {"type": "signature_delta", "signature": signature_of(thoughts)}


@define
class Nesting:
    """
    How deep a text of JSON is, that comes in pieces.

    :ivar closed: whether the object that it is has ended.
    """

    closed: bool = False
    _depth: int = 0
    _in_text: bool = False
    _escaped: bool = False

    def inside(self, piece: str) -> str:
        """What of *piece* belongs to the object."""
        if self.closed:
            return ""
        at = 1 if self._escaped else 0
        self._escaped = False
        for found in _TURNS.finditer(piece, at):
            self._turn(found[0])
            if self.closed:
                return piece[: found.end()]
        return piece

    def _turn(self, mark: str) -> None:
        if mark.startswith("\\"):
            self._escaped = len(mark) == 1
        elif mark == '"':
            self._in_text = not self._in_text
        elif not self._in_text:
            self._depth += 1 if mark in "{[" else -1
            self.closed = self._depth == 0


@define
class CallBlock(GrowingBlock):
    """
    A ``tool_use`` block.

    Arguments go out as they come as long as they are an object; what is none is kept, and made one
    at the end.  What comes behind the object is dropped.
    """

    custom: bool = False
    _flows: bool | None = None
    _arguments: list[str] = field(factory=list)
    _scanned: Nesting = field(factory=Nesting)

    @classmethod
    def of(cls, began: CallBegan) -> CallBlock:
        """The block that a call begins."""
        return cls("call", call_block(began.id, began.name), custom=began.custom)

    def argue(self, arguments: str) -> None:
        """More of its arguments."""
        if self._flows is None:
            arguments = self._begun(arguments)
        if not self._flows:
            self._arguments.append(arguments)
            return
        inside = self._scanned.inside(arguments)
        if inside:
            self.deltas.append({"type": "input_json_delta", "partial_json": inside})

    def _begun(self, arguments: str) -> str:
        """Look how they begin; blanks say nothing yet.  What is not kept of them is given back."""
        if self.custom or not arguments.strip():
            return arguments
        begin = "".join((*self._arguments, arguments)).lstrip()
        self._flows = begin.startswith("{")
        if not self._flows:
            return arguments
        self._arguments = []
        return begin

    def is_over(self, last: bool) -> bool:
        """Something else came, and the arguments are whole."""
        return not last and self._scanned.closed

    def taken(self, ends: bool) -> list[Block]:
        """The deltas; arguments that are no object are made one at the end."""
        kept = "".join(self._arguments)
        if ends and (self.custom or kept.strip()):
            made = input_of(kept, self.custom)
            text = json.dumps(made, ensure_ascii=False)
            self.deltas.append({"type": "input_json_delta", "partial_json": text})
        return super().taken(ends)
