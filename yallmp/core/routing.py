"""
Routes: the backends for one request, in order.

The model's own group comes first, then the groups of its fallbacks; fallbacks are not
transitive, and a backend stands in a route once.  Within a group lower ``order`` comes
first, and backends of the same order share the load: their order is drawn by ``weight``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from math import inf, log1p
from typing import TypeVar

from attrs import evolve, field, frozen

from yallmp.core.backend import Backend
from yallmp.core.catalog import Catalog, Found

#: So many plans and routes are kept; names that only a wildcard fits have no end.
MOST_KEPT = 1000
K = TypeVar("K")
V = TypeVar("V")


@frozen
class Route:
    """
    Where a request goes.

    ``model`` is the configured name that ``asked`` led to, for ``reason``.  ``legs`` are
    the backends in order; ``context`` and ``policy`` those that are tried only after a
    context that is too long, or a content filter.  ``alias`` is what the client wrote, if
    that is an alias; ``every`` are all backends that may come to serve it.  ``bound`` tells
    that the request depends on what one provider keeps, so that there is one backend and no
    other.
    """

    model: str
    asked: str
    reason: str
    legs: tuple[Backend, ...]
    context: tuple[Backend, ...] = ()
    policy: tuple[Backend, ...] = ()
    alias: str | None = None
    bound: bool = False
    every: tuple[Backend, ...] = field(init=False, eq=False, repr=False)

    @every.default
    def _every(self) -> tuple[Backend, ...]:
        return tuple(_once([*self.legs, *self.context, *self.policy]))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all backends that may come to serve it."""
        return tuple(backend.name for backend in self.every)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """The models besides ``model`` that may come to serve it."""
        return tuple(b.model_name for b in self.every if b.model_name != self.model)

    @cached_property
    def log_requests(self) -> str | None:
        """What the first backend that says so wants recorded."""
        return next((b.log_requests for b in self.legs if b.log_requests), None)

    @cached_property
    def request_timeout(self) -> float:
        """The longest explicit ``request_timeout``; 0 if there is none."""
        return max((b.patience.request_timeout or 0.0 for b in self.every), default=0.0)

    def to_one(self, resting: Collection[str] = ()) -> Route:
        """
        This route for a request that no second backend can serve.

        It is the first of its group that does not rest, else the first.
        """
        group = [b for b in self.legs if b.model_name == self.legs[0].model_name]
        awake = [b for b in group if b.name not in resting]
        return evolve(self, legs=tuple((awake or group)[:1]), context=(), policy=(), bound=True)

    def sends(self, backend: Backend) -> str:
        """The model name for *backend*: for a wildcard of its own the rest of what was asked."""
        own = backend.model_name == self.model
        return backend.upstream_model(self.asked if own else backend.model_name)


#: Backends of one model name.
Group = tuple[Backend, ...]


@frozen
class Plan:
    """
    What a model's routes have in common: their groups of backends, not yet arranged.

    ``legs``, ``context`` and ``policy`` are as in :class:`Route`, by group.
    """

    found: Found
    legs: tuple[Group, ...]
    context: tuple[Group, ...]
    policy: tuple[Group, ...]

    @cached_property
    def is_fixed(self) -> bool:
        """Whether nothing is drawn: every request has the same route."""
        groups = [*self.legs, *self.context, *self.policy]
        return all(len({b.order for b in group}) == len(group) for group in groups)

    def order(self, draw: Callable[[], float]) -> tuple[Order, Order, Order]:
        """The backends of each kind, drawn."""
        return _drawn(self.legs, draw), _drawn(self.context, draw), _drawn(self.policy, draw)

    def route(self, order: tuple[Order, Order, Order]) -> Route:
        """The route that has them in this *order*."""
        found = self.found
        legs, context, policy = [tuple(_once(each)) for each in order]
        return Route(
            found.model_name, found.asked, found.reason, legs, context, policy, found.alias
        )


#: Backends of several groups, arranged.
Order = tuple[Backend, ...]


def _drawn(groups: Iterable[Group], draw: Callable[[], float]) -> Order:
    backends: list[Backend] = []
    for group in groups:
        backends += arranged(group, draw) if len(group) > 1 else group
    return tuple(backends)


def plan_for(catalog: Catalog, asked: str) -> Plan:
    """
    The plan for the model *asked* for.

    :raises ModelNotFound: no such model.
    """
    found = catalog.find(asked)
    model = found.model_name

    def groups(*names: str) -> tuple[Group, ...]:
        return tuple(catalog.group(name) for name in names)

    return Plan(
        found,
        groups(model, *catalog.fallbacks(model)),
        groups(*catalog.context_window_fallbacks(model)),
        groups(*catalog.content_policy_fallbacks(model)),
    )


def route_for(catalog: Catalog, asked: str, draw: Callable[[], float]) -> Route:
    """
    The route for the model *asked* for.

    :param draw: gives random numbers, 0 ≤ x < 1.
    :raises ModelNotFound: no such model.
    """
    plan = plan_for(catalog, asked)
    return plan.route(plan.order(draw))


class Routes:
    """
    The routes that lead through one catalogue, each made once.

    A request draws only the order of the backends, where there is anything to draw.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._fixed: dict[str, Route] = {}
        self._plans: dict[str, Plan] = {}
        self._drawn: dict[tuple[str, tuple[Order, Order, Order]], Route] = {}

    def find(self, asked: str, draw: Callable[[], float]) -> Route:
        """See :func:`route_for`."""
        fixed = self._fixed.get(asked)
        if fixed is not None:
            return fixed
        plan = self._plans.get(asked) or _kept(self._plans, asked, plan_for(self._catalog, asked))
        order = plan.order(draw)
        if plan.is_fixed:
            return _kept(self._fixed, asked, plan.route(order))
        key = asked, order
        return self._drawn.get(key) or _kept(self._drawn, key, plan.route(order))


def _kept(table: dict[K, V], key: K, value: V) -> V:
    """*value*, kept for the next time while there is room."""
    if len(table) < MOST_KEPT:
        table[key] = value
    return value


def arranged(group: Iterable[Backend], draw: Callable[[], float]) -> list[Backend]:
    """
    *group* by ``order``, and within one order drawn by weight.

    Each backend gets the key ``-ln(1 - u) / weight``; sorting by it, smallest first, picks
    each place in proportion to the weights (Efraimidis and Spirakis, 2006; the logarithm
    keeps small weights apart).
    """
    keyed = [(b.order, -log1p(-draw()) / b.weight if b.weight > 0 else inf, b) for b in group]
    return [b for _, _, b in sorted(keyed, key=lambda key: key[:2])]


def _once(backends: Iterable[Backend]) -> Iterable[Backend]:
    seen: set[str] = set()
    for backend in backends:
        if backend.name not in seen:
            seen.add(backend.name)
            yield backend
