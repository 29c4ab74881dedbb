#!/bin/sh
# Sets yallmp up in .venv (the first time) and runs it in the foreground:
#
#   scripts/run.sh                     with $YALLMP_CONFIG, ./config.yaml or the shipped one
#   scripts/run.sh -c my.yaml -p 9000  options as of yallmp
#   scripts/run.sh check my.yaml       commands, too
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
"$root/scripts/install.sh"
if [ -z "${YALLMP_CONFIG:-}" ] && [ ! -e config.yaml ]; then
    export YALLMP_CONFIG="$root/config.yaml"
fi
echo "+ .venv/bin/yallmp $*" >&2
exec "$root/.venv/bin/yallmp" "$@"
