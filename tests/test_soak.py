"""The soak: what it makes of what it sees, and a short one against a real proxy."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chaos.heard import Answer
from chaos.scripts import saying
from chaos.soak import command, verdict
from chaos.soak.faults import MODEL
from chaos.soak.judge import MEANT, Judged, Word, embedded, judged, turned_away
from chaos.soak.samples import Inside, Sample, inside, quantile
from chaos.soak.tally import KEPT, LATEST, LEFT, Tally
from chaos.soak.wish import Wish, chat, checksum, embedding, wished
from yallmp.drill.answers import DONE, event

WISH = Wish("c1-7-0a0b0c", count=3)
OTHER = Wish("c2-7-0a0b0c", count=3)
IDLE = Sample(0.0, 0, {"proxy": 50.0, "recorder": 10.0}, {"proxy": 16, "recorder": 6}, 3, Inside())


def stream(*events: bytes, whole: bool = True) -> Answer:
    """A streamed answer."""
    kind = {"content-type": "text/event-stream"}
    return Answer(0.0, 200, kind, b"".join(events), whole, "kept" if whole else "end")


def tokens(wish: Wish, count: int) -> list[bytes]:
    """The first events of the answer to *wish*."""
    return [event(MODEL, {"content": wish.token(number)}) for number in range(count)]


END = event(MODEL, {}, "stop")
ERROR = b'data: {"error": {"message": "it broke", "code": "upstream_disconnected"}}\n\n'


def error(status: int, message: str = "no", *, whole: bool = True) -> Answer:
    """An error that is no stream."""
    body = json.dumps({"error": {"message": message, "code": None}}).encode()
    return Answer(0.0, status, {}, body, whole, "kept")


def streamed(answer: Answer, *, helped: bool = True) -> Word:
    """What became of a streamed answer to WISH."""
    return judged(answer, WISH, stream=True, helped=helped).word


class JudgeTests(SynchronousTestCase):
    """What became of a request is seen from its answer."""

    def test_served(self) -> None:
        """The whole text and all signs of the end."""
        whole = Answer(0.0, 200, {}, saying(WISH.text).partition(b"\r\n\r\n")[2], True)
        self.assertIs(judged(whole, WISH, stream=False, helped=True).word, Word.SERVED)
        self.assertIs(streamed(stream(*tokens(WISH, 3), END, DONE)), Word.SERVED)

    def test_truncated(self) -> None:
        """Part of the text with any sign of an end looks whole; with none it is cut silently."""
        part = tokens(WISH, 2)
        self.assertIs(streamed(stream(*part, END, DONE)), Word.FALSE)
        self.assertIs(streamed(stream(*part, DONE, whole=False)), Word.FALSE)
        self.assertIs(streamed(stream(*part)), Word.FALSE)
        self.assertIs(streamed(stream(*part, ERROR)), Word.FALSE)
        self.assertIs(streamed(stream(*part, ERROR, DONE, whole=False)), Word.FALSE)
        self.assertIs(streamed(stream(*part, whole=False)), Word.SILENT)

    def test_told(self) -> None:
        """An error after the first text is told; before it somebody healthy could have served."""
        self.assertIs(streamed(stream(*tokens(WISH, 2), ERROR, whole=False)), Word.TOLD)
        self.assertIs(streamed(stream(ERROR, whole=False)), Word.LOST)
        self.assertIs(streamed(stream(ERROR, whole=False), helped=False), Word.TOLD)

    def test_whole_text_without_its_end(self) -> None:
        """All of the text, but no end: that is not served."""
        self.assertIs(streamed(stream(*tokens(WISH, 3), END)), Word.FALSE)
        self.assertIs(streamed(stream(*tokens(WISH, 3), whole=False)), Word.SILENT)

    def test_foreign(self) -> None:
        """A token of another client's answer, wherever it stands."""
        for events in (tokens(OTHER, 3), [*tokens(WISH, 2), *tokens(OTHER, 1)]):
            self.assertIs(streamed(stream(*events, END, DONE)), Word.FOREIGN)

    def test_failed(self) -> None:
        """An error is a loss where a healthy backend was there, unless it is meant."""
        self.assertIs(streamed(error(502)), Word.LOST)
        self.assertIs(streamed(error(502), helped=False), Word.FAILED)
        self.assertIs(streamed(error(400, MEANT)), Word.REFUSED)
        self.assertIs(streamed(Answer(0.0), helped=False), Word.LOST)

    def test_embedding(self) -> None:
        """An embedding is as much its own as a text."""
        value = {"data": [{"embedding": [WISH.number]}]}
        good = Answer(0.0, 200, {}, json.dumps(value).encode(), True)
        self.assertIs(embedded(good, WISH).word, Word.SERVED)
        self.assertIs(embedded(good, OTHER).word, Word.FOREIGN)
        self.assertIs(embedded(evolve(good, body=b"{}"), WISH).word, Word.FALSE)
        self.assertIs(embedded(error(500), WISH).word, Word.LOST)

    def test_bad(self) -> None:
        """A bad request gets a 4xx that says why, whole."""
        self.assertIs(turned_away(error(400)).word, Word.REFUSED)
        self.assertIs(turned_away(error(500)).word, Word.CRASHED)
        self.assertIs(turned_away(error(200)).word, Word.ADMITTED)
        self.assertIs(turned_away(error(400, whole=False)).word, Word.ADMITTED)


class WishTests(SynchronousTestCase):
    """A wish goes to the backend inside the request."""

    def test_round_trip(self) -> None:
        """What the backend finds is what the client wished for."""
        wish = evolve(WISH, sum=checksum("large"))
        self.assertEqual(wished(json.loads(chat(wish, "m", load="large"))), (wish, "large"))
        self.assertEqual(wished(json.loads(embedding(WISH, "m"))), (WISH, ""))


class VerdictTests(SynchronousTestCase):
    """The figures, from samples."""

    @given(st.floats(-50, 50), st.floats(0, 500))
    def test_slope_of_a_line(self, slope: float, start: float) -> None:
        """A line has its own slope."""
        points = [(x / 10, start + slope * x / 10) for x in range(30)]
        self.assertAlmostEqual(verdict.slope(points), slope, places=5)

    def test_slope_of_nothing(self) -> None:
        """Where nothing happens nothing grows."""
        self.assertEqual(verdict.slope([]), 0.0)
        self.assertEqual(verdict.slope([(1, 5), (1, 9)]), 0.0)

    def samples(self, grows: float, visits: int) -> list[Sample]:
        """A run of 100 samples in which memory grows by MiB per 10,000 visits, after a start."""
        return [
            evolve(
                IDLE,
                at=float(number),
                visits=number * visits // 100,
                memory={"proxy": 60.0 + grows * number * visits / 100 / 10_000, "clerk": number},
            )
            for number in range(100)
        ]

    def test_memory(self) -> None:
        """A slope above one MiB per 10,000 requests fails; below it passes."""
        self.assertIs(verdict.memory(self.samples(0.9, 40_000)).passed, True)
        self.assertIs(verdict.memory(self.samples(1.1, 40_000)).passed, False)

    def test_memory_of_few_requests(self) -> None:
        """Too few requests are no proof, and say so."""
        found = verdict.memory(self.samples(5.0, 4_000))
        self.assertIsNone(found.passed)
        self.assertIn("too few", str(found))

    def test_warm_up_does_not_count(self) -> None:
        """What grows in the first half only is no leak."""
        samples = self.samples(0.0, 40_000)
        first = [evolve(each, memory={"proxy": each.at}) for each in samples[:49]]
        self.assertIs(verdict.memory([*first, *samples[49:]]).passed, True)

    def test_back(self) -> None:
        """One descriptor, timer or request more than in the beginning is left over."""
        ends = {
            "descriptors": evolve(IDLE, descriptors={"proxy": 17, "recorder": 6}),
            "timers": evolve(IDLE, inside=Inside(timers=1)),
            "requests in flight": evolve(IDLE, inside=Inside(in_flight=1)),
            "bytes held": evolve(IDLE, inside=Inside(buffered=1)),
        }
        self.assertTrue(verdict.is_back(IDLE, IDLE))
        for name, end in ends.items():
            self.assertFalse(verdict.is_back(IDLE, end))
            failed = [each for each in verdict.leftovers(IDLE, [end], end) if not each.passed]
            self.assertEqual([each.name for each in failed], [name])

    def test_counted(self) -> None:
        """Once is too often, and never of nothing proves nothing."""
        self.assertIs(verdict.counted("1", "lost", 0, 9).passed, True)
        self.assertIs(verdict.counted("1", "lost", 1, 9).passed, False)
        self.assertIsNone(verdict.counted("1", "lost", 0, 0).passed)
        self.assertFalse(verdict.holds([verdict.counted("1", "lost", 1, 9)]))


class TallyTests(SynchronousTestCase):
    """What is counted over all threads."""

    def test_a_backend_that_is_not_let_go(self) -> None:
        """An answer that goes on after its client left counts, one that ends soon does not."""
        tally = Tally()
        tally.leave("soon")
        tally.played("soon")
        with patch("chaos.soak.tally.SOON", -1.0):
            tally.leave("late")
            tally.played("late")
            tally.played("late")
            tally.played("stayed")
        self.assertEqual(tally.held, 1)

    def test_a_wait_without_bound(self) -> None:
        """An answer that comes after all timeouts are over counts."""
        tally = Tally()
        tally.bound(LATEST - 1)
        tally.bound(LATEST + 1)
        self.assertEqual(tally.late, 1)

    def test_what_is_kept_is_bounded(self) -> None:
        """An hour of mishaps does not fill the memory."""
        tally = Tally()
        for number in range(2 * LEFT):
            tally.leave(str(number))
            tally.complain("again")
            tally.count("kind", Judged(Word.LOST, "gone"), "12:00:00")
        self.assertEqual((len(tally.trouble), len(tally.wrong)), (KEPT, KEPT))
        self.assertEqual(tally.broken("1"), 2 * LEFT)
        self.assertLessEqual(len(tally._left), LEFT)


class SamplesTests(SynchronousTestCase):
    """What is read off the proxy."""

    def test_inside(self) -> None:
        """Sums over labels, and the lateness of timers."""
        text = (
            "# TYPE yallmp_requests_in_flight gauge\n"
            'yallmp_requests_in_flight{backend="a"} 2.0\n'
            'yallmp_requests_in_flight{backend="b"} 1.0\n'
            'yallmp_backend_connections{state="idle"} 4.0\n'
            'yallmp_backend_connections{state="busy"} 3.0\n'
            "yallmp_reactor_timers 9.0\n"
            "yallmp_reactor_lag_seconds_sum 0.25\n"
            "yallmp_reactor_lag_seconds_count 40.0\n"
        )
        self.assertEqual(
            inside(text), Inside(in_flight=3, timers=9, busy=3, idle=4, lag=(0.25, 40.0))
        )

    def test_quantile(self) -> None:
        """The middle and the end of a few times."""
        self.assertIsNone(quantile([], 0.5))
        self.assertEqual(quantile([1.0, 2.0, 3.0], 0.5), 2.0)
        self.assertEqual(quantile([1.0, 2.0, 3.0], 0.99), 3.0)


class ShortSoakTests(SynchronousTestCase):
    """A real proxy, for some seconds."""

    skip = None if sys.platform.startswith("linux") else "processes are looked at in /proc"

    def test_short(self) -> None:
        """Nothing is lost or left over, and all of it is written down."""
        out = Path(self.mktemp())
        said = StringIO()
        words = ["--seconds", "5", "--rate", "15", "--light", "--out", str(out)]
        with redirect_stdout(said):
            status = command.main(words)
        self.assertEqual(status, 0, said.getvalue())
        told = json.loads((out / "soak.json").read_text(encoding="utf-8"))
        self.assertTrue(told["holds"])
        self.assertGreater(told["visits"], 10)
        self.assertIn("PASS  [1] requests lost", said.getvalue())
