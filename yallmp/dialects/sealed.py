"""
What one provider must have back, in a place that belongs to another.

A model's thoughts are signed (Messages) or encrypted (Responses), and the provider wants them
back as they were.  Each dialect has one text for that which clients keep and return without
looking into it.  Where an answer of the one is written in the other, all that has to come back is
*sealed* into that text, with a beginning that no provider uses; where a client brings it back, it
is opened again.  It is no secret and proves nothing: the provider checks what is in it.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

_BEGINNING = "yallmp1."
#: What a body has in it if there is a seal in it.
TRACE = _BEGINNING.encode()


def sealed(members: Mapping[str, str]) -> str:
    """One text that holds *members*."""
    return _BEGINNING + urlsafe_b64encode(json.dumps(dict(members)).encode()).decode()


def is_sealed(value: Any) -> bool:
    """Whether *value* is a seal of ours."""
    return isinstance(value, str) and value.startswith(_BEGINNING)


def unsealed(text: str) -> dict[str, str] | None:
    """The members that *text* holds, or ``None``: it is a provider's own."""
    if not text.startswith(_BEGINNING):
        return None
    try:
        value = json.loads(urlsafe_b64decode(text[len(_BEGINNING) :].encode()))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: member for name, member in value.items() if isinstance(member, str)}
