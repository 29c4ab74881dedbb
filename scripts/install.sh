#!/bin/sh
# Puts yallmp and what it needs into .venv beside this folder, and nowhere else.
#
#   scripts/install.sh            to run it
#   scripts/install.sh test       to test it as well
#   scripts/install.sh dev        everything that working on it takes
#
# PYTHON names the Python to use (3.10 or later; default: the first that fits). Where
# nothing changed since the last time, this does nothing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.venv
extra=${1:-}
stamp=$venv/yallmp-installed${extra:+-$extra}

show() {
    echo "+ $*" >&2
    "$@"
}

stop() {
    echo "yallmp: $*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        new_enough "$PYTHON" || stop "PYTHON=$PYTHON is not a Python 3.10 or later."
        echo "$PYTHON"
        return
    fi
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    stop "Python 3.10 or later is needed, and none was found. If there is one, name it: PYTHON=/path/to/python3 $0"
}

# Which Python an environment comes from: one made by another is made anew.
identity() {
    "$1" -c 'import sys; print(sys.version_info[:3], sys.base_prefix)' 2>/dev/null || echo none
}

# What the installation depends on: the Python, the place, and what setup.py says.
fingerprint() {
    identity "$python"
    echo "$root"
    cat "$root/setup.py" "$root/pyproject.toml" "$root/yallmp/__init__.py" | cksum
}

make_venv() {
    "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
        stop "$python cannot make environments. On Debian and Ubuntu: apt-get install python3-venv"
    if [ "$(identity "$venv/bin/python")" = "$(identity "$python")" ]; then
        show "$python" -m venv "$venv"
    else
        show "$python" -m venv --clear "$venv"
    fi
}

python=$(find_python)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
    exit 0
fi
make_venv
show "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --editable "$root${extra:+[$extra]}"
# twistd keeps a list of its plugins; written now, nobody has to write it later.
show "$venv/bin/python" -c 'from twisted.plugin import IPlugin, getPlugins; list(getPlugins(IPlugin))'
rm -f "$venv"/yallmp-installed*
fingerprint >"$venv/yallmp-installed"
fingerprint >"$stamp"
