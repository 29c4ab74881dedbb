"""
Answers whose body is not what the head, or the protocol, promises.
"""

from __future__ import annotations

from chaos.item import Item
from chaos.scripts import WELL, completion, drips, head, says, says_and_closes, whole
from chaos.stand import Stand, bounded, refused, served

TIMES = {"request_timeout": 1}
JSON = "Content-Type: application/json"
GOOD = whole(200, completion("m"))


def _rescued(stand: Stand) -> None:
    served(stand, stand.ask())


def _in_time(stand: Stand) -> None:
    answer = stand.ask()
    served(stand, answer)
    bounded(stand, answer, 1.0)


def _refused_in_time(stand: Stand) -> None:
    answer = stand.ask()
    refused(stand, answer, 504, "upstream_timeout")
    bounded(stand, answer, 1.0)


ITEMS = (
    Item(
        "body.truncated",
        "the connection ends before the body is as long as was said",
        "the fallback answers",
        "passes on half a body, under a length of its own",
        _rescued,
        (says_and_closes(GOOD[:-30]), WELL),
    ),
    Item(
        "body.dripped",
        "the body comes one byte a second, and there is no other backend",
        "504 upstream_timeout as the timeout is over",
        "takes each byte for a sign of life and waits for hours",
        _refused_in_time,
        (drips(head(200, JSON, "Content-Length: 1000"), data=b"{" * 20, every=0.3),),
        TIMES,
    ),
    Item(
        "body.head-dripped",
        "the head comes one byte a second",
        "the fallback answers as the timeout is over",
        "starts its timer anew with every byte",
        _in_time,
        (drips(data=head(200, JSON, "Content-Length: 1000"), every=0.3), WELL),
        TIMES,
    ),
    Item(
        "body.empty",
        "200 with an empty body",
        "the fallback answers",
        "passes on an answer in which there is nothing",
        _rescued,
        (says(whole(200, b"")), WELL),
    ),
    Item(
        "body.html",
        "200 with a web page",
        "the fallback answers",
        "passes on a login page as a completion",
        _rescued,
        (says(whole(200, b"<html>Welcome</html>", kind="text/html")), WELL),
    ),
)
