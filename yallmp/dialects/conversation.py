"""
What a client asks for, in no dialect: the neutral model that all dialects are read into.

A conversation is *turns*; a turn is *parts*.  Every dialect has one translator that reads its
requests into these values and writes its requests from them, so that n dialects need n
translators and not n².  Three rules keep that honest:

- A value here exists because at least two dialects have it, or because one must have it back
  (a signature, an id).  What only one dialect knows stays as it came: a part that is
  :class:`Opaque`, a field among ``extra``; it is written again where the same dialect is
  written, and is a *loss* anywhere else (:mod:`yallmp.dialects.losses`).
- JSON that is passed on (schemas, arguments, metadata) is kept as parsed JSON or as the text
  that it was, never interpreted.
- Nothing is invented: what a request does not say is ``None`` or empty.

All values are frozen, and those that hold JSON treat it as if it were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

JSON = Any


@frozen
class Text:
    """
    Words.

    :ivar cache: the ``cache_control`` that the client put on it (also on other parts).
    :ivar annotations: citations and the like, as JSON in the dialect of ``extra``'s owner.
    :ivar extra: further members of the part, by their names in the request's dialect.
    """

    text: str
    cache: JSON = None
    annotations: tuple[JSON, ...] = ()
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Media:
    """
    An image, a document, a sound or a video.

    Exactly one of ``data``, ``url``, ``file_id`` and ``text`` says what it is.

    :ivar kind: ``image``, ``document``, ``audio`` or ``video``.
    :ivar media_type: as in ``image/png``; ``None`` if it was not said.
    :ivar data: base64, as it came.
    :ivar text: the document as plain text.
    :ivar name: its title, or the file's name.
    :ivar detail: how closely to look (``low``, ``high``, ``auto``).
    """

    kind: str
    media_type: str | None = None
    data: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    file_id: str | None = None
    text: str | None = field(default=None, repr=False)
    name: str | None = None
    detail: str | None = None
    cache: JSON = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Reasoning:
    """
    What a model thought before it spoke; must go back as it came where it is signed.

    :ivar text: the thoughts, or what is shown of them.
    :ivar summary: the parts of a summary (Responses).
    :ivar signature: proves to the provider that the text is its own (Messages).
    :ivar encrypted: the thoughts for the provider's eyes only: ``encrypted_content`` of
        Responses, ``data`` of a ``redacted_thinking`` block of Messages.
    :ivar id: the item's id (Responses).
    :ivar redacted: whether it is such a block.
    """

    text: str = ""
    summary: tuple[str, ...] = ()
    signature: str | None = field(default=None, repr=False)
    encrypted: str | None = field(default=None, repr=False)
    id: str | None = None
    redacted: bool = False
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Refusal:
    """Why the model would not answer, in its words."""

    text: str


@frozen
class ToolCall:
    """
    The model wants a tool to be used.

    :ivar id: what the result refers to (``call_…``, ``toolu_…``).
    :ivar arguments: JSON as the text that the model wrote; free text for a custom tool.
    :ivar custom: whether it is a tool with free text as its input.
    :ivar item: the item's own id (Responses), beside ``id``.
    """

    id: str
    name: str
    arguments: str = "{}"
    custom: bool = False
    item: str | None = None
    cache: JSON = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class ToolResult:
    """
    What the use of a tool gave.

    :ivar id: that of the call.
    :ivar parts: texts and media.
    :ivar failed: whether the tool failed; ``None`` if it was not said.
    :ivar custom: whether the tool's input was free text.
    """

    id: str
    parts: tuple[Text | Media | Opaque, ...] = ()
    failed: bool | None = None
    custom: bool = False
    cache: JSON = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Opaque:
    """
    A part that only one dialect knows: a web search of the provider's own, an audio id.

    :ivar dialect: the name of that dialect.
    :ivar value: it, as it came.
    """

    dialect: str
    value: JSON


Part = Text | Media | Reasoning | Refusal | ToolCall | ToolResult | Opaque


@frozen
class Turn:
    """
    One party speaks.

    :ivar role: ``system``, ``developer``, ``user``, ``assistant``, or ``tool``: a turn whose
        parts are :class:`ToolResult` s.
    :ivar name: of the speaker, where there are several in a role.
    :ivar place: where it stood, if not among the messages: ``instructions`` (Responses) or
        ``system`` (Messages); empty elsewhere.
    :ivar extra: further members of the message, by their names in the request's dialect.
    """

    role: str
    parts: tuple[Part, ...] = ()
    name: str | None = None
    place: str = ""
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class Tool:
    """
    A tool that the client offers.

    :ivar kind: ``function``; ``custom`` (free text in); anything else is the provider's own
        tool (``web_search``), whose whole definition is ``value``.
    :ivar schema: the JSON schema of its input; ``None`` if it was not said.
    :ivar value: of a tool that is no function: its definition as it came, in ``dialect``.
    """

    name: str
    description: str | None = None
    schema: JSON = None
    strict: bool | None = None
    kind: str = "function"
    cache: JSON = None
    dialect: str = ""
    value: JSON = None
    extra: Mapping[str, JSON] = field(factory=dict)


@frozen
class ToolChoice:
    """
    Whether tools are to be used.

    :ivar kind: ``auto``, ``none``, ``required`` (any of them), ``named`` (this one), or ``own``:
        something that only ``dialect`` knows, as ``value``.
    """

    kind: str
    name: str | None = None
    custom: bool = False
    dialect: str = ""
    value: JSON = None


@frozen
class Format:
    """
    What the answer's text has to be.

    :ivar kind: ``text``, ``json_object`` or ``json_schema``.
    """

    kind: str
    name: str | None = None
    schema: JSON = None
    strict: bool | None = None
    description: str | None = None


@frozen
class Thinking:
    """
    How much the model is to think.

    :ivar enabled: said in so many words; ``None`` if only the rest was said.
    :ivar effort: ``none``, ``minimal``, ``low``, ``medium``, ``high``, ``xhigh`` …, as it came.
    :ivar budget: tokens (Messages).
    :ivar adaptive: whether the model decides how much (Messages).
    :ivar summary: whether and how the thoughts are to be summed up (Responses).
    :ivar display: how they are shown (Messages).
    """

    enabled: bool | None = None
    effort: str | None = None
    budget: int | None = None
    adaptive: bool = False
    summary: str | None = None
    display: str | None = None


@frozen
class Request:
    """
    What a client asks for.

    :ivar dialect: the name of the dialect that it was read from, whose names ``extra`` has.
    :ivar model: the name that the client asked for, or that a backend is asked for.
    :ivar wants_usage: whether a stream is to tell the usage (chat's ``include_usage``).
    :ivar max_tokens: of the answer.
    :ivar logprobs: how many alternatives are wanted with each token; 0 for none but the token's
        own; ``None`` for no logprobs.
    :ivar user: who it is for (``user``, ``safety_identifier``, Messages' ``metadata.user_id``).
    :ivar extra: all else, by name.
    """

    dialect: str
    model: str
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_calls: bool | None = None
    stream: bool = False
    wants_usage: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    choices: int | None = None
    format: Format | None = None
    thinking: Thinking | None = None
    logprobs: int | None = None
    user: str | None = None
    extra: Mapping[str, JSON] = field(factory=dict)
