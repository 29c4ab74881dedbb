"""
Which reactor the process runs on; asked before anything imports one.
"""

from __future__ import annotations

import sys


def install_reactor(name: str) -> None:
    """
    Have the process run on the reactor *name* (``light``, ``twisted``).

    One that twistd's ``--reactor`` has made is left alone; where ours cannot be (it needs
    epoll), Twisted's default serves as well.
    """
    if name == "light" and "twisted.internet.reactor" not in sys.modules:
        try:
            from yallmp import lightreactor  # noqa: PLC0415 - it is for Linux only
        except ImportError:
            return
        lightreactor.install()
