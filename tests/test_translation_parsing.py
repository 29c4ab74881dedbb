"""
A backend with ``parse`` is translated for every client, its own dialect's too.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from yallmp.api_types.openai import OpenAI
from yallmp.api_types.speaking import spoken
from yallmp.api_types.translation import Translation
from yallmp.core.asked import CHAT, EMBEDDINGS, RESPONSES, Asked, Endpoint, understand
from yallmp.core.backend import Backend, Parse
from yallmp.core.jsonbody import Document
from yallmp.interfaces import IApiType, Occasion

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "q"}]}'


def chosen(endpoint: Endpoint, backend: Backend) -> IApiType:
    """Who asks *backend*."""
    asked: Asked = understand(endpoint, Document.parse(BODY))
    found = spoken(asked, backend, lambda *_: False, lambda: Occasion("0123456789ab", 1, "m"))
    assert found is not None
    return found.api_type


class ChosenTests(SynchronousTestCase):
    """Who is chosen."""

    def test_parsed(self) -> None:
        """Whatever the client speaks, as far as there are dialects."""
        parsed = Backend("b", "m", parse=Parse("think_tags"))
        for endpoint in (CHAT, RESPONSES):
            found = chosen(endpoint, parsed)
            assert isinstance(found, Translation)
            self.assertEqual(found.heard, endpoint.dialect)
            assert found.parsing is not None
            self.assertTrue(found.parsing.tags.thinks)
        self.assertIsInstance(chosen(EMBEDDINGS, parsed), OpenAI)

    def test_not_parsed(self) -> None:
        """All others are passed on untouched."""
        self.assertIsInstance(chosen(CHAT, Backend("b", "m")), OpenAI)
