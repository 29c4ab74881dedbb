"""
Which model a name means, and what changes while the process runs.
"""

from __future__ import annotations

import contextlib

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.errors import Conflict, MissingParameter, ModelNotFound, NotFound, RequestFault
from yallmp.core.registry import Catalog, InFlight, Registration, Registry, name_problem
from yallmp.core.secrets import Secrets
from yallmp.core.settings import Access, Config, Fallbacks, Key, Server


def backend(model: str, name: str | None = None, **fields: object) -> Backend:
    """A backend with what the test is not about filled in."""
    fields.setdefault("api_base", "http://backend.invalid/v1")
    return Backend(name or model, model, **fields)  # type: ignore[arg-type]


def config(*models: str, **fallbacks: object) -> Config:
    """A configuration of these models, one backend each."""
    return Config(
        backends=tuple(backend(model) for model in models),
        fallbacks=Fallbacks(**fallbacks),  # type: ignore[arg-type]
    )


class FindingTests(SynchronousTestCase):
    """A name leads to one configured model, or to a helpful refusal."""

    def find(self, catalog: Catalog, asked: str) -> tuple[str, str]:
        """Where *asked* leads, and what is asked for there."""
        found = catalog.find(asked)
        return found.model_name, found.asked

    def test_exact_before_all(self) -> None:
        """A name that is configured as written wins over prefixes and wildcards."""
        catalog = Catalog(config("openai/gpt", "gpt", "openai/*", "*"))
        self.assertEqual(self.find(catalog, "openai/gpt"), ("openai/gpt", "openai/gpt"))

    def test_one_prefix_is_removed(self) -> None:
        """``openai/`` is removed once, before wildcards are looked at."""
        catalog = Catalog(config("gpt", "openai/*"))
        self.assertEqual(self.find(catalog, "openai/gpt"), ("gpt", "gpt"))
        self.assertEqual(self.find(catalog, "openai/openai/gpt"), ("openai/*", "openai/openai/gpt"))

    def test_the_longest_wildcard(self) -> None:
        """Of several wildcards the most specific one serves; the order does not matter."""
        catalog = Catalog(config("*", "a/*", "a/b/*"))
        self.assertEqual(self.find(catalog, "a/b/c")[0], "a/b/*")
        self.assertEqual(self.find(catalog, "a/c")[0], "a/*")
        self.assertEqual(self.find(catalog, "c"), ("*", "c"))

    def test_a_wildcard_needs_something_for_its_star(self) -> None:
        """Neither the bare prefix nor a pattern is a model."""
        catalog = Catalog(config("a/*"))
        for name in ("a/", "a/*", "a"):
            self.assertRaises(ModelNotFound, catalog.find, name)

    def test_virtual_models(self) -> None:
        """A name with only fallbacks is found, and has no backends of its own."""
        catalog = Catalog(config("a", "*", by_model=(("smart", ("a",)),)))
        self.assertEqual(self.find(catalog, "smart")[0], "smart")
        self.assertEqual(catalog.group("smart"), ())
        self.assertEqual(catalog.fallbacks("smart"), ("a",))

    def test_virtual_without_anything_behind_it(self) -> None:
        """A name whose fallbacks are all unknown is no model."""
        catalog = Catalog(config("a", by_model=(("smart", ("gone",)),)))
        self.assertRaises(ModelNotFound, catalog.find, "smart")
        self.assertEqual([listed.id for listed in catalog.models()], ["a"])

    def test_fallbacks_of_a_name_that_a_wildcard_serves(self) -> None:
        """The wildcard of its provider serves such a name first, its fallbacks follow."""
        catalog = Catalog(config("openai/*", "a", by_model=(("openai/gpt", ("a",)),)))
        found = catalog.find("openai/gpt")
        (own,) = catalog.group(found.model_name)
        self.assertEqual(own.upstream_model(found.asked), "gpt")
        self.assertEqual(catalog.fallbacks("openai/gpt"), ("a",))

    def test_a_fallback_that_a_wildcard_serves(self) -> None:
        """A fallback may be any name that a wildcard takes; its backends are the wildcard's."""
        catalog = Catalog(config("a", "openai/*", by_model=(("a", ("openai/gpt",)),)))
        self.assertEqual(catalog.fallbacks("a"), ("openai/gpt",))
        (serving,) = catalog.group("openai/gpt")
        self.assertEqual(serving.name, "openai/*")
        self.assertEqual(serving.upstream_model("openai/gpt"), "gpt")

    def test_aliases(self) -> None:
        """An alias leads to its model, also to one that a wildcard serves; entries win."""
        aliases = (("fast", "a"), ("cheap", "x/y"), ("b", "a"), ("lost", "gone"))
        catalog = Catalog(config("a", "b", "x/*", aliases=aliases))
        self.assertEqual(self.find(catalog, "fast"), ("a", "a"))
        self.assertEqual(catalog.find("fast").alias, "fast")
        self.assertEqual(self.find(catalog, "openai/fast"), ("a", "a"))
        self.assertEqual(self.find(catalog, "cheap"), ("x/*", "x/y"))
        self.assertEqual(self.find(catalog, "b"), ("b", "b"))
        self.assertRaises(ModelNotFound, catalog.find, "lost")

    def test_unknown_names_the_closest(self) -> None:
        """The message of a 404 names the closest model that there is."""
        catalog = Catalog(config("gpt-4o", "claude", "demo"))
        error = self.assertRaises(ModelNotFound, catalog.find, "gpt4o")
        self.assertIn("'gpt-4o'", error.message)
        self.assertEqual((error.status, error.code, error.param), (404, "model_not_found", "model"))
        self.assertRaises(ModelNotFound, Catalog(Config()).find, "gpt4o")

    def test_the_closest_of_many(self) -> None:
        """Among a thousand models the close one is named as well."""
        catalog = Catalog(config(*(f"model-{n:04}" for n in range(1000)), "claude-sonnet"))
        error = self.assertRaises(ModelNotFound, catalog.find, "claude-sonet")
        self.assertIn("'claude-sonnet'", error.message)

    def test_names_that_cannot_be(self) -> None:
        """Names with control characters, outer blanks or too many characters are refused."""
        catalog = Catalog(config("*"))
        self.assertRaises(MissingParameter, catalog.find, "")
        for name in (" a", "a ", "a\n", "a\x00b", "\u200ba", "a" * 201, " "):
            error = self.assertRaises(RequestFault, catalog.find, name)
            self.assertEqual((error.status, error.param), (400, "model"))
        self.assertEqual(self.find(catalog, "a" * 200)[0], "*")
        self.assertIsNone(name_problem("Modell Größe/v1:2"))

    @given(st.text(max_size=30))
    def test_any_text(self, asked: str) -> None:
        """Whatever is asked for is found or refused."""
        catalog = Catalog(config("a", "b/*", aliases=(("c", "a"),)))
        with contextlib.suppress(RequestFault):
            self.assertIn(catalog.find(asked).model_name, ("a", "b/*"))


class FallbackTests(SynchronousTestCase):
    """What serves a model when its own backends do not."""

    def test_own_before_default(self) -> None:
        """The default list serves only models without one of their own; ``[]`` is one."""
        lists = (("a", ("b",)), ("c", ()))
        catalog = Catalog(config("a", "b", "c", "d", by_model=lists, default=("d",)))
        self.assertEqual(catalog.fallbacks("a"), ("b",))
        self.assertEqual(catalog.fallbacks("b"), ("d",))
        self.assertEqual(catalog.fallbacks("c"), ())
        self.assertEqual(catalog.fallbacks("d"), ())

    def test_unknown_repeated_and_own_are_skipped(self) -> None:
        """A list counts without names that lead nowhere, back, or to the same place."""
        lists = (("a", ("gone", "a", "b", "alias", "*", "b")),)
        catalog = Catalog(config("a", "b", by_model=lists, aliases=(("alias", "b"),)))
        self.assertEqual(catalog.fallbacks("a"), ("b",))

    def test_not_transitive(self) -> None:
        """The fallbacks of a fallback do not serve; a virtual model is none."""
        lists = (("a", ("b", "v")), ("b", ("c",)), ("v", ("c",)))
        self.assertEqual(Catalog(config("a", "b", "c", by_model=lists)).fallbacks("a"), ("b",))

    def test_special_lists(self) -> None:
        """Long prompts and content filters have lists of their own, without a default."""
        catalog = Catalog(
            config(
                "a", "b", "c", default=("c",),
                context_window=(("a", ("b",)),), content_policy=(("a", ("c",)),),
            )
        )  # fmt: skip
        self.assertEqual(catalog.context_window_fallbacks("a"), ("b",))
        self.assertEqual(catalog.content_policy_fallbacks("a"), ("c",))
        self.assertEqual(catalog.content_policy_fallbacks("b"), ())


class ListingTests(SynchronousTestCase):
    """What ``/v1/models`` shows."""

    def test_order_and_times(self) -> None:
        """Entries in their order, then virtual models, then aliases; no patterns."""
        catalog = Catalog(
            Config(
                backends=(
                    backend("b", created=7), backend("*"), backend("a", created=8),
                    backend("b", "b#2", created=9),
                ),
                fallbacks=Fallbacks(
                    by_model=(("v", ("a",)), ("a", ("b",))), aliases=(("x", "b"), ("b", "a"))
                ),
            )
        )  # fmt: skip
        self.assertEqual(
            [(listed.id, listed.created) for listed in catalog.models()],
            [("b", 7), ("a", 8), ("v", 8), ("x", 7)],
        )

    def test_backends_by_name(self) -> None:
        """A backend is found by its own name."""
        catalog = Catalog(config("a"))
        self.assertEqual(catalog.backend("a"), catalog.group("a")[0])
        self.assertIsNone(catalog.backend("b"))


class RegistrationTests(SynchronousTestCase):
    """Models come and go while requests are under way."""

    def setUp(self) -> None:
        self.registry = Registry(config("a", "b", by_model=(("a", ("b",)),)))

    def register(self, model: str, *fallbacks: str, **fields: object) -> Registration:
        """Register *model* with these fallbacks (none given: they stay)."""
        new = backend(model, registered=True, **fields)
        registration = Registration((new,), fallbacks or None)
        self.registry.register(registration)
        return registration

    def test_the_old_catalogue_stays_as_it_was(self) -> None:
        """What a request started with does not change under it."""
        before = self.registry.catalog
        self.register("c")
        self.assertRaises(ModelNotFound, before.find, "c")
        self.assertEqual(self.registry.catalog.find("c").model_name, "c")

    def test_replacing_takes_the_whole_group(self) -> None:
        """All old backends of the name go, the place in the list and the fallbacks stay."""
        self.registry.replace(
            Config((backend("a"), backend("a", "a#2"), backend("b")), Fallbacks((("a", ("b",)),)))
        )
        done = self.registry.register(Registration((backend("a", registered=True),)))
        self.assertEqual((done.replaced, done.fallbacks), (True, ("b",)))
        self.assertEqual([b.name for b in self.registry.catalog.config.backends], ["a", "b"])

    def test_fallbacks_change_or_stay(self) -> None:
        """A list replaces the one in force, an empty one clears it, none leaves it."""
        new = (backend("a", registered=True),)
        for given_, in_force in ((("x",), ("x",)), (None, ("x",)), ((), ()), (None, ())):
            done = self.registry.register(Registration(new, given_))
            self.assertEqual(done.fallbacks, in_force)
        self.registry.replace(config("z"))
        self.assertEqual(self.registry.registrations[0].fallbacks, ())

    def test_names_of_backends_stay_unique(self) -> None:
        """A registered backend does not take a name that another model's backend has."""
        self.registry.replace(Config((backend("a", "c"), backend("b", "c#2"))))
        self.register("c")
        self.assertEqual(self.registry.catalog.group("c")[0].name, "c#3")

    def test_registered_models_survive_a_reload(self) -> None:
        """They stay, with their fallbacks, unless the file now names them."""
        self.register("c", "a")
        self.registry.replace(config("a"))
        self.assertEqual(self.registry.catalog.fallbacks("c"), ("a",))
        self.registry.replace(config("c"))
        self.assertFalse(self.registry.catalog.group("c")[0].registered)
        self.registry.replace(config("a"))
        self.assertRaises(ModelNotFound, self.registry.catalog.find, "c")

    def test_models_that_were_kept_elsewhere(self) -> None:
        """A file of kept models that is named now adds those that are not known."""
        self.register("c", "a")
        kept = Registration((backend("c", registered=True, weight=9),), ("z",))
        other = Registration((backend("d", registered=True),))
        named = Registration((backend("a", registered=True),))
        self.registry.replace(evolve(config("a"), persist="/k"), (kept, other, named))
        self.assertEqual(self.registry.catalog.fallbacks("c"), ("a",))
        names = {each.model_name for each in self.registry.registrations}
        self.assertEqual(names, {"c", "d"})

    def test_a_model_that_was_removed_stays_away(self) -> None:
        """A reload that had read the file of kept models before a removal does not undo it."""
        read = evolve(config("a"), persist="/k")
        kept = Registration((backend("d", registered=True),))
        self.registry.replace(read, (kept,))
        self.registry.remove("d")
        self.registry.replace(read, (kept,))
        self.assertEqual(self.registry.registrations, ())
        self.assertRaises(ModelNotFound, self.registry.catalog.find, "d")

    def test_who_was_there_has_come_earlier(self) -> None:
        """A reload does not make a model younger, whatever else is said of it."""
        registry = Registry(Config((backend("a", created=5), backend("b", created=5))))
        registry.replace(Config((backend("a", created=9, weight=2), backend("c", created=9))))
        self.assertEqual([b.created for b in registry.catalog.config.backends], [5, 9])

    def test_those_who_watch(self) -> None:
        """They hear of each change, when it is in force."""
        heard: list[bool] = []
        self.registry.watch(lambda new: heard.append(new is self.registry.catalog.config))
        self.registry.replace(config("a"))
        self.register("c")
        self.registry.remove("c")
        self.assertEqual(heard, [True] * 3)

    def test_the_listener_stays(self) -> None:
        """A reload does not move the listener, so what is in force says where it is."""
        self.registry.replace(Config(server=Server("0.0.0.0")))
        self.assertEqual(self.registry.catalog.config.server, Server())

    def test_removal(self) -> None:
        """A removed model is gone, its fallbacks too, also after a reload."""
        self.register("c", "b")
        self.registry.remove("c")
        self.assertRaises(ModelNotFound, self.registry.catalog.find, "c")
        self.registry.replace(config("a"))
        self.assertRaises(ModelNotFound, self.registry.catalog.find, "c")
        self.assertRaises(NotFound, self.registry.remove, "c")

    def test_removal_of_what_others_need(self) -> None:
        """Refused, naming who falls back to it: lists, the default list and aliases."""
        lists = (("a", ("b",)), ("b", ("b",)))
        self.registry.replace(
            config("a", "b", by_model=lists, default=("b",), aliases=(("z", "b"),))
        )
        error = self.assertRaises(Conflict, self.registry.remove, "b")
        self.assertIn("'a', default_fallbacks, the alias 'z'", error.message)
        self.assertEqual(error.status, 409)

    def test_removal_of_a_virtual_model(self) -> None:
        """A model without an entry can be removed as well."""
        self.registry.replace(config("b", by_model=(("v", ("b",)),)))
        self.registry.remove("v")
        self.registry.remove("b")
        self.assertEqual(self.registry.catalog.models(), ())


class SecretTests(SynchronousTestCase):
    """Secrets stay known, so that they can be masked."""

    def test_all_kinds(self) -> None:
        """Keys of clients, the admin's, backends', and headers and values named like keys."""
        keyed = backend(
            "a",
            api_key="backend-key",
            extra_headers=(
                ("X-Api-Key", "header-key"),
                ("Authorization", "Bearer tok"),
                ("x", "y"),
            ),
            query=(("api_key", "query-key"), ("api-version", "2024")),
        )
        access = Access(keys=(Key("alice", "alice-key"),), admin_key="admin-key")
        self.assertEqual(
            Registry(Config((keyed,), access=access)).secrets(),
            {
                "backend-key", "header-key", "Bearer tok", "tok", "query-key", "alice-key",
                "admin-key",
            },
        )  # fmt: skip

    def test_within_others(self) -> None:
        """Both parts of ``Basic`` credentials, and what a body's values hold, at any depth."""
        keyed = backend(
            "a",
            extra_headers=(("Authorization", "Basic dXNlcjpwYXNzd29yZA=="), ("X-Auth", "Basic !")),
            extra_body=(
                ("api_key", '"body-key"'),
                ("cohere", '{"auth": {"a": ["deep"], "n": 1}, "team": "red", "token": "tok"}'),
                ("temperature", "0.5"),
            ),
        )
        self.assertEqual(
            Registry(Config((keyed,))).secrets(),
            {
                "Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA==", "user:password", "password",
                "Basic !", "!", "body-key", "deep", "tok",
            },
        )  # fmt: skip

    def test_retired_secrets_stay(self) -> None:
        """A secret that was replaced is still known."""
        registry = Registry(Config((backend("a", api_key="old"),)))
        registry.register(Registration((backend("a", api_key="new"),)))
        self.assertEqual(registry.secrets(), {"old", "new"})

    def test_another_registry_knows_them_too(self) -> None:
        """A worker that starts later masks what those before it do."""
        registry = Registry(Config((backend("a", api_key="old"),)))
        registry.replace(Config((backend("a", api_key="new"),)))
        config_ = registry.catalog.config
        other = Registry.like(config_, registry.registrations, registry.retired)
        self.assertEqual(other.secrets(), {"old", "new"})
        other.replace(Config((backend("a", api_key="newer"),)))
        self.assertEqual(other.retired, ("old", "new"))

    def test_retired_secrets_are_bounded(self) -> None:
        """The latest thousand are kept, those in force always."""
        secrets = Secrets()
        for number in range(1500):
            secrets.update({"kept", str(number)})
        self.assertEqual(len(secrets.known), 1002)
        self.assertIn("kept", secrets.known)
        self.assertIn("1498", secrets.known)
        self.assertNotIn("1", secrets.known)
        self.assertNotIn("kept", repr(secrets))


class InFlightTests(SynchronousTestCase):
    """Requests under way are counted for each backend."""

    def test_counts_and_forgets(self) -> None:
        """What is over leaves nothing behind."""
        flying = InFlight()
        flying.begin("a")
        flying.begin("a")
        flying.begin("b")
        flying.end("a")
        self.assertEqual((flying.count("a"), flying.total), (1, 2))
        flying.end("a")
        flying.end("b")
        self.assertEqual((flying.count("a"), flying.total), (0, 0))
