"""
Whole answers: checked, made of a stream that nobody asked for, and made into one.

All of it can fail while everything can still change, so all of it raises
:class:`yallmp.core.problems.AttemptFailed`.  For a large answer it is work
(:mod:`yallmp.core.work`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, field, frozen

from yallmp.core.asked import Asked
from yallmp.core.exchange import HeaderPairs
from yallmp.core.gate import Gate
from yallmp.core.inspector import Checked
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.sse import Parser
from yallmp.core.work import LARGE
from yallmp.interfaces import IApiType


def well_made(
    api_type: IApiType, asked: Asked, body: bytes, error_problem: Callable[[Any], Problem]
) -> Checked:
    """
    What the whole answer *body* says of itself.

    :param error_problem: makes a problem of a backend's error object.
    :raises AttemptFailed: it is an error, or not what the endpoint promises.
    """
    checked = api_type.check(asked, body)
    if checked.error is not None:
        raise AttemptFailed(error_problem(checked.error))
    if not checked.ok:
        raise AttemptFailed(Problem(Reason.INVALID, checked.message))
    return checked


def assembled(
    api_type: IApiType, asked: Asked, gate: Gate, body: bytes, max_event_bytes: int
) -> bytes:
    """
    One answer from the stream *body*.

    :param gate: a fresh one; the stream must be whole.
    :raises AttemptFailed: it is not, or makes no answer.
    """
    release = gate.feed(body)
    release = release if gate.over else gate.end()
    if release.problem is not None:
        raise AttemptFailed(release.problem)
    parser = Parser(max_event_bytes)
    whole = api_type.assembled(asked, parser.feed(body) + parser.close())
    if whole is None:
        raise AttemptFailed(Problem(Reason.INVALID, "a stream that makes no answer"))
    return whole


def exploded(api_type: IApiType, asked: Asked, gate: Gate, body: bytes) -> bytes:
    """
    The stream that the one answer *body* makes, as far as *gate* lets it pass.

    :raises AttemptFailed: it makes none, or not one that may go on.
    """
    data = api_type.exploded(asked, body)
    if data is None:
        raise AttemptFailed(Problem(Reason.INVALID, "one answer in place of a stream"))
    release = gate.feed(data)
    if release.problem is not None:
        raise AttemptFailed(release.problem)
    return release.data


def json_headers(headers: HeaderPairs) -> HeaderPairs:
    """The *headers* of an answer that has become JSON."""
    kept = tuple(pair for pair in headers if pair[0].lower() != b"content-type")
    return (*kept, (b"content-type", b"application/json"))


@frozen
class Examined:
    """
    What a large answer is.

    :ivar checked: what it says of itself, if it can be used.
    :ivar body: what it became, if it is not what it was; a stream if one was asked for.
    :ivar problem: why it cannot be used.
    """

    checked: Checked | None = None
    body: bytes | None = field(default=None, repr=False)
    problem: Problem | None = None


@frozen
class Examine:
    """
    Check a large answer, and make of it what was asked for.

    :ivar gate: a fresh one, which can be sent to another process, as *api_type* can.
    :ivar streamed: whether it is a stream that nobody asked for.
    """

    api_type: IApiType
    asked: Asked
    gate: Gate
    streamed: bool

    def __call__(self, body: bytes) -> Examined:
        """What *body* is."""
        try:
            return self._examined(body)
        except AttemptFailed as failed:
            problem = failed.problem
            return Examined(problem=problem if len(problem.body) <= LARGE else _bare(problem))
        except MemoryError:
            return Examined(problem=Problem(Reason.INVALID, "the answer has too many values"))

    def _examined(self, body: bytes) -> Examined:
        api_type, asked, gate, whole = self.api_type, self.asked, self.gate, body
        if self.streamed:
            whole = assembled(api_type, asked, gate, body, gate.max_event_bytes)
        checked = well_made(api_type, asked, whole, gate.error_problem)
        if asked.stream:
            whole = exploded(api_type, asked, gate, whole)
        elif checked.body is not None:
            whole, checked = checked.body, evolve(checked, body=None)
        return Examined(checked, None if whole is body else whole)


def _bare(problem: Problem) -> Problem:
    """*problem* without what the backend said, which is too long for an error."""
    return evolve(problem, body=b"")
