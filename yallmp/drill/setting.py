"""
The user's configuration with a wall in place of one model's backends.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from yallmp.core.backend import Backend, Tls
from yallmp.core.catalog import Catalog
from yallmp.core.errors import RequestFault
from yallmp.core.routing import Route, route_for
from yallmp.core.settings import Access, Config

#: What stands for the rest of a name where a wildcard serves.
_SOMETHING = "drill"
#: The most bytes of one answer; a good one has 10 KiB.
LARGEST = 4 << 20
_KEY = "sk-of-the-drill"


@frozen
class Stage:
    """
    One model as it is rehearsed.

    ``asked`` is what callers ask for; ``backends`` are those of its route, in the order of
    the file; the first one, the primary, has the fault.
    """

    model: str
    asked: str
    backends: tuple[Backend, ...]
    route: Route

    @property
    def primary(self) -> str:
        """The backend with the fault."""
        return self.backends[0].name

    @property
    def alone(self) -> bool:
        """Whether nobody else can serve it."""
        return len(self.route.legs) < 2

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """The models that serve in its place."""
        names = dict.fromkeys(backend.model_name for backend in self.route.legs)
        return tuple(name for name in names if name != self.route.model)

    @property
    def mocks(self) -> tuple[str, ...]:
        """The backends that in truth answer without a network, by ``mock_response``."""
        return tuple(b.name for b in self.backends if b.mock_response is not None)


def stages(config: Config) -> tuple[Stage, ...]:
    """Every model of *config*, in its order; aliases are other names, not models."""
    catalog, aliases = Catalog(config), dict(config.fallbacks.aliases)
    entries = [backend.model_name for backend in config.backends]
    listed = [each.id for each in catalog.models() if each.id not in aliases]
    found = [_stage(catalog, name) for name in dict.fromkeys([*entries, *listed])]
    return tuple(stage for stage in found if stage.backends)


def stage_for(config: Config, asked: str) -> Stage | None:
    """The stage for a name that clients may ask for: an alias, or one that a wildcard takes."""
    try:
        return _stage(Catalog(config), asked)
    except RequestFault:
        return None


def _stage(catalog: Catalog, model: str) -> Stage:
    asked = f"{model[:-1]}{_SOMETHING}" if model.endswith("*") else model
    route = route_for(catalog, asked, lambda: 0.0)
    return Stage(model, asked, route.every, route)


def with_wall(config: Config, stage: Stage, addresses: Mapping[str, str]) -> Config:
    """
    *config* with nothing but the route of *stage*, leading to *addresses*.

    Times, retries and fallbacks stay the user's; keys, certificates and access do not matter
    on loopback.  Answers are bounded by :data:`LARGEST`, since unpacking more in one cell
    would make the others wait.
    """
    largest = min(config.limits.max_response_bytes, LARGEST)
    limits = evolve(config.limits, max_response_bytes=largest)
    backends = tuple(
        _walled(backend, number, addresses[backend.name])
        for number, backend in enumerate(stage.backends)
    )
    return evolve(
        config, backends=backends, access=Access(), limits=limits, persist=None, notices=()
    )


def _walled(backend: Backend, number: int, address: str) -> Backend:
    return evolve(
        backend,
        api_base=address,
        api_key=_KEY,
        mock_response=None,
        order=number,
        extra_headers=(),
        query=(),
        tls=Tls(),
        proxy=None,
        registered=False,
    )
