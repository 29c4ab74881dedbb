"""
What clients do, each as a function of a visitor; how often each is done stands at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from chaos import client, secrets
from chaos.soak.judge import Judged, Word, judged, turned_away
from chaos.soak.setting import FAULTY
from chaos.soak.visitor import Visitor, head
from chaos.soak.wish import chat, checksum

Visit = Callable[[Visitor], None]
#: Bodies above this are read by another process.
LARGE = 256 << 10


def whole(visitor: Visitor) -> None:
    """A small answer of a model that has nothing faulty: its time is that of the proxy."""
    answer = visitor.ask("whole", "well", visitor.wish(), helped=True)
    visitor.tally.time(answer.seconds)


def stream(visitor: Visitor) -> None:
    """The same as a stream."""
    answer = visitor.ask("stream", "well", visitor.wish(), helped=True, stream=True)
    visitor.tally.time(answer.seconds)


def faulty(visitor: Visitor) -> None:
    """A model whose first backend fails."""
    model, streams = visitor.draw.choice(FAULTY), visitor.draw.random() < 0.6
    visitor.ask(f"{model} faulty", model, visitor.wish(), helped=True, stream=streams)


def alone(visitor: Visitor) -> None:
    """A model whose only backend fails."""
    streams = visitor.draw.random() < 0.6
    visitor.ask("alone", "alone", visitor.wish(), helped=False, stream=streams)


def slowly(visitor: Visitor) -> None:
    """A stream that takes some seconds."""
    wish = visitor.wish(count=20, every=0.1)
    visitor.ask("slow stream", visitor.draw.choice(("well", "dying")), wish, helped=True,
                stream=True)  # fmt: skip


def embeds(visitor: Visitor) -> None:
    """An embedding."""
    visitor.embed("embedding")


def large_body(visitor: Visitor) -> None:
    """A request of up to two megabytes."""
    wish, text = visitor.load(visitor.draw.randrange(LARGE // 2, 8 * LARGE))
    visitor.ask("large body", visitor.draw.choice(("well", "body", "connection")), wish,
                helped=True, load=text)  # fmt: skip


def large_answer(visitor: Visitor) -> None:
    """An answer of up to two megabytes."""
    wish = visitor.wish(count=visitor.draw.randrange(50, 500), pad=4000)
    visitor.ask("large answer", "well", wish, helped=True)


def slow_reader(visitor: Visitor) -> None:
    """A client that reads a stream of some megabytes slowly."""
    wish = visitor.wish(count=visitor.draw.randrange(300, 800), pad=4000)
    caller = visitor.caller()
    caller.post(chat(wish, "well", stream=True), key=secrets.CLIENT)
    for _ in range(10):
        _pause(0.2)
        with suppress(OSError):
            caller.read_some()
    visitor.count("slow reader", judged(caller.answer(), wish, stream=True, helped=True))
    caller.close()


def _pause(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251 - there is no reactor here


def leaves(visitor: Visitor) -> None:
    """A client that leaves, in some phase."""
    _leaves(visitor, visitor.draw.choice(PHASES))


def leaves_a_large_answer(visitor: Visitor) -> None:
    """A client that leaves when the first of a large answer has come."""
    _leaves(visitor, _in_a_large_answer)


def _leaves(visitor: Visitor, phase: Callable[[Visitor, client.Caller], None]) -> None:
    caller = visitor.caller()
    with suppress(OSError):
        phase(visitor, caller)
    caller.leave(reset=visitor.draw.random() < 0.5)
    visitor.left(f"leaves {phase.__name__.strip('_').replace('_', ' ')}")


def _at_once(visitor: Visitor, caller: client.Caller) -> None:
    pass


def _in_the_head(visitor: Visitor, caller: client.Caller) -> None:
    caller.send(head(1000)[: visitor.draw.randrange(1, 90)])


def _in_the_body(visitor: Visitor, caller: client.Caller) -> None:
    caller.send(head(100_000) + b"x" * visitor.draw.randrange(1, 90_000))


def _in_the_chunks(visitor: Visitor, caller: client.Caller) -> None:
    caller.send(head(None, "Transfer-Encoding: chunked") + b"1000\r\nxxxxx")


def _while_waiting(visitor: Visitor, caller: client.Caller) -> None:
    wish = visitor.wish(count=40, every=0.05)
    model = visitor.draw.choice(("well", *FAULTY))
    caller.post(chat(wish, model, stream=visitor.draw.random() < 0.7), key=secrets.CLIENT)
    _pause(visitor.draw.random() * 0.05)


def _in_the_stream(visitor: Visitor, caller: client.Caller) -> None:
    wish = visitor.wish(count=40, every=0.05)
    caller.post(chat(wish, visitor.draw.choice(("well", *FAULTY)), stream=True), key=secrets.CLIENT)
    caller.until(b"data:")
    _pause(visitor.draw.random())


def _in_a_large_answer(visitor: Visitor, caller: client.Caller) -> None:
    wish = visitor.wish(count=300, pad=4000)
    streams = visitor.draw.random() < 0.5
    caller.post(chat(wish, "well", stream=streams), key=secrets.CLIENT)
    caller.read_some()


def _after_the_next(visitor: Visitor, caller: client.Caller) -> None:
    """Two requests at once, of which the second is begun when the client has gone."""
    body = chat(visitor.wish(), "well")
    caller.send((head(len(body)) + body) * 2)


PHASES = (_at_once, _in_the_head, _in_the_body, _in_the_chunks, _while_waiting, _in_the_stream,
          _after_the_next)  # fmt: skip

_OVERLONG = "X-Long: " + "y" * 20_000
_MANY = tuple(f"X-{number}: y" for number in range(120))


def _post(body: bytes, *fields: str, **how: Any) -> bytes:
    return head(len(body), *fields, **how) + body


_GOOD = json.dumps({"model": "well", "messages": [{"role": "user", "content": "x"}]}).encode()
#: What no server should take; whoever sends it gets an error and may be cut off.
BAD = (
    b"this is no HTTP\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    _post(b"{"),
    _post(b"\xff\xfe"),
    _post(b"[]"),
    _post(b"{}"),
    _post(b'{"model": 7, "messages": []}'),
    _post(b'{"model": "well", "model": "alone", "messages": [1]}'),
    _post(b'{"model": "nobody", "messages": [{}]}'),
    _post(b"[" * 5000),
    _post(_GOOD, "Content-Encoding: gzip"),
    _post(_GOOD, "Content-Length: 7"),
    _post(_GOOD, "Transfer-Encoding: chunked"),
    _post(_GOOD, _OVERLONG),
    _post(_GOOD, *_MANY),
    _post(_GOOD, path="/v1/chat/completions?" + "q" * 9000),
    _post(_GOOD, path="/v1/nothing"),
    _post(_GOOD, method="PATCH"),
    _post(_GOOD, "Origin: https://evil.example"),
    client.head(len(_GOOD)) + _GOOD,
    client.head(len(_GOOD), key="sk-wrong") + _GOOD,
    head(1 << 40),
    head(-1),
)


def bad(visitor: Visitor) -> None:
    """A request that is bad, in some way."""
    which = visitor.draw.randrange(len(BAD))
    caller = visitor.caller()
    with suppress(OSError):
        caller.send(BAD[which])
    visitor.count(f"bad {which}", turned_away(caller.answer()))
    caller.close()


def looks_around(visitor: Visitor) -> None:
    """Health, and the list of models."""
    caller = visitor.caller()
    path = visitor.draw.choice(("/health", "/readyz", "/v1/models", "/v1/models/well"))
    caller.send(head(0, path=path, method="GET"))
    answer = caller.answer()
    word = Word.SERVED if answer.status == 200 and answer.whole else Word.LOST
    visitor.count("looks around", Judged(word, f"{path}: {answer}"))
    caller.close()


def guest(visitor: Visitor) -> None:
    """A model is registered, asked, and removed."""
    name = f"guest-{visitor.name}"
    base = f"http://127.0.0.1:{visitor.good_port}/v1"
    made = {"model_name": name, "api_base": base, "target_model": "m", "fallbacks": ["spare"]}
    told = _admin(visitor, "POST", "/admin/models", made)
    if told:
        visitor.ask("guest", name, visitor.wish(), helped=True, stream=True)
        _admin(visitor, "DELETE", f"/admin/models/{name}", None)


def _admin(visitor: Visitor, method: str, path: str, value: Any) -> bool:
    body = b"" if value is None else json.dumps(value).encode()
    answer = visitor.send(body, key=secrets.ADMIN, path=path, method=method)
    done = answer.status in (200, 201)
    visitor.count("admin", Judged(Word.SERVED if done else Word.LOST, f"{method}: {answer}"))
    return done


def _intruder(visitor: Visitor) -> None:
    """Somebody who has no business at /admin."""
    body = b'{"model_name": "well", "api_base": "http://127.0.0.1:9/v1"}'
    answer = visitor.send(body, path="/admin/models")
    visitor.count("intruder", turned_away(answer))


def spoils(visitor: Visitor) -> None:
    """A large request whose backend never gets all of it: the client stops, then goes on."""
    text = "z" * 120_000
    wish = visitor.wish(sum=checksum(text))
    body = chat(wish, "well", load=text)
    caller = visitor.caller()
    caller.send(head(len(body)) + body[:60_000])
    _pause(0.5)
    caller.send(body[60_000:])
    visitor.count("slow sender", judged(caller.answer(), wish, stream=False, helped=True))
    caller.close()


#: How often each is done; those of the second table need another process, which stays a minute.
USUAL: dict[Visit, int] = {
    whole: 20, stream: 20, faulty: 32, alone: 3, slowly: 3, embeds: 5, leaves: 10, bad: 8,
    looks_around: 3, guest: 1, _intruder: 1, spoils: 1,
}  # fmt: skip
HEAVY: dict[Visit, int] = {
    **USUAL, large_body: 2, large_answer: 2, slow_reader: 1, leaves_a_large_answer: 1,
}  # fmt: skip
