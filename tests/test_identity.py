"""Our side of TLS, over real sockets: who is served, who is told otherwise, and who we are."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from twisted.trial.unittest import SynchronousTestCase

from tests.authority import Issued, authority
from tests.live_proxy import (
    CLIENT_KEY,
    PATIENCE,
    LiveCase,
    ProxyProcess,
    configuration,
    eventually,
    replays,
)
from yallmp.core.config import ConfigError
from yallmp.core.settings import Config, Identity, Server
from yallmp.files import load
from yallmp.identity import IdentityError, Presence, check_identity, warnings
from yallmp.rereading import sayings

BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "Hello."}]}).encode()
PLAIN = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def key_of(issued: Issued, password: bytes | None = None) -> bytes:
    """Its private key for a file."""
    encryption: Any = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    form = serialization.PrivateFormat.PKCS8
    return issued.key.private_bytes(serialization.Encoding.PEM, form, encryption)


def server_of(issued: Issued, **other: bytes) -> Server:
    """A listener that has it."""
    given = {"certificates": issued.pem, "key": key_of(issued), **other}
    return Server(tls=Identity(**given))


class CheckTests(SynchronousTestCase):
    """What is found out before anybody depends on it."""

    def setUp(self) -> None:
        self.good = authority().issue("localhost")
        self.other = authority().issue("other")

    def test_good(self) -> None:
        """Also with the certificates that lead to a root behind it, or without TLS."""
        chain = self.good.pem + authority().root.pem
        for server in (Server(), server_of(self.good), server_of(self.good, certificates=chain)):
            check_identity(server)
            self.assertEqual(list(warnings(server, time.time())), [])

    def test_useless(self) -> None:
        """A line says what is wrong, and nothing of the key."""
        for other in (
            {"key": key_of(self.other)},
            {"key": key_of(self.good, b"secret")},
            {"key": b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"},
            {"certificates": b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"},
            {"certificates": b"nothing"},
        ):
            server = server_of(self.good, **other)
            error = self.assertRaises(IdentityError, check_identity, server)
            self.assertIn("general_settings.server.tls", str(error))
            self.assertNotIn("\n", str(error))
            self.assertNotIn("BEGIN", repr(server))

    def test_expired(self) -> None:
        """It is served all the same, and said."""
        server = server_of(authority().issue("localhost", expired=True))
        check_identity(server)
        ((level, text),) = sayings(Config(server=server), time.time())
        self.assertEqual(level, "warning")
        self.assertIn("expired", text)
        self.assertIn("valid from", next(warnings(server, 1000.0)))

    def test_another_one(self) -> None:
        """New connections have it; a configuration without one changes nothing."""
        presence = Presence(server_of(self.good).tls)  # type: ignore[arg-type]
        before = presence.serverConnectionForTLS(None).get_context()
        presence.change(Config())
        presence.change(Config(server=server_of(self.good)))
        self.assertIs(presence.serverConnectionForTLS(None).get_context(), before)
        presence.change(Config(server=server_of(self.other)))
        self.assertIsNot(presence.serverConnectionForTLS(None).get_context(), before)


class FileTests(SynchronousTestCase):
    """The settings."""

    def problems(self, tls: str, server: str = "") -> str:
        """What is wrong with a file that has these."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        good = authority().issue("localhost")
        (folder / "cert.pem").write_bytes(good.pem)
        (folder / "key.pem").write_bytes(key_of(good))
        (folder / "locked.pem").write_bytes(key_of(good, b"secret"))
        file = folder / "c.yaml"
        model = "model_list: [{model_name: m, litellm_params: {mock_response: hi}}]\n"
        file.write_text(f"{model}general_settings: {{server: {{tls: {{{tls}}}{server}}}}}\n")
        try:
            load(str(file), {})
        except ConfigError as error:
            return str(error)
        return ""

    def test_settings(self) -> None:
        """Both are needed; what is no key, or needs a password, is said with its line."""
        self.assertEqual(self.problems("cert: cert.pem, key: key.pem"), "")
        for tls, said in (
            ("cert: cert.pem", "key is missing"),
            ("key: key.pem", "cert is missing"),
            ("cert: cert.pem, key: gone.pem", "cannot be read"),
            ("cert: cert.pem, key: cert.pem", "no private key"),
            ("cert: cert.pem, key: locked.pem", "encrypted"),
            ("cert: key.pem, key: key.pem", "no certificate"),
            ("cert: cert.pem, kye: key.pem", "did you mean key"),
        ):
            self.assertIn(said, self.problems(tls))
            self.assertIn("c.yaml:2", self.problems(tls))
        listen = ', listen: "ssl:1:privateKey=a:certKey=b"'
        self.assertIn("ssl endpoint", self.problems("cert: cert.pem, key: key.pem", listen))


class SecureCase(LiveCase):
    """A proxy that speaks TLS, of its own for each test."""

    workers = 1

    def setUp(self) -> None:
        super().setUp()
        self.files = Path(tempfile.mkdtemp(prefix="yallmp-tls-"))
        self.addCleanup(shutil.rmtree, self.files)
        self.certify("localhost", "127.0.0.1")
        value = json.loads(configuration(self.backend.api_base))
        paths = {"cert": str(self.files / "cert.pem"), "key": str(self.files / "key.pem")}
        value["general_settings"]["server"] |= {"tls": paths, "workers": self.workers}
        self.proxy = ProxyProcess(json.dumps(value))
        eventually(lambda: self.proxy.said.count(" listens on ") == self.workers, "all serve")

    def certify(self, *names: str) -> None:
        """Its certificate is for these."""
        issued = authority().issue(*names)
        (self.files / "cert.pem").write_bytes(issued.pem)
        (self.files / "key.pem").write_bytes(key_of(issued))

    def plain(self) -> socket.socket:
        """A connection without TLS."""
        connected = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=PATIENCE)
        self.addCleanup(connected.close)
        return connected

    def secure(self, name: str = "localhost", **settings: Any) -> ssl.SSLSocket:
        """A connection with TLS to whoever calls itself *name*."""
        context = ssl.create_default_context(cadata=authority().root.pem.decode())
        context.set_alpn_protocols(settings.pop("alpn", ["h2", "http/1.1"]))
        for key, value in settings.items():
            setattr(context, key, value)
        connected = context.wrap_socket(self.plain(), server_hostname=name)
        self.addCleanup(connected.close)
        return connected

    def ask(self, connected: socket.socket) -> bytes:
        """The answer to a chat request, which is the last on its connection."""
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Authorization: Bearer {CLIENT_KEY}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(BODY)}\r\n\r\n"
        )
        connected.sendall(head.encode() + BODY)
        return rest_of(connected)


def rest_of(connected: socket.socket) -> bytes:
    """What comes until the end."""
    got = b""
    while data := connected.recv(65536):
        got += data
    return got


class ServingTests(SecureCase):
    """One process."""

    def test_a_request(self) -> None:
        """It is served over HTTP/1.1, and its record says where it came in, for a replay."""
        connected = self.secure()
        self.assertEqual(connected.selected_alpn_protocol(), "http/1.1")
        self.assertIn(connected.version(), ("TLSv1.2", "TLSv1.3"))
        self.assertTrue(self.ask(connected).startswith(b"HTTP/1.1 200 "))
        (log,) = eventually(lambda: self.proxy.files("requests/*.log"), "a record")
        self.assertIn(f"https://127.0.0.1:{self.proxy.port}".encode(), log.read_bytes())
        self.assertIn(f"https://127.0.0.1:{self.proxy.port}/v1/chat", replays(log))
        self.assertIn("with TLS", self.proxy.said)

    def test_those_who_speak_something_else(self) -> None:
        """Plain HTTP is told so; other noise, old TLS and strange ALPN harm nobody."""
        connected = self.plain()
        connected.sendall(PLAIN)
        answer = rest_of(connected)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "))
        self.assertIn(b"HTTPS", answer)
        for noise in (b"\x16\x03\x01\x00\x05hello", b"\x16", b"\0" * 100):
            connected = self.plain()
            connected.sendall(noise)
            connected.close()
        self.assertRaises(ssl.SSLError, self.secure, maximum_version=ssl.TLSVersion.TLSv1_1)
        self.assertTrue(self.ask(self.secure(alpn=["h2"])).startswith(b"HTTP/1.1 200 "))

    def test_another_certificate(self) -> None:
        """New connections have it, those that are open stay; a bad one changes nothing."""
        open_ = self.secure()
        self.certify("other.example")
        self.proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: "settings: general_settings.server.tls" in self.proxy.said, "a reload")
        eventually(lambda: self.has("other.example"), "the new certificate")
        self.assertTrue(self.ask(open_).startswith(b"HTTP/1.1 200 "))
        (self.files / "key.pem").write_bytes(key_of(authority().issue("third")))
        self.proxy.process.send_signal(signal.SIGHUP)
        eventually(lambda: "does not belong to the certificate" in self.proxy.said, "a refusal")
        self.assertTrue(self.ask(self.secure("other.example")).startswith(b"HTTP/1.1 200 "))

    def has(self, name: str) -> bool:
        """Whether new connections are to whoever calls itself so."""
        try:
            self.secure(name)
        except ssl.SSLCertVerificationError:
            return False
        return True

    def test_the_end(self) -> None:
        """An idle client that does not say goodbye holds nobody up."""
        self.secure()
        self.assertEqual(self.proxy.end(), 0)


class WorkersTests(ServingTests):
    """Two workers."""

    workers = 2
    skip = None if sys.platform.startswith("linux") else "several workers need Linux"
