"""
What a model answers, in no dialect: whole, and as the deltas of a stream.

An :class:`Answer` and the deltas of a stream say the same; :mod:`yallmp.dialects.growing` makes
the one of the others, and the other way round.  So a dialect's writer of streams and its writer
of whole answers can be held against each other, and so can its readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from yallmp.dialects.conversation import Opaque, Part

JSON = Any


@frozen
class Stop:
    """
    Why an answer ended.

    :ivar reason: ``stop`` (it was over), ``stop_sequence``, ``length``, ``context`` (the window is
        full), ``tool_calls``, ``content_filter``, ``refusal``, ``pause`` (``pause_turn`` of
        Messages), or ``other``: then only ``told`` says.
    :ivar sequence: the stop sequence that was met.
    :ivar told: the word that the backend used.
    """

    reason: str
    sequence: str | None = None
    told: str | None = None


@frozen
class Tokens:
    """
    What was used, in tokens; ``None`` for what was not told.

    :ivar input: of the whole prompt, those from and for the cache included.
    :ivar output: of the whole answer, reasoning included.
    :ivar cached: of ``input``, those that were read from a cache.
    :ivar written: of ``input``, those that were written to a cache.
    :ivar reasoning: of ``output``, those that were thought.
    :ivar extra: further members, by their names in the backend's dialect.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    written: int | None = None
    reasoning: int | None = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Choice:
    """
    One answer.

    :ivar parts: :class:`yallmp.dialects.conversation.Text`, ``Reasoning``, ``Refusal``,
        ``ToolCall``, ``Media`` or ``Opaque``, in order.
    :ivar logprobs: as chat completions have them (a list of tokens), for the text.
    """

    parts: tuple[Part, ...] = ()
    stop: Stop | None = None
    logprobs: JSON = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Answer:
    """
    A whole answer.

    :ivar id: the backend's.
    :ivar model: as the backend tells it; empty if it does not.
    :ivar created: POSIX seconds, if the backend told.
    :ivar extra: further members, by their names in ``dialect``.
    """

    dialect: str
    id: str = ""
    model: str = ""
    created: int | None = None
    choices: tuple[Choice, ...] = ()
    tokens: Tokens | None = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Began:
    """A stream began: what is known before any content.  It comes first, and once."""

    id: str = ""
    model: str = ""
    created: int | None = None
    tokens: Tokens | None = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class TextDelta:
    """More words.  ``fresh`` tells that a new part begins with them, although one is open."""

    text: str
    choice: int = 0
    logprobs: JSON = None
    fresh: bool = False


@frozen
class ReasoningDelta:
    """More thoughts; ``summary`` tells that they are of a summary, in its part of that number."""

    text: str
    choice: int = 0
    summary: int | None = None
    fresh: bool = False


@frozen
class ReasoningEnd:
    """The thoughts are over, and this is what goes back with them (see ``Reasoning``)."""

    choice: int = 0
    signature: str | None = field(default=None, repr=False)
    encrypted: str | None = field(default=None, repr=False)
    id: str | None = None
    redacted: bool = False


@frozen
class RefusalDelta:
    """More of why the model will not answer."""

    text: str
    choice: int = 0


@frozen
class CallBegan:
    """A tool is called; ``call`` numbers the calls of a choice from 0."""

    call: int
    id: str
    name: str
    choice: int = 0
    custom: bool = False
    item: str | None = None


@frozen
class CallDelta:
    """More of a call's arguments; calls may be told side by side."""

    call: int
    arguments: str
    choice: int = 0


@frozen
class Annotated:
    """A citation or the like for the text that is open, as JSON in the backend's dialect."""

    value: JSON
    choice: int = 0


@frozen
class OpaquePart:
    """A whole part that only one dialect knows."""

    part: Opaque
    choice: int = 0


@frozen
class Stopped:
    """A choice is over."""

    stop: Stop
    choice: int = 0


@frozen
class Told:
    """Usage; the last one counts, a member that is ``None`` changes nothing."""

    tokens: Tokens


Delta = (
    Began
    | TextDelta
    | ReasoningDelta
    | ReasoningEnd
    | RefusalDelta
    | CallBegan
    | CallDelta
    | Annotated
    | OpaquePart
    | Stopped
    | Told
)
