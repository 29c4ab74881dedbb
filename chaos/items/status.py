"""
Each kind of refusal: which lead to another try or to the fallback, and what the client is told.
"""

from __future__ import annotations

from collections.abc import Callable

from chaos.item import Item
from chaos.scripts import WELL, answer, error, in_turn, says, well, whole
from chaos.stand import Stand, refused, serves, serves_both

#: "S, N" or "N" in the decision table.
NEXT = (401, 402, 403, 404, 405, 407, 408, 409, 410, 425, 429, *range(500, 506), 520, 529)
#: "As it is, at once" there.
FAULTS = (400, 406, 411, 414, 415, 416, 422, 431, 451)


def _told(status: int, attempts: int = 1) -> Callable[[Stand], None]:
    """The client gets that status, and nobody else was asked."""

    def check(stand: Stand) -> None:
        refused(stand, stand.ask(), status)
        asked = [len(backend.asks) for backend in stand.backends]
        stand.must(asked == [attempts, 0], f"the backends were asked {asked} times")

    return check


ITEMS = (
    *(
        Item(
            f"status.{status}-then-the-next",
            f"the backend refuses with {status}",
            "the fallback answers, whole and streamed",
            f"tells the client {status} although a healthy backend is in the route",
            serves_both,
            (says(error(status, "No.")), WELL),
        )
        for status in NEXT
    ),
    *(
        Item(
            f"status.{status}-at-fault",
            f"the backend finds the request at fault, with {status}",
            "the client gets that at once; the fallback is not asked",
            "sends a bad request to every backend, or hides the reason",
            _told(status),
            (says(error(status, "Not so.")), WELL),
        )
        for status in FAULTS
    ),
    Item(
        "status.500-once",
        "500 once, then a good answer",
        "the same backend is asked again and answers",
        "passes on an error that one more try would have mended",
        serves,
        (in_turn(answer(error(500, "Oops.")), well),),
    ),
    Item(
        "status.302",
        "the backend redirects to another address",
        "the redirect is not followed; the fallback answers",
        "follows it, and carries the key to wherever it leads",
        serves_both,
        (says(whole(302, b"", "Location: http://127.0.0.1:1/v1/chat/completions")), WELL),
    ),
)
