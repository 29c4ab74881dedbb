"""
The log observer: what becomes of the events of an exchange.

:class:`Ledger` is a callable for twisted.logger that looks at events with the key
``exchange`` (:mod:`yallmp.core.exchange`) and ignores all others.  It writes request logs
and error logs, through the recorder, has one line said in the daemon's own log
(:mod:`yallmp.accessline`), and each exchange counted (:mod:`yallmp.core.counts`).

Every request passes here six times, so nothing is done before it is needed.  What is to
become of an exchange is decided when it begins, and one object for it
(:mod:`yallmp.stories`) keeps the events.  A request log is put together in one go, when
the exchange is over, or when it has gathered for a moment, so that a crash leaves what was
known until then.  Where only failures are wanted (``errors``) the moment is longer, and mostly
nothing is ever put together.  Where there is no observer but this one, it is told without
a detour (:func:`telling`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher
from zope.interface import implementer

from yallmp.core.counts import Counts
from yallmp.core.exchange import Begin, End, Event
from yallmp.interfaces import IRecorder
from yallmp.stories import Desk, LoggedStory, Story

#: Seconds; events wait for some rounds before they are written down.
ROUND = 0.1

_log = Logger()


class Line(Protocol):
    """What says the daemon's line for an exchange."""

    def say(self, begin: Begin, end: End) -> None:
        """The exchange that began so is over."""


@frozen
class Silent:
    """Says no line, for a daemon whose log would not have it."""

    def say(self, begin: Begin, end: End) -> None:
        """Nothing."""


@implementer(ILogObserver)
class Ledger:
    """
    Keeps the stories of all exchanges under way, and has them written.

    :param desk: what they are written with.
    :param line: says one line for each exchange, recorded or not, when it is over.
    :param counts: counts each of them then.
    :param clock: counts the rounds that events wait, while there are any.
    """

    def __init__(self, desk: Desk, line: Line, counts: Counts, clock: IReactorTime) -> None:
        self._desk = desk
        self._line = line
        self._counts = counts
        self._clock = clock
        self._open: dict[str, Story] = {}
        self._late: list[Story] = []
        self._round: IDelayedCall | None = None

    def change(self, desk: Desk, line: Line) -> None:
        """Write what begins from now on with *desk*; what was begun ends as it began."""
        self._desk, self._line = desk, line

    def is_using(self, recorder: IRecorder) -> bool:
        """Whether something that has not ended is written with *recorder*."""
        late = [story for story in self._late if story.is_searching]
        return any(story.desk.recorder is recorder for story in (*self._open.values(), *late))

    def __call__(self, event: LogEvent) -> None:
        """See ILogObserver."""
        told = event.get("exchange")
        if isinstance(told, Event):
            self._take(told)

    def tell(self, event: Event) -> None:
        """*event* happened; whatever goes wrong here is no trouble of the exchange's."""
        try:
            self._take(event)
        except CancelledError:
            raise
        except Exception:
            _log.failure("an event of {id} was not written down", id=event.id)

    def _take(self, event: Event) -> None:
        story = self._open.get(event.id)
        if story is None:
            if type(event) is Begin:
                self._open[event.id] = self._begun(event)
        elif type(event) is End:
            del self._open[event.id]
            self._end(story, event)
            if story.is_searching:
                self._late = [each for each in (*self._late, story) if each.is_searching]
        else:
            story.add(event)

    def _begun(self, begin: Begin) -> Story:
        if not begin.recorded or begin.keep == "off":
            return Story(self._desk, begin)
        if self._round is None:
            self._round = self._clock.callLater(ROUND, self._round_over)
        return LoggedStory(self._desk, begin)

    def _round_over(self) -> None:
        self._round = self._clock.callLater(ROUND, self._round_over) if self._open else None
        for story in list(self._open.values()):
            try:
                story.round_over()
            except CancelledError:
                raise
            except Exception:
                _log.failure("events of {id} were not written down", id=story.begin.id)

    def _end(self, story: Story, end: End) -> None:
        try:
            story.end(end)
        finally:
            self._line.say(story.begin, end)
            self._counts.count(story.begin, story.model, story.tries, end)


def telling(ledger: Ledger, *others: ILogObserver) -> Callable[[Event], None]:
    """What events are told to: *ledger* itself, or a publisher if there are *others*."""
    if not others:
        return ledger.tell
    publisher = LogPublisher(ledger, *others)
    return lambda event: publisher(log_event(event))


def log_event(event: Event) -> LogEvent:
    """*event* of an exchange as an event of Twisted's log, for observers of it."""
    return {
        "log_namespace": "yallmp.exchange",
        "log_level": LogLevel.info,
        "log_format": "{exchange.id}",
        "exchange": event,
    }
