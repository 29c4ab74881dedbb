"""
The drill as its user runs it, over real sockets; time passes faster in most of it.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor as real_reactor  # noqa: TID251 - these tests use sockets
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.python.runtime import platformType
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from yallmp.core.backend import Backend
from yallmp.core.settings import Config, Fallbacks
from yallmp.drill.caller import Caller
from yallmp.drill.cells import CELLS, Cell
from yallmp.drill.command import Progress, arranged, in_order, main
from yallmp.drill.judge import Judgement
from yallmp.drill.rehearsal import Proxy, Rehearsal, Result
from yallmp.drill.report import Report, as_text
from yallmp.drill.setting import stages
from yallmp.drill.timescale import ScaledReactor
from yallmp.metrics import Metrics
from yallmp.names import Names
from yallmp.tap import wired

ROOT = Path(__file__).parent.parent
CONFIG = Config(
    backends=tuple(Backend(name, name, api_base="http://x.invalid") for name in ("m", "f")),
    fallbacks=Fallbacks(by_model=(("m", ("f",)),)),
)
CELL = {cell.key: cell for cell in CELLS}


def make_proxy(config: Config, reactor: Any) -> Proxy:
    """A proxy as the command makes it."""
    ids = map(str, iter(range(10**6)))
    parts = wired(
        config,
        reactor,
        resolver=Names(real_reactor),
        wall=lambda: 0.0,
        draw=lambda: 0.5,
        new_id=ids.__next__,
        metrics=Metrics.alone(),
        tell=lambda event: None,
    )
    return Proxy(parts.site, parts.wires)


class RehearsalTests(TestCase):
    """Rehearsing in this process: trial sees to it that nothing is left behind."""

    def rehearse(self, *cells: Cell) -> Deferred[list[Result]]:
        """Rehearse *cells* with the first model."""
        rehearsal = Rehearsal(CONFIG, ScaledReactor(real_reactor, 8.0), make_proxy)
        stage = stages(CONFIG)[0]
        return Deferred.fromCoroutine(rehearsal.run([(stage, cell) for cell in cells]))

    def test_nothing_is_left(self) -> Deferred[None]:
        """No socket and no timer, whether the backend hangs, breaks off, or there is none."""
        names = ("4", "8", "half-head", "refused", "bomb")
        over = self.rehearse(*(CELL[name] for name in names))

        def seen(results: list[Result]) -> None:
            self.assertEqual([result.cell.key for result in results], list(names))
            grades = {result.cell.key: result.judgement for result in results}
            self.assertEqual({each.grade for each in grades.values()}, {"pass"}, grades)

        return over.addCallback(seen)

    def test_a_cell_that_cannot_be_built(self) -> Deferred[None]:
        """It is told as one that failed, with the reason; the others go on."""
        made: list[object] = []

        def full_at_first(config: Config, reactor: Any) -> Proxy:
            made.append(config)
            if len(made) == 1:
                raise CannotListenError("127.0.0.1", 0, OSError("Too many open files"))
            return make_proxy(config, reactor)

        rehearsal = Rehearsal(CONFIG, ScaledReactor(real_reactor, 8.0), full_at_first)
        parts = [(stages(CONFIG)[0], CELL[name]) for name in ("4", "3")]
        over = Deferred.fromCoroutine(rehearsal.run(parts))

        def seen(results: list[Result]) -> None:
            first, second = results
            self.assertEqual((first.judgement.grade, second.judgement.grade), ("fail", "pass"))
            self.assertIn("Too many open files", first.judgement.remarks[0])
            report = Report(CONFIG, results, 8.0, 2, "pass")
            self.assertIn("not rehearsed", "\n".join(as_text(report)))

        return over.addCallback(seen)

    def test_a_caller_gives_up(self) -> Deferred[None]:
        """After the cell's limit, in the middle of an answer or before it."""
        over = self.rehearse(
            evolve(CELL["6"], limit=4.0),
            evolve(CELL["9"], limit=4.0, requests=1),
            evolve(CELL["7"], limit=4.0),
        )

        def seen(results: list[Result]) -> None:
            for result in results:
                (heard,) = result.heard
                self.assertTrue(heard.hung)
                self.assertTrue(4.0 <= heard.took < 6.0, heard.took)
                self.assertEqual(result.judgement.grade, "fail")
            self.assertEqual(len(results[1].heard[0].text.split()), 20)

        return over.addCallback(seen)


class CallerTests(TestCase):
    """A caller by itself."""

    def test_cancelled(self) -> None:
        """It leaves: no connection and no timer stays."""
        caller = Caller(real_reactor, "http://127.0.0.1:9/v1", "m", 0.0)
        asked = caller.ask(stream=True, limit=60.0)
        self.assertNoResult(asked)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)


class OrderTests(SynchronousTestCase):
    """In which order cells are begun, and told."""

    def setUp(self) -> None:
        self.stage = stages(CONFIG)[0]
        self.parts = [(self.stage, cell) for cell in CELLS]

    def keys(self, seed: int | None) -> list[str]:
        """The cells as they are begun."""
        return [cell.key for _, cell in arranged(self.parts, seed)]

    def test_the_longest_first(self) -> None:
        """So that a whole run takes little more than that; the others as they are listed."""
        others = [cell.key for cell in CELLS if cell.key not in ("15", "9")]
        self.assertEqual(self.keys(None), ["15", "9", *others])

    def test_shuffled(self) -> None:
        """All of them, in an order that the seed decides."""
        self.assertEqual(sorted(self.keys(1)), sorted(self.keys(None)))
        self.assertEqual(self.keys(1), self.keys(1))
        self.assertNotEqual(self.keys(1), self.keys(2))

    def test_told_in_order(self) -> None:
        """Whichever was ready first, also of a drill that was interrupted."""
        ready = [CELL["16"], CELL["2"], CELL["9"]]
        results = [Result(cell, self.stage, Judgement("pass"), (), ()) for cell in ready]
        told = [result.cell.key for result in in_order(self.parts, results)]
        self.assertEqual(told, ["2", "9", "16"])


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class ProgressTests(SynchronousTestCase):
    """How far it is."""

    def told(self, stream: io.StringIO) -> str:
        """What stands on *stream* in the end."""
        progress = Progress(stream)
        progress.show("one")
        progress.show("two")
        progress.clear()
        return stream.getvalue()

    def test_a_terminal(self) -> None:
        """One line, rewritten, and gone in the end."""
        self.assertEqual(self.told(Terminal()), "\rone\x1b[K\rtwo\x1b[K\r\x1b[K")

    def test_a_file(self) -> None:
        """A line each."""
        self.assertEqual(self.told(io.StringIO()), "one\ntwo\n")


BAR = """\
model_list:
  - {model_name: primary, litellm_params: {api_base: "http://127.0.0.1:9/v1", model: some-model}}
  - {model_name: backup, litellm_params: {api_base: "http://127.0.0.1:9/v1", model: some-model}}
router_settings:
  request_timeout: 30
  first_content_timeout: 10
  idle_timeout: 10
  num_retries: 1
  fallbacks: [{primary: [backup]}]
"""


class CommandTests(SynchronousTestCase):
    """The command, as its user runs it."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.makedirs(self.folder)
        self.file = os.path.join(self.folder, "config.yaml")
        Path(self.file).write_text(BAR, encoding="utf-8")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it."""
        command = [sys.executable, "-m", "yallmp", "drill", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )

    def drill(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*words) as process:
            told, complaints = process.communicate(timeout=300)
        return subprocess.CompletedProcess(words, process.returncode, told, complaints)

    def grades(self, *words: str) -> dict[str, str]:
        """The grade of each cell."""
        ran = self.drill(self.file, "--fast", "--json", *words)
        self.assertIn(ran.returncode, (0, 1), ran.stderr)
        (model,) = json.loads(ran.stdout)["models"]
        cells = {cell["cell"]: cell for cell in model["cells"]}
        below = {key: cell for key, cell in cells.items() if cell["grade"] != "pass"}
        self.told = json.dumps(below, indent=1)
        return {key: cell["grade"] for key, cell in cells.items()}

    def test_sixteen_of_sixteen(self) -> None:
        """With one fallback and the settings of the bar every cell passes, in any order."""
        grades = self.grades("--model", "primary")
        self.assertEqual(set(grades.values()), {"pass"}, self.told)
        self.assertEqual(set(grades), {cell.key for cell in CELLS})
        shuffled = self.grades("--model", "primary", "--shuffle", "7")
        self.assertEqual(shuffled, grades, self.told)

    def test_alone(self) -> None:
        """Without a fallback nothing fails, and most is safe."""
        grades = self.grades("--model", "backup", "--only", "3,4,8,10,13,refused")
        self.assertEqual(
            grades,
            {"3": "pass", "4": "safe", "8": "safe", "10": "pass", "13": "pass", "refused": "safe"},
            self.told,
        )

    def test_interrupted(self) -> None:
        """Ctrl-C ends it at once, with what is known, and no talk of what broke off."""
        if platformType == "win32":
            raise SkipTest("there is no such signal")
        with self.start(self.file, "--model", "primary", "--only", "6,12,9") as process:
            assert process.stderr is not None
            self.assertIn("1 of 3 cells", process.stderr.readline())
            process.send_signal(signal.SIGINT)
            told, complaints = process.communicate(timeout=5)
        self.assertEqual((process.returncode, complaints), (1, ""))
        self.assertIn("pass           12", told)
        self.assertIn("1 of 1 pass\n", told)
        self.assertIn("Interrupted: 1 of 3 cells were rehearsed.", told)


class MistakeTests(SynchronousTestCase):
    """What cannot be rehearsed: status 2, and a line that says what there is."""

    def setUp(self) -> None:
        self.file = self.mktemp()
        Path(self.file).write_text(BAR, encoding="utf-8")

    def stopped(self, *words: str) -> str:
        """What is said before the drill begins, since it does not."""
        self.patch(sys, "stderr", io.StringIO())
        with self.assertRaises(SystemExit) as caught:
            main(words, None, make_proxy)
        self.assertEqual(caught.exception.code, 2)
        return sys.stderr.getvalue()

    def test_the_file(self) -> None:
        """One that is not there, and one that is no configuration."""
        self.assertIn("nowhere.yaml", self.stopped("/nowhere.yaml"))
        Path(self.file).write_text("model_lst: []\n", encoding="utf-8")
        self.assertIn("model_list", self.stopped(self.file))

    def test_the_words(self) -> None:
        """A model, a cell, a grade that there is not."""
        self.assertIn("primary, backup", self.stopped(self.file, "--model", "x"))
        self.assertIn("refused", self.stopped(self.file, "--only", "99"))
        self.assertIn("--allow", self.stopped(self.file, "--allow", "fail"))
