"""
Changes of what is served, made while the proxy runs: a model comes, or goes.

A change is a value that can be written down and made again elsewhere with the same result:
several workers that make the same changes in the same order serve the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from yallmp.core.differences import Differences
from yallmp.core.errors import RequestFault
from yallmp.core.registration import parse_registration
from yallmp.core.registry import Registered, Registration, Registry
from yallmp.core.settings import Access, Config


@frozen
class Register:
    """
    Serve a model from now on.

    :ivar model: what :func:`written` makes of the registration; the backend's key is in it.
    """

    model: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, registration: Registration) -> Register:
        """The change that *registration* is."""
        return cls(written(registration))


@frozen
class Remove:
    """Stop serving a model."""

    name: str


@frozen
class Reload:
    """
    Serve what a configuration says, which was read anew.

    :ivar config: as it was read.
    :ivar kept: the models that ``admin.persist`` has, which count where that is another file
        than before.
    """

    config: Config = field(repr=False)
    kept: tuple[Registration, ...] = field(default=(), repr=False)


Change = Register | Remove | Reload


@frozen
class Made:
    """
    What a change came to.

    :ivar registered: of a registration.
    :ivar unkept: why it will be gone after a restart; ``None`` if it will not.
    :ivar behind: how many other workers did not confirm it in time.
    :ivar differences: of a reload.
    """

    registered: Registered | None
    unkept: str | None = None
    behind: int = 0
    differences: Differences = field(factory=Differences)


def made_of(came: Registered | Differences | None, unkept: str | None, behind: int = 0) -> Made:
    """What a change came to that *came* out of :func:`make`."""
    if isinstance(came, Differences):
        return Made(None, unkept, behind, came)
    return Made(came, unkept, behind)


def make(registry: Registry, change: Change) -> Registered | Differences | None:
    """
    Make *change* in *registry*; what a registration or a reload came to.

    :raises ProxyError: it cannot be made, here or in any registry that is like this one.
    """
    if isinstance(change, Reload):
        return registry.replace(change.config, change.kept)
    if isinstance(change, Remove):
        registry.remove(change.name)
        return None
    return registry.register(read(change.model, registry.catalog.config.access))


def written(registration: Registration) -> dict[str, Any]:
    """*registration* as JSON; :func:`read` makes the same of it again."""
    fallbacks = registration.fallbacks
    return {
        "created": registration.backends[0].created,
        "fallbacks": None if fallbacks is None else list(fallbacks),
        "source": json.loads(registration.source),
    }


def read(model: Mapping[str, Any], access: Access) -> Registration:
    """
    The registration that was :func:`written`.

    It goes through the same checks as one that a client asks for.

    :raises RequestFault: it cannot be used.
    """
    source = {**model["source"], "fallbacks": model["fallbacks"]}
    try:
        registration = parse_registration(source, access, int(model["created"]))
    except RequestFault as error:
        name = source.get("model_name")
        raise RequestFault(f"the model {name!r} cannot be served: {error.message}") from None
    return evolve(registration, source=json.dumps(model["source"]))
