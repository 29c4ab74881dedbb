"""
Records fit or are given up whole, and what is handed over can be told from what waits.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backlog import Backlog
from yallmp.core.frames import (
    APPEND,
    BEGIN_ERROR,
    BEGIN_LOG,
    CHECK_ERROR,
    CHECK_LOG,
    DISCARD,
    FINISH,
    GIVE_UP,
    MAX_DATA,
    WHOLE_LOG,
    Decoder,
    Frame,
)


def taken(backlog: Backlog) -> list[Frame]:
    """What is handed over, as frames."""
    return Decoder().feed(backlog.take())


def kinds(backlog: Backlog) -> list[tuple[int, int]]:
    """What is handed over, without data."""
    return [(what, number) for what, number, _ in taken(backlog)]


class BacklogTests(SynchronousTestCase):
    """Frames from calls."""

    def test_a_record(self) -> None:
        """A record's frames carry its number in place of its name."""
        backlog = Backlog(1000)
        backlog.begin("a")
        backlog.append("a", b"one")
        backlog.finish("a")
        self.assertEqual(
            taken(backlog), [(BEGIN_LOG, 1, b"a"), (APPEND, 1, b"one"), (FINISH, 1, b"")]
        )
        self.assertFalse(backlog.is_waiting)

    def test_a_whole_record(self) -> None:
        """One that is whole at once is one frame, unless it is large."""
        backlog = Backlog(10 * MAX_DATA)
        backlog.whole("a", b"one")
        self.assertEqual(backlog.waiting, backlog.held)
        self.assertEqual(taken(backlog), [(WHOLE_LOG, 0, b"a\none")])
        self.assertEqual((backlog.waiting, backlog.held), (0, 18))
        backlog.whole("b", bytes(MAX_DATA - 2))
        self.assertEqual(kinds(backlog), [(WHOLE_LOG, 0)])
        backlog.whole("c", bytes(MAX_DATA))
        self.assertEqual(kinds(backlog), [(BEGIN_LOG, 1), (APPEND, 1), (FINISH, 1)])

    def test_a_whole_record_without_room(self) -> None:
        """It is given up like others, and none is taken after the close."""
        backlog = Backlog(100)
        self.assertFalse(backlog.whole("a", bytes(200)))
        self.assertTrue(backlog.whole("a", bytes(50)))
        self.assertFalse(backlog.whole("b", bytes(50)))
        self.assertEqual(kinds(backlog), [(WHOLE_LOG, 0)])
        backlog.close()
        self.assertTrue(backlog.whole("c", b""))
        self.assertFalse(backlog.is_waiting)

    def test_numbers_are_never_used_again(self) -> None:
        """The same name begun again is another record."""
        backlog = Backlog(1000)
        for _ in range(2):
            backlog.begin("a")
            backlog.discard("a")
        self.assertEqual(
            kinds(backlog), [(BEGIN_LOG, 1), (DISCARD, 1), (BEGIN_LOG, 2), (DISCARD, 2)]
        )

    def test_an_error_log_is_whole(self) -> None:
        """An error log is begun, written and finished in one go, whatever else has its name."""
        backlog = Backlog(1000)
        backlog.begin("a")
        backlog.error("a", b"why")
        self.assertEqual(
            taken(backlog)[1:], [(BEGIN_ERROR, 2, b"a"), (APPEND, 2, b"why"), (FINISH, 2, b"")]
        )

    def test_large_data_is_cut(self) -> None:
        """More data than a frame carries goes in several, in order."""
        backlog = Backlog(10 * MAX_DATA)
        backlog.begin("a")
        data = bytes(MAX_DATA) + b"rest"
        backlog.append("a", data)
        frames = taken(backlog)[1:]
        self.assertEqual([len(d) for _, _, d in frames], [MAX_DATA, 4])
        self.assertEqual(b"".join(d for _, _, d in frames), data)

    def test_unknown_names_do_nothing(self) -> None:
        """What was not begun cannot be added to or ended, and that is no loss."""
        backlog = Backlog(1000)
        self.assertTrue(backlog.append("a", b"x"))
        backlog.finish("a")
        backlog.discard("a")
        self.assertFalse(backlog.is_waiting)

    def test_a_second_begin_changes_nothing(self) -> None:
        """A record that is open is not begun again."""
        backlog = Backlog(1000)
        backlog.begin("a")
        self.assertTrue(backlog.begin("a"))
        self.assertEqual(kinds(backlog), [(BEGIN_LOG, 1)])


class FullTests(SynchronousTestCase):
    """No room."""

    def setUp(self) -> None:
        """A backlog with one open record and hardly any room."""
        self.backlog = Backlog(200)
        self.backlog.begin("a")
        self.backlog.append("a", bytes(150))

    def test_an_open_record_is_given_up_whole(self) -> None:
        """The record that finds no room ends, with a word on why, and stays ended."""
        self.assertFalse(self.backlog.append("a", bytes(50)))
        self.assertTrue(self.backlog.append("a", b"x"))
        self.backlog.finish("a")
        frames = taken(self.backlog)
        self.assertEqual([what for what, _, _ in frames], [BEGIN_LOG, APPEND, GIVE_UP])
        self.assertIn(b"full", frames[-1][2])

    def test_an_open_record_can_still_end(self) -> None:
        """A record whose data all found room becomes whole even when there is no more."""
        self.backlog.begin("b" * 50)
        self.assertTrue(self.backlog.is_full)
        self.backlog.finish("a")
        self.assertEqual(kinds(self.backlog)[-1], (FINISH, 1))

    def test_new_records_are_given_up_until_half_is_free(self) -> None:
        """A full backlog takes nothing, however small, until there is room for some."""
        self.assertFalse(self.backlog.error("e", bytes(100)))
        self.backlog.take()
        self.backlog.confirm(50)
        self.assertFalse(self.backlog.begin("b"))
        self.backlog.confirm(50)
        self.assertTrue(self.backlog.begin("b"))

    def test_one_that_is_too_large_for_an_empty_backlog(self) -> None:
        """A record that never fits is given up, but nothing else is."""
        backlog = Backlog(200)
        self.assertFalse(backlog.error("e", bytes(201)))
        self.assertFalse(backlog.is_full)
        self.assertTrue(backlog.begin("b"))

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 120)), max_size=60))
    def test_bounded(self, calls: list[tuple[str, int]]) -> None:
        """Whatever is asked, no more is held than the limit and a few bytes for each record."""
        backlog = Backlog(300)
        for name, size in calls:
            backlog.begin(name)
            backlog.append(name, bytes(size))
            backlog.error(name, bytes(size))
        self.assertLessEqual(backlog.held, 300 + 3 * 13 + 3 * 60)
        self.assertEqual(len(backlog.take()), backlog.held)


class LostTests(SynchronousTestCase):
    """The reader of the frames is gone."""

    def test_open_records_that_were_sent_are_given_up(self) -> None:
        """A record of which anything was handed over cannot become whole."""
        backlog = Backlog(1000)
        backlog.begin("a")
        backlog.take()
        backlog.append("a", b"waits")
        self.assertEqual(backlog.lose_sent(), (1, 0))
        backlog.append("a", b"more")
        backlog.finish("a")
        self.assertEqual(kinds(backlog), [(APPEND, 1)])

    def test_records_that_still_wait_stay(self) -> None:
        """A record of which nothing was handed over is still whole here."""
        backlog = Backlog(1000)
        backlog.begin("a")
        backlog.take()
        backlog.begin("b")
        self.assertEqual(backlog.lose_sent(), (1, 0))
        backlog.finish("b")
        self.assertEqual(kinds(backlog), [(BEGIN_LOG, 2), (FINISH, 2)])

    def test_what_was_sent_makes_room(self) -> None:
        """Nobody will confirm it: it no longer counts, but for the question what became of it."""
        backlog = Backlog(200)
        backlog.error("a", bytes(120))
        backlog.take()
        self.assertFalse(backlog.error("b", bytes(120)))
        backlog.lose_sent()
        self.assertEqual((backlog.held, backlog.is_full), (14, False))

    def test_what_became_whole_is_asked_for(self) -> None:
        """By its name, as long as nobody has confirmed it."""
        backlog = Backlog(10 * MAX_DATA)
        backlog.whole("a", b"x")
        backlog.confirm(len(backlog.take()))
        backlog.begin("b")
        backlog.begin("open")
        backlog.take()
        backlog.finish("b")
        backlog.error("c", b"x")
        backlog.whole("d", bytes(MAX_DATA))
        backlog.take()
        backlog.whole("waits", b"x")
        self.assertEqual((backlog.unconfirmed, backlog.lose_sent()), (4, (1, 3)))
        asked = [(CHECK_LOG, 0, b"b"), (CHECK_ERROR, 0, b"c"), (CHECK_LOG, 0, b"d")]
        for _ in range(2):
            frames = [frame for frame in taken(backlog) if frame[0] != WHOLE_LOG]
            self.assertEqual(sorted(frames), sorted(asked))
            self.assertEqual(backlog.lose_sent()[0], 0)
            asked = [*asked, (CHECK_LOG, 0, b"waits")]

    def test_what_is_given_up_is_not_asked_for(self) -> None:
        """It is counted already; nor is what was discarded, which is no loss."""
        backlog = Backlog(100)
        for name in ("a", "b"):
            backlog.begin(name)
        backlog.append("a", bytes(90))
        backlog.discard("b")
        self.assertEqual(backlog.unconfirmed, 0)

    @given(st.lists(st.integers(0, 300), max_size=30))
    def test_confirmed_in_any_steps(self, steps: list[int]) -> None:
        """A record counts as unconfirmed until the last byte of its batch is confirmed."""
        backlog = Backlog(10**6)
        sizes = []
        for number in range(10):
            backlog.whole(f"r{number}", bytes(number * 10))
            sizes.append(len(backlog.take()))
        confirmed = 0
        for step in steps:
            size = min(step, sum(sizes) - confirmed)
            backlog.confirm(size)
            confirmed += size
            whole = sum(sum(sizes[: n + 1]) > confirmed for n in range(10))
            self.assertEqual(backlog.unconfirmed, whole)

    def test_closed(self) -> None:
        """After the end nothing gathers."""
        backlog = Backlog(1000)
        backlog.begin("a")
        backlog.take()
        backlog.close()
        self.assertTrue(backlog.begin("b"))
        self.assertTrue(backlog.append("a", b"x"))
        self.assertTrue(backlog.error("c", b"x"))
        self.assertFalse(backlog.is_waiting)
