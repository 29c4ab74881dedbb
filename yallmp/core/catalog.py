"""
Which model a name means, and who serves it.

A :class:`Catalog` is a compiled, immutable view of one configuration: names are looked up
in it, never in the configuration.

A name is looked up as written, then with one leading ``openai/`` removed, then among the
wildcards, the longest first.  Three kinds of names have no entry of their own:

- a *virtual* model has only fallbacks;
- an *alias* (``model_group_alias``) is another name for a model;
- a *derived* model is named in the fallbacks and served by a wildcard.  It gets a group of
  its own, made of the wildcard's backends with the name filled in.  A bare ``*`` takes
  every name, so it does not turn a virtual model into a derived one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches

from attrs import evolve, field, frozen

from yallmp.core.backend import Backend
from yallmp.core.errors import MissingParameter, ModelNotFound, RequestFault
from yallmp.core.settings import Config, Fallbacks

#: The longest name of a model, in characters.
MAX_NAME = 200

_PREFIX = "openai/"
#: Comparing takes 0.15 ms for long names, so only this many promising ones are compared.
_SUGGEST_AMONG = 100

Names = tuple[str, ...]


def name_problem(name: str) -> str | None:
    """What keeps *name* from being a model's name, or ``None``."""
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if not name.isprintable():
        return "has control characters or characters that cannot be printed"
    return "begins or ends with a blank" if name != name.strip() else None


@frozen
class Found:
    """
    What a client's name led to.

    ``model_name`` is the configured name (``openai/*`` for a wildcard), ``asked`` the name
    as it is looked up there, ``reason`` says in a few words how it was found.  ``alias`` is
    what the client wrote, if that is an alias.
    """

    model_name: str
    reason: str
    asked: str
    alias: str | None = None


@frozen
class Listed:
    """A model as ``/v1/models`` shows it; ``created`` is POSIX seconds."""

    id: str
    created: int


@frozen
class Catalog:
    """A compiled view of one configuration; every answer is a look-up."""

    config: Config
    _aliases: Mapping[str, str] = field(init=False, repr=False, eq=False)
    _groups: Mapping[str, tuple[Backend, ...]] = field(init=False, repr=False, eq=False)
    _own: Mapping[str, Names] = field(init=False, repr=False, eq=False)
    _context: Mapping[str, Names] = field(init=False, repr=False, eq=False)
    _policy: Mapping[str, Names] = field(init=False, repr=False, eq=False)
    _exact: Mapping[str, Found] = field(init=False, repr=False, eq=False)
    _patterns: Names = field(init=False, repr=False, eq=False)
    _backends: Mapping[str, Backend] = field(init=False, repr=False, eq=False)

    @_aliases.default
    def _compile_aliases(self) -> dict[str, str]:
        return dict(self.config.fallbacks.aliases)

    @_groups.default
    def _compile_groups(self) -> dict[str, tuple[Backend, ...]]:
        groups = _grouped(self.config.backends)
        return groups | dict(_derived(groups, self.config.fallbacks))

    @_own.default
    def _compile_own(self) -> dict[str, Names]:
        return self._compiled(self.config.fallbacks.by_model)

    @_context.default
    def _compile_context(self) -> dict[str, Names]:
        return self._compiled(self.config.fallbacks.context_window)

    @_policy.default
    def _compile_policy(self) -> dict[str, Names]:
        return self._compiled(self.config.fallbacks.content_policy)

    @_exact.default
    def _compile_exact(self) -> dict[str, Found]:
        named = {name: Found(name, "virtual: only fallbacks", name) for name in self._virtual()}
        named |= {name: Found(name, "by name", name) for name in self._groups}
        return {name: found for name, found in named.items() if not name.endswith("*")}

    @_patterns.default
    def _compile_patterns(self) -> Names:
        return _longest_first([*self._groups, *self._virtual()])

    @_backends.default
    def _compile_backends(self) -> dict[str, Backend]:
        return {backend.name: backend for backend in self.config.backends}

    def _compiled(self, lists: Iterable[tuple[str, Names]]) -> dict[str, Names]:
        return {name: self._known(name, members) for name, members in lists}

    def _known(self, model_name: str, members: Iterable[str]) -> Names:
        """Those of *members* that have backends, aliases resolved, each once, not itself."""
        groups = self._groups
        resolved = (n if n in groups else self._aliases.get(n, n) for n in members)
        return tuple(
            name
            for name in dict.fromkeys(resolved)
            if name in groups and name != model_name and not name.endswith("*")
        )

    def _virtual(self) -> list[str]:
        return [name for name, members in self._own.items() if members]

    def find(self, asked: str) -> Found:
        """
        The configured model that *asked* means.

        :raises MissingParameter: it is empty.
        :raises RequestFault: it cannot be a name.
        :raises ModelNotFound: there is no such model; the message names the closest one.
        """
        found = self._exact.get(asked)
        if found is None:
            _check_name(asked)
            found = self._named(asked) or self._unprefixed(asked) or self._by_wildcard(asked)
        if found is None:
            raise self.not_found(asked)
        return found

    def _named(self, asked: str) -> Found | None:
        target = self._aliases.get(asked)
        if asked in self._exact or target is None:
            return self._exact.get(asked)
        found = self._exact.get(target) or self._by_wildcard(target)
        return found and evolve(found, reason=f"alias of {target}", alias=asked)

    def known(self, asked: str) -> str | None:
        """The configured model that *asked* means, if there is one; no hint is looked for."""
        found = self._named(asked) or self._unprefixed(asked) or self._by_wildcard(asked)
        return None if found is None else found.model_name

    def _unprefixed(self, asked: str) -> Found | None:
        found = self._named(asked[len(_PREFIX) :]) if asked.startswith(_PREFIX) else None
        return found and evolve(found, reason=f"{found.reason}, {_PREFIX} removed")

    def _by_wildcard(self, asked: str) -> Found | None:
        pattern = _matching(asked, self._patterns)
        return None if pattern is None else Found(pattern, f"wildcard {pattern}", asked)

    def not_found(
        self, asked: str, shown: Callable[[str], bool] = lambda name: True
    ) -> ModelNotFound:
        """
        The error for a model that there is not; it names the closest one.

        :param shown: whether a name may be told.
        """
        known = [listed.id for listed in self.models() if shown(listed.id)]
        known.sort(key=lambda name: (name[:3] != asked[:3], abs(len(name) - len(asked))))
        close = get_close_matches(asked, known[:_SUGGEST_AMONG], n=1, cutoff=0.0)
        hint = f"the closest is {close[0]!r} (GET /v1/models lists all)" if close else "none is"
        return ModelNotFound(f"The model {asked!r} is not configured; {hint}.", param="model")

    def group(self, model_name: str) -> tuple[Backend, ...]:
        """The backends that serve *model_name* itself; none for a virtual model."""
        return self._groups.get(model_name, ())

    def fallbacks(self, model_name: str) -> Names:
        """The models that serve in place of *model_name*: its own list, else the default."""
        own = self._own.get(model_name)
        return self._known(model_name, self.config.fallbacks.default) if own is None else own

    def context_window_fallbacks(self, model_name: str) -> Names:
        """The models to ask when the prompt is too long for *model_name*."""
        return self._context.get(model_name, ())

    def content_policy_fallbacks(self, model_name: str) -> Names:
        """The models to ask when a content filter of *model_name* refuses."""
        return self._policy.get(model_name, ())

    def models(self) -> tuple[Listed, ...]:
        """
        What a client can ask for by name, in order of registration.

        Virtual models and aliases come last.  Wildcards are not listed: nobody can ask for
        a pattern.
        """
        entries = [b.model_name for b in self.config.backends if not b.is_wildcard]
        names = dict.fromkeys([*entries, *self._exact, *filter(self._named, self._aliases)])
        return tuple(Listed(name, self._created(name)) for name in names)

    def _created(self, name: str) -> int:
        model_name = name if name in self._exact else self._aliases[name]
        serving = [model_name] if self.group(model_name) else self.fallbacks(model_name)
        return min((b.created for n in serving for b in self.group(n)), default=0)

    def backend(self, name: str) -> Backend | None:
        """The backend called *name*."""
        return self._backends.get(name)


def _check_name(asked: str) -> None:
    problem = name_problem(asked)
    if problem:
        kind = RequestFault if asked else MissingParameter
        raise kind(f"The model's name {problem}.", param="model")


def _grouped(backends: Iterable[Backend]) -> dict[str, tuple[Backend, ...]]:
    groups: dict[str, tuple[Backend, ...]] = {}
    for backend in backends:
        groups[backend.model_name] = (*groups.get(backend.model_name, ()), backend)
    return groups


def _derived(
    groups: Mapping[str, tuple[Backend, ...]], fallbacks: Fallbacks
) -> Iterator[tuple[str, tuple[Backend, ...]]]:
    """The groups of models that are named in *fallbacks* and that a wildcard serves."""
    keys = {name for name, _ in fallbacks.by_model}
    patterns = _longest_first(groups)
    for name in sorted({*keys, *_members(fallbacks)} - set(groups)):
        pattern = _matching(name, patterns)
        if pattern and not (pattern == "*" and name in keys):
            yield name, tuple(_filled_in(backend, name) for backend in groups[pattern])


def _filled_in(backend: Backend, name: str) -> Backend:
    return evolve(backend, model_name=name, sends=backend.upstream_model(name))


def _members(fallbacks: Fallbacks) -> set[str]:
    """Every name that something falls back to, aliases resolved."""
    aliases = dict(fallbacks.aliases)
    lists = [*fallbacks.by_model, *fallbacks.context_window, *fallbacks.content_policy]
    names = {name for _, members in lists for name in members} | set(fallbacks.default)
    return {aliases.get(name, name) for name in names}


def _longest_first(names: Iterable[str]) -> tuple[str, ...]:
    patterns = {name for name in names if name.endswith("*")}
    return tuple(sorted(patterns, key=lambda name: (-len(name), name)))


def _matching(name: str, patterns: Iterable[str]) -> str | None:
    """The first of *patterns* that *name* fits with something left for the star."""
    if name.endswith("*"):
        return None
    return next((p for p in patterns if name.startswith(p[:-1]) and len(name) >= len(p)), None)
