"""
How many proxies of this kind a request went through: what ends a circle.

A backend that is a yallmp, perhaps this one, would ask its own backends, and so on until
something gives way.  So each says in a header how many there were with it, and refuses what
went through more than ``limits.max_hops``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from yallmp.core.errors import LoopDetected, RequestFault

HOPS = "x-yallmp-hops"
HOPS_FIELD = HOPS.encode()
#: What the first of them says.
FIRST = b"1"
_NUMBER = re.compile("[0-9]{1,4}")


def check_hops(headers: Mapping[str, tuple[str, ...]], most: int) -> None:
    """
    Let a request pass that went through at most so many.

    :raises RequestFault: it does not say how many.
    :raises LoopDetected: it went through more.
    """
    for value in headers.get(HOPS, ()):
        if not _NUMBER.fullmatch(value):
            raise RequestFault(f"The header {HOPS!r} is not a number.")
        if int(value) > most:
            raise LoopDetected(
                f"The request went through {int(value)} proxies like this one, and"
                f" limits.max_hops is {most}: a backend leads back here."
            )


def one_more(value: bytes) -> bytes:
    """What is said to the next one; a *value* that is no number was refused before."""
    return b"%d" % (int(value) + 1) if value.isdigit() else FIRST
