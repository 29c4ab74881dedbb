"""
How long one request keeps the reactor from turning, whatever is in it.

``python -m chaos.stall`` starts a proxy whose reactor has a ticker (:mod:`chaos.stalled`),
sends it one load after the other (:mod:`chaos.stall_loads`) through a backend of its own, and
prints for each how long the reactor stood still at most: by the clock, and in processor time
of its thread, which other processes on the machine cannot spoil.  ``LIMIT`` is what it may be.
"""

from __future__ import annotations

import argparse
import mmap
import re
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

from attrs import define, field, frozen

from chaos.proxy import Proxy
from chaos.stall_loads import Load, loads
from chaos.stalled import WORST

#: Seconds that one request may keep the reactor.
LIMIT = 0.05
#: Seconds that an exchange, and what is written of it, may take.
PATIENCE = 60.0
QUIET = 1.2
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
MIB = 1 << 20


@define(eq=False)
class Backend:
    """A backend that gives the same answer to everybody until it is told another."""

    answer: bytes = b""
    listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def api_base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"

    def start(self) -> None:
        """Serve."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            while _read_message(connection):
                connection.sendall(self.answer)


def _read_message(connection: socket.socket) -> bool:
    """Read one message; whether there was one."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return False
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    left = (int(length[1]) if length else 0) - len(body)
    while left > 0:
        piece = connection.recv(min(left, MIB))
        left -= len(piece) or left
    return True


def configuration(api_base: str, keys: int) -> dict[str, Any]:
    """A file with so many keys, every one of which is to be kept out of records."""
    given = {"api_base": api_base, "drop_params": ["seed"], "supports_reasoning": True}
    extra = [
        {
            "model_name": f"spare-{n}",
            "litellm_params": {"api_base": api_base, "api_key": f"sk-proj-{secrets.token_hex(24)}"},
        }
        for n in range(keys)
    ]
    named = [
        {"model_name": "good", "litellm_params": {**given, "api_key": "sk-good-0123456789ab"}},
        {"model_name": "renamed", "litellm_params": {**given, "target_model": "other"}},
    ]
    return {
        "model_list": [*named, *extra],
        "router_settings": {"num_retries": 0},
        "logging": {"directory": "logs", "max_total_bytes": 1 << 30},
        "general_settings": {"server": {"host": "127.0.0.1", "port": 0}},
    }


@define(eq=False)
class Ticked:
    """A proxy, and what its ticker has noted."""

    proxy: Proxy
    shared: mmap.mmap

    def worst(self) -> tuple[float, float]:
        """The longest gaps since the last time: by the clock, and of the processor."""
        wall, spent = WORST.unpack_from(self.shared)
        WORST.pack_into(self.shared, 0, 0.0, 0.0)
        return wall, spent


@contextmanager
def running(config: dict[str, Any]) -> Iterator[Ticked]:
    """A proxy with that configuration."""
    with tempfile.NamedTemporaryFile() as shared:
        shared.write(bytes(WORST.size))
        shared.flush()
        proxy = Proxy((sys.executable, "-m", "chaos.stalled", shared.name), config)
        try:
            yield Ticked(proxy, mmap.mmap(shared.fileno(), WORST.size))
        finally:
            proxy.remove()


@frozen
class Measured:
    """What came of a load: seconds, the answer's status, and the memory afterwards; MiB."""

    load: str
    wall: float
    spent: float
    took: float
    status: str
    resident: float

    def line(self) -> str:
        """For people."""
        mark = "  !" if self.spent > LIMIT else ""
        return (
            f"{self.load:<36}{self.status:>6}{self.took * 1000:>8.0f}{self.wall * 1000:>10.1f}"
            f"{self.spent * 1000:>10.1f}{self.resident:>8.0f}{mark}"
        )


def measured(ticked: Ticked, load: Load) -> Measured:
    """Send *load*, and wait until nothing comes of it any more."""
    ticked.worst()
    began = time.perf_counter()
    status = exchanged(ticked.proxy.port, load.request)
    took = time.perf_counter() - began
    threading.Event().wait(QUIET)
    wall, spent = ticked.worst()
    resident = sum(ticked.proxy.resident.values())
    return Measured(load.name, wall, spent, took, status, resident)


def exchanged(port: int, body: bytes) -> str:
    """Send a request and read its answer to the end; its status, or what happened."""
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            threading.Thread(target=_send, args=(connection, head, body), daemon=True).start()
            first = piece = connection.recv(MIB)
            while piece:
                piece = connection.recv(MIB)
            return first[9:12].decode() or "end"
    except TimeoutError:
        return "silent"
    except OSError:
        return "reset"


def _send(connection: socket.socket, head: bytes, body: bytes) -> None:
    with suppress(OSError):
        connection.sendall(head)
        connection.sendall(body)


def run(options: argparse.Namespace) -> list[Measured]:
    """Measure all that was asked for, and tell each as it comes."""
    backend = Backend()
    backend.start()
    results = []
    with running(configuration(backend.api_base, options.keys)) as ticked:
        print(f"{'':<36}{'status':>6}{'ms':>8}{'clock ms':>10}{'CPU ms':>10}{'MiB':>8}")
        for size in options.sizes:
            for load in loads(int(size * MIB), options.only):
                backend.answer = load.answer
                results.append(measured(ticked, load))
                print(results[-1].line(), flush=True)
    return results


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m chaos.stall", description=__doc__)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 30], help="MiB")
    parser.add_argument("--keys", type=int, default=120, help="configured secrets")
    parser.add_argument("--only", default="", help="loads whose names have this in them")
    results = run(parser.parse_args(arguments))
    late = [each for each in results if each.spent > LIMIT]
    print(f"{len(results)} loads, {len(late)} of them kept the reactor for more than 50 ms")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
