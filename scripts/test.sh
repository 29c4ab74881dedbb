#!/bin/sh
# Sets yallmp up in .venv (the first time) and runs its tests:
#
#   scripts/test.sh                          all of them
#   scripts/test.sh tests.test_sse           some; arguments go to trial
#
# The last line counts them. The exit status is trial's.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
scripts/install.sh test
[ $# -gt 0 ] || set -- tests
echo "+ .venv/bin/trial $*" >&2
exec .venv/bin/python scripts/count_tests.py .venv/bin/trial "$@"
