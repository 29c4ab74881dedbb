"""
Answers whose body is not what the head, or the protocol, promises.
"""

from __future__ import annotations

import json
from typing import Any

from chaos.item import Item
from chaos.peer import Ask, Peer
from chaos.scripts import (
    BODY,
    EVENTS,
    GOOD,
    WELL,
    completion,
    drips,
    each,
    events,
    head,
    says,
    says_and_closes,
    stream,
    whole,
)
from chaos.stand import Stand, bounded, refused, served, serves, serves_in_time

TIMES = {"request_timeout": 1}
JSON = "Content-Type: application/json"


def _refused_in_time(stand: Stand) -> None:
    reply = stand.ask()
    refused(stand, reply, 504, "upstream_timeout")
    bounded(stand, reply, 1.0)


def _first_only(stand: Stand) -> None:
    served(stand, stand.ask())
    stand.must(not stand.backends[1].asks, "the fallback was asked")


def _streamed(stand: Stand) -> None:
    reply = stand.ask(stream=True)
    served(stand, reply)
    stand.must(reply.streamed and reply.done, f"that is no whole stream: {reply}")


def _refused_whole(stand: Stand) -> None:
    for streamed in (False, True):
        refused(stand, stand.ask(stream=streamed), 502)


def without(**changes: Any) -> bytes:
    """A completion with some parts otherwise."""
    return whole(200, {**completion("m"), **changes})


def slowly(peer: Peer, _: Ask) -> None:
    """A good answer in ten pieces, within the time that it has."""
    step = len(GOOD) // 10 + 1
    for at in range(0, len(GOOD), step):
        peer.send(GOOD[at : at + step])
        peer.pause(0.03)


#: 200, but not with what a chat completion is.
NOT_ANSWERS = {
    "empty": b"",
    "html": b"<html>Welcome</html>",
    "half-of-it": BODY[:-20],
    "two-of-them": BODY + BODY,
    "array": b"[]",
    "null": b"null",
    "number": b"17",
    "no-choices": json.dumps({"id": "x", "object": "chat.completion"}).encode(),
    "choices-null": json.dumps({"choices": None}).encode(),
    "choices-empty": json.dumps({"choices": []}).encode(),
    "choices-of-numbers": json.dumps({"choices": [1, 2]}).encode(),
    "message-null": json.dumps({"choices": [{"index": 0, "message": None}]}).encode(),
    "bad-utf8": BODY.replace(b"t00", b"\xff\xfe\x80"),
    "utf16": BODY.decode().encode("utf-16"),
    "100000-brackets": b"[" * 100000,
    "deep-in-an-answer": BODY[:-1] + b', "x": ' + b"[" * 50000 + b"]" * 50000 + b"}",
}
ERRORS = {
    "error-503": {"error": {"message": "Not ready.", "code": 503}},
    "error-in-words": {"error": "not ready"},
    "error-429": {"error": {"message": "Slow.", "code": "rate_limit_exceeded"}},
    "error-and-choices": {**completion("m"), "error": {"message": "Half done.", "code": 500}},
    "error-in-a-choice": {"choices": [{"index": 0, "error": {"message": "x", "code": 502},
                                       "message": {"role": "assistant", "content": ""}}]},
    "detail": {"detail": "Not Found"},
}  # fmt: skip

ITEMS = (
    *(
        Item(
            f"body.{name}",
            f"200 with a body that is no chat completion: {name}",
            "the fallback answers",
            "passes it on, or fails on it with a traceback",
            serves,
            (says(whole(200, data)), WELL),
        )
        for name, data in NOT_ANSWERS.items()
    ),
    *(
        Item(
            f"body.{name}",
            f"200 with an error in it: {name}",
            "the fallback answers",
            "takes 200 for success and hands the client an error with it",
            serves,
            (says(whole(200, value)), WELL),
        )
        for name, value in ERRORS.items()
    ),
    Item(
        "body.not-an-answer-and-no-spare",
        "200 with a web page, and no fallback",
        "502 in OpenAI's shape, whole and streamed",
        "passes on the page under status 200",
        _refused_whole,
        (says(whole(200, b"<html></html>", kind="text/html")),),
    ),
    Item(
        "body.error-null",
        'a good answer with "error": null in it',
        "it is served",
        "takes the mere word for an error",
        serves,
        (says(without(error=None)),),
    ),
    Item(
        "body.truncated",
        "the connection ends before the body is as long as was said",
        "the fallback answers",
        "passes on half a body, under a length of its own",
        serves,
        (says_and_closes(GOOD[:-30]), WELL),
    ),
    Item(
        "body.dripped",
        "the body comes one byte at a time, and there is no other backend",
        "504 upstream_timeout as the timeout is over",
        "takes each byte for a sign of life and waits for hours",
        _refused_in_time,
        (drips(head(200, JSON, "Content-Length: 1000"), data=b"{" * 60, every=0.1),),
        TIMES,
        limit=10,
    ),
    Item(
        "body.dripped-once-a-second",
        "the same, one byte a second, with a fallback",
        "the fallback answers as the timeout is over",
        "starts its timer anew with every byte",
        lambda stand: serves_in_time(stand, 1.5),
        (drips(head(200, JSON, "Content-Length: 1000"), data=b"{" * 20), WELL),
        {"request_timeout": 1.5},
        limit=10,
    ),
    Item(
        "body.head-dripped",
        "the head comes one byte at a time",
        "the fallback answers as the timeout is over",
        "starts its timer anew with every byte",
        serves_in_time,
        (drips(data=head(200, JSON, "Content-Length: 1000"), every=0.1), WELL),
        TIMES,
        limit=10,
    ),
    Item(
        "body.slow-but-in-time",
        "the answer comes in ten pieces, within its time",
        "it is served, and the fallback not asked",
        "gives up on whoever is not done at once",
        _first_only,
        (each(slowly), WELL),
    ),
    Item(
        "body.error-dripped",
        "503, whose body comes one byte at a time",
        "the fallback answers as the timeout is over",
        "has no timeout for the bodies of errors",
        serves_in_time,
        (drips(head(503, JSON, "Content-Length: 1000"), data=b"{" * 60, every=0.1), WELL),
        TIMES,
        limit=10,
    ),
    Item(
        "body.stream-in-place-of-an-answer",
        "a request that does not stream gets a stream",
        "one answer, made of it",
        "passes on events to a client that wants JSON",
        _first_only,
        (says(stream(*EVENTS)), WELL),
    ),
    Item(
        "body.half-a-stream-in-place-of-an-answer",
        "the same, but the stream breaks after 40 tokens",
        "the fallback answers",
        "makes one answer of half a stream",
        serves,
        (says_and_closes(events(0, 40)), WELL),
    ),
    Item(
        "body.answer-in-place-of-a-stream",
        "a request that streams gets one answer",
        "a stream, made of it",
        "passes on JSON to a client that reads events, which then sees nothing",
        _streamed,
        (says(GOOD), WELL),
    ),
)
