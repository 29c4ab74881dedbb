"""
The chunks that nearly all of a stream consists of, read fast.

A *usual* chunk has one choice, which says something in one field, or nothing, and has
nothing else that anybody would have to look at: no error, finish reason, usage, tool call,
logprobs or field of a delta that is not known here.  msgspec reads those by their types and
refuses all others, which is no error but a matter for
:mod:`yallmp.api_types.openai_streams`: both decide the same where both decide.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

_Empty = Annotated[list[Any], Meta(max_length=0)]


class Delta(Struct, forbid_unknown_fields=True, gc=False):
    """What a choice of a chat adds."""

    content: str | None = None
    role: str | None = None
    refusal: Literal[""] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: _Empty | None = None
    function_call: None = None


class Choice(Struct, gc=False):
    """A choice that goes on; fields that nobody looks at are skipped."""

    delta: Delta | None = None
    text: str | None = None
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None
    message: None = None
    error: None = None


class Chunk(Struct, gc=False):
    """A chunk with one choice that goes on."""

    choices: tuple[Choice]
    id: str | None = None
    object: Literal["chat.completion.chunk", "text_completion"] | None = None
    usage: None = None
    type: None = None
    status: None = None
    error: None = None
    response: None = None


_decode = Decoder(Chunk).decode_lines
#: Fields and what is said in them, in order.
Said = list[tuple[str, str]]
#: It speaks in more than one field, whose order matters.
_SEVERAL = ("", "")


def usual_chunks(lines: bytes, count: int) -> tuple[list[Chunk], Said] | None:
    """
    The *count* chunks of *lines*, one in each, and what they say.

    ``None`` if any is not usual, or if none says anything.  msgspec skips what it is not
    asked for without looking whether it is text at all.
    """
    try:
        chunks = _decode(lines)
        if not lines.isascii():
            lines.decode()
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = [_said(chunk.choices[0]) for chunk in chunks]
    if len(chunks) != count or _SEVERAL in said:
        return None
    if count > 1:
        said = _together(said)
    return (chunks, said) if said[0][1] or any(text for _, text in said) else None


def _together(said: Said) -> Said:
    """The same in one piece, if all of it is said in one field, as it nearly always is."""
    names = {name for name, _ in said}
    return [(names.pop(), "".join([text for _, text in said]))] if len(names) == 1 else said


def _said(choice: Choice) -> tuple[str, str]:
    """The field that speaks, and its text."""
    delta, text = choice.delta, choice.text
    if delta is None:
        return "text", text or ""
    content, thought, reasoning = delta.content, delta.reasoning_content, delta.reasoning
    if not (thought or reasoning or text):
        return "content", content or ""
    fields = (
        ("content", content),
        ("reasoning_content", thought),
        ("reasoning", reasoning),
        ("text", text),
    )
    spoken = [(name, said) for name, said in fields if said]
    return spoken[0] if len(spoken) == 1 else _SEVERAL
