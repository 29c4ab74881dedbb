"""
Reasoning items of Responses, and what of other providers' thoughts is kept in them.

``encrypted_content`` is what clients return without looking into it.  OpenAI's own ciphertext
stands there as it is.  Of a backend that speaks another dialect everything that has to come back
is sealed into it (:mod:`yallmp.dialects.sealed`), the thoughts themselves too: clients leave out
or shorten what they only show.  They are shown as a summary, for that is what clients show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yallmp.dialects.conversation import Reasoning
from yallmp.dialects.loose import objects, text, text_or_none, without
from yallmp.dialects.losses import Losses
from yallmp.dialects.sealed import sealed, unsealed

_NAMES = ("type", "id", "summary", "content", "encrypted_content")


def reasoning_of(item: dict[str, Any]) -> Reasoning:
    """The thoughts in a reasoning *item*."""
    told = text_or_none(item.get("encrypted_content"))
    kept = unsealed(told) if told is not None else None
    return thoughts_of(item) if kept is None else _opened(item, kept)


def thoughts_of(item: Mapping[str, Any]) -> Reasoning:
    """The thoughts in an *item* of a backend's, or of a client's if nothing is sealed in it."""
    return Reasoning(
        "".join(text(each.get("text")) for each in objects(item.get("content"))),
        _summary(item),
        encrypted=text_or_none(item.get("encrypted_content")),
        id=text_or_none(item.get("id")),
        extra=without(item, *_NAMES),
    )


def _opened(item: dict[str, Any], kept: dict[str, str]) -> Reasoning:
    """What another provider thought; its own words, if they were kept, are no summary."""
    said = kept.get("text", "")
    return Reasoning(
        said,
        () if said else _summary(item),
        kept.get("signature") or None,
        kept.get("encrypted") or None,
        kept.get("id") or None,
        "redacted" in kept,
    )


def _summary(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(text(each.get("text")) for each in objects(item.get("summary")))


def item_of(part: Reasoning, *, own: bool, path: str, losses: Losses) -> dict[str, Any] | None:
    """
    *part* as an item for a backend; ``None`` if a backend could make nothing of it.

    It takes back what is its own: encrypted, or the client's own words about it.  Anybody's
    signed, sealed or open thoughts it does not take.
    """
    foreign = part.signature is not None or part.redacted
    if foreign or (part.encrypted is None and not (own and part.id)):
        losses.note(path)
        return None
    item: dict[str, Any] = {"type": "reasoning", "summary": summary_parts(part.summary)}
    if part.id is not None:
        item["id"] = part.id
    if part.text:
        item["content"] = [{"type": "reasoning_text", "text": part.text}]
    if part.encrypted is not None:
        item["encrypted_content"] = part.encrypted
    return {**item, **(part.extra if own else {})}


def summary_parts(texts: tuple[str, ...] | list[str]) -> list[dict[str, str]]:
    """*texts* as the parts of a summary."""
    return [{"type": "summary_text", "text": each} for each in texts]


def kept_text(part: Reasoning) -> str | None:
    """What has to come back with *part*, as a client gets it; ``None`` if nothing has."""
    own = part.signature is None and not part.redacted
    if own and part.encrypted is not None:
        return part.encrypted
    members = {"text": part.text, "signature": part.signature, "encrypted": part.encrypted}
    kept = {name: value for name, value in members.items() if value}
    if not kept:
        return None
    if part.id:
        kept["id"] = part.id
    return sealed({**kept, "redacted": "yes"} if part.redacted else kept)
