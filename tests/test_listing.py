"""
Lists of models, in both shapes.
"""

from __future__ import annotations

from typing import Any

from anthropic.types import ModelInfo
from openai.types import Model
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import ProxyCase
from yallmp.core.catalog import Listed
from yallmp.core.listing import models_for

LISTED = [Listed(name, 1_700_000_000) for name in "abcde"]


class ListingTests(SynchronousTestCase):
    """:func:`yallmp.core.listing.models_for`."""

    def page(self, query: str) -> tuple[str, bool]:
        """The ids on a page, and whether there are more."""
        found: dict[str, Any] = models_for(LISTED, query, anthropic=True)
        ids = "".join(each["id"] for each in found["data"])
        if ids:
            self.assertEqual((found["first_id"], found["last_id"]), (ids[0], ids[-1]))
        return ids, found["has_more"]

    def test_pages(self) -> None:
        """Forwards and backwards; what makes no sense is the first page."""
        for query, expected in (
            ("", ("abcde", False)),
            ("limit=2", ("ab", True)),
            ("limit=2&after_id=b", ("cd", True)),
            ("limit=2&after_id=d", ("e", False)),
            ("limit=2&before_id=d", ("bc", True)),
            ("limit=9&before_id=b", ("a", False)),
            ("after_id=e", ("", False)),
            ("limit=0&after_id=x", ("a", True)),
            ("limit=-1", ("abcde", False)),
        ):
            self.assertEqual(self.page(query), expected, query)

    def test_types(self) -> None:
        """Both SDKs know what they get."""
        for each in models_for(LISTED, "", anthropic=True)["data"]:
            ModelInfo.model_validate(each)
        for each in models_for(LISTED, "", anthropic=False)["data"]:
            Model.model_validate(each)


class ServedTests(ProxyCase):
    """Over the wire."""

    def test_who_asks(self) -> None:
        """A client that names a version of Anthropic's API gets its shape."""
        self.serve(self.fake("m"))
        headers = {"anthropic-version": "2023-06-01"}
        listed = self.finish(self.ask(method="GET", path="/v1/models", headers=headers)).json
        self.assertEqual((listed["data"][0]["type"], listed["has_more"]), ("model", False))
        one = self.finish(self.ask(method="GET", path="/v1/models/m", headers=headers)).json
        self.assertEqual(one, listed["data"][0])
        plain = self.finish(self.ask(method="GET", path="/v1/models")).json
        self.assertEqual(plain["object"], "list")
