"""What ``scripts/`` holds: the count that closes a test run, and what CI calls."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "count_tests.py"
COUNT: dict[str, Any] = runpy.run_path(str(SCRIPT))
WORDS = ("failures", "errors", "unexpectedSuccesses", "expectedFailures", "skips", "successes")


def closing(summary: str | None) -> str:
    """The closing line for trial's summary."""
    line: str = COUNT["closing_line"](*COUNT["counts"](summary))
    return line


class CountTests(SynchronousTestCase):
    """From trial's summary to one line."""

    def test_what_trial_says(self) -> None:
        """Every kind of result counts once."""
        for summary, line in (
            ("PASSED (successes=3)\n", "3 passed, 0 failed"),
            ("PASSED (skips=1, successes=3)\n", "3 passed, 0 failed, 1 skipped"),
            ("FAILED (failures=1, errors=2, successes=3)\n", "3 passed, 3 failed"),
            ("FAILED (unexpectedSuccesses=1)\n", "0 passed, 1 failed"),
            ("PASSED (expectedFailures=2, successes=1)\n", "1 passed, 0 failed, 2 skipped"),
        ):
            self.assertEqual(closing(summary), line)

    def test_no_summary(self) -> None:
        """A trial that died did not pass."""
        self.assertEqual(closing(None), "0 passed, 1 failed")
        self.assertEqual(closing("PASSED the salt\n"), "0 passed, 1 failed")

    @given(
        st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 999)), unique_by=lambda t: t[0])
    )
    def test_nothing_is_lost(self, results: list[tuple[str, int]]) -> None:
        """The three numbers add up to all results."""
        inside = ", ".join(f"{word}={number}" for word, number in results)
        summary = f"FAILED ({inside})" if inside else "FAILED"
        self.assertEqual(sum(COUNT["counts"](summary)), sum(number for _, number in results))


class RunTests(SynchronousTestCase):
    """The script as a whole, around a command that pretends to be trial."""

    def run_around(self, says: str, status: int) -> tuple[int, str]:
        """The status and last line for a command that says *says* and ends with *status*."""
        pretended = f"import sys; print({says!r}); sys.exit({status})"
        done = subprocess.run(
            [sys.executable, str(SCRIPT), sys.executable, "-c", pretended],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.splitlines()[-1]

    def test_the_status_is_trials(self) -> None:
        """Passed is 0, failed is what trial said."""
        self.assertEqual(self.run_around("PASSED (successes=2)", 0), (0, "2 passed, 0 failed"))
        self.assertEqual(
            self.run_around("FAILED (errors=1, successes=2)", 1), (1, "2 passed, 1 failed")
        )

    def test_a_run_that_tells_nothing_failed(self) -> None:
        """No summary, no tests, or a bad end after a good summary."""
        self.assertEqual(self.run_around("hello", 0), (1, "0 passed, 1 failed"))
        self.assertEqual(self.run_around("PASSED", 0), (1, "0 passed, 0 failed"))
        self.assertEqual(self.run_around("PASSED (successes=2)", 3), (3, "2 passed, 1 failed"))


class ContinuousIntegrationTests(SynchronousTestCase):
    """``.ci/run``."""

    def test_it_runs_what_the_readme_says(self) -> None:
        """The last line is the test command of README.md, and nothing else."""
        lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        self.assertEqual(lines[-1], "exec ./scripts/test.sh")
        self.assertIn("./scripts/test.sh", (ROOT / "README.md").read_text(encoding="utf-8"))
