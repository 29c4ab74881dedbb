"""
Large answers, examined by the clerk while their attempt waits.
"""

from __future__ import annotations

from yallmp.clerk_process import NotRead
from yallmp.core.inspector import Checked
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.interfaces import IClerk
from yallmp.wholes import Examine, Examined
from yallmp.wire import Wire

_UNREADABLE = Problem(Reason.INVALID, "the answer could not be read")


async def examined(clerk: IClerk, wire: Wire, work: Examine, body: bytes) -> tuple[Checked, bytes]:
    """
    What *body* is, and what it became.

    :param wire: the attempt's, which cancels what it waits for.
    :raises AttemptFailed: it cannot be used.
    """
    try:
        found: Examined = await wire.on(clerk.ask(work, body))
    except NotRead:
        raise AttemptFailed(_UNREADABLE) from None
    if found.checked is None:
        raise AttemptFailed(found.problem or _UNREADABLE)
    return found.checked, body if found.body is None else found.body
