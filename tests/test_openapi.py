"""
The description of our own endpoints says what is true.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import skipUnless

from klein import Klein
from twisted.trial.unittest import SynchronousTestCase

import yallmp.core
from tests.fakes import ProxyCase
from yallmp import __version__
from yallmp.admin import AdminAPI
from yallmp.api import API
from yallmp.core import replies
from yallmp.core.breaker import State
from yallmp.core.errors import ProxyError
from yallmp.core.openapi import document
from yallmp.core.openapi_shapes import CODES
from yallmp.core.verdicts import TABLE

SPEC = document()
API_DOCUMENT = Path(__file__).parent.parent / "docs" / "api.md"
#: Codes that are told only inside a stream that has begun, or that are of another place.
INSIDE = {"upstream_idle_timeout", "stream_lifetime_exceeded"}


def subclasses(of: type[ProxyError]) -> Iterator[type[ProxyError]]:
    """*of*, and every class below it."""
    yield of
    for each in of.__subclasses__():
        yield from subclasses(each)


def routes(app: Klein) -> Iterator[tuple[str, str]]:
    """Method and path of all that *app* serves, as OpenAPI writes them."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<path:\w+>", "{}", rule.rule)
        for method in rule.methods - {"HEAD"}:  # which stands beside every GET
            yield method, path


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation of the description, with its method and its path."""
    for path, item in SPEC["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def inside(value: Any) -> Iterator[Any]:
    """*value*, and everything in it."""
    yield value
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from inside(each)


class DescriptionTests(SynchronousTestCase):
    """The value."""

    def test_every_route(self) -> None:
        """What is served is described, and what is described is served."""
        told = [(method, re.sub(r"\{\w+\}", "{}", path)) for method, path, _ in operations()]
        served = [*routes(API.app), *routes(AdminAPI.app)]
        self.assertEqual(sorted(told), sorted(set(served)))

    def test_every_code_and_status_of_our_errors(self) -> None:
        """Whoever adds an error is reminded that programs match on its code."""
        for each in pkgutil.walk_packages(yallmp.core.__path__, "yallmp.core."):
            importlib.import_module(each.name)
        ours = [error for error in subclasses(ProxyError) if error.__module__.startswith("yallmp")]
        for error in ours:
            self.assertIn(error.code, CODES[error.type], error)
            self.assertIn(str(error.status), SPEC["components"]["responses"], error)

    def test_every_code_of_backends_failures(self) -> None:
        """Those of the decision table that a client is told instead of an answer."""
        told = {row.code for row in TABLE.values() if row.code} | set(replies._MESSAGES)
        self.assertEqual(told - INSIDE - set(CODES["upstream_error"]), set())

    def test_every_code_that_is_given_where_it_happens(self) -> None:
        """``code="…"`` of a request's fault, found in the sources."""
        found = set()
        for path in Path(yallmp.core.__path__[0]).parent.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for call in re.finditer(r"(?:RequestFault|Forbidden)\((?:[^()]|\([^()]*\))*\)", text):
                found |= set(re.findall(r'code="(\w+)"', call[0]))
        self.assertGreater(found, {"bad_request"})
        self.assertEqual(found - set(CODES["invalid_request_error"]), set())

    def test_the_documentation_has_them_too(self) -> None:
        """Every code, and the path itself."""
        text = API_DOCUMENT.read_text(encoding="utf-8")
        self.assertIn("/openapi.json", text)
        for code in {each for codes in CODES.values() for each in codes}:
            self.assertIn(f"`{code}`", text)

    def test_states_of_backends(self) -> None:
        """Those that there are."""
        states = SPEC["components"]["schemas"]["Backend"]["properties"]["state"]["enum"]
        self.assertEqual(states, [state.value for state in State])

    def test_references(self) -> None:
        """Each leads somewhere, and nothing is there for nobody."""
        used = {each["$ref"] for each in inside(SPEC) if isinstance(each, dict) and "$ref" in each}
        there = {
            f"#/components/{kind}/{name}"
            for kind in ("schemas", "responses", "headers")
            for name in SPEC["components"][kind]
        }
        self.assertEqual(used, there)

    def test_who_needs_a_key(self) -> None:
        """The administration has one of its own; health and this description need none."""
        for _, path, operation in operations():
            needed = [name for each in operation["security"] for name in each]
            if path.startswith("/admin") or path == "/metrics":
                self.assertEqual(needed, ["admin"], path)
            elif operation["tags"] == ["health"]:
                self.assertEqual(needed, [], path)
            else:
                self.assertEqual(needed, ["bearer", "key"], path)

    @skipUnless(find_spec("schemathesis"), "schemathesis is not installed (extra: fuzz)")
    def test_it_is_openapi(self) -> None:
        """By OpenAPI's own schema."""
        openapi = importlib.import_module("schemathesis.openapi")
        openapi.from_dict(SPEC).validate()


class ServedTests(ProxyCase):
    """Over the whole server."""

    def test_for_everyone(self) -> None:
        """It is JSON, of this version, and needs no key."""
        self.serve(self.fake("m"))
        got = self.finish(self.ask(path="/openapi.json", method="GET"))
        self.assertEqual((got.status, got.header("content-type")), (200, "application/json"))
        self.assertEqual(got.json, json.loads(json.dumps(SPEC)))
        self.assertEqual(got.json["info"]["version"], __version__)

    def test_whole_answers_are_as_described(self) -> None:
        """What a listing and an administrator's answer must have is there."""
        self.serve(self.fake("m"))
        schemas = SPEC["components"]["schemas"]
        for path, name in (("/v1/models", "Model"), ("/admin/models", "Backend")):
            (item,) = self.finish(self.ask(path=path, method="GET")).json["data"]
            self.assertEqual(set(item), set(schemas[name]["required"]))
