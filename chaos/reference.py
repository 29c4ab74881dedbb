"""
A program that answers at once and does nothing else, in a process of its own.

How long its clients wait is what the machine costs at that moment; what the proxy's wait
longer is the proxy's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chaos.proxy import CHECKOUT, environment

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def serve() -> None:
    """Print the port, and answer one connection until it ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while sock.recv(65536):
            sock.sendall(_ANSWER)


@contextmanager
def reference() -> Iterator[int]:
    """Its port, while it runs."""
    words = [sys.executable, "-m", "chaos.reference"]
    process = subprocess.Popen(
        words, cwd=CHECKOUT, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    serve()
