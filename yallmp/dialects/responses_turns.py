"""
Turns as the items of a Responses ``input``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from yallmp.dialects.conversation import (
    Opaque,
    Part,
    Reasoning,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.losses import Losses
from yallmp.dialects.naming import named, part_named
from yallmp.dialects.responses_offers import Offers
from yallmp.dialects.responses_parts import NAME, Writing
from yallmp.dialects.responses_reasoning import item_of

Item = dict[str, Any]


@frozen
class Said:
    """What is said in a request, as its body has it."""

    instructions: str | None
    items: list[Item]


def said_in(request: Request, losses: Losses) -> Said:
    """``instructions`` and ``input`` for the turns of *request*."""
    writing = Writing(request.dialect == NAME, losses)
    offers, instructions = Offers.of(request.tools), []
    items: list[Item] = []
    for turn in request.turns:
        plain = None if items else _instructions(turn, request.dialect, writing)
        if plain is None:
            items += _Items(turn, request.dialect, writing, offers).written()
        else:
            instructions.append(plain)
    return Said("\n\n".join(instructions) if instructions else None, items)


def _instructions(turn: Turn, dialect: str, writing: Writing) -> str | None:
    """The text of *turn*, if that is all and it stood outside of the conversation."""
    texts = [part for part in turn.parts if isinstance(part, Text)]
    if not turn.place or len(texts) < len(turn.parts) or turn.role not in ("system", "developer"):
        return None
    if writing.own and (turn.extra or any(part.extra for part in texts)):
        return None
    for part in texts:
        writing.noted(part, part_named(dialect, turn, part))
    return "\n\n".join(part.text for part in texts)


@define
class _Items:
    """Writes the items of one turn."""

    turn: Turn
    dialect: str
    writing: Writing
    offers: Offers
    items: list[Item] = field(factory=list)
    _said: list[Part] = field(factory=list)

    def written(self) -> list[Item]:
        """All of them."""
        for part in self.turn.parts:
            self._add(part)
        self._speak(always=not self.turn.parts and self.turn.role not in ("assistant", "tool"))
        self._about()
        return self.items

    def _add(self, part: Part) -> None:
        """Write *part*; what belongs to a message is kept until that is over."""
        if isinstance(part, ToolCall | ToolResult | Reasoning) or self._is_item(part):
            self._speak()
            item = self._item(part)
            self.items += [item] if item is not None else []
        else:
            self._said.append(part)

    def _is_item(self, part: Part) -> bool:
        """Whether it is something that the provider did on its own account."""
        return isinstance(part, Opaque) and part.dialect == NAME and self.turn.role == "assistant"

    def _item(self, part: Part) -> Item | None:
        path = part_named(self.dialect, self.turn, part)
        if isinstance(part, ToolCall):
            extra = self.writing.noted(part, path)
            return self.offers.item(part, extra, own=self.writing.own)
        if isinstance(part, ToolResult):
            return self._result(part, path)
        if isinstance(part, Reasoning):
            return item_of(part, own=self.writing.own, path=path, losses=self.writing.losses)
        return part.value if isinstance(part, Opaque) else None

    def _result(self, part: ToolResult, path: str) -> Item:
        if part.failed:
            self.writing.losses.note(f"{path}.is_error")
        kind = "custom_tool_call_output" if part.custom else "function_call_output"
        inner = named(self.dialect, "result part")
        output = self._content(part.parts, inner, assistant=False, plain=True)
        item = {"type": kind, "call_id": part.id, "output": output or ""}
        return {**item, **self.writing.noted(part, path)}

    def _speak(self, *, always: bool = False) -> None:
        """Write what was said as a message, if there is anything."""
        said, self._said = self._said, []
        if not said and not always:
            return
        role = "user" if self.turn.role == "tool" else self.turn.role
        extra = self.turn.extra if self.writing.own else {}
        path = part_named(self.dialect, self.turn, said[0]) if said else ""
        content = self._content(said, path, assistant=role == "assistant", plain=not extra)
        if content or not said:
            kind = {"type": "message"} if extra else {}
            self.items.append({**kind, "role": role, "content": content, **extra})

    def _content(self, said: Sequence[Part], path: str, *, assistant: bool, plain: bool) -> Any:
        """Parts; a single text that is nothing else as a text, which all servers take."""
        parts = [self.writing.written(each, path, assistant=assistant) for each in said]
        kept = [part for part in parts if part is not None]
        return kept[0]["text"] if plain and len(kept) == 1 and _is_plain(kept[0]) else kept

    def _about(self) -> None:
        """Note what was said of the turn itself and has no place."""
        if self.turn.name is not None:
            self.writing.losses.note(named(self.dialect, "message", "name"))
        for name in () if self.writing.own else self.turn.extra:
            self.writing.losses.note(named(self.dialect, "message", name))


def _is_plain(part: Item) -> bool:
    about = {name for name, value in part.items() if value != []}
    return about == {"type", "text"} and part["type"] in ("input_text", "output_text")
