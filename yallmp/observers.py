"""
Log observers: what becomes of the events of an exchange.

Each is a callable for twisted.logger that looks at events with the key ``exchange``
(:mod:`yallmp.core.exchange`) and ignores all others.  :class:`RequestLogs` and
:class:`ErrorLogs` hand text to the recorder, which writes files elsewhere;
:mod:`yallmp.accessline` says one line in the daemon's own log.  What an observer remembers of
an exchange is small, and is forgotten at its end; no observer waits or gathers bodies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from yallmp.core.escapes import escape_text
from yallmp.core.exchange import AttemptEnd, Begin, End, Event, Read, Routed
from yallmp.core.masking import MaskedStream, Masker, Piece
from yallmp.core.record import format_event, format_read, record_name
from yallmp.core.recorded import utc
from yallmp.interfaces import IRecorder

#: Ends of attempts that are nobody's failure: whoever asked is gone, or we are.
_NO_FAILURE = (None, "cancelled")


def _failed(event: Event) -> bool:
    return isinstance(event, AttemptEnd) and event.error not in _NO_FAILURE


@define
class _Reads:
    """The reads of one streamed answer on their way into a log; ``room`` is left for them."""

    stream: MaskedStream
    room: int | None
    _waiting: deque[Read] = field(factory=deque, init=False)

    def add(self, read: Read) -> bytes:
        self._waiting.append(read)
        return self._written(self.stream.feed(read.data))

    def rest(self) -> bytes:
        return self._written(self.stream.flush())

    def _written(self, pieces: list[Piece]) -> bytes:
        return b"".join([self._one(self._waiting.popleft(), piece) for piece in pieces])

    def _one(self, read: Read, piece: Piece) -> bytes:
        text = format_read(read, piece, self.room)
        if self.room is not None:
            self.room = max(0, self.room - len(piece.data))
        return text


@define
class _OpenLog:
    """A request log under way; ``unwanted`` while nothing has happened that would keep it."""

    recorder: IRecorder
    name: str
    bodies: int | None
    unwanted: bool
    _reads: dict[int, _Reads] = field(factory=dict, init=False)

    def begin(self, event: Begin, masker: Masker) -> None:
        self.recorder.begin(self.name)
        self.recorder.append(self.name, format_event(event, masker, self.bodies))

    def add(self, event: Event, masker: Masker) -> None:
        if isinstance(event, Read):
            data = self._reads_of(event, masker).add(event)
        else:
            rest = self._rest_before(event)
            data = rest + format_event(event, masker, self.bodies)
        if data:
            self.recorder.append(self.name, data)

    def end(self, event: End, masker: Masker) -> None:
        if self.unwanted and event.outcome == "success":
            self.recorder.discard(self.name)
        else:
            self.add(event, masker)
            self.recorder.finish(self.name)

    def _reads_of(self, event: Read, masker: Masker) -> _Reads:
        reads = self._reads.get(event.number)
        if reads is None:
            reads = self._reads[event.number] = _Reads(MaskedStream(masker), self.bodies)
        return reads

    def _rest_before(self, event: Event) -> bytes:
        """What of the reads that *event* ends was still held back."""
        if isinstance(event, End):
            return b"".join([reads.rest() for reads in self._reads.values()])
        if isinstance(event, AttemptEnd) and event.number in self._reads:
            return self._reads.pop(event.number).rest()
        return b""


@implementer(ILogObserver)
class RequestLogs:
    """
    Writes a log for each recorded exchange, as it goes.

    :param masker: gives the masker in force.
    """

    def __init__(self, recorder: IRecorder, masker: Callable[[], Masker]) -> None:
        self._recorder = recorder
        self._masker = masker
        self._open: dict[str, _OpenLog] = {}

    def __call__(self, event: LogEvent) -> None:
        """Write down what *event* tells of an exchange."""
        told = event.get("exchange")
        if isinstance(told, Begin):
            self._begin(told)
        elif isinstance(told, Event) and told.id in self._open:
            self._add(told)

    def _begin(self, begin: Begin) -> None:
        if not begin.recorded or begin.keep == "off":
            return
        masker = self._masker()
        name = record_name(begin, masker)
        log = _OpenLog(self._recorder, name, begin.bodies, begin.keep == "errors")
        self._open[begin.id] = log
        log.begin(begin, masker)

    def _add(self, event: Event) -> None:
        if isinstance(event, End):
            self._open.pop(event.id).end(event, self._masker())
            return
        log = self._open[event.id]
        log.unwanted = log.unwanted and not _failed(event)
        log.add(event, self._masker())


@define
class _Failures:
    """The failed attempts of one exchange so far, each a block of text."""

    name: str
    time: float
    model: str | None
    log: str
    blocks: list[bytes] = field(factory=list, init=False)

    def add(self, event: AttemptEnd, masker: Masker) -> None:
        told = {
            "timestamp": utc(self.time + event.at / 1000),
            "id": event.id,
            "model": self.model,
            "backend": event.backend,
            "attempt": event.number,
            "error": event.error,
            "status": event.status,
            "message": event.message,
            "log": self.log,
        }
        lines = [f"{key}={_one_line(value, masker)}\n" for key, value in told.items()]
        self.blocks.append("".join(lines).encode())


def _one_line(value: object, masker: Masker) -> str:
    """*value* without secrets and line breaks; a dash if there is none."""
    return "-" if value is None else escape_text(masker.mask_text(str(value)))


@implementer(ILogObserver)
class ErrorLogs:
    """
    Leaves an error log for each exchange in which an attempt failed, rescued or not.

    :param masker: gives the masker in force.
    """

    def __init__(self, recorder: IRecorder, masker: Callable[[], Masker]) -> None:
        self._recorder = recorder
        self._masker = masker
        self._open: dict[str, _Failures] = {}

    def __call__(self, event: LogEvent) -> None:
        """Remember what failed; write it down at the end."""
        told = event.get("exchange")
        if isinstance(told, Begin):
            self._open[told.id] = self._begun(told)
        elif isinstance(told, Event) and told.id in self._open:
            self._add(told)

    def _begun(self, begin: Begin) -> _Failures:
        name = record_name(begin, self._masker())
        kept = begin.recorded and begin.keep != "off"
        return _Failures(name, begin.time, begin.model, f"{name}.log" if kept else "none")

    def _add(self, event: Event) -> None:
        failures = self._open[event.id]
        if isinstance(event, Routed):
            failures.model = failures.model or event.model
        elif isinstance(event, AttemptEnd) and _failed(event):
            failures.add(event, self._masker())
        elif isinstance(event, End):
            del self._open[event.id]
            if failures.blocks:
                self._recorder.error(failures.name, b"\n".join(failures.blocks))


def log_event(event: Event) -> LogEvent:
    """*event* of an exchange as an event of Twisted's log, for observers of it."""
    return {
        "log_namespace": "yallmp.exchange",
        "log_level": LogLevel.info,
        "log_format": "{exchange.id}",
        "exchange": event,
    }
