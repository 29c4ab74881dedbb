"""The catalogue of faults: it is well-formed, and a short selection of it passes."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from chaos import command, report
from chaos.items import ITEMS
from chaos.run import Outcome, Run

#: Quick items of each group.
SELECTION = (
    "connection.refused",
    "connection.reset-when-reused",
    "connection.tls-unknown",
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
    "secrets.echo-pieces",
    "secrets.echo-late-event",
)


class CatalogueTests(SynchronousTestCase):
    """What all items have in common."""

    def test_no_id_stands_twice(self) -> None:
        """An item is found by its id."""
        counts = Counter(item.id for item in ITEMS)
        self.assertEqual([name for name, count in counts.items() if count > 1], [])

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


class SelectionTests(SynchronousTestCase):
    """A real proxy, real sockets, a few faults of each kind."""

    skip = None if sys.platform.startswith("linux") else "processes are looked at in /proc"

    def test_selection(self) -> None:
        """All of it passes, and no secret is left anywhere."""
        outcomes: list[Outcome] = []
        run = Run(command.chosen(SELECTION), outcomes.append)
        run.run()
        wrong = [report.line(each) for each in outcomes if each.word != "passed"]
        self.assertEqual(wrong, [], "\n".join(wrong))
        self.assertEqual(run.found, [])
        self.assertEqual(len(outcomes), len(SELECTION))
