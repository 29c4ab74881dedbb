"""The decision table in words: short, and said once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.catalog import Catalog
from yallmp.core.settings import Config, Fallbacks, Router
from yallmp.core.tableview import Line, cases, table_of
from yallmp.core.tablewords import consequences, duration, folded, resting, told

THREE = tuple(Backend(name, name, api_base="http://h.example/v1") for name in ("a", "b", "c"))
NONE = Fallbacks()


def tables(
    backends: tuple[Backend, ...],
    fallbacks: Fallbacks = NONE,
    router: Router = Router(),  # noqa: B008
) -> list[tuple[str, tuple[Line, ...]]]:
    """The tables of all *backends*, each a model of its own."""
    catalog = Catalog(Config(backends, fallbacks, router))
    return [(b.name, table_of(catalog, b.name, cases(router))) for b in backends]


def of_a(
    fallbacks: Fallbacks = NONE,
    router: Router = Router(),  # noqa: B008
) -> tuple[str, ...]:
    """What follows the failures of the model ``a``."""
    return consequences(tables(THREE, fallbacks, router)[0][1])


class ConsequenceTests(SynchronousTestCase):
    """What follows, a line each."""

    def test_with_a_fallback(self) -> None:
        """Another try, the next, and what is told at once; statuses are folded."""
        self.assertEqual(
            of_a(Fallbacks(by_model=(("a", ("b",)),))),
            (
                (
                    "again once, then the next: 408, 409, 425, 429, 500, 502-504, 506-599, "
                    "unreachable, disconnected, wait up to 2 s (429, 503, 529)"
                ),
                (
                    "the next: 401-405, 407, 410, 413, 501, 505, dns, connect_timeout, tls, "
                    "protocol, timeout, context_length, account, long_wait (429, 503, 529), quota, "
                    "redirect, error_in_answer, invalid_response, incomplete, full, diverged"
                ),
                "the client is told: deadline, content_filter, memory",
                (
                    "the client is told (the next only if another failed before): 400, 406, 411, "
                    "412, 414-424, 426-428, 430-499"
                ),
            ),
        )

    def test_alone(self) -> None:
        """Nobody is next."""
        lines = of_a(router=Router(num_retries=2))
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith("again up to 2 times, then the client is told: 408"))
        self.assertTrue(lines[1].startswith("the client is told: 400-407, 410-424"))

    def test_fallbacks_for_one_case(self) -> None:
        """They are named as the file names them."""
        special = Fallbacks(
            by_model=(("a", ("b",)),),
            context_window=(("a", ("c",)),),
            content_policy=(("a", ("c",)),),
        )
        lines = of_a(special)
        self.assertIn("context_window_fallbacks, then the next: 413, context_length", lines)
        self.assertIn("content_policy_fallbacks: content_filter", lines)
        alone = of_a(Fallbacks(context_window=(("a", ("c",)),)))
        self.assertIn("context_window_fallbacks: 413, context_length", alone)

    def test_lists_of_statuses(self) -> None:
        """The lines are those of the table as it is changed."""
        router = Router(
            retry_statuses=frozenset({404}),
            failover_statuses=frozenset({404, 520, 521, 522}),
            retry_after_max=0.5,
        )
        lines = of_a(Fallbacks(by_model=(("a", ("b",)),)), router)
        self.assertEqual(lines[0], "again once, then the next: 404, unreachable, disconnected")
        self.assertTrue(lines[1].startswith("the next: 413, 520-522, dns"), lines[1])
        self.assertIn("wait up to 0.5 s (429, 503, 529), long_wait (429, 503, 529)", lines[2])


class RestTests(SynchronousTestCase):
    """Who rests how long."""

    def test_lines(self) -> None:
        """At once, the shortest first, then what is counted."""
        ((_, table), *_others) = tables(THREE)
        self.assertEqual(
            resting(table),
            (
                "60 s: 401-403, 407, account",
                "5 min: quota",
                "as long as it asks, at most 1 h: long_wait (429, 503, 529)",
                (
                    "5 s to 10 s, after 3 requests in a row, or half of at least 10 within 30 s: "
                    "501-599, unreachable, dns, tls, disconnected, protocol, error_in_answer, "
                    "invalid_response, incomplete"
                ),
                "5 s to 10 s, after half of at least 10 within 30 s only: 500",
                (
                    "6 times what was spent, 5 s to 5 min, after 2 requests in a row: "
                    "connect_timeout, timeout"
                ),
            ),
        )


class TextTests(SynchronousTestCase):
    """The whole of it."""

    def headings(self, fallbacks: Fallbacks, *more: Backend) -> list[str]:
        """The headings of what is told of the three and *more*."""
        lines = list(told(tables((*THREE, *more), fallbacks)))
        return [after for before, after in pairwise(lines) if not before]

    def test_once_for_all(self) -> None:
        """Models of which the same is to be said share it; what cannot fail does not count."""
        mock = Backend("mock", "mock", mock_response="hello")
        first, second, third = self.headings(Fallbacks(default=("a", "b")), mock)
        self.assertEqual((first, second), ("When a backend fails:", "A backend rests:"))
        self.assertTrue(third.startswith("Again: another entry"))

    def test_several(self) -> None:
        """The rarest first, with the names of its models."""
        self.assertEqual(
            self.headings(Fallbacks(by_model=(("b", ("a",)),)))[:2],
            ["When a backend fails, for b:", "When a backend fails, for a, c:"],
        )

    def test_many(self) -> None:
        """The last is for all the others, if they are too many to name."""
        more = tuple(Backend(name, name, api_base="http://h.example/v1") for name in ("d", "e"))
        self.assertEqual(
            self.headings(Fallbacks(by_model=(("b", ("a",)),)), *more)[:2],
            ["When a backend fails, for b:", "When a backend fails, for every other model:"],
        )

    def test_nothing(self) -> None:
        """Where nothing can fail there is nothing to say."""
        self.assertEqual(list(told([("mock", ())])), [])

    def test_the_legend(self) -> None:
        """It explains the words that are there."""
        text = "\n".join(told(tables(THREE, router=Router(num_retries=0))))
        self.assertNotIn("Again", text)
        self.assertNotIn("The next", text)
        self.assertIn("docs/failover.md", text)

    def test_lines_fit(self) -> None:
        """No line is wider than a terminal may be, and no range is torn apart."""
        lines = list(told(tables(THREE, Fallbacks(default=("a",)))))
        self.assertLessEqual(max(map(len, lines)), 100)
        self.assertFalse([line for line in lines if line.endswith("-")])


class FoldedTests(SynchronousTestCase):
    """Statuses as people write them."""

    def test_rows(self) -> None:
        """Three in a row are a range, two are not."""
        self.assertEqual(
            list(folded([400, 401, 404, 520, 521, 522])), ["400", "401", "404", "520-522"]
        )
        self.assertEqual(list(folded([])), [])

    @given(st.sets(st.integers(400, 599)))
    def test_nothing_is_lost(self, statuses: set[int]) -> None:
        """Unfolded they are the same."""
        parts = [part.partition("-") for part in folded(sorted(statuses))]
        found = [s for a, _, b in parts for s in range(int(a), int(b or a) + 1)]
        self.assertEqual(found, sorted(statuses))


class DurationTests(SynchronousTestCase):
    """Times as people say them."""

    def test_units(self) -> None:
        """The largest that leaves no rest; a minute is 60 s."""
        for seconds, said in [(0.25, "0.25 s"), (60, "60 s"), (90, "90 s"), (300, "5 min"),
                              (3600, "1 h"), (5400, "90 min"), (7200, "2 h")]:  # fmt: skip
            self.assertEqual(duration(seconds), said)
