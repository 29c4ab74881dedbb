"""
Requests that pass untouched but for what another provider thought (:mod:`yallmp.dialects.foreign`).
"""

from __future__ import annotations

import json

from yallmp.core.digits import loads
from yallmp.dialects.foreign import cleared
from yallmp.interfaces import Put


def without_seals(dialect: str, put: Put) -> Put:
    """*put*, written anew without its seals if there are any."""
    written = cleared(dialect, loads(put.body))
    if not written.dropped:
        return put
    return Put(json.dumps(written.body).encode(), None, (*put.dropped, *written.dropped))
