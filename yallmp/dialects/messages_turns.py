"""
Turns, written as the messages of a request.

The API wants an order that other dialects do not: user and assistant take turns, beginning with the
user; the results of tools come first in their user's message; no message is empty; and an answer
that is to be gone on with does not end with blanks.  So neighbours of a role become one message,
and where the user does not begin, one word is put before.

System prompts that lead go to ``system``.  Later ones stay where they are for models that take
them there, else they are put behind the leading ones, as in the provider's own compatibility with
OpenAI's SDK.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen

from yallmp.dialects.conversation import Request, Turn
from yallmp.dialects.losses import Losses
from yallmp.dialects.messages_models import traits_of
from yallmp.dialects.messages_parts import Parts, is_plain
from yallmp.dialects.messages_words import Block
from yallmp.dialects.naming import named

#: What the user is made to say where the assistant would begin.
FIRST_WORD = "Begin."
_SYSTEM = ("system", "developer")
_ROLES = {"tool": "user", "developer": "system"}


@define
class Message:
    """One message of a request, as it grows."""

    role: str
    blocks: list[Block] = field(factory=list)

    @property
    def content(self) -> str | list[Block]:
        """Its content: results first; one text alone stands for itself."""
        blocks = sorted(self.blocks, key=lambda block: block.get("type") != "tool_result")
        return blocks[0]["text"] if is_plain(blocks) else blocks


@frozen
class Conversation:
    """
    What a request says, as the API has it.

    :ivar system: the blocks of the system prompt.
    """

    system: list[Block]
    messages: list[Message]


def conversation_of(request: Request, losses: Losses) -> Conversation:
    """The turns of *request*; what has no place is noted in *losses*."""
    parts = Parts(request.dialect, losses)
    stays = request.dialect == "messages" or traits_of(request.model).prompted_midway
    system: list[Block] = []
    messages: list[Message] = []
    for turn in request.turns:
        _note(turn, request.dialect, losses)
        blocks = list(parts.blocks(turn))
        if turn.role in _SYSTEM and not (stays and messages and not turn.place):
            system += blocks
        elif blocks:
            _add(messages, _ROLES.get(turn.role, turn.role), blocks)
    return Conversation(*_begun(system, _ended(messages), request.dialect == "messages"))


def _note(turn: Turn, dialect: str, losses: Losses) -> None:
    """What belongs to a message as such and has no place in one."""
    if turn.name is not None:
        losses.note(named(dialect, "message", "name"))
    for name in turn.extra:
        losses.note(named(dialect, "message", name))


def _add(messages: list[Message], role: str, blocks: Iterable[Block]) -> None:
    if not messages or messages[-1].role != role:
        messages.append(Message(role))
    messages[-1].blocks += blocks


def _ended(messages: list[Message]) -> list[Message]:
    """*messages* without blanks at the end of an answer that is to be gone on with."""
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant" or last.blocks[-1].get("type") != "text":
        return messages
    text = last.blocks[-1]["text"].rstrip()
    last.blocks[-1:] = [{**last.blocks[-1], "text": text}] if text else []
    return messages if last.blocks else messages[:-1]


def _begun(
    system: list[Block], messages: list[Message], as_it_is: bool
) -> tuple[list[Block], list[Message]]:
    """See to it that the user begins; with a system prompt alone, that is what is said."""
    if as_it_is or (messages and messages[0].role == "user"):
        return system, messages
    if messages or not system:
        return system, [Message("user", [{"type": "text", "text": FIRST_WORD}]), *messages]
    return [], [Message("user", system)]
