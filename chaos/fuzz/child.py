"""
``python -m chaos.fuzz.child TARGET FLAGS…``: one target under atheris.

atheris has to see the modules while they are loaded, and libFuzzer ends the process when it is
done: so each target has a process of its own.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-not-found]

from chaos.fuzz.targets import called

#: What is watched: the more it is, the slower.
WATCHED = ["yallmp", "twisted.web.http", "twisted.protocols.basic", "json"]


def main(words: list[str]) -> None:
    """Run the target that *words* name; the rest is libFuzzer's."""
    name, *flags = words
    with atheris.instrument_imports(include=WATCHED):
        check = called(name).check
    atheris.Setup(["fuzz", *flags], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
