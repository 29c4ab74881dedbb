"""What a file may say of where we listen, and what can be seen to be wrong with it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.configs import MODEL, parsed, problems
from yallmp.core.settings import Server
from yallmp.listening import ListeningError, endpoint_for

BEFORE = MODEL + "general_settings:\n  server:\n    "


def quoted(value: str) -> str:
    """*value* as YAML."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def said(key: str, value: str) -> str:
    """The problem with *value*, without its place; empty if there is none."""
    found = problems(f"{BEFORE}{key}: {quoted(value)}\n")
    place = f"c.yaml:5: general_settings.server.{key}: "
    assert all(problem.startswith(place) for problem in found), found
    return "; ".join(problem[len(place) :] for problem in found)


def is_made(listen: str) -> bool:
    """Whether Twisted makes an endpoint of it."""
    try:
        endpoint_for(Server(listen=listen), MemoryReactorClock())
    except ListeningError:
        return False
    return True


class HostTests(SynchronousTestCase):
    """An address, or a name."""

    def test_good_ones(self) -> None:
        """IPv4, IPv6 with and without brackets and zone, names of all kinds."""
        for host in (
            "127.0.0.1", "0.0.0.0", "::", "::1", "[::1]", "fe80::1%eth0", "localhost",
            "a.b-c.example", "my_box", "büro.lan", "proxy.lan.", "127.1",
        ):  # fmt: skip
            with self.subTest(host):
                self.assertEqual(said("host", host), "")
                self.assertEqual(parsed(f"{BEFORE}host: {quoted(host)}\n").server.host, host)

    def test_bad_ones(self) -> None:
        """Each is shown, with its line."""
        for host in (
            "not a host", "127.0.0.1:8000", "localhost:80", "http://localhost", "1.2.3.400", "a..b",
            "*", "[::1", "::1::", "x" * 64, ".", "10.0.0.0/8",
        ):  # fmt: skip
            with self.subTest(host):
                self.assertIn(
                    "is neither an IP address nor the name of a machine", said("host", host)
                )
        self.assertIn('"not a host"', said("host", "not a host"))

    def test_values_of_variables_are_not_repeated(self) -> None:
        """They may be secrets that went astray."""
        for key in ("host", "listen"):
            (problem,) = problems(f"{BEFORE}{key}: $WHERE\n", {"WHERE": "sk-1 23"})
            self.assertIn('"$WHERE" ', problem)
            self.assertNotIn("sk-1", problem)


class EndpointTests(SynchronousTestCase):
    """Twisted's notation, as far as it can be read without Twisted."""

    GOOD = (
        "tcp:8000", "tcp:port=8000", "tcp:0", "tcp:8000:interface=127.0.0.1:backlog=9",
        "tcp:interface=127.0.0.1:8000", "tcp6:8000", r"tcp6:8000:interface=\:\:1",
        "unix:/run/y.sock", "unix:/run/y.sock:mode=660:lockfile=0", r"unix:address=/run/a\:b",
        "haproxy:tcp:8000",
    )  # fmt: skip

    def test_good_ones(self) -> None:
        """They are taken as they are, and Twisted agrees."""
        for listen in self.GOOD:
            with self.subTest(listen):
                self.assertEqual(said("listen", listen), "")
                self.assertTrue(is_made(listen))

    def test_what_needs_more_than_words(self) -> None:
        """Certificates and systemd's sockets are looked for at the start only."""
        for listen in (
            "ssl:8443:privateKey=/k.pem:certKey=/c.pem", "systemd:domain=INET:index=0",
            "systemd:INET6:0", "systemd:domain=UNIX:name=web",
        ):  # fmt: skip
            self.assertEqual(said("listen", listen), "")

    def test_bad_ones(self) -> None:
        """What is wrong with each, in a few words."""
        for listen, words in (
            (
                "zork:1",
                "does not begin with a kind of endpoint (tcp, tcp6, ssl, unix, systemd, hap",
            ),
            ("8000", "as tcp:8000 does"),
            ("127.0.0.1:8000", "does not begin with a kind"),
            (":", "does not begin with a kind"),
            ("tcp", "its port is missing"),
            ("tcp:foo", "its port is not a number from 0 to 65535"),
            ("tcp:65536", "its port is not"),
            ("tcp::8000", "its port is not"),
            ("haproxy:tcp:foo", "its port is not"),
            ("tcp6:::1", "its port is not"),
            ("ssl:https", "its port is not"),
            ("tcp:80:nonsense=1", "tcp does not have; it takes port, interface, backlog"),
            ("tcp:80:port=81", "has an argument that tcp does not have"),
            ("tcp6:1:2:3:4", "has an argument that tcp6 does not have"),
            ("tcp:80:backlog=many", "its backlog is not a number"),
            ("unix", "its address is missing"),
            ("unix:", "its address is not the path of a socket"),
            ("unix:/s:mode=rw", "its mode is not an octal number such as 660"),
            ("systemd:index=0", "its domain is missing"),
            ("systemd:domain=INET", "needs either the index or the name of the socket"),
            ("systemd:domain=INET4:index=0", "its domain is not INET, INET6 or UNIX"),
        ):
            with self.subTest(listen):
                self.assertIn(words, said("listen", listen))
                self.assertIn(f'"{listen}" ', said("listen", listen))

    def test_a_backslash_at_the_end(self) -> None:
        """It escapes nothing, and Twisted does not bear it; two are one of the path."""
        self.assertIn("ends in a backslash", said("listen", "unix:/s\\"))
        self.assertEqual(said("listen", "unix:/s\\\\"), "")

    @given(
        st.lists(
            st.sampled_from(["tcp", "tcp6", "unix", ":", "=", "80", "port", "mode", "x", "\\"])
        )
    )
    @example(["unix", ":", "\\"])
    @example(["unix", ":", "\\", "\\"])
    def test_what_is_taken_is_one(self, pieces: list[str]) -> None:
        """Whatever is not refused here is an endpoint for Twisted."""
        listen = "".join(pieces)
        if listen and not said("listen", listen):
            self.assertTrue(is_made(listen), listen)
