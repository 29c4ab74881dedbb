"""
An item of the catalogue, and what may come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from chaos.peer import Peer
    from chaos.stand import Stand

#: What a backend does with a connection, from its first moment to its last.
Script = Callable[["Peer"], None]


class Wrong(Exception):
    """What was seen is not what must be seen; the text says what it was."""


class Late(Wrong):
    """Something took too long; it is tried again, since a busy machine may have been at fault."""


class Absent(Exception):
    """This machine has not what the item needs; the text says what."""


@frozen
class Backend:
    """
    One backend of an item.

    :ivar script: what it does; ``None`` is one that refuses connections.
    :ivar params: more of its ``litellm_params``.
    :ivar deaf: whether connections to it are never completed.
    :ivar host: the name by which the proxy is told to call it.
    :ivar tls: the name of a certificate of :mod:`chaos.certificates`; without, plain HTTP.
    :ivar unasked: whether the item is right if nobody ever calls it.
    :ivar knows: secrets besides its key that it may get.
    """

    script: Script | None
    params: Mapping[str, Any] = field(factory=dict)
    deaf: bool = False
    host: str = "127.0.0.1"
    tls: str | None = None
    knows: tuple[str, ...] = ()
    unasked: bool = False


def _backends(given: Sequence[Backend | Script | None]) -> tuple[Backend, ...]:
    return tuple(each if isinstance(each, Backend) else Backend(each) for each in given)


@frozen
class Item:
    """
    One thing that goes wrong.

    :ivar id: the group, a dot, and a name.
    :ivar does: what is done.
    :ivar sees: what must be seen.
    :ivar fails: how a broken proxy would fail it.
    :ivar check: does it and looks; raises :class:`Wrong` or :class:`Absent`.
    :ivar backends: the first serves the item's model, each other is the fallback after it.
    :ivar params: ``litellm_params`` of all of them.
    :ivar config: sections of a configuration for a proxy of its own, which it then gets;
        ``{}`` is one as all others have it.
    :ivar limit: the seconds that it may take.
    """

    id: str
    does: str
    sees: str
    fails: str
    check: Callable[[Stand], None]
    backends: tuple[Backend, ...] = field(default=(), converter=_backends)
    params: Mapping[str, Any] = field(factory=dict)
    config: Mapping[str, Any] | None = None
    limit: float = 30.0

    @property
    def group(self) -> str:
        """What it is about."""
        return self.id.partition(".")[0]
