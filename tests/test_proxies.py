"""Which proxy leads to a backend, as the configuration and the environment have it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import backend, entry, problems
from tests.configs import parsed as configured
from yallmp.check import facts
from yallmp.core.config.entries import parse_backend
from yallmp.core.masking import Masker
from yallmp.core.meaning import destination
from yallmp.core.proxies import BadProxy, Proxy, is_excepted, parsed, variable_for
from yallmp.core.secrets import secrets_of
from yallmp.core.settings import Config

HERE = "http://proxy.lan:3128"
ELSEWHERE = "api_base: https://api.example.com/v1\napi_key: k"


class ParsedTests(SynchronousTestCase):
    """What an address of a proxy says."""

    def test_what_is_one(self) -> None:
        """The scheme and the port may be left out; credentials are percent-encoded."""
        for text, wanted in (
            (HERE, Proxy("proxy.lan", 3128)),
            ("http://proxy.lan:3128/", Proxy("proxy.lan", 3128)),
            ("proxy.lan:3128", Proxy("proxy.lan", 3128)),
            ("proxy.lan", Proxy("proxy.lan", 80)),
            ("http://[::1]:8080", Proxy("::1", 8080)),
            ("http://me:a%40b@p:1", Proxy("p", 1, "me:a@b")),
            ("http://me@p:1", Proxy("p", 1, "me:")),
        ):
            self.assertEqual(parsed(text), wanted, text)

    def test_what_is_none(self) -> None:
        """Nothing of it is guessed."""
        for text in (
            "", "http://", "http://p:0", "http://p:99999", "http://p:x", "http://p/path",
            "http://p?q", "https://p:1", "socks5://p:1", "http://p p", "http://p\r\nX: y", "http://[::1",
            "http://\u00e4:1",
        ):  # fmt: skip
            self.assertRaises(BadProxy, parsed, text)

    def test_what_it_is_told(self) -> None:
        """Who we are, if it wants to know; and nothing of it is shown."""
        self.assertEqual(parsed(HERE).headers, ())
        proxy = parsed("http://me:secret@p:1")
        self.assertEqual(proxy.headers, ((b"Proxy-Authorization", b"Basic bWU6c2VjcmV0"),))
        self.assertNotIn("secret", f"{proxy!r} {proxy.address}")
        self.assertEqual(parsed("http://[::1]:8080").address, "[::1]:8080")

    @given(st.text(max_size=60))
    def test_anything(self, text: str) -> None:
        """Whatever it is, it is a proxy or a mistake."""
        for each in (text, f"http://{text}"):
            try:
                self.assertTrue(parsed(each).host)
            except BadProxy:
                continue


class EnvironmentTests(SynchronousTestCase):
    """Which variable counts."""

    def test_by_scheme(self) -> None:
        """Each has its own."""
        environ = {"HTTPS_PROXY": "a", "http_proxy": "b", "ALL_PROXY": "c"}
        self.assertEqual(variable_for("https://x.example/v1", environ), "HTTPS_PROXY")
        self.assertEqual(variable_for("http://x.example/v1", environ), "http_proxy")

    def test_lower_case_wins(self) -> None:
        """An empty one switches off."""
        both = {"HTTPS_PROXY": "a", "https_proxy": "b"}
        self.assertEqual(variable_for("https://x.example", both), "https_proxy")
        self.assertIsNone(variable_for("https://x.example", {**both, "https_proxy": " "}))
        self.assertIsNone(variable_for("https://x.example", {}))

    def test_this_machine(self) -> None:
        """It is never asked through a proxy."""
        environ = {"HTTP_PROXY": "a", "NO_PROXY": ""}
        for host in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]",
                     "[::ffff:127.0.0.1]"):  # fmt: skip
            self.assertIsNone(variable_for(f"http://{host}:1/v1", environ), host)
        self.assertEqual(variable_for("http://10.0.0.1:1/v1", environ), "HTTP_PROXY")

    def test_exceptions(self) -> None:
        """Names with what ends in them, addresses, networks, ports, or all."""
        for entry_, host, wanted in (
            ("*", "a.example", True),
            ("a.example", "a.example", True),
            ("a.example", "b.a.example", True),
            ("a.example", "ba.example", False),
            (".a.example", "b.a.example", True),
            (".a.example", "a.example", True),
            ("*.a.example", "b.a.example", True),
            ("A.Example.", "a.example", True),
            ("x, a.example ,y", "a.example", True),
            ("x a.example", "a.example", True),
            ("a.example:443", "a.example", True),
            ("a.example:80", "a.example", False),
            ("10.0.0.0/8", "10.1.2.3", True),
            ("10.0.0.0/8", "11.1.2.3", False),
            ("10.1.2.3", "10.1.2.3", True),
            ("10.1.2.3:443", "10.1.2.3", True),
            ("10.1.2.3:80", "10.1.2.3", False),
            ("fd00::/8", "fd00::1", True),
            ("[fd00::1]", "fd00::1", True),
            ("[fd00::1]:443", "fd00::1", True),
            ("fd00::1", "fd00::1", True),
            ("", "a.example", False),
            (",.,", "a.example", False),
        ):
            self.assertEqual(is_excepted(host, 443, entry_), wanted, (entry_, host))
        environ = {"HTTPS_PROXY": "a", "no_proxy": "x.example:444"}
        self.assertIsNone(variable_for("https://x.example:444/v1", environ))
        self.assertIsNotNone(variable_for("https://x.example/v1", environ))

    @given(st.text(max_size=40), st.sampled_from(["a.example", "10.0.0.1", "fd00::1"]))
    def test_any_exception(self, no_proxy: str, host: str) -> None:
        """Whatever stands there, it excepts a host or it does not."""
        self.assertIn(is_excepted(host, 443, no_proxy), (True, False))


class BackendTests(SynchronousTestCase):
    """Which proxy a backend has."""

    environ = {"HTTPS_PROXY": HERE}  # noqa: RUF012

    def test_the_environments(self) -> None:
        """It counts for configured backends on other hosts."""
        self.assertEqual(backend(ELSEWHERE, self.environ).proxy, parsed(HERE))
        for other in ("api_base: http://api.example.com/v1", "api_base: https://127.0.0.1:1/v1",
                      "mock_response: hi"):  # fmt: skip
            self.assertIsNone(backend(other, self.environ).proxy, other)

    def test_its_own(self) -> None:
        """It wins, on this machine too; ``off`` is none."""
        own = "http_proxy: http://other:1"
        self.assertEqual(backend(f"{ELSEWHERE}\n{own}", self.environ).proxy, Proxy("other", 1))
        here = f"api_base: http://localhost:1/v1\n{own}"
        self.assertEqual(backend(here, self.environ).proxy, Proxy("other", 1))
        self.assertIsNone(backend(f"{ELSEWHERE}\nhttp_proxy: off", self.environ).proxy)

    def test_one_for_all(self) -> None:
        """In ``router_settings``."""
        text = f"{entry(ELSEWHERE)}router_settings: {{http_proxy: 'http://other:1'}}\n"
        (found,) = configured(text, self.environ).backends
        self.assertEqual(found.proxy, Proxy("other", 1))

    def test_a_bad_one(self) -> None:
        """It stops the start where it would be needed, and is not shown."""
        (said,) = problems(entry(f"{ELSEWHERE}\nhttp_proxy: https://me:secret@p"))
        self.assertIn("http_proxy: is a proxy of another kind", said)
        environ = {"HTTPS_PROXY": "socks5://me:secret@p:1"}
        (told,) = problems(entry(ELSEWHERE), environ)
        self.assertIn("the environment's HTTPS_PROXY is a proxy of another kind", told)
        self.assertNotIn("secret", said + told)
        self.assertEqual(problems(entry("api_base: http://localhost:1/v1"), environ), [])

    def test_a_registered_one(self) -> None:
        """It has none, whatever the environment says."""
        registered = parse_backend("m", {"api_base": "https://api.example.com/v1"})
        self.assertIsNone(registered.proxy)

    def test_its_credentials(self) -> None:
        """They are secrets, in every form; ``check`` shows only where it is."""
        found = backend(f"{ELSEWHERE}\nhttp_proxy: http://me:long-password@p:1")
        mask = Masker(secrets_of(Config(backends=(found,))))
        said = mask.mask(b"x long-password y bWU6bG9uZy1wYXNzd29yZA== z")
        self.assertNotIn(b"long-password", said)
        self.assertNotIn(b"bWU6bG9uZy1wYXNzd29yZA", said)
        shown = ", ".join(facts(destination(found), shared=False))
        self.assertIn("through the proxy p:1", shown)
        self.assertNotIn("password", repr(found))
