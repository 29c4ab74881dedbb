"""
The wall and the judge, shown by a client that has no proxy at all.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.naive import Naive
from tests.network import MemoryNetwork
from yallmp.drill.cells import SIXTEEN, Cell
from yallmp.drill.heard import Reply, heard
from yallmp.drill.judge import Judgement, judge
from yallmp.drill.wall import Wall


class NaiveTests(SynchronousTestCase):
    """What the sixteen cells make of a naive client, as published for one."""

    def score(self, cell: Cell) -> Judgement:
        """Judge a naive client in *cell*, on a network in memory."""
        network = MemoryNetwork()
        assert cell.fault is not None
        wall = Wall(network, {"m": cell.fault})
        network.listen("10.0.0.1", 80, wall.factory("m"))
        calls: list[Deferred[Reply]] = []

        def ask() -> None:
            calls.append(Naive(network, "http://10.0.0.1/v1", stream=cell.stream).over)

        for number in range(cell.requests):
            network.callLater(cell.every * number, ask)
        last = cell.every * (cell.requests - 1)
        network.pass_time(last + 1, step=0.05)
        network.until(lambda: all(call.called for call in calls), 200)
        told = [heard(self.successResultOf(call)) for call in calls]
        judgement = judge(cell, told, wall.knocks, primary="m", alone=True)
        wall.close()
        network.pump()
        left = [str(call) for call in network.getDelayedCalls()]
        self.assertEqual(left, [], f"cell {cell.key} leaves timers")
        network.close()
        return judgement

    def test_it_scores_as_published(self) -> None:
        """7, 10, 11 and 13 pass, the other twelve are safe."""
        grades = {cell.key: self.score(cell) for cell in SIXTEEN}
        passed = {key for key, judgement in grades.items() if judgement.grade == "pass"}
        safe = {key for key, judgement in grades.items() if judgement.grade == "safe"}
        self.assertEqual(passed, {"7", "10", "11", "13"}, grades)
        self.assertEqual(len(safe), 12, grades)
