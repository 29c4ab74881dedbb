"""
Who may do what.
"""

from __future__ import annotations

import contextlib
from hmac import compare_digest
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from yallmp.arrivals import Arrivals
from yallmp.core import access as access_module
from yallmp.core.access import (
    Admitted,
    admit,
    admit_admin,
    cors_headers,
    is_preflight,
    listens_on_loopback,
    may_use,
)
from yallmp.core.errors import Forbidden, ProxyError, RequestFault, TooManyFailures, Unauthorized
from yallmp.core.failures import AdminFailures
from yallmp.core.settings import Access, Key, Server
from yallmp.core.visit import Visit, host_of

ADMIN = "admin-key-0123456789"
KEYS = (Key("alice", "alice-0123456789"), Key("bob", "bob-0123456789", ("a", "b/*")))


def visit(peer: str = "127.0.0.1", local: str = "127.0.0.1", **headers: str) -> Visit:
    """A visit with these headers, ``_`` in a name standing for ``-``."""
    named = {"host": "127.0.0.1:8000"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return Visit(peer, local, "POST", "/v1/x", headers={k: (v,) for k, v in named.items() if v})


class NeighbourhoodTests(SynchronousTestCase):
    """Without keys the neighbourhood is served, and web pages are not."""

    def test_nearby_peers(self) -> None:
        """This machine, private networks and the link are served, over UNIX sockets too."""
        for peer in ("127.0.0.1", "::1", "10.0.0.9", "192.168.1.1", "fd00::5", "fe80::1%eth0", ""):
            self.assertEqual(admit(visit(peer), Access()), Admitted())

    def test_public_peers(self) -> None:
        """A public peer is told how to be let in, whatever it claims."""
        for peer in ("1.2.3.4", "2606:4700::1", "::ffff:1.2.3.4", "100.64.0.1"):
            error = self.assertRaises(
                Unauthorized, admit, visit(peer, "10.0.0.1", x_forwarded_for="127.0.0.1"), Access()
            )
            self.assertEqual(error.status, 401)
            self.assertIn("general_settings.api_keys", error.message)

    def test_hosts_on_loopback(self) -> None:
        """Names of this machine, in any spelling of a Host header."""
        for host in (
            "localhost", "LOCALHOST:8000", "localhost.", "localhost.:80", "127.0.0.1",
            "127.9.9.9:1", "[::1]:8000", "[::1]", "[::ffff:127.0.0.1]:1", "app.localhost:8000",
        ):  # fmt: skip
            self.assertEqual(admit(visit(host=host), Access()), Admitted(), host)

    def test_rebound_hosts(self) -> None:
        """A page that made its own name point here is refused; so is a Host that is none."""
        for host in (
            "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
            "localhost@evil", "[::1]evil", "::1", "", "2130706433", "0x7f.1", "10.0.0.1", "[::2]",
            "localhost/x", "localhost:80:80", "localhost:x", "127.0.0.1\\.evil", "notlocalhost",
        ):  # fmt: skip
            error = self.assertRaises(Forbidden, admit, visit(host=host), Access())
            self.assertIn("allowed_hosts", error.message)

    def test_allowed_hosts(self) -> None:
        """Names that are configured are allowed, without regard to case, port and last dot."""
        access = Access(allowed_hosts=("LLM.example", "[fd00::1]:80"))
        for host in ("llm.example", "Llm.Example.:8000", "[fd00::1]"):
            admit(visit(host=host), access)
        self.assertRaises(Forbidden, admit, visit(host="a.llm.example"), access)
        admit(visit(host="anything"), Access(allowed_hosts=("*",)))

    def test_hosts_elsewhere(self) -> None:
        """The Host counts on loopback only: on a network it may be any name."""
        admit(visit("10.0.0.2", "10.0.0.1", host="nas.example"), Access())
        admit(visit("", "", host="nas.example"), Access())

    def test_origins(self) -> None:
        """A page may send nothing unless its origin is listed, with a key or without."""
        for origin in ("https://evil.example", "null", "http://127.0.0.1:8000", ""):
            page = Visit("127.0.0.1", "", "POST", "/", headers={"origin": (origin,)})
            error = self.assertRaises(Forbidden, admit, page, Access())
            self.assertIn("cors_origins", error.message)
        keyed = visit(origin="https://evil.example", x_api_key=KEYS[0].secret)
        self.assertRaises(Forbidden, admit, keyed, Access(keys=KEYS))
        listed = Access(cors_origins=("https://App.example/",))
        admit(visit(origin="https://app.example"), listed)
        self.assertRaises(Forbidden, admit, visit(origin="https://app.example.evil"), listed)
        self.assertRaises(Forbidden, admit, visit(origin="http://app.example"), listed)

    def test_headers_that_stand_twice(self) -> None:
        """A header that decides may not stand twice."""
        for name in ("authorization", "host", "x-api-key", "origin"):
            twice = Visit("127.0.0.1", "", "GET", "/", headers={name: ("a", "a")})
            for access in (Access(), Access(keys=KEYS, cors_origins=("*",))):
                error = self.assertRaises(RequestFault, admit, twice, access)
                self.assertEqual(error.status, 400)


class KeyTests(SynchronousTestCase):
    """With keys, one of them is needed and is enough."""

    access = Access(keys=KEYS)

    def test_right_keys(self) -> None:
        """As a bearer token or x-api-key, from anywhere."""
        for headers in (
            {"authorization": f"Bearer {KEYS[1].secret}"},
            {"authorization": f"bearer   {KEYS[1].secret}"},
            {"x_api_key": KEYS[1].secret},
            {"x_api_key": KEYS[1].secret, "authorization": "Basic Ym9iOmJvYg=="},
            {"x_api_key": KEYS[1].secret, "authorization": "Bearer something-else"},
        ):
            admitted = admit(visit("1.2.3.4", "5.6.7.8", host="x.example", **headers), self.access)
            self.assertEqual(admitted, Admitted("bob", ("a", "b/*")))

    def test_wrong_keys(self) -> None:
        """Anything else is refused, from this machine too, and the key is not repeated."""
        secret = KEYS[0].secret
        for header in (
            "", "Bearer", "Bearer ", f"Basic {secret}", secret, f"Bearer {secret}x",
            f"Bearer {secret[:-1]}", f"Bearer {secret.upper()}", "Bearer \xff", f"Bearer\t{secret}",
        ):  # fmt: skip
            error = self.assertRaises(Unauthorized, admit, visit(authorization=header), self.access)
            self.assertEqual((error.status, error.code), (401, "invalid_api_key"))
            self.assertNotIn(secret[:-1], error.message)
            self.assertIn((b"www-authenticate", b"Bearer"), error.headers)

    def test_every_key_is_compared(self) -> None:
        """Whichever is right, and also if none is: the time taken tells nothing."""
        compared: list[tuple[int, int]] = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((len(one), len(other)))
            return compare_digest(one, other)

        self.patch(access_module, "compare_digest", compare)
        access = Access(keys=KEYS, admin_key=ADMIN)
        for token in (KEYS[0].secret, KEYS[-1].secret, "x", KEYS[0].secret[:-1] + "x", "x" * 5000):
            with contextlib.suppress(Unauthorized):
                admit(visit(authorization=f"Bearer {token}"), access)
            self.assertEqual(compared, [(32, 32)] * len(KEYS), token[:40])
            compared.clear()

    def test_keys_beyond_ascii(self) -> None:
        """A key is its bytes; a header's text is those bytes as Latin-1."""
        access = Access(keys=(Key("k", "schlüssel€"),))
        sent = "schlüssel€".encode().decode("latin-1")
        self.assertEqual(admit(visit(x_api_key=sent), access).key_name, "k")

    def test_the_admin_key_is_no_api_key(self) -> None:
        """Each key opens its own door."""
        access = Access(keys=KEYS, admin_key=ADMIN)
        self.assertRaises(Unauthorized, admit, visit(x_api_key=ADMIN), access)

    @given(st.text(st.characters(max_codepoint=255), max_size=30))
    def test_any_text(self, header: str) -> None:
        """No header makes the check fail otherwise."""
        self.assertRaises(Unauthorized, admit, visit(authorization=header), self.access)


class LimitTests(SynchronousTestCase):
    """A key may be limited to models."""

    bob = Admitted("bob", ("a", "b/*"))

    def test_unlimited(self) -> None:
        """Without a limit everything may be used."""
        may_use(Admitted("alice"), "x", ("y",))

    def test_limited(self) -> None:
        """Names and beginnings of names that are listed, and nothing else."""
        may_use(self.bob, "a", ("b/c",))
        for model in ("b", "aa", "A", "c", "b/"[:-1]):
            error = self.assertRaises(Forbidden, may_use, self.bob, model)
            self.assertIn("'bob'", error.message)

    def test_fallbacks_count(self) -> None:
        """A model whose fallback may not be used is refused, and the message says why."""
        error = self.assertRaises(Forbidden, may_use, self.bob, "a", ("b/c", "secret"))
        self.assertIn("'secret'", error.message)

    def test_aliases(self) -> None:
        """Allowing an alias allows its model by that alias, not by its own name."""
        may_use(self.bob, "gpt", alias="a")
        self.assertRaises(Forbidden, may_use, self.bob, "gpt")


class CorsTests(SynchronousTestCase):
    """What browsers are told."""

    access = Access(cors_origins=("https://app.example",), keys=KEYS)

    def ask(self, path: str = "/v1/models", **headers: str) -> Visit:
        """A preflight."""
        named = {k.replace("_", "-"): (v,) for k, v in headers.items()}
        return Visit("127.0.0.1", "127.0.0.1", "OPTIONS", path, headers=named)

    def test_a_preflight_needs_no_key(self) -> None:
        """A listed origin is told what it may send."""
        asked = self.ask(
            origin="https://app.example",
            access_control_request_method="POST",
            access_control_request_headers="authorization, content-type",
        )
        answer = dict(cors_headers(asked, self.access))
        self.assertTrue(is_preflight(asked))
        self.assertEqual(answer[b"access-control-allow-origin"], b"https://app.example")
        self.assertEqual(answer[b"access-control-allow-headers"], b"authorization, content-type")
        self.assertIn(b"POST", answer[b"access-control-allow-methods"])
        self.assertNotIn(b"access-control-allow-credentials", answer)

    def test_others_are_told_nothing(self) -> None:
        """No origin, one that is not listed, two of them, or the administration."""
        method = {"access_control_request_method": "POST"}
        for asked in (
            self.ask(**method),
            self.ask(origin="https://evil.example", **method),
            self.ask("/admin/models", origin="https://app.example", **method),
            self.ask("/%61dmin%2Fmodels", origin="https://app.example", **method),
            Visit("", "", "GET", "/", headers={"origin": ("https://app.example",) * 2}),
        ):
            self.assertEqual(cors_headers(asked, self.access), ())

    def test_answers(self) -> None:
        """An answer that is no preflight tells only that it may be read."""
        page = visit(origin="https://app.example")
        self.assertFalse(is_preflight(page))
        self.assertEqual(
            {name for name, _ in cors_headers(page, self.access)},
            {b"access-control-allow-origin", b"access-control-expose-headers", b"vary"},
        )

    def test_requested_headers_are_checked(self) -> None:
        """What is no list of header names is not repeated."""
        asked = self.ask(
            origin="https://app.example",
            access_control_request_method="POST",
            access_control_request_headers="a\r\nset-cookie: x",
        )
        self.assertNotIn(b"access-control-allow-headers", dict(cors_headers(asked, self.access)))


class AdminTests(SynchronousTestCase):
    """The administration opens to its key, or else to programs on this machine."""

    def enter(self, by: Visit, access: Access = Access(), loopback: bool = True) -> None:  # noqa: B008
        """Try to come in."""
        admit_admin(by, access, listener_is_loopback=loopback)

    def test_with_the_key(self) -> None:
        """The admin key opens from anywhere, and only as a bearer token."""
        access = Access(admin_key=ADMIN, keys=KEYS)
        self.enter(visit("1.2.3.4", "5.6.7.8", authorization=f"Bearer {ADMIN}"), access, False)
        for headers in (
            {}, {"x_api_key": ADMIN}, {"authorization": f"Bearer {KEYS[0].secret}"},
            {"authorization": f"Basic {ADMIN}"}, {"authorization": "Bearer "},
        ):  # fmt: skip
            error = self.assertRaises(Forbidden, self.enter, visit(**headers), access)
            self.assertEqual(error.status, 403)
            self.assertIn("general_settings.admin_key", error.message)
            self.assertNotIn(ADMIN, error.message)

    def test_without_a_key(self) -> None:
        """A program on this machine comes in, over a UNIX socket too."""
        self.enter(visit())
        self.enter(visit("::1", "::1", host="[::1]:8000"))
        self.enter(visit("", "", host="localhost"))
        self.enter(visit(content_length="2", content_type="application/json; charset=utf-8"))

    def test_anything_else_without_a_key(self) -> None:
        """Each condition by itself keeps the door closed, and the message has the remedy."""
        old = Visit("127.0.0.1", "", "GET", "/", "HTTP/1.0", {"host": ("localhost",)})
        refused = [
            (old, Access(), True),
            (visit(), Access(), False),
            (visit(), Access(keys=KEYS), True),
            (visit("10.0.0.1"), Access(), True),
            (visit("1.2.3.4"), Access(), True),
            (visit(host=""), Access(), True),
            (visit(host="llm.example"), Access(allowed_hosts=("llm.example",)), True),
            (visit(origin="http://localhost"), Access(cors_origins=("*",)), True),
            (visit(sec_fetch_site="cross-site"), Access(), True),
            (visit(content_length="2"), Access(), True),
            (visit(content_length="2", content_type="text/plain"), Access(), True),
            (visit(transfer_encoding="chunked"), Access(), True),
        ]
        for name in (
            "forwarded", "forwarded-for", "x-forwarded", "x-forwarded-for", "x-forwarded-x",
            "x_forwarded_for", "x-real-ip", "via", "true-client-ip", "cf-connecting-ip",
            "cdn-loop", "x-original-forwarded-for", "x-envoy-external-address", "fly-client-ip",
            "x-amzn-trace-id", "tailscale-user-login", "x-request-start", "sec-fetch-mode",
            "sec-ch-ua", "access-control-request-method",
        ):  # fmt: skip
            by = Visit("127.0.0.1", "127.0.0.1", "GET", "/", headers={
                "host": ("localhost",), name: ("127.0.0.1",)})  # fmt: skip
            refused.append((by, Access(), True))
        for by, access, loopback in refused:
            error = self.assertRaises(Forbidden, self.enter, by, access, loopback)
            self.assertIn("general_settings.admin_key", error.message)

    def test_listeners(self) -> None:
        """In doubt a listener is not on loopback."""
        for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.5.5.5"):
            self.assertTrue(listens_on_loopback(Server(host)), host)
        for host in ("0.0.0.0", "", "::", "10.0.0.1", "example.com"):
            self.assertFalse(listens_on_loopback(Server(host)), host)
        for listen in (
            "unix:/run/y.sock",
            "tcp:80:interface=127.0.0.1",
            "tcp6:1:interface=\\:\\:1",
        ):
            self.assertTrue(listens_on_loopback(Server(listen=listen)), listen)
        for listen in ("tcp:80", "tcp:80:interface=0.0.0.0", "systemd:domain=INET:index=0", "x"):
            self.assertFalse(listens_on_loopback(Server(listen=listen)), listen)


class FailureTests(SynchronousTestCase):
    """Refused visits to the administration are limited."""

    error = Forbidden("no")

    def test_ten_a_minute(self) -> None:
        """The eleventh failure in a minute is one too many; a minute later it starts anew."""
        failures = AdminFailures()
        for second in range(10):
            self.assertIs(failures.refusal(self.error, "1.2.3.4", second), self.error)
        refusal = failures.refusal(self.error, "1.2.3.4", 30)
        self.assertIsInstance(refusal, TooManyFailures)
        self.assertEqual(refusal.headers, ((b"retry-after", b"30"),))
        self.assertIs(failures.refusal(self.error, "1.2.3.4", 60.0), self.error)

    def test_each_peer_by_itself(self) -> None:
        """Another peer is not told off; an IPv6 network counts as one."""
        failures = AdminFailures(limit=1)
        answers: list[ProxyError] = [
            failures.refusal(self.error, peer, 0)
            for peer in ("1.2.3.4", "1.2.3.5", "2001:db8::1", "2001:db8::2", "")
        ]
        self.assertEqual([each.status for each in answers], [403, 403, 403, 429, 403])

    def test_peers_are_bounded(self) -> None:
        """Only so many peers are remembered, those that failed last."""
        failures = AdminFailures(limit=1, max_peers=2)
        for peer in ("1.1.1.1", "1.1.1.2", "1.1.1.1", "1.1.1.3"):
            failures.refusal(self.error, peer, 0)
        self.assertEqual(failures.refusal(self.error, "1.1.1.1", 1).status, 429)
        self.assertEqual(failures.refusal(self.error, "1.1.1.2", 1).status, 403)


class HostTests(SynchronousTestCase):
    """The host in a Host header."""

    @given(st.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """Whatever comes out is one plain host."""
        host = host_of(text)
        self.assertFalse(host and set(host) & set(" /@?#[]\\"))


class VisitTests(SynchronousTestCase):
    """What Twisted knows becomes a visit."""

    def visit_from(self, peer: Any = None, local: Any = None) -> Visit:
        """The visit that a request makes, as Twisted's server has it."""
        channel = DummyChannel()
        if peer is not None:
            channel.getPeer, channel.getHost = lambda: peer, lambda: local
        request = Request(channel, False)
        request.method, request.uri, request.path = b"GET", b"/v1/x?a=b", b"/v1/x"
        request.clientproto = b"HTTP/1.0"
        request.requestHeaders = Headers({b"X-A": [b"1", b"\xff"], b"Host": [b"h"]})
        return Arrivals(Clock(), lambda: 0.0, lambda: "0" * 12, print).of(request).visit

    def test_facts(self) -> None:
        """Both ends, the request line, and headers in lower case, repeated ones repeated."""
        seen = self.visit_from()
        self.assertEqual(
            (seen.peer, seen.local, seen.method, seen.path, seen.version),
            ("192.168.1.1", "10.0.0.1", "GET", "/v1/x", "HTTP/1.0"),
        )
        self.assertEqual(seen.all("x-a"), ("1", "\xff"))
        self.assertEqual(seen.one("host"), "h")

    def test_unix_sockets(self) -> None:
        """A UNIX socket has no addresses; it counts as this machine."""
        seen = self.visit_from(UNIXAddress(None), UNIXAddress(b"/run/y.sock"))
        self.assertEqual((seen.peer, seen.local), ("", ""))
        self.assertTrue(seen.from_this_machine and seen.from_nearby)
        self.assertFalse(seen.on_loopback)

    def test_bodies(self) -> None:
        """A body is announced by a length other than zero, or by an encoding."""
        self.assertFalse(visit().has_body or visit(content_length="00").has_body)
        self.assertTrue(visit(content_length="5").has_body)
        self.assertTrue(visit(transfer_encoding="chunked").has_body)
        self.assertTrue(visit(content_length="x").has_body)
