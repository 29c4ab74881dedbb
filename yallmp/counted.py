"""
How many tokens a message would have, where no backend can be asked that.

Backends that speak Messages count themselves; for all others the answer is an estimate of ours
(:mod:`yallmp.dialects.counting`), and says so in a header.
"""

from __future__ import annotations

import json

from attrs import frozen

from yallmp.api_types.speaking import native
from yallmp.core.call import Call
from yallmp.core.digits import loads
from yallmp.core.errors import RequestFault
from yallmp.core.exchange import HeaderPairs
from yallmp.dialects.counting import estimated_tokens
from yallmp.dialects.table import DIALECTS

ESTIMATED: HeaderPairs = ((b"x-yallmp-estimate", b"true"),)


def is_estimated(call: Call) -> bool:
    """Whether none of the backends for *call*, which is about a count, counts itself."""
    dialect = call.asked.endpoint.dialect
    return not any(native(dialect, backend) for backend in call.route.legs)


@frozen
class Estimate:
    """Estimate what a body of Messages has, wherever that is done."""

    def __call__(self, body: bytes) -> bytes | RequestFault:
        """The answer, or what is wrong with *body*."""
        try:
            request = DIALECTS["messages"].request(loads(body))
        except RequestFault as fault:
            return fault
        return json.dumps({"input_tokens": estimated_tokens(request)}).encode()
