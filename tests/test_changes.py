"""Changes: the same ones in the same order come to the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.changes import Change, Register, Remove, make, read, written
from yallmp.core.errors import NotFound, ProxyError, RequestFault
from yallmp.core.registration import parse_registration
from yallmp.core.registry import Registry
from yallmp.core.settings import Access, Config

BASE = "https://api.example.com/v1"
names = st.sampled_from(["a", "b", "c", "d/e"])
fallbacks = st.none() | st.lists(names, max_size=2, unique=True)


def register(name: str, **body: Any) -> Register:
    """The registration of a model."""
    asked = {"model_name": name, "api_base": BASE, **body}
    return Register.of(parse_registration(asked, Access(), 1234))


def registering(name: str, others: list[str] | None, key: str) -> Register:
    """The registration of a model that does not fall back to itself."""
    others = others and [other for other in others if other != name]
    return register(name, fallbacks=others, api_key=key)


changes: st.SearchStrategy[Change] = st.builds(Remove, names) | st.builds(
    registering, names, fallbacks, st.sampled_from(["k1", "k2"])
)


def fresh() -> Registry:
    """A registry with one model from a file."""
    return Registry(Config((Backend("a", "a", api_base=BASE, created=7),)))


def tried(registry: Registry, change: Change) -> object:
    """What a change comes to, or why it cannot be made."""
    try:
        return make(registry, change)
    except ProxyError as error:
        return (error.code, error.message)


class ChangeTests(SynchronousTestCase):
    """Making them."""

    def test_a_model_comes_and_goes(self) -> None:
        """It is served with the time that the change has."""
        registry = fresh()
        done = make(registry, register("c", fallbacks=["a"]))
        assert done is not None
        self.assertEqual((done.model, done.fallbacks), ("c", ("a",)))
        self.assertEqual(registry.catalog.group("c")[0].created, 1234)
        self.assertIsNone(make(registry, Remove("c")))
        self.assertRaises(NotFound, make, registry, Remove("c"))

    @given(st.lists(changes, max_size=8), st.integers(0, 8))
    def test_whoever_starts_later_is_the_same(self, made: list[Change], at: int) -> None:
        """A registry like another one takes up where that was, to the last detail."""
        first = fresh()
        for change in made[:at]:
            tried(first, change)
        second = Registry.like(first.catalog.config, first.registrations)
        for change in made[at:]:
            self.assertEqual(tried(first, change), tried(second, change))
        self.assertEqual(first.catalog, second.catalog)
        self.assertEqual(first.registrations, second.registrations)

    @given(names, fallbacks)
    def test_written_and_read(self, name: str, others: list[str] | None) -> None:
        """A registration is the same after a detour."""
        others = others and [other for other in others if other != name]
        asked = {"model_name": name, "api_base": BASE, "weight": 2, "fallbacks": others}
        registration = parse_registration(asked, Access(), 5)
        self.assertEqual(read(written(registration), Access()), registration)

    def test_what_is_read_is_checked(self) -> None:
        """A model that may not be registered any more is named."""
        asked = {"name": "c", "api_base": "http://10.0.0.1"}
        model = written(parse_registration(asked, Access(), 1))
        error = self.assertRaises(RequestFault, read, model, Access(private_backends=False))
        self.assertIn("the model 'c' cannot be served", error.message)
