"""
How one backend is asked for what a client wants: in which dialect, and with which bytes.

A request that goes on in its client's dialect costs a few changes to its bytes.  One that is
translated is read and written anew; a large one is so elsewhere (:mod:`yallmp.core.work`).
"""

from __future__ import annotations

from functools import partial

from attrs import evolve, frozen

from yallmp.api_types.speaking import Spoken, native, spoken
from yallmp.clerk_process import NotRead
from yallmp.core.asked import Asked, without_body
from yallmp.core.backend import Backend
from yallmp.core.call import Call
from yallmp.core.errors import RequestFault, error_body
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.told import told_in
from yallmp.core.unspoken import has_no_path
from yallmp.core.work import LARGE
from yallmp.interfaces import IApiType, IClerk, Occasion, Put
from yallmp.tools import Tools
from yallmp.wire import Wire

_JSON = ((b"content-type", b"application/json"),)
_TOO_MUCH = RequestFault("The request takes more time or memory to translate than one may.")


@frozen
class Putting:
    """Put a request as a backend gets it, wherever that is done."""

    api_type: IApiType
    asked: Asked
    model: str
    backend: Backend
    begun: str = ""

    def __call__(self, body: bytes) -> Put | RequestFault:
        """What the backend gets for *body*, or what is wrong with that."""
        asked = evolve(self.asked, document=evolve(self.asked.document, body=body))
        try:
            return self.api_type.put(asked, self.model, self.backend, self.begun)
        except RequestFault as fault:
            return fault


@frozen
class Asking:
    """
    How a backend is asked.

    :ivar api_type: who understands the answer.
    :ivar tentative: whether it has yet to be seen that the backend speaks the client's dialect.
    """

    put: Put
    api_type: IApiType
    tentative: bool = False

    def is_unspoken(self, status: int, body: bytes) -> bool:
        """Whether an error with *status* and *body* says that it does not."""
        return self.tentative and has_no_path(status, told_in(body[:LARGE]).words)


async def asking(call: Call, backend: Backend, tools: Tools, wire: Wire, begun: str) -> Asking:
    """
    How *backend* is asked for *call*.

    :param wire: the attempt's, which cancels what it waits for.
    :param begun: the beginning of the answer, if the backend is to go on with one.
    :raises AttemptFailed: the request is at fault, or the backend has nothing of the kind.
    """
    asked, model = call.asked, call.route.sends(backend)
    passing = native(asked.endpoint.dialect, backend)
    if passing is not None:
        return Asking(passing.put(asked, model, backend, begun), passing)
    found = _spoken(call, backend, tools)
    if not found.api_type.translates:
        put = found.api_type.put(asked, model, backend, begun)
        return Asking(put, found.api_type, found.tentative)
    putting = Putting(found.api_type, without_body(asked), model, backend, begun)
    put = await _translated(putting, asked.document.body, tools.clerk, wire)
    return Asking(put, put.api_type)


def _spoken(call: Call, backend: Backend, tools: Tools) -> Spoken:
    """In which dialect *backend* is asked."""
    asked = call.asked
    occasion = Occasion(call.id, int(tools.wall()), asked.model, asked.wants_usage)
    found = spoken(asked, backend, partial(_is_unspoken, tools), occasion)
    if found is None:
        raise AttemptFailed(_has_none(call, backend))
    return found


def _is_unspoken(tools: Tools, backend: str, dialect: str) -> bool:
    return tools.registry.unspoken.has(backend, dialect, tools.clock.seconds())


def _has_none(call: Call, backend: Backend) -> Problem:
    """A backend of another kind has no such endpoint, whatever it is asked."""
    what = f"backends of api_type {backend.api_type} have no {call.asked.endpoint.path}"
    fault = RequestFault(f"{what[0].upper()}{what[1:]}.", code="not_found", status=404)
    return _refused(fault, Reason.UNKNOWN_THERE)


def _refused(fault: RequestFault, reason: Reason) -> Problem:
    return Problem(reason, fault.message, fault.status, headers=_JSON, body=error_body(fault))


async def _translated(putting: Putting, body: bytes, clerk: IClerk, wire: Wire) -> Put:
    put = putting(body) if len(body) <= LARGE else await _elsewhere(putting, body, clerk, wire)
    if isinstance(put, RequestFault):
        raise AttemptFailed(_refused(put, Reason.AT_FAULT))
    return put


async def _elsewhere(
    putting: Putting, body: bytes, clerk: IClerk, wire: Wire
) -> Put | RequestFault:
    try:
        found: Put | RequestFault = await wire.on(clerk.ask(putting, body))
    except NotRead:
        return _TOO_MUCH
    return found
