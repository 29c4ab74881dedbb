"""
Which headers pass, in both directions.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.backend import Backend
from yallmp.core.exchange import HeaderPairs
from yallmp.core.headers import for_backend, for_client, media_type

PLAIN = Backend("b", "m", api_base="https://b.example/v1", api_key="sk-own")
PASSING = [
    "content-type", "accept", "user-agent", "x-stainless-lang", "x-stainless-retry-count",
    "idempotency-key", "traceparent", "tracestate", "x-request-id",
]  # fmt: skip
CREDENTIALS = [
    "authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization",
    "openai-organization", "openai-project",
]  # fmt: skip
FORWARDING = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]
HOP_BY_HOP = [
    "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
    "proxy-connection", "proxy-authenticate",
]  # fmt: skip
FRAMING = ["host", "content-length", "content-encoding", "accept-encoding", "expect"]


def pairs(*headers: tuple[str, str]) -> HeaderPairs:
    """Headers as bytes."""
    return tuple((name.encode(), value.encode()) for name, value in headers)


def sent(
    *headers: tuple[str, str], backend: Backend = PLAIN, repeat: bool = True
) -> list[tuple[str, str]]:
    """What *backend* gets of a client's headers."""
    found = for_backend(pairs(*headers), backend, repeat=repeat)
    return [(name.decode(), value.decode()) for name, value in found]


def told(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    """What a client gets of a backend's headers."""
    return [(name.decode(), value.decode()) for name, value in for_client(pairs(*headers))]


class ForBackendTests(SynchronousTestCase):
    """From a client to a backend a closed list passes."""

    def test_own(self) -> None:
        """Without any of the client's: JSON, no compression, the backend's key."""
        self.assertEqual(sent(), [
            ("content-type", "application/json"), ("x-yallmp-hops", "1"),
            ("accept-encoding", "identity"), ("authorization", "Bearer sk-own"),
        ])  # fmt: skip

    def test_without_a_key(self) -> None:
        """A backend without a key gets no authorization, never the client's."""
        backend = Backend("b", "m")
        for given_headers in ((), (("Authorization", "Bearer client"),)):
            self.assertNotIn("authorization", dict(sent(*given_headers, backend=backend)))

    def test_what_passes(self) -> None:
        """The closed list, in lower case, with its values."""
        for name in PASSING:
            self.assertIn((name, "v; x=1"), sent((name.title(), "v; x=1")), name)

    def test_what_does_not(self) -> None:
        """Credentials, forwarding, hop-by-hop, framing, and everything unknown."""
        rest = ["origin", "referer", "x-custom", "accept-language", "x-yallmp-id", "cf-ray"]
        for name in [*CREDENTIALS, *FORWARDING, *HOP_BY_HOP, *FRAMING, *rest]:
            self.assertEqual(sent((name.upper(), "evil")), sent(), name)

    @given(st.lists(st.tuples(st.from_regex(r"[A-Za-z-]{1,12}", fullmatch=True), st.just("evil"))))
    def test_nothing_else_passes(self, headers: list[tuple[str, str]]) -> None:
        """No name but those of the list lets a value through."""
        passed = {name for name, value in sent(*headers) if value == "evil"}
        self.assertLessEqual(passed, {*PASSING} | {n for n in passed if n[:12] == "x-stainless-"})

    def test_dialects(self) -> None:
        """A dialect's own headers go to that dialect only."""
        own = {"openai": ["openai-beta"], "anthropic": ["anthropic-version", "anthropic-beta"]}
        for dialect, mine in own.items():
            backend = Backend("b", "m", api_type=dialect)
            for name in (name for names in own.values() for name in names):
                passed = (name, "v") in sent((name, "v"), backend=backend)
                self.assertEqual(passed, name in mine, (dialect, name))

    def test_idempotency_key(self) -> None:
        """It goes to the backend that it went to first, never across."""
        key = ("Idempotency-Key", "k")
        self.assertIn("idempotency-key", dict(sent(key, repeat=True)))
        self.assertNotIn("idempotency-key", dict(sent(key, repeat=False)))

    def test_named_by_connection(self) -> None:
        """What Connection names is the connection's, also where it would pass."""
        headers = [("Connection", "close, X-Request-Id"), ("connection", "tracestate")]
        found = dict(sent(*headers, ("x-request-id", "1"), ("TraceState", "2"), ("accept", "3")))
        self.assertNotIn("x-request-id", found)
        self.assertNotIn("tracestate", found)
        self.assertEqual(found["accept"], "3")

    def test_repeated(self) -> None:
        """Repeated headers stay repeated, in order."""
        found = sent(("tracestate", "a=1"), ("accept", "x"), ("TraceState", "b=2"))
        self.assertEqual([v for n, v in found if n == "tracestate"], ["a=1", "b=2"])

    def test_pass_headers(self) -> None:
        """What the configuration names passes too ..."""
        names = ["x-custom", "openai-organization", "x-forwarded-for"]
        backend = Backend("b", "m", pass_headers=tuple(names))
        for name in names:
            self.assertIn((name, "v"), sent((name.title(), "v"), backend=backend), name)

    def test_pass_headers_has_limits(self) -> None:
        """... but nothing that may hold a key of this proxy, or belongs to the connection."""
        names = [*CREDENTIALS[:6], *HOP_BY_HOP, *FRAMING]
        backend = Backend("b", "m", api_key="sk-own", pass_headers=tuple(names))
        for name in names:
            self.assertEqual(sent((name, "evil"), backend=backend), sent(), name)

    def test_extra_headers(self) -> None:
        """They are set in place of what the client sent, and of our own."""
        extra = (("X-Request-Id", "ours"), ("Authorization", "Basic x"), ("Content-Type", "a/b"))
        backend = Backend("b", "m", api_key="sk-own", extra_headers=extra)
        found = sent(("x-request-id", "theirs"), ("content-type", "c/d"), backend=backend)
        self.assertEqual(sorted(found), [
            ("accept-encoding", "identity"), ("authorization", "Basic x"),
            ("content-type", "a/b"), ("x-request-id", "ours"), ("x-yallmp-hops", "1"),
        ])  # fmt: skip


class ForClientTests(SynchronousTestCase):
    """From a backend to a client everything passes but a few."""

    def test_what_passes(self) -> None:
        """Rate limits, openai-*, retry-after, and what nobody knows."""
        for name in (
            "content-type", "x-ratelimit-remaining-tokens", "openai-processing-ms", "retry-after",
            "retry-after-ms", "x-should-retry", "cf-ray", "x-unknown", "www-authenticate", "vary",
        ):  # fmt: skip
            self.assertEqual(told((name.title(), "v")), [(name, "v")])

    def test_what_does_not(self) -> None:
        """The connection, the framing, the site, and what only we may say."""
        for name in (
            *HOP_BY_HOP, "trailers", "set-cookie", "server", "date", "alt-svc",
            "strict-transport-security", "content-length", "content-encoding",
            "access-control-allow-origin", "access-control-max-age", "x-yallmp-backend",
            "x-yallmp-upstream-request-id",
        ):  # fmt: skip
            self.assertEqual(told((name.title(), "v")), [], name)

    def test_named_by_connection(self) -> None:
        """What Connection names is dropped with it."""
        found = told(("Connection", "X-Hop ,keep-alive"), ("x-hop", "1"), ("x-end", "2"))
        self.assertEqual(found, [("x-end", "2")])

    def test_repeated(self) -> None:
        """Repeated headers stay repeated, in order."""
        limits = [("x-ratelimit-limit", "1"), ("x-ratelimit-limit", "2")]
        self.assertEqual(told(*limits), limits)

    def test_request_id(self) -> None:
        """The backend's id has another name: x-request-id is the client's."""
        found = told(("X-Request-Id", "req_1"), ("x-request-id", "req_2"), ("a", "b"))
        self.assertEqual(found, [("a", "b"), ("x-yallmp-upstream-request-id", "req_1")])


class MediaTypeTests(SynchronousTestCase):
    """What a message says it is."""

    def test_parameters_and_case(self) -> None:
        """They do not matter."""
        header = ("Content-Type", " Text/Event-Stream ; charset=utf-8")
        self.assertEqual(media_type(pairs(header)), b"text/event-stream")
        self.assertEqual(media_type(pairs(("x", "y"))), b"")
