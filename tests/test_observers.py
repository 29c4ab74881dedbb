"""
What becomes of the events of an exchange, and of the daemon's own log.
"""

from __future__ import annotations

import io
import json
from typing import Any

from attrs import define, evolve, field
from twisted.internet.task import Clock
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogPublisher,
    formatEvent,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.slow_clerk import SlowClerk
from yallmp.accessline import AccessLine
from yallmp.clerk import AT_ONCE
from yallmp.clerk_process import NotRead
from yallmp.core.counts import Counts
from yallmp.core.exchange import Attempt, AttemptEnd, Begin, End, Event, Head, Note, Read, Routed
from yallmp.core.masked import NOT_SEARCHED
from yallmp.core.masking import Masker
from yallmp.core.record import parse
from yallmp.core.settings import Logging
from yallmp.core.work import LARGE
from yallmp.daemonlog import DaemonLog
from yallmp.interfaces import IRecorder
from yallmp.observers import ROUND, Ledger, Line, Silent, telling
from yallmp.stories import MOST_GATHERED, UNWANTED, WANTED, Desk

ID = "3f9c2a7b10de"
KEY = "sk-proj-A1b2C3d4E5f6G7h8"
NAME = f"20261019_081502-{ID}_m"
MASKER = Masker([KEY])
BEGIN = Begin(
    ID, time=1792397702.123456, client="127.0.0.1:5", listener="http://127.0.0.1:8000",
    method="POST", path="/v1/chat/completions", query="", headers=(), body=b'{"model": "m"}',
    model="m",
)  # fmt: skip
ROUTED = Routed(ID, "m", ("a", "b"), "its backends")
FAILED = (
    Attempt(ID, 1, 1, "a", "http://a/", ()),
    AttemptEnd(ID, 1, 2, "a", None, "timeout", "no answer\nwithin 5 s"),
)
WORKED = (
    Attempt(ID, 2, 3, "b", "http://b/", ()),
    Head(ID, 2, 4, 200, ()),
    Read(ID, 2, 5, b"data: 1\n\n"),
    AttemptEnd(ID, 2, 6, "b", 200),
)
END = End(ID, at=7, outcome="success", status=200, sent=9, backend="b", attempts=2)


@implementer(IRecorder)
@define
class FakeRecorder:
    """Keeps what it was given, and insists on the order of calls."""

    open: dict[str, bytes] = field(factory=dict)
    finished: dict[str, bytes] = field(factory=dict)
    errors: dict[str, bytes] = field(factory=dict)
    discarded: list[str] = field(factory=list)

    def begin(self, name: str) -> None:
        """A new log."""
        assert name not in self.open, "begun twice"
        self.open[name] = b""

    def append(self, name: str, data: bytes) -> None:
        """More of it."""
        self.open[name] += data

    def finish(self, name: str) -> None:
        """It is whole."""
        self.finished[name] = self.open.pop(name)

    def discard(self, name: str) -> None:
        """It is not wanted."""
        del self.open[name]
        self.discarded.append(name)

    def whole(self, name: str, data: bytes) -> None:
        """A log that is whole at once."""
        assert name not in self.open, "begun twice"
        self.finished[name] = data

    def error(self, name: str, data: bytes) -> None:
        """An error log."""
        self.errors[name] = data


class ObserverCase(SynchronousTestCase):
    """Events go to the observer through a publisher."""

    def setUp(self) -> None:
        """Make a recorder and a logger."""
        self.recorder = FakeRecorder()
        self.clock = Clock()
        self.clerk: Any = AT_ONCE
        self.publisher = LogPublisher()
        self.log = Logger(namespace="test", observer=self.publisher)
        self.observe(Silent())

    def observe(self, line: Line) -> None:
        """Observe with an observer that has *line* said."""
        self.ledger = self.made(line)
        self.publisher.addObserver(self.ledger)

    def made(self, line: Line) -> Ledger:
        """The observer."""
        counts = Counts(lambda name: None)
        return Ledger(Desk(self.recorder, lambda: MASKER, self.clerk), line, counts, self.clock)

    def rounds(self, count: int) -> None:
        """So many rounds pass."""
        self.clock.pump([ROUND] * count)

    def tell(self, *events: Event) -> None:
        """Emit the events."""
        for event in events:
            self.log.info("{exchange.id}", exchange=event)
        self.assertEqual(self.flushLoggedErrors(), [])


class RequestLogTests(ObserverCase):
    """One file for each recorded exchange."""

    def test_the_fake_is_a_recorder(self) -> None:
        """The tests speak to what the contract describes."""
        self.assertTrue(verifyObject(IRecorder, self.recorder))

    def test_the_whole_exchange(self) -> None:
        """The finished log holds every event, under the name of the exchange."""
        events = (BEGIN, ROUTED, *FAILED, *WORKED, Note(ID, 6, "x"), END)
        self.tell(*events)
        self.assertEqual(list(self.recorder.finished), [NAME])
        record = parse(self.recorder.finished[NAME])
        self.assertEqual((record.events, record.complete), (events, True))

    def test_written_as_it_goes(self) -> None:
        """Every event is written down after a moment: a crash leaves what was known."""
        for count, event in enumerate((BEGIN, ROUTED, *WORKED), start=1):
            self.tell(event)
            self.rounds(WANTED - 1)
            self.assertEqual(len(self.recorder.open), count > 1)
            self.rounds(1)
            self.assertEqual(len(parse(self.recorder.open[NAME]).events), count)
        self.tell(END)
        self.assertEqual(len(parse(self.recorder.finished[NAME]).events), count + 1)
        self.rounds(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_remembered(self) -> None:
        """After the end later events of that exchange are ignored."""
        self.tell(BEGIN, END, *WORKED, END)
        self.assertEqual(len(parse(self.recorder.finished[NAME]).events), 2)
        self.assertEqual(self.recorder.open, {})

    def test_what_is_not_recorded(self) -> None:
        """Other endpoints, and models whose logs are off, leave no file."""
        self.tell(evolve(BEGIN, recorded=False), *WORKED, END)
        self.assertEqual(self.recorder, FakeRecorder())
        self.tell(evolve(BEGIN, keep="off"), *FAILED, END)
        self.assertEqual((self.recorder.open, self.recorder.finished), ({}, {}))

    def test_errors_only(self) -> None:
        """With ``errors`` a log of a plain success goes; of all others it stays."""
        begin = evolve(BEGIN, keep="errors")
        self.tell(begin)
        self.rounds(UNWANTED)
        self.assertEqual(len(parse(self.recorder.open[NAME]).events), 1)
        self.tell(*WORKED, END)
        self.assertEqual(self.recorder.discarded, [NAME])
        for events in ((*FAILED, *WORKED, END), (evolve(END, outcome="rejected"),)):
            self.recorder.finished.clear()
            self.tell(begin, *events)
            self.assertEqual(list(self.recorder.finished), [NAME])

    def test_cancelled_attempts_are_no_errors(self) -> None:
        """A client that left is told by the outcome, not by its attempt."""
        self.tell(evolve(BEGIN, keep="errors"), AttemptEnd(ID, 1, 2, "a", None, "cancelled"), END)
        self.assertEqual(self.recorder, FakeRecorder())

    def test_errors_only_in_good_time(self) -> None:
        """With ``errors`` a plain success that does not take long is never begun."""
        self.tell(evolve(BEGIN, keep="errors"))
        self.rounds(UNWANTED - 1)
        self.tell(*WORKED, END)
        self.rounds(UNWANTED)
        self.assertEqual(self.recorder, FakeRecorder())

    def test_much_does_not_wait(self) -> None:
        """What comes fast is written down before it becomes much."""
        read = Read(ID, 2, 5, bytes(MOST_GATHERED // 2))
        for begin in (BEGIN, evolve(BEGIN, keep="errors")):
            self.tell(begin, read, read)
            self.assertEqual(self.recorder.open, {})
            self.tell(read, read)
            self.assertEqual(len(parse(self.recorder.open[NAME]).events), 4)
            self.tell(FAILED[1])
            self.tell(END)
            self.recorder.finished.clear()

    def test_a_failure_of_ours(self) -> None:
        """What goes wrong with one record is logged, and harms neither others nor requests."""
        bad = evolve(BEGIN, id="0" * 12, headers=None)  # type: ignore[arg-type]
        self.ledger.tell(bad)
        self.tell(BEGIN)
        self.rounds(WANTED)
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.ledger.tell(evolve(END, id="0" * 12))
        self.ledger.tell(END)
        self.assertIn(NAME, self.recorder.finished)

    def test_limited_bodies(self) -> None:
        """The limit holds for each body, and for all reads of an answer together."""
        reads = [Read(ID, 2, 5, b"12345678\n") for _ in range(3)]
        self.tell(evolve(BEGIN, bodies=12), *reads, END)
        record = parse(self.recorder.finished[NAME])
        blocks = [section.body for section in record.sections if section.body]
        self.assertEqual([len(block.data) for block in blocks], [12, 9, 3, 0])
        self.assertEqual([block.total for block in blocks], [14, 9, 9, 9])

    def test_a_secret_across_reads(self) -> None:
        """It is replaced; no read is lost, and each keeps its time."""
        half = len(KEY) // 2
        reads = (Read(ID, 2, 5, KEY[:half].encode()), Read(ID, 2, 6, f"{KEY[half:]}!".encode()))
        self.tell(BEGIN, *reads, AttemptEnd(ID, 2, 7, "b", 200), END)
        events = parse(self.recorder.finished[NAME]).events
        self.assertEqual(events[1:3], (Read(ID, 2, 5, b"****"), Read(ID, 2, 6, b"!")))

    def test_a_stream_that_ends_on_a_beginning(self) -> None:
        """What was held back stands before the end of its attempt, or of the exchange."""
        self.tell(BEGIN, Read(ID, 2, 5, b"sk"), AttemptEnd(ID, 2, 7, "b", 200), END)
        kinds = [section.kind for section in parse(self.recorder.finished[NAME]).sections]
        self.assertEqual(kinds, ["request", "read", "ended", "end"])
        self.tell(BEGIN, Read(ID, 2, 5, b"sk"), END)
        kinds = [section.kind for section in parse(self.recorder.finished[NAME]).sections]
        self.assertEqual(kinds, ["request", "read", "end"])

    def test_other_events(self) -> None:
        """What is not an exchange's, or of one that did not begin here, is ignored."""
        self.log.info("hello")
        self.log.info("odd", exchange="x")
        self.tell(*WORKED, END)
        self.assertEqual(self.recorder, FakeRecorder())


class TellingTests(ObserverCase):
    """The way of events to those who observe them."""

    def test_without_a_detour(self) -> None:
        """Where nobody else observes, the observer is called itself."""
        tell = telling(self.ledger)
        for event in (BEGIN, *WORKED, END):
            tell(event)
        self.assertEqual(len(parse(self.recorder.finished[NAME]).events), 6)

    def test_with_others(self) -> None:
        """Others are told through a publisher, as events of Twisted's log."""
        seen: list[Any] = []
        tell = telling(self.ledger, seen.append)  # type: ignore[arg-type]
        for event in (BEGIN, END):
            tell(event)
        self.assertEqual([event["exchange"] for event in seen], [BEGIN, END])
        self.assertEqual(len(parse(self.recorder.finished[NAME]).events), 2)

    def test_an_observer(self) -> None:
        """It is one of Twisted's log."""
        self.assertTrue(verifyObject(ILogObserver, self.ledger))


class ErrorLogTests(ObserverCase):
    """``ls logs/errors`` shows trouble at a glance."""

    def test_a_failure_that_was_rescued(self) -> None:
        """A failed attempt leaves a block, though the client never noticed."""
        self.tell(BEGIN, ROUTED, *FAILED, *WORKED, END)
        self.assertEqual(
            self.recorder.errors,
            {
                NAME: b"timestamp=2026-10-19T08:15:02.125456Z\n"
                b"id=3f9c2a7b10de\nmodel=m\nbackend=a\nattempt=1\nerror=timeout\nstatus=-\n"
                b"message=no answer\\nwithin 5 s\n"
                b"log=20261019_081502-3f9c2a7b10de_m.log\n"
            },
        )

    def test_a_block_for_each(self) -> None:
        """Several failures are blocks with a blank line between."""
        self.tell(BEGIN, *FAILED, AttemptEnd(ID, 2, 6, "b", 500, "status", KEY), END)
        first, second = self.recorder.errors[NAME].split(b"\n\n")
        self.assertIn(b"backend=a\n", first)
        self.assertIn(b"backend=b\nattempt=2\nerror=status\nstatus=500\nmessage=****\n", second)

    def test_no_failure_no_file(self) -> None:
        """Successes and clients that leave are no trouble of a backend."""
        gone = AttemptEnd(ID, 1, 2, "a", None, "cancelled", "the client left")
        self.tell(BEGIN, *WORKED, END)
        self.tell(BEGIN, gone, evolve(END, outcome="client_gone", status=499))
        self.assertEqual(self.recorder.errors, {})

    def test_without_a_full_log(self) -> None:
        """Where the log is off, the block does not name one."""
        self.tell(evolve(BEGIN, keep="off"), *FAILED, END)
        self.assertIn(b"\nlog=none\n", self.recorder.errors[NAME])


@define
class Said:
    """An observer that remembers."""

    lines: list[str | None] = field(factory=list)
    access: list[Any] = field(factory=list)

    def __call__(self, event: LogEvent) -> None:
        """Remember a line."""
        self.lines.append(formatEvent(event))
        self.access.append(event["access"])


class AccessLineTests(ObserverCase):
    """One line a request."""

    def setUp(self) -> None:
        """Observe with the daemon's line."""
        super().setUp()
        self.said = Said()
        self.publisher.removeObserver(self.ledger)
        self.observe(AccessLine(self.said, lambda: MASKER))

    def test_a_request(self) -> None:
        """What was asked by whom, who answered, how it went."""
        self.tell(evolve(BEGIN, key_name="alice"), *FAILED, *WORKED, END)
        line = (
            "POST /v1/chat/completions model=m key=alice backend=b status=200 ms=7 "
            f"attempts=2 outcome=success id={ID}"
        )
        self.assertEqual(self.said.lines, [line])

    def test_in_the_daemons_log(self) -> None:
        """It is written with the time of the end, from where our lines come."""
        outfile = io.StringIO()
        line = AccessLine(DaemonLog(outfile, lambda: MASKER, Logging()), lambda: MASKER)
        self.ledger = self.made(line)
        for event in (evolve(BEGIN, model="{m}"), END):
            self.ledger.tell(event)
        self.assertTrue(
            outfile.getvalue().startswith(
                "2026-10-19T08:15:02.130Z [yallmp#info] POST /v1/chat/completions model={m} key=-"
            )
        )

    def test_requests_without_a_record(self) -> None:
        """Lists, health and administration have their line too."""
        self.tell(evolve(BEGIN, recorded=False, method="GET", path="/v1/models", model=None), END)
        self.assertRegex(self.said.lines[0] or "", "^GET /v1/models model=- key=- ")

    def test_nothing_can_be_forged(self) -> None:
        """A name with blanks, quotes or line breaks stays one value in one line."""
        self.tell(evolve(BEGIN, model='x status=200\n"POST', path="/\x1b[2J"), END)
        (line,) = self.said.lines
        self.assertIn(r'POST /\x1b[2J model="x status=200\\n\"POST" key=-', line or "")

    def test_no_secrets(self) -> None:
        """Known ones are replaced, in the line and in its parts."""
        self.tell(evolve(BEGIN, model=KEY, path=f"/{KEY}"), END)
        self.assertNotIn(KEY, str(self.said))
        self.assertEqual(self.said.access[0]["model"], "****")

    def test_a_secret_that_is_cut(self) -> None:
        """A path that was cut in the middle of a secret shows nothing of it."""
        self.tell(evolve(BEGIN, path=f"/{KEY[:-3]}"), END)
        self.assertNotIn(KEY[:-3], str(self.said))


class DaemonLogTests(SynchronousTestCase):
    """The daemon's own log, as text and as JSON."""

    def written(self, style: str, level: str = "info") -> tuple[Logger, io.StringIO]:
        """A logger and the file that it writes to."""
        outfile = io.StringIO()
        observer = DaemonLog(outfile, lambda: MASKER, Logging(format=style, level=level))
        return Logger(namespace="yallmp.x", observer=observer), outfile

    def test_text(self) -> None:
        """Time, where from, level, and what."""
        log, outfile = self.written("text")
        log.warn("it {verb}", verb="rains")
        self.assertRegex(
            outfile.getvalue(), r"^2\d{3}-\d\d-\d\dT[\d:]{8}\.\d{3}Z \[yallmp.x#warn\] it rains\n$"
        )

    def test_text_of_several_lines(self) -> None:
        """Only the first line of an event begins at the margin; nothing acts on a terminal."""
        log, outfile = self.written("text")
        log.info("{text}", text=f"a\n2026 [x#info] forged \x1b[2J {KEY}", access="x")
        self.assertRegex(outfile.getvalue(), r"a\n\t2026 \[x#info\] forged \\x1b\[2J \*{4}\n$")

    def test_json(self) -> None:
        """One object a line, a request's parts among its keys."""
        log, outfile = self.written("json")
        log.info("{line}", line=f"a\n{KEY}", access={"model": "m", "status": 200})
        told = json.loads(outfile.getvalue())
        self.assertEqual(outfile.getvalue().count("\n"), 1)
        self.assertEqual((told["message"], told["model"], told["status"]), ("a\n****", "m", 200))
        self.assertEqual((told["level"], told["namespace"]), ("info", "yallmp.x"))

    def test_tracebacks(self) -> None:
        """They are written, without secrets."""
        for style in ("text", "json"):
            log, outfile = self.written(style)
            try:
                raise ValueError(KEY)
            except ValueError:
                log.failure("it broke", failure=Failure())
            self.assertIn("it broke", outfile.getvalue())
            self.assertIn("ValueError: ****", outfile.getvalue())
            self.assertNotIn(KEY, outfile.getvalue())

    def test_levels(self) -> None:
        """What is below the level is not written, nor what says nothing."""
        log, outfile = self.written("text", "warning")
        log.info("no")
        log.emit(LogLevel.error)
        self.assertEqual(outfile.getvalue(), "")
        log.error("yes")
        self.assertIn("yes", outfile.getvalue())


class LargeBodyTests(ObserverCase):
    """Large bodies are searched for secrets elsewhere, and their records wait for that."""

    def setUp(self) -> None:
        """Have a clerk that waits."""
        super().setUp()
        self.clerk = SlowClerk()
        self.publisher.removeObserver(self.ledger)
        self.observe(Silent())

    def shown(self) -> bytes:
        """The body of the request in its record."""
        begin = parse(self.recorder.finished[NAME]).begin
        assert begin is not None
        return begin.body

    def test_the_record_waits_for_the_search(self) -> None:
        """Also when all else is over; the secret is hidden, and nothing else is changed."""
        body = b"x" * LARGE + KEY.encode() + b"y"
        self.tell(evolve(BEGIN, body=body), ROUTED, *WORKED, END)
        self.assertEqual(self.recorder.finished, {})
        self.clerk.work()
        self.assertEqual(self.shown(), b"x" * LARGE + b"****y")
        record = parse(self.recorder.finished[NAME])
        self.assertEqual((record.events[1:], record.complete), ((ROUTED, *WORKED, END), True))

    def test_it_is_the_record_that_would_have_been(self) -> None:
        """Byte for byte."""
        begin, end = evolve(BEGIN, body=b"x" * LARGE * 2), evolve(WORKED[-1], body=b"y" * LARGE * 2)
        events = (begin, ROUTED, *FAILED, *WORKED[:-1], end, END)
        self.tell(*events)
        self.clerk.work()
        self.clerk.work()
        later = self.recorder.finished[NAME]
        self.recorder.finished.clear()
        self.clerk = AT_ONCE
        self.publisher.removeObserver(self.ledger)
        self.observe(Silent())
        self.tell(*events)
        self.assertEqual(later, self.recorder.finished[NAME])
        self.assertEqual(parse(later).events, events)

    def test_what_comes_meanwhile_waits(self) -> None:
        """In order, rounds or not; another large body is searched next."""
        self.tell(evolve(BEGIN, body=b"x" * LARGE * 2), ROUTED)
        self.rounds(WANTED)
        self.tell(evolve(WORKED[0], body=b"z" * LARGE * 2), *WORKED[1:])
        self.rounds(3 * WANTED)
        self.assertEqual(self.recorder.open, {})
        self.clerk.work()
        self.assertEqual(len(self.clerk.tasks), 1)
        self.clerk.work()
        self.tell(END)
        record = parse(self.recorder.finished[NAME])
        self.assertEqual(record.events[2], evolve(WORKED[0], body=b"z" * LARGE * 2))
        self.assertTrue(record.complete)

    def test_nothing_is_searched_for_a_record_that_nobody_wants(self) -> None:
        """It went well, and only failures are kept."""
        self.tell(evolve(BEGIN, body=b"x" * LARGE * 2, keep="errors"), *WORKED, END)
        self.assertEqual((self.clerk.tasks, self.recorder.finished), ([], {}))

    def test_a_body_that_cannot_be_searched(self) -> None:
        """It is left out: there could be a secret in it."""
        self.tell(evolve(BEGIN, body=b"x" * LARGE * 2), *WORKED, END)
        self.clerk.tasks[0][2].errback(NotRead("it burns"))
        self.assertEqual(self.shown(), NOT_SEARCHED)
