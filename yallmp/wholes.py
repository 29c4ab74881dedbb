"""
Whole answers: checked, made of a stream that nobody asked for, and made into one.

All of it can fail while everything can still change, so all of it raises
:class:`yallmp.core.problems.AttemptFailed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yallmp.core.asked import Asked
from yallmp.core.exchange import HeaderPairs
from yallmp.core.gate import Gate
from yallmp.core.inspector import Checked
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.sse import Parser
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
