"""
Runs a trial command and closes with one line that counts the tests.

What trial says is passed on as it comes, and so is its exit status. The closing line,
``12 passed, 0 failed, 1 skipped``, is read from trial's own summary: errors and
unexpected successes count as failed, todos as skipped. A trial that ends without a
summary, or ran nothing, failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

SUMMARY = re.compile(r"(PASSED|FAILED)(?: \(([a-zA-Z]+=\d+(?:, [a-zA-Z]+=\d+)*)\))?\s*$")
PASSED = ("successes",)
FAILED = ("failures", "errors", "unexpectedSuccesses")
SKIPPED = ("skips", "expectedFailures")


def counts(summary: str | None) -> tuple[int, int, int]:
    """How many passed, failed and were skipped, from trial's last line."""
    found = summary and SUMMARY.match(summary)
    if not found:
        return 0, 1, 0
    words = dict(part.split("=") for part in (found[2] or "").split(", ") if part)

    def total(names: tuple[str, ...]) -> int:
        return sum(int(words.get(name, 0)) for name in names)

    return total(PASSED), total(FAILED), total(SKIPPED)


def closing_line(passed: int, failed: int, skipped: int) -> str:
    """The line that people and machines look for."""
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def run(command: list[str]) -> tuple[int, str | None]:
    """The exit status of *command*, whose output is passed on, and its summary, if any."""
    summary = None
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            text = line.decode(errors="replace")
            summary = text if SUMMARY.match(text) else summary
    return process.returncode, summary


def main() -> None:
    """Run the command that the arguments are, count, and exit as it did."""
    status, summary = run(sys.argv[1:])
    passed, failed, skipped = counts(summary)
    if status and not failed:
        failed = 1
    print(closing_line(passed, failed, skipped), flush=True)
    sys.exit(status or int(failed > 0 or passed == 0))


if __name__ == "__main__":
    main()
