"""
What a supervisor and its workers tell each other.

The supervisor begins with an :class:`Order`: which worker this is, and what is served at
that moment.  From then on both sides send messages, a line of JSON each.

Of the worker:

- ``Here``: it is ready to serve
- ``Ask``: a client wants a change; ``ask`` is the worker's own number for it
- ``Reread``: a client wants the configuration to be read again
- ``Confirm``: the change with this number is made
- ``Inquire``: somebody wants to know what the metrics of all say
- ``Tell``: what those of this worker say
- ``Alive``: the answer to ``Knock``

Of the supervisor:

- ``Go``: serve
- ``Ordered``: make this change; ``ask`` is set if it is the worker's own
- ``Settled``: a change of the worker's own is made by all; ``behind`` have not said so yet
- ``Refused``: the configuration that the worker wanted to be read cannot be used
- ``Measure``: tell what your metrics say
- ``Total``: what those of all say
- ``Knock``: are you there?
- ``Drain``: end, when what is under way is over
- ``Hurry``: end now

A pipe keeps the order.  So a worker has made all changes from before its ``Go`` when it
begins to serve, and that is when the others begin to wait for it.
"""

from __future__ import annotations

import json
import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import asdict, define, field, frozen

from yallmp.core.changes import Change, Register, Reload, Remove
from yallmp.core.differences import Differences
from yallmp.core.registry import Registration
from yallmp.core.settings import Config
from yallmp.core.shares import Share

_LENGTH = 8


@frozen
class Order:
    """
    What a worker is to be, told by the supervisor that starts it.

    It has the configuration in force, so that all workers serve the same even if the file
    was changed since.  It goes from a process to its own child, through a pipe that nobody
    else has; nothing else may be unpickled.
    """

    share: Share
    config: Config
    registrations: tuple[Registration, ...] = ()
    retired: tuple[str, ...] = field(default=(), repr=False)

    def encoded(self) -> bytes:
        """The order behind its length, of :data:`_LENGTH` bytes."""
        content = pickle.dumps(self)
        return len(content).to_bytes(_LENGTH, "big") + content


def size_of(head: bytes) -> int:
    """How many bytes of an order follow its first ones."""
    return int.from_bytes(head, "big")


def decoded(content: bytes) -> Order:
    """The order that is written in *content*."""
    order = pickle.loads(content)
    assert isinstance(order, Order)
    return order


@frozen
class Here:
    """The worker is ready to serve."""


@frozen
class Ask:
    """A client wants a change."""

    ask: int
    change: Change


@frozen
class Reread:
    """A client wants the configuration to be read again."""

    ask: int


@frozen
class Confirm:
    """A change is made."""

    number: int


@frozen
class Go:
    """Serve."""


@frozen
class Ordered:
    """Make this change; the number says which it is of all."""

    number: int
    change: Change
    ask: int | None = None


@frozen
class Settled:
    """A change that was asked for is made, and kept or not."""

    ask: int
    unkept: str | None = None
    behind: int = 0
    differences: Differences = field(factory=Differences)


@frozen
class Refused:
    """What was read cannot be put in force; ``status`` is what the client is told."""

    ask: int
    problems: tuple[str, ...]
    status: int


@frozen
class Inquire:
    """What do the metrics of all say?"""

    ask: int


@frozen
class Measure:
    """What do yours say?"""

    number: int


@frozen
class Tell:
    """They say this (:func:`yallmp.core.readings.written`)."""

    number: int
    reading: Mapping[str, Any]


@frozen
class Total:
    """All together say this."""

    ask: int
    reading: Mapping[str, Any]


@frozen
class Knock:
    """Are you there?"""


@frozen
class Alive:
    """Yes."""


@frozen
class Drain:
    """End, when what is under way is over."""


@frozen
class Hurry:
    """End now."""


Message = (
    Here | Ask | Reread | Confirm | Inquire | Tell | Alive
    | Go | Ordered | Settled | Refused | Measure | Total | Knock | Drain | Hurry
)  # fmt: skip
_KINDS = (
    Here, Ask, Reread, Confirm, Inquire, Tell, Alive,
    Go, Ordered, Settled, Refused, Measure, Total, Knock, Drain, Hurry,
)  # fmt: skip
_MESSAGES = {kind.__name__: kind for kind in _KINDS}
_CHANGES = {kind.__name__: kind for kind in (Register, Remove)}


def encoded(message: Message) -> bytes:
    """*message* as a line."""
    fields = asdict(message, recurse=False)
    if "change" in fields:
        fields["change"] = _written(fields["change"])
    if "differences" in fields:
        fields["differences"] = asdict(fields["differences"])
    return json.dumps([type(message).__name__, fields]).encode("ascii") + b"\n"


def _written(change: Change) -> list[Any]:
    """A change for JSON; a whole configuration goes as an :class:`Order` has it."""
    kind = type(change).__name__
    if isinstance(change, Reload):
        return [kind, b64encode(pickle.dumps(change)).decode("ascii")]
    return [kind, asdict(change, recurse=False)]


@define
class Decoder:
    """Makes messages of the bytes that come through a pipe, cut anywhere."""

    _rest: bytes = field(default=b"", repr=False)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that *data* completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return map(_decoded, lines)


def _decoded(line: bytes) -> Message:
    kind, fields = json.loads(line)
    if "change" in fields:
        is_order = kind == Ordered.__name__  # a worker sends nothing to unpickle
        fields["change"] = (_ordered if is_order else _asked)(*fields["change"])
    if "differences" in fields:
        told = fields["differences"].items()
        fields["differences"] = Differences(**{name: tuple(value) for name, value in told})
    if "problems" in fields:
        fields["problems"] = tuple(fields["problems"])
    message: Message = _MESSAGES[kind](**fields)
    return message


def _ordered(kind: str, content: Any) -> Change:
    if kind != Reload.__name__:
        return _asked(kind, content)
    change = pickle.loads(b64decode(content))
    assert isinstance(change, Reload)
    return change


def _asked(kind: str, fields: dict[str, Any]) -> Change:
    change: Change = _CHANGES[kind](**fields)
    return change
