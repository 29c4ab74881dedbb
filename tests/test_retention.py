"""
What is deleted first, and what never.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.retention import Found, is_expired, is_record, may_be_open, oldest

NOW = 1_800_000_000.0
DAY = 86400.0


class NameTests(SynchronousTestCase):
    """What is a record of ours."""

    def test_ours(self) -> None:
        """Logs and error logs, finished or not, numbered or not."""
        stem = "20261019_081502-3f9c2a7b10de_gpt-4o"
        for end in (".log", ".err", ".log.part", ".err.part", "-2.log"):
            self.assertTrue(is_record(stem + end), end)

    def test_not_ours(self) -> None:
        """Everything else."""
        for name in (
            "notes.log",
            "20261019_081502-3f9c2a7b10de_gpt-4o.log.gz",
            "20261019_081502-3f9c2a7b10de_gpt-4o.log\n",
            "x20261019_081502-3f9c2a7b10de_gpt-4o.log",
            "20261019_081502-3F9C2A7B10DE_gpt-4o.log",
            "20261019_081502-3f9c2a7b10de_.log",
        ):
            self.assertFalse(is_record(name), name)


class AgeTests(SynchronousTestCase):
    """Old and young."""

    def test_expired(self) -> None:
        """A record is kept as long as it says, not longer."""
        self.assertFalse(is_expired((NOW - 7 * DAY, 1, "a"), NOW, 7 * DAY))
        self.assertTrue(is_expired((NOW - 7 * DAY - 1, 1, "a"), NOW, 7 * DAY))

    def test_from_the_future(self) -> None:
        """A clock that was set back makes nothing old."""
        self.assertFalse(is_expired((NOW + 400 * DAY, 1, "a"), NOW, 7 * DAY))

    def test_being_written(self) -> None:
        """An unfinished file may have a writer for an hour after its last change."""
        self.assertTrue(may_be_open((NOW - 3599, 1, "a.log.part"), NOW))
        self.assertTrue(may_be_open((NOW + 60, 1, "a.log.part"), NOW))
        self.assertFalse(may_be_open((NOW - 3601, 1, "a.log.part"), NOW))
        self.assertFalse(may_be_open((NOW + 2 * DAY, 1, "a.log.part"), NOW))
        self.assertFalse(may_be_open((NOW, 1, "a.log"), NOW))


class OldestTests(SynchronousTestCase):
    """The oldest that make enough room."""

    def test_no_more_than_needed(self) -> None:
        """The oldest go, until the excess is gone."""
        records = [(NOW - age, 10, str(age)) for age in (1, 5, 3, 4, 2)]
        self.assertEqual([found[2] for found in oldest(records, 11, NOW)], ["5", "4"])
        self.assertEqual(oldest(records, 0, NOW), [])

    def test_all_are_not_enough(self) -> None:
        """If everything is too little, everything goes."""
        self.assertEqual(len(oldest([(NOW, 1, "a"), (NOW, 1, "b")], 100, NOW)), 2)

    def test_a_wrong_clock(self) -> None:
        """A file from far ahead goes before fresh ones; one from a moment ahead is fresh."""
        records = [(NOW - 5, 1, "fresh"), (NOW + 400 * DAY, 1, "wrong"), (NOW + 5, 1, "skewed")]
        self.assertEqual(
            [found[2] for found in oldest(records, 3, NOW)], ["wrong", "fresh", "skewed"]
        )

    @given(
        st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), max_size=30),
        st.integers(0, 100),
    )
    def test_as_by_sorting(self, files: list[tuple[int, int]], excess: int) -> None:
        """What is chosen is the shortest start of the sorted list that is enough."""
        records: list[Found] = [(NOW - t, size, str(i)) for i, (t, size) in enumerate(files)]
        chosen = oldest(records, excess, NOW)
        size = sum(found[1] for found in chosen)
        rest = [found for found in records if found not in chosen]
        self.assertTrue(size >= excess or not rest)
        self.assertTrue(not chosen or size - chosen[-1][1] < excess)
        self.assertTrue(not chosen or not rest or chosen[-1][0] <= min(r[0] for r in rest))
        self.assertEqual([f[0] for f in chosen], sorted(f[0] for f in chosen))
