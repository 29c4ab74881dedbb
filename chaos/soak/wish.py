"""
What a client asks for, and the text that answers it.

A request carries its wish in its last message.  Every backend that is well answers a wish
with the same text, so that a stream may be rescued by any of them; two wishes never have
the same text, so that one client's answer is never taken for another's.
"""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

from attrs import asdict, frozen


@frozen
class Wish:
    """
    What is asked for.

    :ivar marker: stands in every token of the answer.
    :ivar count: how many tokens.
    :ivar every: seconds between two tokens of a stream.
    :ivar pad: how many characters each token has besides.
    :ivar sum: the checksum of what else the request brings.
    """

    marker: str
    count: int = 12
    every: float = 0.0
    pad: int = 0
    sum: int = 0

    def token(self, number: int) -> str:
        """One token of the answer."""
        return f"{self.marker}.{number}{'x' * self.pad} "

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(map(self.token, range(self.count)))

    @property
    def number(self) -> float:
        """The whole answer where it is an embedding."""
        return crc32(self.marker.encode()) / (1 << 32)

    @property
    def written(self) -> str:
        """As it stands in a request."""
        return json.dumps(asdict(self))


def chat(wish: Wish, model: str, load: str = "", **more: Any) -> bytes:
    """The body of a chat request; *load* makes it large."""
    system = [{"role": "system", "content": load}] if load else []
    messages = [*system, {"role": "user", "content": wish.written}]
    return json.dumps({"model": model, "messages": messages, **more}).encode()


def embedding(wish: Wish, model: str) -> bytes:
    """The body of a request for an embedding."""
    return json.dumps({"model": model, "input": wish.written}).encode()


def wished(value: dict[str, Any]) -> tuple[Wish, str]:
    """The wish in a request, and what else it brought."""
    if "input" in value:
        return Wish(**json.loads(value["input"])), ""
    *system, user = value["messages"]
    load = system[0]["content"] if system else ""
    return Wish(**json.loads(user["content"])), load


def checksum(load: str) -> int:
    """What tells whether *load* arrived as it was sent."""
    return crc32(load.encode()) if load else 0
