"""
What may have a second implementation, and what its users rely on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen
from zope.interface import Attribute, Interface

from yallmp.core.asked import Asked
from yallmp.core.backend import Backend
from yallmp.core.changes import Change, Made
from yallmp.core.exchange import Splice
from yallmp.core.inspector import Checked, Inspector
from yallmp.core.readings import Reading
from yallmp.core.sse import ServerEvent
from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import Answer, Delta
from yallmp.dialects.conversation import Request
from yallmp.dialects.losses import Written


class IRecorder(Interface):
    """
    Writes records somewhere that outlives the process.

    Called on the reactor thread by log observers; no method blocks or raises.  A *name*
    is that of a record without its ending; each record is begun once and then finished
    or discarded once.  When there is no room (a full queue, a full disk) whole records
    are given up, and later calls for them do nothing.
    """

    def begin(name: str) -> None:
        """Start the request log *name*; until it is finished it is visible as unfinished."""

    def append(name: str, data: bytes) -> None:
        """Add *data* to a log that was begun."""

    def finish(name: str) -> None:
        """The log is whole: it appears under its final name, which is never overwritten."""

    def discard(name: str) -> None:
        """The log is not wanted after all; nothing of it stays."""

    def whole(name: str, data: bytes) -> None:
        """The request log *name* that is whole already: begun, added to and finished at once."""

    def error(name: str, data: bytes) -> None:
        """Write the error log *name* at once and whole."""


class IClerk(Interface):
    """
    Reads large bodies, wherever that holds nobody up.

    Called on the reactor thread.
    """

    def ask(work: Any, body: bytes) -> Any:
        """
        Have *work* done on *body* (:mod:`yallmp.core.work`): a Deferred of its answer.

        It fails if that cannot be done.  Cancelling it means that nobody waits any more.
        """


class IChanges(Interface):
    """
    Makes changes of what is served, in every process that serves it.

    Called on the reactor thread.
    """

    async def make(change: Change) -> Made:
        """
        Make *change*; ends when it is in force wherever that can be found out soon.

        :raises ProxyError: it cannot be made, or nobody knows whether it was.
        """

    async def reload() -> Made:
        """
        Read the configuration again and put it in force, whole or not at all.

        :raises BadConfiguration: it cannot be used, and nothing is changed.
        :raises ProxyError: nobody knows what became of it.
        """


class ITotals(Interface):
    """
    What the metrics of the whole service say, of all processes that serve it.

    Called on the reactor thread.
    """

    async def read() -> Reading:
        """
        What they say now; ends soon, be it without those that do not answer.

        :raises ProxyError: nobody knows: a part of the sums would be taken for all.
        """


@frozen
class Put:
    """
    A request as a backend gets it.

    :ivar splices: what was changed in the client's body; ``None`` if it was put anew.
    :ivar dropped: where what is not in it stood in the client's (:mod:`yallmp.dialects.losses`).
    :ivar api_type: who understands the answer to it, if not whoever put it.
    """

    body: bytes = field(repr=False)
    splices: tuple[Splice, ...] | None = None
    dropped: tuple[str, ...] = ()
    api_type: Any = None


class IApiType(Interface):
    """
    How a kind of backend speaks (``api_type`` in the configuration), to clients that speak
    like it and, as a translation, to others.

    Every method is pure and never blocks; none raises for anything that a backend sent.
    """

    def target(asked: Asked, query: str, backend: Backend) -> str:
        """The whole URL for an attempt; *query* is the client's, without the question mark."""

    translates = Attribute("whether requests are put anew, which takes its time for long ones")

    def put(asked: Asked, model: str, backend: Backend, begun: str = "") -> Put:
        """
        The request as *backend* gets it.

        :param model: the name that it is asked for.
        :param begun: the answer's beginning, which the backend is to go on with (``prefill``).
        :raises RequestFault: what the client asks for cannot be understood.
        """

    def inspector(asked: Asked) -> Inspector:
        """A fresh inspector for a streamed answer to *asked*."""

    def comparison(asked: Asked, delivered: Transcript) -> Inspector:
        """
        One for an answer that is given anew after *delivered* broke off.

        It lets nothing pass until all of that was said again, then what is new.
        """

    def continuation(asked: Asked, delivered: Transcript) -> Inspector:
        """One for an answer that goes on with *delivered*, rather than to begin anew."""

    def check(asked: Asked, body: bytes) -> Checked:
        """What a whole answer is, and what it is for the client, if that is something else."""

    def assembled(asked: Asked, events: Sequence[ServerEvent]) -> bytes | None:
        """The whole answer that the events of a stream amount to; ``None`` if they do not."""

    def exploded(asked: Asked, body: bytes) -> bytes | None:
        """The stream that a whole answer amounts to; ``None`` if it does not."""


@frozen
class Occasion:
    """
    What an answer has beside what was said, where it is written in a client's dialect.

    :ivar id: the exchange's, 12 hexadecimal digits, to make ids of that nothing else has.
    :ivar time: POSIX seconds, for whatever says when it was created.
    :ivar model: what the client asked for, where the backend does not say who answered.
    :ivar wants_usage: whether a stream is to tell the usage, where that is asked for.
    :ivar echo: members of the client's request that its dialect's answers repeat.
    """

    id: str
    time: int
    model: str
    wants_usage: bool = False
    echo: Mapping[str, Any] = field(factory=dict, repr=False)


class Reader(Protocol):
    """Reads one streamed answer in a backend's dialect; stateful and pure, can be pickled."""

    def read(self, event: ServerEvent) -> Iterable[Delta]:
        """
        What *event* says; nothing for a comment, a ping or the formal end.

        It never raises: what makes no sense says nothing.
        """


class Writer(Protocol):
    """
    Writes one streamed answer in a client's dialect; stateful and pure, can be pickled.

    It is given :class:`yallmp.dialects.answer.Began` first, if the backend said that much, and
    has to do without.
    """

    @property
    def id(self) -> str | None:
        """The answer's id as the client has it, if it has it yet."""

    def write(self, delta: Delta) -> bytes:
        """The events that *delta* makes; often none."""

    def end(self) -> bytes:
        """
        The events that end the answer, its formal end included; called once, behind all deltas.

        Usage may come behind the last ``Stopped``, so whatever has to tell both waits for this.
        """


class IDialect(Interface):
    """
    One way to ask a model and to be answered: a translator to and from the neutral model.

    Every method is pure and never blocks.
    """

    def request(body: Mapping[str, Any]) -> Request:
        """
        What the client asks for with *body*, whose ``model`` and messages were looked at.

        :raises RequestFault: a member cannot be understood; the error names it.
        """

    def body(request: Request) -> Written:
        """*request* as this dialect puts it; it may have been read from another one."""

    def echo(body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those members of a request's *body* that answers repeat (:class:`Occasion`)."""

    def answer(body: Mapping[str, Any]) -> Answer:
        """A backend's whole answer; it was checked, but nothing in it can be relied on."""

    def whole(answer: Answer, occasion: Occasion) -> dict[str, Any]:
        """*answer* as the body that the client gets."""

    def reader() -> Reader:
        """A fresh reader for a backend's stream."""

    def writer(occasion: Occasion) -> Writer:
        """A fresh writer for a client's stream."""

    def resumed(occasion: Occasion, delivered: Transcript) -> Writer:
        """
        One that writes on where *delivered* broke off.

        Its ``place`` is the writer that wrote it; or, if it was passed on untouched, what the
        inspector of this dialect noted there.
        """
