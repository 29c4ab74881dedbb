"""
Backends that ask to wait, and refusals whose words, not their status, say what is the matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

from chaos.item import Item
from chaos.peer import Ask, Peer
from chaos.scripts import WELL, answer, error, head, in_turn, says, well, whole
from chaos.stand import Stand, refused, served, serves_both

HTML = b"<html><body>Bad gateway</body></html>"


def _waits(least: float, most: float) -> Callable[[Stand], None]:
    """The same backend is asked again after a time within these bounds."""

    def check(stand: Stand) -> None:
        served(stand, stand.ask())
        first, second = (ask.at for ask in stand.backend.asks)
        stand.must(second - first >= least, f"only {second - first:.2f} s between the tries")
        stand.must(second - first <= most + 2, f"{second - first:.2f} s between the tries")
        stand.must(not stand.backends[1].asks, "the fallback was asked")

    return check


def _at_once(stand: Stand) -> None:
    """The fallback answers; nobody waits, and the backend is asked once."""
    reply = stand.ask()
    served(stand, reply)
    asked = len(stand.backend.asks)
    stand.must(asked == 1, f"the backend was asked {asked} times")
    stand.must(reply.seconds < 5, f"it took {reply.seconds:.1f} s")


def _kept(stand: Stand) -> None:
    """The client is told how long to wait."""
    reply = stand.ask()
    refused(stand, reply, 429)
    stand.must(reply.fields.get("retry-after") == "30", f"the wait is gone: {reply.fields}")


def _ours(status: int) -> Callable[[Stand], None]:
    """The same status, in JSON: our shape, or what the backend said."""

    def check(stand: Stand) -> None:
        reply = stand.ask()
        stand.must(reply.status == status and reply.whole, f"not {status}: {reply}")
        stand.must(
            reply.value is not None or reply.body == b"null", f"no JSON: {reply.body[:99]!r}"
        )

    return check


def _only_told(status: int, code: str) -> Callable[[Stand], None]:
    """The client gets the backend's reason, and nobody else was asked."""

    def check(stand: Stand) -> None:
        for streamed in (False, True):
            refused(stand, stand.ask(stream=streamed), status, code)
        stand.must(not stand.backends[1].asks, "the fallback was asked")

    return check


def dated(peer: Peer, _: Ask) -> None:
    """429 that names a date two seconds from now."""
    peer.send(error(429, "Slow.", None, f"Retry-After: {formatdate(time.time() + 2, usegmt=True)}"))


def _limited(*fields: str) -> bytes:
    return error(429, "Slow.", None, *fields)


#: Waits that mean nothing, or more than anybody waits.
ODD_WAITS = {
    "an-hour": "Retry-After: 3600",
    "in-words": "Retry-After: soon",
    "endless": "Retry-After: 1e300",
    "20-digits": "Retry-After: " + "9" * 20,
    "date-of-1994": "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT",
    "broken-date": "Retry-After: Sun, 99 Nov 9999 99:99:99 GMT",
    "negative": "Retry-After: -5",
}
#: Bodies that are no errors in OpenAI's shape, by the status they come with.
ODD_BODIES = {
    "html-502": (502, HTML),
    "empty-503": (503, b""),
    "bad-utf8-500": (500, b'{"error": {"message": "\xff\xfe"}}'),
    "list-400": (400, b"[1, 2, 3]"),
    "null-400": (400, b"null"),
    "string-422": (422, b'"no"'),
    "nested-400": (400, b"[" * 5000 + b"]" * 5000),
    "number-as-code-400": (400, b'{"error": {"message": "No.", "code": 17, "type": null}}'),
    "message-list-400": (400, b'{"error": {"message": [1], "code": {"a": 1}}}'),
    "4-mib-400": (400, b'{"error": {"message": "' + b"x" * (1 << 22) + b'"}}'),
}

ITEMS = (
    Item("status.429-waits-a-second", "429 with Retry-After: 1 once",
         "the same backend is asked again, not sooner than that",
         "hammers a backend that asked for a pause, or gives up on it",
         _waits(1.0, 1.1), (in_turn(answer(_limited("Retry-After: 1")), well), WELL)),
    Item("status.429-waits-milliseconds", "429 with retry-after-ms: 300 once",
         "the same backend is asked again, not sooner than that",
         "does not know this header, and waits a second or not at all",
         _waits(0.3, 0.33), (in_turn(answer(_limited("retry-after-ms: 300")), well), WELL)),
    Item("status.503-waits-for-a-date", "503 that names a date",
         "the same backend is asked again, and not before",
         "takes the date for a number and fails on it",
         _waits(0.9, 2.3), (in_turn(dated, well), WELL)),
    *(Item(f"status.429-wait-{name}", f"429 with {field[:60]}",
           "an answer within seconds, from whoever gives one",
           "waits as long as it was told to, or fails on the number",
           serves_both, (says(_limited(field)), WELL))
      for name, field in ODD_WAITS.items()),
    Item("status.429-wait-is-passed-on", "429 with Retry-After: 30, and no fallback",
         "429 with that wait, at once", "hides the wait, or waits itself", _kept,
         (says(_limited("Retry-After: 30")),)),
    Item("status.429-quota", "429 insufficient_quota",
         "no second try; the fallback answers", "tries again what can never work", _at_once,
         (says(error(429, "You exceeded your current quota.", "insufficient_quota")), WELL)),
    Item("status.400-context-length", "400 context_length_exceeded",
         "no second try; the fallback answers", "tells the client although another model could",
         _at_once, (says(error(400, "Too long.", "context_length_exceeded")), WELL)),
    Item("status.400-content-policy", "400 content_policy_violation",
         "the client gets the reason; no other backend sees the prompt",
         "shops around until somebody answers what was refused",
         _only_told(400, "content_policy_violation"),
         (says(error(400, "No.", "content_policy_violation")), WELL)),
    Item("status.400-billing", "400 that is about our account",
         "the fallback answers", "tells the client about the proxy's unpaid bill", serves_both,
         (says(error(400, "Your credit balance is too low.", "billing_not_active")), WELL)),
    *(Item(f"status.odd-body-{name}", f"a refusal with a strange body: {name}",
           "the same status, in JSON", "fails on the body, or passes on a web page",
           _ours(status), (says(whole(status, body)),))
      for name, (status, body) in ODD_BODIES.items()),
    Item("status.204", "204, which has no body", "the fallback answers",
         "passes on an answer in which there is nothing", serves_both,
         (says(head(204)), WELL)),
    Item("status.304", "304, though nothing was asked on condition", "the fallback answers",
         "passes on 304 to a client that has nothing", serves_both, (says(head(304)), WELL)),
)  # fmt: skip
