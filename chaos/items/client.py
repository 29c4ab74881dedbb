"""
Clients that leave, do not read, or take their time.
"""

from __future__ import annotations

from chaos.item import Item
from chaos.scripts import WELL, events, head, says_and_waits
from chaos.stand import Stand


def _leaves(stand: Stand, *, stream: bool, mark: bytes = b"") -> None:
    """The client leaves; the backend must be let go, and nobody else be asked."""
    caller = stand.open(stream=stream)
    stand.soon(lambda: stand.backend.asks, "the backend was never asked")
    if mark:
        stand.must(caller.until(mark), "the stream does not begin")
    peer = stand.backend.peers[-1]
    left = caller.leave()
    stand.soon(lambda: peer.gone, "the backend is never let go")
    stand.figure("5", max(0.0, (peer.gone or 0.0) - left) * 1000)
    stand.figure("5a", float(sum(len(each.asks) for each in stand.backends[1:])))


ITEMS = (
    Item(
        "client.leaves-while-waiting",
        "the client leaves while the backend has not said a word",
        "the backend's connection is closed at once, the fallback not asked",
        "lets the backend work on for nobody",
        lambda stand: _leaves(stand, stream=False),
        (says_and_waits(), WELL),
    ),
    Item(
        "client.leaves-in-the-body",
        "the client leaves while the body is being read",
        "the backend's connection is closed at once",
        "reads the body to its end for nobody",
        lambda stand: _leaves(stand, stream=False),
        (says_and_waits(head(200, "Content-Length: 1000") + b"{"), WELL),
    ),
    Item(
        "client.leaves-in-the-stream",
        "the client leaves in the middle of a stream",
        "the backend's connection is closed at once; no rescue is tried",
        "reads the stream to its end for nobody, and pays for its tokens",
        lambda stand: _leaves(stand, stream=True, mark=b"t05"),
        (says_and_waits(events(0, 10)), WELL),
    ),
)
