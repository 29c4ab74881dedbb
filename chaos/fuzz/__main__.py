"""``python -m chaos.fuzz``."""

import sys

from chaos.fuzz.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
