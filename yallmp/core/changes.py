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

from yallmp.core.errors import RequestFault
from yallmp.core.registration import parse_registration
from yallmp.core.registry import Registered, Registration, Registry
from yallmp.core.settings import Access


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


#: A reload would be a third kind: a whole configuration, in the same order as the others.
Change = Register | Remove


@frozen
class Made:
    """
    What a change came to.

    :ivar registered: of a registration.
    :ivar unkept: why it will be gone after a restart; ``None`` if it will not.
    :ivar behind: how many other workers did not confirm it in time.
    """

    registered: Registered | None
    unkept: str | None = None
    behind: int = 0


def make(registry: Registry, change: Change) -> Registered | None:
    """
    Make *change* in *registry*; what a registration came to.

    :raises ProxyError: it cannot be made, here or in any registry that is like this one.
    """
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
