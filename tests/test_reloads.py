"""However often a reload is asked for, one is under way, and whoever asks gets what follows."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests import logged
from yallmp.core.changes import Made
from yallmp.core.differences import Differences
from yallmp.core.errors import BadConfiguration
from yallmp.reloads import Repeated, ask_in_passing, tell

MADE = Made(None)


class RepeatedTests(SynchronousTestCase):
    """Several ask."""

    def setUp(self) -> None:
        self.under_way: list[Deferred[Made]] = []
        self.reload = Repeated(self.work)

    async def work(self) -> Made:
        """It ends when a test says so."""
        self.under_way.append(Deferred())
        return await self.under_way[-1]

    def test_those_who_wait_share_the_next(self) -> None:
        """A storm is two reloads: the one under way, and one that begins after the last ask."""
        first, *others = [self.reload() for _ in range(20)]
        self.assertEqual(len(self.under_way), 1)
        self.under_way[0].callback(MADE)
        self.assertIs(self.successResultOf(first), MADE)
        self.assertEqual(len(self.under_way), 2)
        self.assertNoResult(others[0])
        self.under_way[1].callback(MADE)
        self.assertEqual([self.successResultOf(other) for other in others], [MADE] * 19)
        self.assertEqual(len(self.under_way), 2)

    def test_a_failure(self) -> None:
        """All who share it are told, and the next is none."""
        asked = [self.reload(), self.reload()]
        for each, under_way in zip(asked, (0, 1), strict=True):
            self.under_way[under_way].errback(BadConfiguration(("no",)))
            self.failureResultOf(each, BadConfiguration)
        again = self.reload()
        self.under_way[2].callback(MADE)
        self.successResultOf(again)

    def test_one_who_leaves(self) -> None:
        """It goes on for the others."""
        first, second, third = self.reload(), self.reload(), self.reload()
        for each in (first, second):
            each.cancel()
            self.failureResultOf(each)
        self.under_way[0].callback(MADE)
        self.under_way[1].callback(MADE)
        self.successResultOf(third)


class SayingTests(SynchronousTestCase):
    """What the log has of it."""

    def setUp(self) -> None:
        self.said = logged.texts(self)

    def test_what_changed(self) -> None:
        """In a line, and one for each thing that somebody has to do something about."""
        tell(Made(None, differences=Differences(("a",), restart=("x.y",), warnings=("look",))))
        self.assertEqual(
            self.said,
            [
                "the configuration is reloaded: backends added: a; needing a restart: x.y",
                "x.y is changed by a restart only",
                "look",
            ],
        )

    def test_in_passing(self) -> None:
        """Whoever reads it has said what is wrong with it; anything else is a bug."""

        async def bad() -> Made:
            raise BadConfiguration(("no",))

        async def broken() -> Made:
            raise ZeroDivisionError

        ask_in_passing(bad)
        self.assertEqual(self.said, [])
        ask_in_passing(broken)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
