"""
Turns, written as the messages of a request.

The API wants an order that other dialects do not: user and assistant take turns, beginning with the
user; the results of tools come first in their user's message; no message is empty; and an answer
that is to be gone on with does not end with blanks.  So neighbours of a role become one message,
and where the user does not begin, one word is put before.

System prompts that lead go to ``system``.  Later ones stand among the messages for models that take
them there, behind what the user says next, for they must follow a user and nobody but the assistant
may follow them.  For all other models they are put behind the leading ones, as in the provider's
own compatibility with OpenAI's SDK.
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


@define
class _Gathering:
    """
    Puts turns in order.

    :ivar later: what the system says that has to wait until the user has spoken.
    """

    system: list[Block] = field(factory=list)
    messages: list[Message] = field(factory=list)
    later: list[Block] = field(factory=list)

    def prompt(self, blocks: list[Block], may_wait: bool) -> None:
        """The system says *blocks*."""
        if may_wait and self.messages:
            self.later += blocks
        else:
            self.system += blocks

    def say(self, role: str, blocks: list[Block]) -> None:
        """Somebody else says *blocks*."""
        if role == "assistant":
            self.prompted()
        if blocks:
            _add(self.messages, role, blocks)

    def prompted(self) -> None:
        """What waited stands here, if it may."""
        later, self.later = self.later, []
        if later and self.messages[-1].role == "user":
            self.messages.append(Message("system", later))
        else:
            self.system += later


def conversation_of(request: Request, losses: Losses) -> Conversation:
    """The turns of *request*; what has no place is noted in *losses*."""
    parts, own = Parts(request.dialect, losses), request.dialect == "messages"
    may_wait = traits_of(request.model).prompted_midway
    said = _Gathering()
    for turn in request.turns:
        _note(turn, request.dialect, losses)
        blocks = list(parts.blocks(turn))
        if turn.role in _SYSTEM and (turn.place or not own):
            said.prompt(blocks, may_wait and not turn.place)
        else:
            said.say("user" if turn.role == "tool" else turn.role, blocks)
    said.prompted()
    return Conversation(*_begun(said.system, _ended(said.messages), own))


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
