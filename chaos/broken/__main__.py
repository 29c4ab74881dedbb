"""
``python -m chaos.broken BUILD -c FILE``: yallmp with one part replaced.

It is replaced when the parts are about to be put together: by then the reactor is chosen, and
the modules can be imported.
"""

import sys
from typing import Any

from chaos.broken.builds import BUILDS
from yallmp import options
from yallmp.__main__ import serve


def main(name: str, words: list[str]) -> None:
    """Serve as a broken build."""
    whole = options.makeService

    def make(given: Any) -> Any:
        BUILDS[name].break_it()
        return whole(given)

    options.makeService = make  # type: ignore[assignment]
    serve(words)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
