"""
Hostile input: bodies that are not what they should be, and requests that are none.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from chaos import client, secrets
from chaos.client import Caller
from chaos.heard import Answer
from chaos.item import Item
from chaos.scripts import GOOD, WELL, says
from chaos.stand import Stand, now

VARIANTS = 1200
#: Bytes that parsers trip over.
BAIT = b'"\\{}[]:,0eE+-.\x00\xff\xc3\xed\xa0\x80ntu/\n \xf0\x9f'
#: In the place of any value.
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**400, "", "x" * 5000, "\ud800", "\0", [], [[]], {}, {"": None},
    [None], {"role": 1}, "\u202e", [{"role": "user"}], -0.0,
)  # fmt: skip
#: In the place of a number.
NUMBERS = (
    b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"+1", b"0x1", b"1e", b"1" * 9999,
)  # fmt: skip


def mutants(model: str, count: int) -> Iterator[bytes]:
    """Requests with one thing wrong, the same in every run."""
    chance = random.Random(5)
    whole = client.chat(model, stream=False, temperature=0.5, tools=[], n=1, user="é")
    makers = (_cut, _flipped, _inserted, _nested, _replaced, _doubled, _odd_number)
    for number in range(count):
        yield makers[number % len(makers)](whole, chance)


def _cut(whole: bytes, chance: random.Random) -> bytes:
    return whole[: chance.randrange(len(whole))]


def _flipped(whole: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(whole))
    return whole[:at] + bytes([chance.choice(BAIT)]) + whole[at + 1 :]


def _inserted(whole: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(whole))
    return whole[:at] + bytes(chance.choices(BAIT, k=chance.randrange(1, 9))) + whole[at:]


def _nested(whole: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((63, 64, 65, 66, 1000, 100000))
    mark = chance.choice((b"[", b'{"a":'))
    return whole[:-1] + b', "x": ' + mark * depth


def _replaced(whole: bytes, chance: random.Random) -> bytes:
    value = json.loads(whole)
    value[chance.choice(list(value))] = chance.choice(VALUES)
    return json.dumps(value).encode()


def _doubled(whole: bytes, chance: random.Random) -> bytes:
    name = chance.choice((b"model", b"messages", b"stream", b"mod\\u0065l", b"x"))
    value = json.dumps(chance.choice(VALUES)).encode()
    return whole[:-1] + b', "' + name + b'": ' + value + b"}"


def _odd_number(whole: bytes, chance: random.Random) -> bytes:
    return whole.replace(b"0.5", chance.choice(NUMBERS), 1)


@define(eq=False)
class Attack:
    """
    Requests, one after the other on kept connections.

    :ivar statuses: how often each came.
    """

    stand: Stand
    statuses: Counter[int] = field(factory=Counter)
    _caller: Caller | None = None

    def send(self, data: bytes) -> Answer:
        """The answer to one of them."""
        for _ in range(2):
            if self._caller is None:
                self._caller = self.stand.caller(30.0)
            answer = self._asked(self._caller, data)
            if answer.ended != "kept":
                self._caller.close()
                self._caller = None
            if answer.status:
                break
        self.statuses[answer.status] += 1
        return answer

    def _asked(self, caller: Caller, data: bytes) -> Answer:
        try:
            caller.send(data)
        except OSError:
            return Answer(now(), ended="reset", over=now())
        return caller.answer()

    def judged(self) -> None:
        """Figure 7."""
        wrong = sum(count for status, count in self.statuses.items() if status >= 500)
        counts = ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items()))
        self.stand.note(f"{sum(self.statuses.values())} requests: {counts}")
        self.stand.figure("7", float(wrong))


def _bad_json(stand: Stand) -> None:
    attack = Attack(stand)
    for body in mutants(stand.item.id, VARIANTS):
        answer = attack.send(client.head(len(body), key=secrets.CLIENT) + body)
        stand.must(answer.ended != "silent", f"no answer to {body[:80]!r}")
        stand.must(answer.status, f"no answer to {body[:80]!r}: {answer}")
        if answer.status >= 400:
            stand.must(answer.error, f"not in OpenAI's shape: {answer.body[:80]!r}")
    attack.judged()


METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "post")
PATHS = (
    "/", "//", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/v1/../admin/models", "*",
    "/v1/models/", "/v1/models/%2e%2e", "/v1/models/%ff%fe", "/v1/models/%00", "/%", "/%zz",
    "/?a=%",
    "/v1/chat/completions?%ff=%00", "/admin", "/admin/", "/admin/models/%2f", "http://x/v1/models",
    "/v1/models/" + "a" * 4000, "/\u00e9", "/v1/models#x", "/v1/models;x=1", "/favicon.ico",
    "/metrics",
    "/openapi.json", "/v1/files", "/v1/responses", "/static/../../etc/passwd", "/v1/embeddings",
)  # fmt: skip
FIELDS = (
    "Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=",
    "Content-Type: \xff",
    "Accept: \x01", "Authorization: ", "Authorization: Basic !", "Origin: http://evil.example",
    "Content-Encoding: gzip", "Range: bytes=0-", "If-None-Match: *", "Expect: 200-ok",
    "TE: trailers",
    "Upgrade: websocket", "Cookie: " + "a=b; " * 500, "X-A: " + "b" * 8000, "Host: evil.example",
    "Accept-Encoding: gzip;q=x", "x-yallmp-hops: banana", "x-request-id: \u00e9", "Via: 1.1 x",
)  # fmt: skip


def _odd_requests(stand: Stand) -> None:
    """Every method with every path, and odd headers."""
    attack = Attack(stand)
    for method in METHODS:
        for path in PATHS:
            line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            _sent(attack, line.encode("latin-1", "replace"))
    body = stand.body()
    for one in FIELDS:
        given = client.head(len(body), one.encode("latin-1", "replace").decode("latin-1"), key="k")
        _sent(attack, given + body)
        _sent(attack, given.replace(b"Bearer k", b"Bearer " + secrets.CLIENT.encode()) + body)
    attack.judged()


def _sent(attack: Attack, data: bytes) -> None:
    """HEAD has a length and no body: a connection for each, of which only the status counts."""
    caller = attack.stand.caller(10.0)
    caller.send(data)
    if not caller.until(b"\r\n") and not caller.seen:
        attack.statuses[0] += 1
        return
    attack.statuses[int(caller.seen.split(b" ", 2)[1])] += 1
    caller.close()


def _garbage(stand: Stand) -> None:
    """Bytes that are no request at all."""
    chance = random.Random(6)
    attack = Attack(stand)
    seeds = (b"", b"GET ", b"POST /v1/chat/completions HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01",
             b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n\r\n\r\n")  # fmt: skip
    for number in range(300):
        noise = chance.randbytes(chance.randrange(1, 3000)).replace(b"\n", b"\r\n")
        _sent(attack, seeds[number % len(seeds)] + noise + b"\r\n\r\n\r\n\r\n")
    attack.judged()


ITEMS = (
    Item("input.bad-json", f"{VARIANTS} bodies with one thing wrong", "4xx or an answer, never 5xx",
         "lets an exception of a parser become a 500", _bad_json, (says(GOOD),), limit=60),
    Item("input.odd-requests", "every method with every path, and odd headers", "never 5xx",
         "routes what nobody thought of into an exception", _odd_requests, (WELL,), limit=60),
    Item("input.garbage", "300 connections that send noise", "never 5xx, nothing hangs",
         "waits for the rest of what is no request", _garbage, limit=60),
)  # fmt: skip
