"""
Names that refer to models: fallbacks, aliases, and what a key may ask for.

A name that nobody serves is no error, because it may be registered later; it is kept,
skipped in routes and warned about.  Where the entry is there but left out for want of a
key, nothing more is said than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from attrs import frozen

from yallmp.core.config.fallbacklists import Named
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Node
from yallmp.core.settings import Fallbacks


@frozen
class Names:
    """
    What can be referred to.

    ``served`` are the names with backends, ``left_out`` those that only entries without
    their key would serve, ``virtual`` those with nothing but fallbacks.
    """

    served: frozenset[str]
    left_out: frozenset[str] = frozenset()
    virtual: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = {}

    def is_served(self, name: str) -> bool:
        """Whether *name* leads to a backend."""
        return _matches(self.aliases.get(name, name), self.served)

    def is_left_out(self, name: str) -> bool:
        """Whether *name* would lead to a backend, if that had its key."""
        return _matches(self.aliases.get(name, name), self.left_out)

    def is_known(self, name: str) -> bool:
        """Whether a client may ask for *name*, now or with all keys."""
        return name in self.virtual or self.is_served(name) or self.is_left_out(name)

    def nearest(self, name: str) -> str:
        """A hint at the name that was meant, if one is near."""
        close = get_close_matches(name, [*self.served, *self.aliases], n=1, cutoff=0.7)
        return f"; did you mean {close[0]}?" if close else ""


def _matches(name: str, known: frozenset[str]) -> bool:
    return name in known or any(
        pattern.endswith("*") and name.startswith(pattern[:-1]) for pattern in known
    )


def fallbacks(
    reading: Reading, names: Names, values: Mapping[str, Any], other: Mapping[str, Any]
) -> Fallbacks:
    """
    The fallbacks in force.

    :param values: what ``router_settings`` says, which counts for more than *other*, what
        ``litellm_settings`` says.
    """
    lists = {
        key: _merged(values.get(key, ()), other.get(key, ()))
        for key in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
    }
    general = values.get("default_fallbacks") or other.get("default_fallbacks")
    stars = [named for named in lists["fallbacks"] if _is_for_all(named, names)]
    defaults = [general, *stars] if general else stars
    for named in (*(n for each in lists.values() for n in each), *([general] if general else [])):
        check_fallbacks(reading, names, named)
    return Fallbacks(
        by_model=_kept(lists["fallbacks"], names),
        default=tuple(dict.fromkeys(m for named in defaults for m in named.models)),
        context_window=_kept(lists["context_window_fallbacks"], names),
        content_policy=_kept(lists["content_policy_fallbacks"], names),
        aliases=tuple(
            (named.name, named.models[0]) for named in values.get("model_group_alias", ())
        ),
    )


def _merged(own: Sequence[Named], other: Sequence[Named]) -> tuple[Named, ...]:
    return tuple({named.name: named for named in (*other, *own)}.values())


def _is_for_all(named: Named, names: Names) -> bool:
    """Whether these are fallbacks of any model, as LiteLLM's ``"*"``."""
    return named.name == "*" and "*" not in names.served | names.left_out


def _kept(lists: Iterable[Named], names: Names) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """
    The lists of one kind, without those that nothing can come of.

    A model that is left out is served by its fallbacks as a virtual one, if they are there;
    otherwise it is not there at all.
    """
    return tuple(
        (named.name, named.models)
        for named in lists
        if not _is_for_all(named, names) and not _is_idle(named, names)
    )


def _is_idle(named: Named, names: Names) -> bool:
    served = any(names.is_served(name) for name in (named.name, *named.models))
    return not served and names.is_left_out(named.name)


def check_fallbacks(reading: Reading, names: Names, named: Named) -> None:
    """Warn about fallbacks that will be skipped."""
    for name in named.models:
        if name.endswith("*"):
            reading.warn(named.node, f"{name} is skipped: a fallback is a model, not a pattern")
        elif name in names.virtual and not names.is_served(name):
            reading.warn(
                named.node, f"{name} is skipped: it has only fallbacks, which are not followed on"
            )
        elif not names.is_known(name):
            hint = names.nearest(name)
            reading.warn(
                named.node, f"the fallback {name} is skipped: no entry has this name{hint}"
            )


def check_aliases(reading: Reading, names: Names, aliases: Iterable[Named]) -> None:
    """Warn about aliases that lead nowhere or are never looked at."""
    for named in aliases:
        (model,) = named.models
        if named.name in names.served:
            reading.warn(
                named.node,
                f"{named.name} is in model_list too, which serves it: this has no effect",
            )
        elif not _matches(model, names.served | names.left_out | names.virtual):
            reading.warn(named.node, f"no entry has the name {model}{names.nearest(model)}")


def check_allowed(reading: Reading, names: Names, node: Node, models: Iterable[str]) -> None:
    """Warn about models that a key may ask for and that are not there."""
    for name in models:
        if not names.is_known(name) and name not in names.aliases:
            reading.warn(node, f"no entry has the name {name}{names.nearest(name)}")
