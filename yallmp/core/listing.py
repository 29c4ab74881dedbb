"""
Which models there are, as OpenAI's clients and as Anthropic's want to hear it.

Anthropic's get pages: ``limit`` (20, at most 1,000), behind ``after_id`` or before ``before_id``.
Source: both API references, "List models".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

from yallmp.core.catalog import Listed

OWNED_BY = "yallmp"
_LIMIT, _MOST = 20, 1000


def model_for(listed: Listed, *, anthropic: bool) -> dict[str, Any]:
    """One model."""
    if not anthropic:
        named = {"id": listed.id, "object": "model"}
        return {**named, "created": listed.created, "owned_by": OWNED_BY}
    created = datetime.fromtimestamp(listed.created, timezone.utc)
    return {
        "type": "model",
        "id": listed.id,
        "display_name": listed.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
    }


def models_for(listed: Sequence[Listed], query: str, *, anthropic: bool) -> dict[str, Any]:
    """All of them, or the page of them that *query* asks for."""
    if not anthropic:
        return {"object": "list", "data": [model_for(each, anthropic=False) for each in listed]}
    page, more = _page(listed, {name: values[-1] for name, values in parse_qs(query).items()})
    return {
        "data": [model_for(each, anthropic=True) for each in page],
        "has_more": more,
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }


def _page(listed: Sequence[Listed], asked: dict[str, str]) -> tuple[Sequence[Listed], bool]:
    """The page, and whether there are more in its direction."""
    told = asked.get("limit", "")
    limit = min(max(int(told), 1), _MOST) if told.isdecimal() and len(told) < 9 else _LIMIT
    ids = [each.id for each in listed]
    if asked.get("before_id") in ids:
        before = listed[: ids.index(asked["before_id"])]
        return before[-limit:], len(before) > limit
    start = ids.index(asked["after_id"]) + 1 if asked.get("after_id") in ids else 0
    return listed[start : start + limit], len(listed) > start + limit
