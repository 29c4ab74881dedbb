"""
Requests that are too large, and what they take of memory before they are refused.
"""

from __future__ import annotations

from chaos import client, secrets
from chaos.heard import Answer
from chaos.item import Backend, Item
from chaos.memory import memory
from chaos.scripts import WELL, chunked
from chaos.stand import Stand, bounded, refused

MIB = 1 << 20


def _uploads(stand: Stand) -> None:
    """A declared 256 MiB is refused before it is read, in little memory."""

    def upload() -> None:
        caller = stand.caller()
        caller.send(client.head(256 * MIB, key=secrets.CLIENT) + b"{" * 1000)
        answer = caller.answer()
        refused(stand, answer, 413)
        bounded(stand, answer, 1.0)

    memory(stand, upload)
    stand.must(not stand.backend.asks, "the backend was asked")


def _chunked_upload(stand: Stand) -> None:
    """256 MiB in chunks are counted, and refused in little memory."""
    seen: list[Answer] = []

    def upload() -> None:
        caller = stand.caller()
        caller.send(client.head(None, "Transfer-Encoding: chunked", key=secrets.CLIENT))
        try:
            for _ in range(256):
                caller.sock.sendall(chunked(b" " * MIB))
        except OSError:
            pass
        seen.append(caller.answer())

    memory(stand, upload)
    stand.must(seen[0].status in (0, 413), f"not refused: {seen[0]}")
    stand.must(not stand.backend.asks, "the backend was asked")


ITEMS = (
    Item("client.uploads-256-mib", "a request that declares 256 MiB",
         "413 at once; little memory", "reads all of it first", _uploads,
         (Backend(WELL, unasked=True),), config={}),
    Item("client.uploads-256-mib-in-chunks", "a request of 256 MiB in chunks",
         "413, or the end; little memory", "trusts that it will end", _chunked_upload,
         (Backend(WELL, unasked=True),), config={}, limit=60),
)  # fmt: skip
