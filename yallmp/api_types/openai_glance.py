"""
A whole answer, judged at a glance: is it what its endpoint promises, and what does it tell?

The shapes below name the few fields that matter, and what they are in a good answer.  A
parser in C (msgspec) fills them, checks all the rest, and builds nothing of it.  Whatever
does not fit, be it an error, a strange spelling or a broken text, is not judged here:
:meth:`yallmp.api_types.openai.OpenAI.check` then reads the answer whole.  So a shape may
be narrower than what is let pass in the end, but never wider.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from yallmp.api_types.openai_shapes import usage_of
from yallmp.core.asked import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MODERATIONS,
    RERANK,
    RESPONSES,
    Asked,
)
from yallmp.core.inspector import Checked


class _Object(Struct, gc=False):
    """Any object."""


class _Item(Struct, gc=False):
    """An entry of a list that an endpoint promises."""

    finish_reason: str | None = None


class _Choice(_Item, kw_only=True, gc=False):
    """A choice of a chat."""

    message: _Object
    error: None = None


class _TextChoice(_Item, gc=False):
    """A choice of a plain completion."""

    text: str | None = None
    error: None = None


class _Answer(Struct, kw_only=True, gc=False):
    """What all answers may have: an error in none of the places where one may stand."""

    error: None = None
    response: None = None
    type: str | None = None
    object: str | None = None
    status: str | None = None
    usage: Any = None


class _Chat(_Answer, kw_only=True, gc=False):
    listed: list[_Choice] = msgspec.field(name="choices")


class _Completion(_Answer, kw_only=True, gc=False):
    listed: list[_TextChoice] = msgspec.field(name="choices")


class _Unchosen(_Answer, kw_only=True, gc=False):
    """An answer without choices: there could be errors in them."""

    choices: None = None


class _Data(_Unchosen, kw_only=True, gc=False):
    listed: list[_Item] = msgspec.field(name="data")


class _Results(_Unchosen, kw_only=True, gc=False):
    listed: list[_Item] = msgspec.field(name="results")


class _Output(_Unchosen, kw_only=True, gc=False):
    listed: list[_Item] = msgspec.field(name="output")


_SHAPES: dict[str, Decoder[Any]] = {
    CHAT.name: Decoder(_Chat),
    COMPLETIONS.name: Decoder(_Completion),
    EMBEDDINGS.name: Decoder(_Data),
    RERANK.name: Decoder(_Results),
    MODERATIONS.name: Decoder(_Results),
    RESPONSES.name: Decoder(_Output),
}


def judged(asked: Asked, body: bytes) -> Checked | None:
    """What *body* is, if it is good beyond doubt."""
    shape = _SHAPES.get(asked.endpoint.name)
    if shape is None:
        return None
    try:
        if not body.isascii():
            body.decode()
        answer = shape.decode(body)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    reasons = [each.finish_reason for each in answer.listed]
    if (
        not reasons
        or answer.status == "failed"
        or "error" in (answer.type, answer.object, *reasons)
    ):
        return None
    told = [answer.status] if asked.endpoint is RESPONSES else reasons
    reason = next((reason for reason in told if reason is not None), None)
    return Checked(True, "", None, reason, usage_of({"usage": answer.usage}))
