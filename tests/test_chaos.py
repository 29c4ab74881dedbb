"""
The catalogue of faults: it is well-formed, its parts see what they should, and a short selection
of it passes.
"""

from __future__ import annotations

import base64
import sys
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from itertools import count, pairwise
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chaos import command, figures, report, secrets
from chaos.broken.builds import BUILDS
from chaos.client import Reading
from chaos.figures import GOALS, Measured
from chaos.heard import Answer
from chaos.item import Item, Late
from chaos.items import ITEMS
from chaos.run import Outcome, Run
from chaos.scripts import DONE, TEXT, WELL, beginning, ending, events, stream, tokens
from chaos.stand import Stand

NO_PROC = None if sys.platform.startswith("linux") else "processes are looked at in /proc"

#: Quick items of each group.
SELECTION = (
    "connection.refused",
    "connection.reset-when-reused",
    "connection.tls-unknown",
    "protocol.two-answers-at-once",
    "status.302",
    "status.503-then-the-next",
    "status.400-at-fault",
    "body.truncated",
    "body.html",
    "stream.cut-in-mid-event-rst",
    "stream.ended-cleanly-but-early",
    "stream.rescued-after-40",
    "client.leaves-while-waiting",
    "client.leaves-in-the-stream",
    "client.pipelined",
    "secrets.echo-plain",
)
GOOD = stream(beginning("m"), *tokens("m"), *ending("m"))


def read(*parts: bytes, ended: str = "end") -> Answer:
    """What a client makes of an answer that comes in *parts*."""
    reading = Reading(Answer(0.0))
    for part in parts:
        reading.take(part, "")
    if not reading.over:
        reading.take(b"", ended)
    return reading.answer


class CatalogueTests(SynchronousTestCase):
    """What all items have in common."""

    def test_no_id_stands_twice(self) -> None:
        """An item is found by its id."""
        counts = Counter(item.id for item in ITEMS)
        self.assertEqual([name for name, count in counts.items() if count > 1], [])

    def test_there_are_many(self) -> None:
        """A catalogue that shrinks does so on purpose."""
        self.assertGreaterEqual(len(ITEMS), 250)

    def test_every_item_says_how_a_broken_proxy_fails_it(self) -> None:
        """An item that no proxy could fail shows nothing."""
        silent = [each.id for each in ITEMS if not (each.does and each.sees and each.fails)]
        self.assertEqual(silent, [])

    def test_list(self) -> None:
        """``--list`` prints each with its three lines."""
        shown = StringIO()
        with redirect_stdout(shown):
            self.assertEqual(command.main(["--list"]), 0)
        for item in ITEMS:
            self.assertIn(f"{item.id}\n", shown.getvalue())
            self.assertIn(item.fails, shown.getvalue())

    def test_unknown_name(self) -> None:
        """A name that is none's is an error, not an empty run that passes."""
        self.assertRaises(ValueError, command.chosen, ["stream.no-such-item"])

    def test_broken_builds_have_items(self) -> None:
        """What a broken proxy must fail is in the catalogue."""
        known = {item.id for item in ITEMS}
        for build in BUILDS.values():
            self.assertLessEqual(set(build.items), known)


class AnswerTests(SynchronousTestCase):
    """What a client makes of an answer."""

    @given(st.lists(st.integers(0, len(GOOD)), max_size=20))
    def test_split_anywhere(self, places: list[int]) -> None:
        """It does not matter in which pieces an answer comes."""
        cuts = [0, *sorted(places), len(GOOD)]
        answer = read(*(GOOD[a:b] for a, b in pairwise(cuts)))
        self.assertEqual(answer.text, TEXT)
        self.assertTrue(answer.claims and answer.done and answer.whole)

    @given(st.integers(1, GOOD.index(b'"stop"')))
    def test_cut_anywhere(self, place: int) -> None:
        """Half a stream claims nothing, unless somebody ends it as if it were whole."""
        self.assertFalse(read(GOOD[:place]).claims)

    def test_half_that_looks_whole(self) -> None:
        """``[DONE]``, and the end of the framing, are each a claim."""
        half = events(0, 20)
        self.assertTrue(read(half, b"%x\r\n%b\r\n" % (len(DONE), DONE)).claims)
        self.assertTrue(read(half, b"0\r\n\r\n").claims)
        self.assertFalse(read(half).claims)

    def test_error_event(self) -> None:
        """An error is no claim, whatever follows."""
        told = b'data: {"error": {"code": "upstream_disconnected"}}\n\n'
        answer = read(events(0, 20), b"%x\r\n%b\r\n" % (len(told), told))
        self.assertEqual((answer.code, answer.claims), ("upstream_disconnected", False))


class SecretTests(SynchronousTestCase):
    """What is planted is found again."""

    @given(st.sampled_from(secrets.PLANTED), st.binary(max_size=20), st.binary(max_size=20))
    def test_found_in_any_spelling(self, secret: str, before: bytes, behind: bytes) -> None:
        """As it is, in a URL, in base64 with anything around it."""
        plain = secret.encode()
        around = base64.b64encode(before + plain + behind)
        for data in (before + plain + behind, quote(secret, safe="").encode(), around):
            self.assertIn(secret, [found.secret for found in secrets.search("", data, [secret])])

    def test_not_found_where_it_is_not(self) -> None:
        """A masked one is none."""
        self.assertEqual(secrets.search("", b"Bearer sk-****", secrets.PLANTED), [])


class FigureTests(SynchronousTestCase):
    """The worst of all values counts."""

    def test_times_are_the_largest(self) -> None:
        """The slowest is told, with its item."""
        (worst,) = figures.worst([Measured("3", 0.2, "a"), Measured("3", 0.1, "b")])
        self.assertEqual((worst.value, worst.count, worst.item), (0.2, 2, "a"))

    def test_losses_add_up(self) -> None:
        """Each one that was lost counts."""
        (worst,) = figures.worst([Measured("1", 1, "a"), Measured("1", 2, "b")])
        self.assertEqual((worst.value, worst.kept), (3, False))

    def test_goals(self) -> None:
        """Every figure says what it is."""
        self.assertTrue(all(goal.words for goal in GOALS.values()))


class RunTests(SynchronousTestCase):
    """What a run makes of an item."""

    skip = NO_PROC

    def test_a_try_without_its_fault_shows_nothing(self) -> None:
        """A backend that rests after the first tries lets a later one pass: that is no pass."""
        tries = count()

        def check(stand: Stand) -> None:
            if not next(tries):
                stand.ask()
                raise Late("too late")

        item = Item("test.late", "", "", "", check, (WELL,))
        run = Run([item], lambda _: None)
        run.run()
        (outcome,) = run.outcomes
        self.assertEqual((outcome.word, outcome.tries), ("failed", 2))
        self.assertIn("never called", outcome.why)


class SelectionTests(SynchronousTestCase):
    """A real proxy, real sockets, a few faults of each kind."""

    skip = NO_PROC

    def test_selection(self) -> None:
        """All of it passes, and no secret is left anywhere."""
        outcomes: list[Outcome] = []
        run = Run(command.chosen(SELECTION), outcomes.append)
        run.run()
        wrong = [report.line(each) for each in outcomes if each.word != "passed"]
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertEqual(run.found, [])
        self.assertEqual(len(outcomes), len(SELECTION))

    def test_a_broken_proxy_fails(self) -> None:
        """One that ends broken streams cleanly is found out."""
        build = "clean-end-after-a-cut"
        outcomes: list[Outcome] = []
        items = command.chosen(["stream.cut-in-mid-event-fin", "stream.no-finish-reason"])
        Run(items, outcomes.append, (sys.executable, "-m", "chaos.broken", build)).run()
        self.assertEqual([each.word for each in outcomes], ["failed", "failed"])
