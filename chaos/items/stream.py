"""
Streams that break, stall, or are not what a stream should be.
"""

from __future__ import annotations

from collections.abc import Callable

from chaos.item import Item
from chaos.scripts import WELL, events, says_and_closes, says_and_resets, says_and_waits
from chaos.stand import Stand, bounded, served, truthful

#: A broken stream is told, not mended: what is mended is tried by items of its own.
TOLD = {"stream_rescue": "off"}


def _told(code: str | None = None) -> Callable[[Stand], None]:
    """The client of a stream that breaks is told so."""
    return lambda stand: truthful(stand, stand.ask(stream=True), code)


def _stalled(stand: Stand) -> None:
    answer = stand.ask(stream=True)
    truthful(stand, answer, "upstream_idle_timeout")
    bounded(stand, answer, 1.0)


ITEMS = (
    Item(
        "stream.cut-between-events",
        "the connection is reset between two events, after 40 tokens",
        "an error event, no [DONE], no final chunk, FIN",
        "ends the client's stream cleanly: an SDK takes half an answer for all of it",
        _told("upstream_disconnected"),
        (says_and_resets(events(0, 40)), WELL),
        TOLD,
    ),
    Item(
        "stream.cut-in-mid-event",
        "the connection is reset in the middle of an event",
        "an error event, and nothing of the half event",
        "ends the client's stream cleanly, or sends half an event and the error in one",
        _told("upstream_disconnected"),
        (says_and_resets(events(0, 40)[:-40]), WELL),
        TOLD,
    ),
    Item(
        "stream.ended-early",
        "the connection ends with FIN after 40 tokens, without the last chunk",
        "an error event, no [DONE]",
        "takes the end of the connection for the end of the answer",
        _told(),
        (says_and_closes(events(0, 40)), WELL),
        TOLD,
    ),
    Item(
        "stream.stalled",
        "the backend falls silent after 20 tokens",
        "an error event as idle_timeout is over",
        "waits as long as the backend does; openai-node hangs for ever",
        _stalled,
        (says_and_waits(events(0, 20)), WELL),
        {**TOLD, "idle_timeout": 1},
    ),
    Item(
        "stream.rescued",
        "the connection is reset after 40 tokens, and the fallback says the same text",
        "the whole text, with its end",
        "repeats the beginning, or tells an error although the rest could be had",
        lambda stand: served(stand, stand.ask(stream=True, temperature=0)),
        (says_and_resets(events(0, 40)), WELL),
    ),
)
