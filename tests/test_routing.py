"""
The backends for a request, and their order.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core import routing
from yallmp.core.backend import Backend
from yallmp.core.catalog import Catalog
from yallmp.core.errors import ModelNotFound
from yallmp.core.routing import Route, Routes, arranged, route_for
from yallmp.core.settings import Config, Fallbacks


def names(backends: Sequence[Backend]) -> list[str]:
    """Their names."""
    return [backend.name for backend in backends]


def found(backends: Sequence[Backend], asked: str, lists: Fallbacks | None = None) -> Route:
    """The route for *asked*; equal weights keep the file's order."""
    catalog = Catalog(Config(backends=tuple(backends), fallbacks=lists or Fallbacks()))
    return route_for(catalog, asked, lambda: 0.5)


class RouteTests(SynchronousTestCase):
    """Which backends, in which order."""

    backends = (Backend("a", "m"), Backend("f", "f"), Backend("a2", "m"), Backend("g", "g"))

    def test_own_group_first(self) -> None:
        """The model's own backends, then those of its fallbacks."""
        route = found(self.backends, "m", Fallbacks(by_model=(("m", ("g", "f")),)))
        self.assertEqual(names(route.legs), ["a", "a2", "g", "f"])
        self.assertEqual((route.model, route.asked), ("m", "m"))

    def test_fallbacks_are_not_transitive(self) -> None:
        """A fallback's own fallbacks are its own."""
        lists = Fallbacks(by_model=(("m", ("f",)), ("f", ("g",))))
        self.assertEqual(names(found(self.backends, "m", lists).legs), ["a", "a2", "f"])

    def test_each_backend_once(self) -> None:
        """However often the lists name it."""
        lists = Fallbacks(by_model=(("m", ("f", "f", "m", "g")),), context_window=(("m", ("f",)),))
        route = found(self.backends, "m", lists)
        self.assertEqual(names(route.legs), ["a", "a2", "f", "g"])
        self.assertEqual(names(route.context), ["f"])
        self.assertEqual(names(route.every), ["a", "a2", "f", "g"])

    def test_lists_for_special_failures(self) -> None:
        """They stand apart, and last among all."""
        lists = Fallbacks(context_window=(("m", ("g",)),), content_policy=(("m", ("f",)),))
        route = found(self.backends, "m", lists)
        self.assertEqual(names(route.legs), ["a", "a2"])
        self.assertEqual((names(route.context), names(route.policy)), (["g"], ["f"]))
        self.assertEqual(names(route.every), ["a", "a2", "g", "f"])

    def test_defaults(self) -> None:
        """default_fallbacks serve a model without fallbacks of its own."""
        route = found(self.backends, "m", Fallbacks(default=("g",)))
        self.assertEqual(names(route.legs), ["a", "a2", "g"])

    def test_a_virtual_model(self) -> None:
        """A name with fallbacks only is served by them."""
        route = found(self.backends, "v", Fallbacks(by_model=(("v", ("g", "f")),)))
        self.assertEqual(names(route.legs), ["g", "f"])

    def test_unknown(self) -> None:
        """No such model is the client's mistake."""
        self.assertRaises(ModelNotFound, found, self.backends, "nothing")


class NameTests(SynchronousTestCase):
    """The name that a backend is asked for."""

    def sent(self, backend: Backend, asked: str) -> str:
        """What *backend* is asked for when it serves a client's *asked*."""
        route = found([backend], asked)
        return route.sends(route.legs[0])

    def test_its_own(self) -> None:
        """A backend's model, or without one the name of the entry."""
        self.assertEqual(self.sent(Backend("b", "m", sends="up"), "m"), "up")
        self.assertEqual(self.sent(Backend("b", "m"), "m"), "m")
        self.assertEqual(self.sent(Backend("b", "m"), "openai/m"), "m")

    def test_wildcards(self) -> None:
        """What the star stood for is sent."""
        self.assertEqual(self.sent(Backend("b", "x/*"), "x/gpt/4"), "gpt/4")
        self.assertEqual(self.sent(Backend("b", "*"), "gpt"), "gpt")
        self.assertEqual(self.sent(Backend("b", "x/*", sends="y/*"), "x/gpt"), "y/gpt")
        self.assertEqual(self.sent(Backend("b", "x/*", sends="one"), "x/gpt"), "one")

    def test_fallbacks_are_asked_for_their_own(self) -> None:
        """What the client asked for means nothing to another model's backend."""
        lists = Fallbacks(default=("f", "y/two"))
        backends = (Backend("a", "x/*"), Backend("f", "f", sends="eff"), Backend("b", "y/*"))
        route = found(backends, "x/one", lists)
        self.assertEqual([route.sends(leg) for leg in route.legs], ["one", "eff", "two"])


class ArrangedTests(SynchronousTestCase):
    """Tiers and shares."""

    def test_tiers(self) -> None:
        """A lower order comes first, whatever the draw."""
        group = [Backend("late", "m", order=2), Backend("soon", "m", order=1)]
        random = Random(1)
        for _ in range(50):
            self.assertEqual(names(arranged(group, random.random)), ["soon", "late"])

    def shares(self, *weights: float) -> list[float]:
        """How often each of the weights came first."""
        group = [Backend(str(i), "m", weight=w) for i, w in enumerate(weights)]
        random = Random(7)
        first = Counter(arranged(group, random.random)[0].name for _ in range(2000))
        return [first[backend.name] / 2000 for backend in group]

    def test_shares_are_in_proportion(self) -> None:
        """Whatever the scale of the weights."""
        for scale in (1e-6, 1e-3, 1.0, 1e6):
            shares = self.shares(1 * scale, 3 * scale)
            self.assertLess(abs(shares[0] - 0.25), 0.04, scale)

    def test_second_places_are_in_proportion_too(self) -> None:
        """When the first one fails its share goes to the others by their weights."""
        group = [Backend("a", "m", weight=1e9), Backend("b", "m"), Backend("c", "m", weight=3.0)]
        random = Random(3)
        second = Counter(arranged(group, random.random)[1].name for _ in range(2000))
        self.assertLess(abs(second["c"] / 2000 - 0.75), 0.04)

    def test_weight_0_comes_last(self) -> None:
        """It serves when nothing else does."""
        self.assertEqual(self.shares(0.0, 1e-9), [0.0, 1.0])

    @given(
        st.lists(st.tuples(st.floats(0, 1e300), st.integers(0, 2)), max_size=6),
        st.floats(0, 1, exclude_max=True),
    )
    def test_nobody_is_lost(self, kinds: list[tuple[float, int]], u: float) -> None:
        """Every member stands there once, tiers in order, for any draw and any weight."""
        group = [Backend(str(i), "m", weight=w, order=o) for i, (w, o) in enumerate(kinds)]
        placed = arranged(group, lambda: u)
        self.assertEqual(sorted(names(placed)), sorted(names(group)))
        self.assertEqual([b.order for b in placed], sorted(b.order for b in group))


ASKED = ("a", "b", "c", "z", "x/1", "x/2", "openai/b")


class RoutesTests(SynchronousTestCase):
    """Routes that are kept are those that would be made."""

    config = Config(
        backends=(
            Backend("a1", "a"), Backend("a2", "a", weight=3), Backend("b", "b"),
            Backend("w", "x/*"), Backend("c1", "c", order=1), Backend("c2", "c"),
        ),
        fallbacks=Fallbacks(by_model=(("b", ("c",)), ("c", ("a",))), aliases=(("z", "b"),)),
    )  # fmt: skip

    @given(
        st.lists(
            st.tuples(st.sampled_from(["a", "b", "c", "z", "x/1", "x/2", "openai/b"]), st.randoms())
        ),
        st.integers(0, 2),
    )
    def test_as_if_made_anew(self, asked: list[tuple[str, Any]], room: int) -> None:
        """Whatever was asked before, and however much is kept."""
        catalog = Catalog(self.config)
        routes = Routes(catalog)
        self.patch(routing, "MOST_KEPT", room)
        for name, randomness in asked:
            state = randomness.getstate()
            found = routes.find(name, randomness.random)
            randomness.setstate(state)
            made = route_for(catalog, name, randomness.random)
            self.assertEqual((found, found.names), (made, made.names))

    def test_what_is_the_same_is_made_once(self) -> None:
        """One route where nothing is drawn, one for each order where something is."""
        routes = Routes(Catalog(self.config))
        self.assertIs(routes.find("b", lambda: 0.1), routes.find("b", lambda: 0.1))
        drawn = {id(routes.find("a", random.random)) for _ in range(200)}
        self.assertEqual(len(drawn), 2)
        self.assertIs(routes.find("c", lambda: 0.5).legs[0].name, "c2")

    def test_unknown(self) -> None:
        """A name that is not configured is an error each time."""
        routes = Routes(Catalog(self.config))
        for _ in range(2):
            self.assertRaises(ModelNotFound, routes.find, "nobody", lambda: 0.5)
