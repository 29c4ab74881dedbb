"""Where records go when the configuration changes, and how the daemon's own log does."""

from __future__ import annotations

import io
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.test_observers import BEGIN, END
from yallmp.clerk import AT_ONCE
from yallmp.core.counts import Counts
from yallmp.core.families import RECORDS
from yallmp.core.masking import Masker
from yallmp.core.readings import Instruments
from yallmp.core.settings import Config, Logging
from yallmp.daemonlog import DaemonLog
from yallmp.observers import ROUND
from yallmp.recording import LOOK, Lines, Recording
from yallmp.stories import WANTED

MASKER = Masker(())


class FakeRecorder:
    """Notes what it is to do."""

    def __init__(self, logging: Logging) -> None:
        self.logging = logging
        self.did: list[str] = []
        self.limits: dict[str, Any] = {}
        self.count = 0
        self.stopped: Deferred[None] = Deferred()

    def startService(self) -> None:
        self.did.append("start")

    def stopService(self) -> Deferred[None]:
        self.did.append("stop")
        return self.stopped

    def limit(self, **limits: Any) -> None:
        self.limits = limits

    def read(self) -> Any:
        yield RECORDS, {("log",): [self.count]}

    def begin(self, name: str) -> None:
        self.did.append("begin")

    def append(self, name: str, data: bytes) -> None:
        self.did.append("append")

    def finish(self, name: str) -> None:
        self.did.append("finish")

    def whole(self, name: str, data: bytes) -> None:
        self.did.append("whole")


class RecordingCase(SynchronousTestCase):
    """What records, with recorders that are only pretended."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.made: list[FakeRecorder] = []
        self.counts = Counts(lambda name: True)
        self.out = io.StringIO()
        self.logging = Logging(directory="/one")
        self.recording = self.recording_to(DaemonLog(self.out, lambda: MASKER, self.logging))
        self.recording.startService()

    def recording_to(self, log: DaemonLog | None) -> Recording:
        """What records, and says its lines in *log*."""
        make: Any = self.recorder_for
        lines = Lines(log, lambda: MASKER)
        return Recording(self.clock, self.logging, make, lines, self.counts, AT_ONCE)

    def recorder_for(self, logging: Logging) -> FakeRecorder:
        """Another one."""
        self.made.append(FakeRecorder(logging))
        return self.made[-1]

    def change(self, **settings: Any) -> None:
        """Another configuration."""
        self.logging = evolve(self.logging, **settings)
        self.recording.change(Config(logging=self.logging))

    def tell(self, *names: str) -> None:
        """Exchanges begin and end at once."""
        for name in names:
            self.recording.ledger.tell(evolve(BEGIN, id=name))
            self.recording.ledger.tell(evolve(END, id=name))


class RecorderTests(RecordingCase):
    """Records."""

    def test_other_limits(self) -> None:
        """The recorder that there is keeps to them."""
        self.change(max_age=1.0, max_total_bytes=2, queue_bytes=3)
        self.assertEqual(len(self.made), 1)
        limits = {"max_age": 1.0, "max_total_bytes": 2, "queue_bytes": 3}
        self.assertEqual(self.made[0].limits, limits)

    def test_another_directory(self) -> None:
        """What begins from then on goes there; the recorder before is stopped."""
        self.tell("a")
        self.change(directory="/two")
        self.tell("b")
        one, two = self.made
        self.assertEqual(two.logging.directory, "/two")
        self.assertEqual((one.did, two.did), (["start", "whole"], ["start", "whole"]))
        self.clock.advance(LOOK)
        self.assertEqual(one.did[-1], "stop")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_was_begun_ends_where_it_began(self) -> None:
        """And nothing is stopped before."""
        ledger = self.recording.ledger
        ledger.tell(BEGIN)
        self.change(directory="/two")
        for _ in range(WANTED):
            self.clock.advance(ROUND)
        self.clock.advance(LOOK)
        one, two = self.made
        self.assertEqual(one.did, ["start", "begin", "append"])
        ledger.tell(END)
        self.clock.advance(LOOK)
        self.assertEqual(one.did, ["start", "begin", "append", "append", "finish", "stop"])
        self.assertEqual(two.did, ["start"])

    def test_counts_never_go_down(self) -> None:
        """Those of a recorder that is gone count as well."""
        instruments = Instruments()
        instruments.add(self.recording.read)
        self.made[0].count = 3
        self.change(directory="/two")
        self.made[1].count = 4
        for _ in range(2):
            self.assertEqual(instruments.read()[RECORDS.name], {("log",): [7]})
            self.clock.advance(LOOK)

    def test_what_is_lost_at_the_last(self) -> None:
        """A recorder that is to end may find records lost until it has; they count for good."""
        instruments = Instruments()
        instruments.add(self.recording.read)
        self.change(directory="/two")
        self.clock.advance(LOOK)
        for count, end in ((1, False), (2, True), (2, False)):
            self.made[0].count = count
            if end:
                self.made[0].stopped.callback(None)
            self.assertEqual(instruments.read()[RECORDS.name], {("log",): [count]})

    def test_one_that_is_ending_is_waited_for(self) -> None:
        """The end comes when a recorder that was dismissed before is gone, too."""
        self.change(directory="/two")
        self.clock.advance(LOOK)
        over = self.recording.stopService()
        self.assertEqual(self.made[0].did, ["start", "stop"])
        self.made[1].stopped.callback(None)
        self.assertNoResult(over)
        self.made[0].stopped.callback(None)
        self.successResultOf(over)

    def test_the_end(self) -> None:
        """All are stopped, and it is over when all are gone."""
        self.recording.ledger.tell(BEGIN)
        self.change(directory="/two")
        over = self.recording.stopService()
        self.assertEqual([each.did[-1] for each in self.made], ["stop", "stop"])
        self.made[0].stopped.callback(None)
        self.assertNoResult(over)
        self.made[1].stopped.callback(None)
        self.successResultOf(over)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the ledger's round

    def test_before_the_start(self) -> None:
        """A change does not start anything."""
        recording = self.recording_to(None)
        recording.change(Config(logging=evolve(self.logging, directory="/two")))
        self.assertEqual([each.did for each in self.made[1:]], [[], []])


class DaemonLogTests(RecordingCase):
    """The daemon's own log."""

    def lines(self) -> list[str]:
        """What was written since the last look."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return text.splitlines()

    def test_format(self) -> None:
        """Lines of text become lines of JSON."""
        self.tell("a")
        self.assertTrue(self.lines()[0].startswith("20"))
        self.change(format="json")
        self.tell("b")
        self.assertTrue(self.lines()[0].startswith("{"))

    def test_level(self) -> None:
        """Requests' lines come and go with it."""
        for level, count in (("warn", 0), ("info", 1), ("error", 0), ("debug", 1)):
            self.change(level=level)
            self.tell("a")
            self.assertEqual(len(self.lines()), count, level)
