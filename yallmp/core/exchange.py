"""
What happens during an exchange, as events.

An *exchange* is a client's request and all that came of it.  :mod:`yallmp.forwarding`
and :mod:`yallmp.api` emit these values as things happen; a log observer turns them into
request logs, error logs and the daemon's line.  For others they are the key ``exchange`` of
a log event.  The order is::

    Begin  [Routed]  (Attempt  [Head]  Read*  AttemptEnd)*  End

with a :class:`Note` anywhere between.  ``Begin`` and ``End`` come exactly once, ``End``
even when everything else fails.  Times called ``at`` are milliseconds since ``Begin``.
Nothing here is masked; whoever writes it down masks it.

Every request makes half a dozen of them.  That nobody changes them is held by the type
checker: ``attrs.frozen`` would make each at three times the price.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from attrs import frozen as event
else:
    event = define(unsafe_hash=True)

HeaderPairs = tuple[tuple[bytes, bytes], ...]


@event
class Event:
    """What all events share: ``id`` is the exchange's, 12 hexadecimal digits."""

    id: str


@event
class Begin(Event):
    """
    A request came.

    ``time`` is POSIX seconds (UTC).  ``recorded`` tells whether this exchange gets a
    request log at all (a ``POST`` to a ``/v1`` endpoint), ``keep`` is ``on``, ``errors``
    or ``off`` (``logging.requests``, also per model) and ``bodies`` the bytes of each
    body to keep (``None``: all).  ``model`` is what the client asked for, if it said.
    """

    time: float
    client: str
    listener: str
    method: str
    path: str
    query: str = field(repr=False)
    headers: HeaderPairs = field(repr=False)
    body: bytes = field(repr=False)
    client_request_id: str | None = None
    key_name: str | None = None
    model: str | None = None
    recorded: bool = True
    keep: str = "on"
    bodies: int | None = None


@event
class Routed(Event):
    """The backends for the request, in order, and in a few words why these."""

    model: str
    backends: tuple[str, ...]
    reason: str


@frozen
class Splice:
    """A change to the body: at ``offset`` (bytes, of the client's body) ``old`` became ``new``."""

    offset: int
    old: bytes
    new: bytes


@event
class Attempt(Event):
    """
    One try of one backend starts; ``number`` counts from 1.

    ``splices`` are the changes to the client's body in order of offset; where there are
    too many to read, ``body`` holds the whole of what was sent instead.
    """

    number: int
    at: float
    backend: str
    url: str = field(repr=False)
    headers: HeaderPairs = field(repr=False)
    splices: tuple[Splice, ...] = ()
    body: bytes | None = None


@event
class Head(Event):
    """
    The backend's status and headers came.

    ``connected`` is when the connection was there (``None`` for a reused one).
    """

    number: int
    at: float
    status: int
    headers: HeaderPairs
    reused: bool = False
    connected: float | None = None


@event
class Read(Event):
    """One read of a streamed answer, as it came; told only where a log may be kept."""

    number: int
    at: float
    data: bytes


@event
class AttemptEnd(Event):
    """
    An attempt is over.

    ``error`` is the class of failure in one word (``timeout``, ``status``,
    ``incomplete`` …) and ``message`` says more; both are ``None`` for a success.
    ``body`` is the whole answer where it was not streamed, ``began`` when the attempt did.
    """

    number: int
    at: float
    backend: str
    status: int | None = None
    error: str | None = None
    message: str | None = None
    first_content: float | None = None
    body: bytes | None = None
    began: float = 0.0


@event
class Note(Event):
    """Something worth knowing that is none of the others, in one line."""

    at: float
    text: str


@frozen
class Usage:
    """What the backend told about tokens; ``cached`` are those of ``prompt`` it had before."""

    prompt: int | None = None
    completion: int | None = None
    total: int | None = None
    cached: int | None = None


@frozen
class Turn:
    """
    A request that did not go the straight way.

    ``kind`` is ``retry`` (again within its group), ``fallback`` (to the next backend of the
    route) or ``rescue`` (a broken stream, to be gone on with); ``backend`` is the one that
    was left, for ``reason``: a failure's class in one word, or ``resting``.
    """

    kind: str
    backend: str
    reason: str


@event
class End(Event):
    """
    The exchange is over.

    ``outcome`` is success, upstream_error, incomplete, client_gone, rejected, shed or
    shutdown.  ``status`` is what the client was sent (499 if it left first), ``sent`` the
    bytes of body that went to it, ``at`` the whole duration.  ``body`` is what we said
    ourselves (an error of ours), if that is what the client got.  ``waited`` are the
    milliseconds of pauses before repetitions and of waits for a place at a backend.
    """

    at: float
    outcome: str
    status: int
    sent: int
    backend: str | None = None
    attempts: int = 0
    finish_reason: str | None = None
    usage: Usage | None = None
    body: bytes | None = None
    turns: tuple[Turn, ...] = ()
    waited: float = 0.0
