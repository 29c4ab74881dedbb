"""
Small things that requests and answers of Messages share: names, ids, arguments, thoughts' seals.

*Names.*  The API takes ``^[a-zA-Z0-9_-]{1,128}$`` for tools.  Any other character is written as
``__x2e__`` (its code in hexadecimal) and read back wherever the model uses the tool, so that a
client finds its own name again.

*Ids.*  It takes ``^[a-zA-Z0-9_-]+$`` for calls.  Any other id becomes one that is made of it, the
same for the call and for its result.

*Arguments.*  They are an object here and text elsewhere.  Of text that begins with an object, that
object is taken; an object written as a string is unwrapped; nothing at all is ``{}``; and all else
becomes the one member ``input`` of an object.  So does the free text of a custom tool, which is
offered as a function with that one member.

*Thoughts.*  Where another provider's thoughts are shown as a ``thinking`` block, what has to go
back with them is sealed into its ``signature`` (:mod:`yallmp.dialects.sealed`), together with
which of the text was a summary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from yallmp.core.digits import Decoder
from yallmp.dialects.conversation import Reasoning
from yallmp.dialects.sealed import sealed, unsealed

JSON = Any
Block = dict[str, Any]
#: Between a text of thoughts and the parts of its summary.
BETWEEN = "\n\n"

_STRANGE = re.compile(r"[^a-zA-Z0-9_-]")
_CODED = re.compile(r"__x([0-9a-f]{1,6})__")


def text_of(value: JSON) -> str:
    """*value* if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def maybe_text(value: JSON) -> str | None:
    """*value* if it is a text."""
    return value if isinstance(value, str) else None


def maybe_int(value: JSON) -> int | None:
    """*value* if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def object_of(value: JSON) -> Mapping[str, JSON]:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects_of(value: JSON) -> list[Mapping[str, JSON]]:
    """The objects in the list *value*; none if it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def rest_of(value: Mapping[str, JSON], *known: str) -> dict[str, JSON]:
    """The members of *value* that are none of *known* and say something."""
    return {name: each for name, each in value.items() if name not in known and each is not None}


def coded_name(name: str) -> str:
    """A tool's *name* as the API takes it."""
    name = _CODED.sub(lambda found: f"____x78__{found[1]}__", name)
    return _STRANGE.sub(lambda found: f"__x{ord(found[0]):x}__", name)


def decoded_name(name: str) -> str:
    """What the client calls the tool that the model calls *name*."""
    return _CODED.sub(_character, name)


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if code < 0x110000 else found[0]


def coded_id(name: str) -> str:
    """A call's id as the API takes it."""
    if name and not _STRANGE.search(name):
        return name
    return "toolu_" + sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def input_of(arguments: str, custom: bool = False) -> dict[str, JSON]:
    """The object that a call's *arguments* are, or are made."""
    if custom:
        return {"input": arguments}
    if not arguments.strip():
        return {}
    value = _value_of(arguments)
    if isinstance(value, str):
        value = _value_of(value)
    return value if isinstance(value, dict) else {"input": arguments}


def _value_of(text: str) -> JSON:
    """The JSON that *text* begins with, if that is an object, or that it is."""
    text = text.strip()
    try:
        value, end = Decoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) or end == len(text) else None


def arguments_of(value: JSON) -> str:
    """A call's ``input`` as text."""
    return json.dumps(value if value is not None else {}, ensure_ascii=False)


def thinking_of(reasoning: Reasoning) -> str:
    """The thoughts as one text: themselves, then the parts of their summary."""
    return BETWEEN.join(piece for piece in (reasoning.text, *reasoning.summary) if piece)


def signature_of(reasoning: Reasoning) -> str:
    """What proves them, or a seal around what must come back."""
    if reasoning.signature:
        return reasoning.signature
    summary = [each for each in reasoning.summary if each]
    layout = ",".join(str(len(each)) for each in (reasoning.text, *summary)) if summary else ""
    members = {"encrypted": reasoning.encrypted, "id": reasoning.id, "layout": layout}
    return sealed({name: value for name, value in members.items() if value})


def thoughts_of(block: Mapping[str, JSON]) -> Reasoning:
    """The thoughts in a ``thinking`` block, be they Claude's or somebody's else, sealed."""
    text, signature = text_of(block.get("thinking")), maybe_text(block.get("signature"))
    extra = rest_of(block, "type", "thinking", "signature")
    members = None if signature is None else unsealed(signature)
    if members is None:
        return Reasoning(text, signature=signature or None, extra=extra)
    said, summary = _laid_out(text, members.get("layout", ""))
    return Reasoning(
        said, summary, encrypted=members.get("encrypted"), id=members.get("id"), extra=extra
    )


def _laid_out(text: str, layout: str) -> tuple[str, tuple[str, ...]]:
    """The thoughts and the parts of their summary: *layout* is how long each is, in that order."""
    if not layout:
        return text, ()
    lengths = [
        int(each) if each.isdecimal() and len(each) < 10 else 0 for each in layout.split(",")
    ]
    rest = text[lengths[0] + len(BETWEEN) :] if lengths[0] else text
    pieces = []
    for length in lengths[1:]:
        pieces.append(rest[:length])
        rest = rest[length + len(BETWEEN) :]
    said = text[: lengths[0]]
    as_laid_out = BETWEEN.join(each for each in (said, *pieces) if each) == text
    return (said, tuple(pieces)) if as_laid_out else ("", (text,))
