"""
What is configured right now.

The :class:`Registry` holds the one :class:`yallmp.core.catalog.Catalog` in force.  A
reload, a registration and a removal each make a new one and put it in place of the old
one, whole, so a request under way keeps what it started with.

Models registered at run time are remembered beside the configuration, and applied again
to the next one that is loaded, unless its file names them: then the file is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from attrs import evolve, field, frozen

from yallmp.core.backend import Backend
from yallmp.core.breaker import Breakers
from yallmp.core.catalog import MAX_NAME, Catalog, Found, Listed, name_problem
from yallmp.core.differences import Differences, differences
from yallmp.core.errors import Conflict, NotFound
from yallmp.core.renewal import renewed
from yallmp.core.retries import Retries
from yallmp.core.routing import Routes
from yallmp.core.secrets import Secrets, secrets_of
from yallmp.core.settings import Access, Config, Fallbacks, Limits
from yallmp.core.unspoken import Unspoken

__all__ = [
    "MAX_NAME", "Catalog", "Found", "InFlight", "Listed", "Registered", "Registration",
    "Registry", "name_problem",
]  # fmt: skip


@frozen
class Registration:
    """
    A model to be served from now on, with all its backends.

    ``fallbacks`` is ``None`` to leave them as they are.  ``source`` is the JSON that the
    backends were made of, so that they can be made again after a restart.
    """

    backends: tuple[Backend, ...]
    fallbacks: tuple[str, ...] | None = None
    source: str = field(default="{}", repr=False)

    @property
    def model_name(self) -> str:
        """The name that clients ask for; all backends have it."""
        return self.backends[0].model_name


@frozen
class Registered:
    """What a registration came to; ``fallbacks`` are those now in force, known or not."""

    model: str
    replaced: bool
    fallbacks: tuple[str, ...]


class InFlight:
    """How many requests each backend has under way, by its name."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def begin(self, backend_name: str) -> None:
        """A request goes to the backend."""
        self._counts[backend_name] += 1

    def end(self, backend_name: str) -> None:
        """A request that went to the backend is over, whatever it came to."""
        self._counts[backend_name] -= 1
        if self._counts[backend_name] <= 0:
            del self._counts[backend_name]

    def count(self, backend_name: str) -> int:
        """How many are under way."""
        return self._counts[backend_name]

    @property
    def total(self) -> int:
        """How many are under way in all."""
        return self._counts.total()


class Registry:
    """The holder of the catalogue in force, and of what only lives in this process."""

    def __init__(self, config: Config) -> None:
        self.in_flight = InFlight()
        self.breakers = Breakers()
        self.unspoken = Unspoken()
        self.retries = Retries()
        self._secrets = Secrets()
        self._registrations: dict[str, Registration] = {}
        self._watchers: list[Callable[[Config], None]] = []
        self.catalog = Catalog(Config())
        self.routes = Routes(self.catalog)
        self._publish(config)

    def _publish(self, config: Config) -> None:
        """Put *config* in force; what was known of backends that it changes is forgotten."""
        gone = _as_configured(self.catalog.config) - _as_configured(config)
        self._forget(backend.name for backend in gone)
        self.catalog = Catalog(config)
        self.routes = Routes(self.catalog)
        self._secrets.update(secrets_of(config))
        for watcher in self._watchers:
            watcher(config)

    def _forget(self, names: Iterable[str]) -> None:
        """What was learnt of backends that are not what they were."""
        gone = tuple(names)
        self.breakers.forget(gone)
        self.unspoken.forget(gone)

    def watch(self, watcher: Callable[[Config], None]) -> None:
        """
        Have *watcher* called with each configuration that is put in force from now on.

        For what was made of one, or cannot ask for it each time; it does not raise.
        """
        self._watchers.append(watcher)

    def limits(self) -> Limits:
        """The limits in force."""
        return self.catalog.config.limits

    def access(self) -> Access:
        """Who may do what right now."""
        return self.catalog.config.access

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The models registered at run time, oldest first."""
        return tuple(self._registrations.values())

    def secrets(self) -> frozenset[str]:
        """Every secret this process knows: those in force, and the latest 1,000 retired."""
        return self._secrets.known

    @property
    def retired(self) -> tuple[str, ...]:
        """Those secrets that are no longer in force, oldest first."""
        return self._secrets.retired

    @classmethod
    def like(
        cls, config: Config, registrations: Iterable[Registration], retired: Iterable[str] = ()
    ) -> Registry:
        """
        A registry like another one.

        :param registrations: what of *config* was registered at run time.
        :param retired: the secrets that the other knows from before.
        """
        registry = cls(config)
        registry._secrets = Secrets.retiring(retired)
        registry._secrets.update(secrets_of(config))
        registry._registrations = {each.model_name: each for each in registrations}
        return registry

    def replace(self, read: Config, kept: Iterable[Registration] = ()) -> Differences:
        """
        Put *read* in force; registered models stay, unless it names them itself.

        So does what was said of the listener, which does not change while it listens, and
        what is as it was keeps the time of its coming.

        :param kept: the models in the file that *read* keeps them in; those that are not yet
            known are registered again, unless that file is the one before: what it has more
            was removed since it was read.
        """
        before = self.catalog.config
        config = renewed(read, before)
        kept = kept if read.persist != before.persist else ()
        named = {backend.model_name for backend in config.backends}
        known = {each.model_name: each for each in (*kept, *self._registrations.values())}
        self._registrations = {n: each for n, each in known.items() if n not in named}
        for registration in self._registrations.values():
            config = with_registration(config, registration)
        self._publish(config)
        return differences(before, config, read)

    def register(self, registration: Registration) -> Registered:
        """Serve a model from now on, in place of all that had its name."""
        model, before = registration.model_name, self.catalog.config
        replaced = any(backend.model_name == model for backend in before.backends)
        self._remember(registration)
        self._publish(with_registration(before, registration))
        self._forget(b.name for b in self.catalog.group(model))
        return Registered(model, replaced, in_force(self.catalog.config.fallbacks, model))

    def _remember(self, registration: Registration) -> None:
        old = self._registrations.pop(registration.model_name, None)
        if registration.fallbacks is None and old is not None:
            registration = evolve(registration, fallbacks=old.fallbacks)
        self._registrations[registration.model_name] = registration

    def remove(self, model_name: str) -> None:
        """
        Stop serving a model, and forget what it falls back to.

        :raises NotFound: there is no such model.
        :raises Conflict: others still fall back to it; the message names them.
        """
        config = self.catalog.config
        users = sorted(set(dependents(config.fallbacks, model_name)))
        if not _is_named(config, model_name):
            raise NotFound(
                f"No model is called {model_name!r}; GET /admin/models lists them.", param="name"
            )
        if users:
            raise Conflict(f"{model_name!r} is still needed by {', '.join(users)}.", param="name")
        self._registrations.pop(model_name, None)
        self._publish(without(config, model_name))


def dated(config: Config, now: int) -> Config:
    """*config*, its backends created *now*."""
    backends = tuple(evolve(b, created=b.created or now) for b in config.backends)
    return evolve(config, backends=backends)


def _as_configured(config: Config) -> set[Backend]:
    """The backends of *config*, whenever they came."""
    return {evolve(backend, created=0) for backend in config.backends}


def with_registration(config: Config, registration: Registration) -> Config:
    """*config* with a registered model in it, in the place of one that it replaces."""
    model = registration.model_name
    others = [b for b in config.backends if b.model_name != model]
    at = next((i for i, b in enumerate(config.backends) if b.model_name == model), len(others))
    new = _uniquely_named(registration.backends, {b.name for b in others})
    fallbacks = config.fallbacks
    if registration.fallbacks is not None:
        own = {**dict(fallbacks.by_model), model: registration.fallbacks}
        fallbacks = evolve(fallbacks, by_model=tuple(own.items()))
    return evolve(config, backends=(*others[:at], *new, *others[at:]), fallbacks=fallbacks)


def _uniquely_named(backends: Iterable[Backend], taken: set[str]) -> Iterator[Backend]:
    """*backends*, those whose name is *taken* called ``name#2`` and so on."""
    for backend in backends:
        name, number = backend.name, 1
        while name in taken:
            number += 1
            name = f"{backend.name}#{number}"
        taken = {*taken, name}
        yield evolve(backend, name=name)


def without(config: Config, model_name: str) -> Config:
    """*config* without a model and its lists of fallbacks."""
    lists = config.fallbacks
    fallbacks = evolve(
        lists,
        by_model=tuple(pair for pair in lists.by_model if pair[0] != model_name),
        context_window=tuple(pair for pair in lists.context_window if pair[0] != model_name),
        content_policy=tuple(pair for pair in lists.content_policy if pair[0] != model_name),
    )
    backends = tuple(b for b in config.backends if b.model_name != model_name)
    return evolve(config, backends=backends, fallbacks=fallbacks)


def in_force(fallbacks: Fallbacks, model_name: str) -> tuple[str, ...]:
    """What *model_name* falls back to as configured, with names that are not known (yet)."""
    return dict(fallbacks.by_model).get(model_name, fallbacks.default)


def dependents(fallbacks: Fallbacks, model_name: str) -> Iterator[str]:
    """Who falls back to *model_name*, in words."""
    lists = (*fallbacks.by_model, *fallbacks.context_window, *fallbacks.content_policy)
    for name, members in lists:
        if model_name in members and name != model_name:
            yield repr(name)
    if model_name in fallbacks.default:
        yield "default_fallbacks"
    for alias, target in fallbacks.aliases:
        if target == model_name:
            yield f"the alias {alias!r}"


def _is_named(config: Config, model_name: str) -> bool:
    entries = any(backend.model_name == model_name for backend in config.backends)
    return entries or any(name == model_name for name, _ in config.fallbacks.by_model)
