"""
The gate for the stream of one attempt: what it looks for, and how much it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yallmp.core.backend import Backend
from yallmp.core.call import Call
from yallmp.core.gate import HELD_MAX, Gate
from yallmp.core.inspector import Inspector
from yallmp.core.problems import Problem
from yallmp.core.rescue import may_ever_rescue
from yallmp.core.seam import Seam
from yallmp.interfaces import IApiType


def gate_for(
    api_type: IApiType,
    call: Call,
    backend: Backend,
    seam: Seam | None,
    error_problem: Callable[[Any], Problem],
    postscript: Callable[[], bytes],
) -> Gate:
    """
    A fresh gate for what *backend* answers to *call*.

    :param api_type: who understands it.
    :param seam: what the answer has to go on with, if another one broke.
    :param error_problem: makes a problem of a backend's error object.
    :param postscript: gives what goes out before the formal end.
    """
    limits = call.config.limits
    whole = backend.stream_commit == "complete" and seam is None
    return Gate(
        _inspector(api_type, call, backend, seam, whole=whole),
        limits.max_event_bytes,
        error_problem,
        hold_max=limits.max_response_bytes if whole else HELD_MAX,
        whole=whole,
        postscript=postscript,
    )


def _inspector(
    api_type: IApiType, call: Call, backend: Backend, seam: Seam | None, *, whole: bool
) -> Inspector:
    """It keeps what is said only where that may be needed: a stream that is held cannot break."""
    asked = call.asked
    if seam is not None:
        go_on = api_type.continuation if seam.prefill else api_type.comparison
        following: Inspector = go_on(asked, seam.delivered)
        return following
    inspector: Inspector = api_type.inspector(asked)
    inspector.transcript.keep(not whole and may_ever_rescue(backend, asked, call.route))
    return inspector
