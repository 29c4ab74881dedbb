"""
Frequent paths go past Klein's match and rendering, and nothing else is different.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from klein import Klein

from tests.fakes import ProxyCase, good, silent
from yallmp.core.exchange import End
from yallmp.forwarding import Forwarding
from yallmp.shortcuts import Shortcuts


class ShortcutTests(ProxyCase):
    """Through the whole server."""

    def setUp(self) -> None:
        super().setUp()
        self.serve(self.fake("m", good))

    def test_only_exact_posts(self) -> None:
        """What else there is stays Klein's: other methods, names in paths, unknown paths."""
        with patch.object(Shortcuts, "serve", lambda self, request: False):
            slow = [self.finish(self.ask(path=path)).status for path in self.paths]
        self.assertEqual([self.finish(self.ask(path=p)).status for p in self.paths], slow)
        got = self.finish(self.ask(path="/v1/chat/completions", method="GET"))
        self.assertEqual((got.status, got.header("allow")), (405, "POST"))

    paths = ("/v1/chat/completions", "/chat/completions", "/v1/chat%2fcompletions", "/v1/nowhere",
             "/v1//chat/completions", "/v1/models/m")  # fmt: skip

    def test_what_should_not_be_is_told_in_our_shape(self) -> None:
        """An unforeseen error is a 500 without its traceback, which the log has."""

        async def broken(*_: object) -> None:
            raise RuntimeError("secret detail")

        with patch.object(Forwarding, "serve", broken):
            got = self.finish(self.ask())
        self.assertEqual(got.status, 500)
        self.assertEqual(got.json["error"]["type"], "server_error")
        self.assertNotIn("secret detail", got.body.decode())
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_a_client_that_leaves_ends_it(self) -> None:
        """The handler is cancelled."""
        self.fakes["m"].script = [silent]
        got = self.ask()
        got.leave()
        self.net.pass_time(0.1)
        self.assertEqual(self.events_told(End)[-1].outcome, "client_gone")
        self.assertEqual(len(self.fakes["m"].left), 1)

    def test_what_is_short(self) -> None:
        """The rules of the tree that are exact and take POST alone."""
        app = Klein()

        def route(path: str, **more: Any) -> None:
            app.route(path, **more)(lambda request: None)

        route("/a", methods=["POST"], endpoint="a")
        route("/b", methods=["GET"], endpoint="b")
        route("/c/<name>", methods=["POST"], endpoint="c")
        self.assertEqual(Shortcuts(app)._endpoints, {b"/a": "a"})
