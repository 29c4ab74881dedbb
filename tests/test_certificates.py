"""
Whose certificates are trusted, and what a backend with another one is to a client.

TLS is the real one.  Most of it runs over the network in memory; the last tests use
sockets on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
from OpenSSL import SSL
from twisted.internet import reactor  # noqa: TID251 - these tests use sockets
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.authority import Authority, Issued, authority
from tests.fakes import Answer, FakeBackend, Got, ProxyCase, good_either
from yallmp import certificates
from yallmp.bodies import collected
from yallmp.certificates import KEPT, CertificateError, Contexts, check_certificates, trust_root
from yallmp.core.account import Account
from yallmp.core.backend import Backend, Tls
from yallmp.core.exchange import AttemptEnd, Head
from yallmp.core.problems import AttemptFailed, Reason
from yallmp.core.settings import Limits
from yallmp.names import Names, ResolvingReactor
from yallmp.upstream import Outgoing, Upstream
from yallmp.wire import Wire
from yallmp.wires import Wires

NAME = "backend.example"
ADDRESS = "10.0.1.1"


class ContextsTests(SynchronousTestCase):
    """What is made, and what is kept."""

    def setUp(self) -> None:
        self.contexts = Contexts()
        self.made: list[Any] = []
        make = certificates.optionsForClientTLS

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.made.append(args)
            return make(*args, **kwargs)

        self.patch(certificates, "optionsForClientTLS", counted)

    def test_equal_settings_share_one(self) -> None:
        """For the same host; the settings need not be the same object."""
        pem = authority().root.pem
        first = self.contexts.creator(Tls(ca_pem=pem), NAME)
        self.assertIs(self.contexts.creator(Tls(ca_pem=bytes(bytearray(pem))), NAME), first)
        self.assertEqual(len(self.made), 1)

    def test_different_ones_do_not(self) -> None:
        """Another host, another authority, no check at all."""
        pem = authority().root.pem
        found = [
            self.contexts.creator(tls, host)
            for tls in (Tls(), Tls(ca_pem=pem), Tls(verify=False), Tls(verify=False, ca_pem=pem))
            for host in (NAME, ADDRESS)
        ]
        self.assertEqual(len({id(each) for each in found}), 8)

    def test_one_context_serves_all_connections(self) -> None:
        """OpenSSL's own is made once as well, checked or not."""
        for tls in (Tls(), Tls(verify=False)):
            creator = self.contexts.creator(tls, NAME)
            factory = TLSMemoryBIOFactory(creator, True, Factory.forProtocol(Protocol), Clock())
            protocols = [factory.buildProtocol(None) for _ in range(2)]
            first, second = (creator.clientConnectionForTLS(each) for each in protocols)
            self.assertIs(first.get_context(), second.get_context())

    def test_the_number_is_bounded(self) -> None:
        """The one that was used last longest ago goes first."""
        kept = self.contexts.creator(Tls(verify=False), "kept.example")
        for number in range(KEPT * 2):
            self.contexts.creator(Tls(verify=False), f"host{number}.example")
            self.assertIs(self.contexts.creator(Tls(verify=False), "kept.example"), kept)
        self.assertEqual(len(self.contexts._kept), KEPT)


class TrustTests(SynchronousTestCase):
    """Whom to trust."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def system(self, cafile: Path | None, capath: Path | None) -> Any:
        """Whom to trust on a system that keeps its certificates there."""
        shown = {"cafile": cafile and str(cafile), "capath": capath and str(capath)}
        paths = type("Paths", (), shown)
        self.patch(certificates.standard_ssl, "get_default_verify_paths", paths)
        return trust_root(None)

    def test_a_system_with_a_file(self) -> None:
        """It is read here: pyOpenSSL would look elsewhere on some systems."""
        file = self.folder / "cert.pem"
        file.write_bytes(authority().root.pem)
        self.assertEqual(len(self.system(file, None)._caCerts), 1)

    def test_a_system_with_a_folder(self) -> None:
        """OpenSSL searches it; also where the file is of no use."""
        (self.folder / "cert.pem").write_bytes(b"nothing")
        for file in (None, self.folder / "nowhere", self.folder / "cert.pem"):
            found = self.system(file, self.folder)
            self.assertEqual(type(found).__name__, "OpenSSLDefaultPaths")

    def test_a_system_without_certificates(self) -> None:
        """certifi's are used, all of them."""
        count = Path(certifi.where()).read_bytes().count(b"-----BEGIN CERTIFICATE-----")
        for folder in (None, self.folder, self.folder / "nowhere"):
            self.assertEqual(len(self.system(None, folder)._caCerts), count)

    def test_this_system(self) -> None:
        """Whatever it has, OpenSSL takes it."""
        CertificateOptions(trustRoot=trust_root(None)).getContext()

    def test_a_file_of_several(self) -> None:
        """With whatever stands between them."""
        pem = b"# ours\n" + authority().root.pem + b"\n\nand another\n" + Authority().root.pem
        self.assertEqual(len(trust_root(pem)._caCerts), 2)

    def test_a_file_of_none(self) -> None:
        """It says what was looked for, or that it cannot be read."""
        broken = b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
        for pem in (b"", b"nothing", broken):
            said = str(self.assertRaises(CertificateError, trust_root, pem))
            self.assertIn("certificate", said)

    def test_a_file_is_read_before_the_start(self) -> None:
        """The one line names the backend; those without a file cost nothing."""
        good = Backend("good", "m", tls=Tls(ca_pem=authority().root.pem))
        check_certificates([Backend("plain", "m"), good])
        bad = Backend("bad", "m", tls=Tls(ca_pem=b"nothing"))
        error = self.assertRaises(CertificateError, check_certificates, [good, bad])
        self.assertIn("bad: ssl_ca_file: it holds no certificate", str(error))


class TlsCase(ProxyCase):
    """A backend with TLS."""

    def secure(
        self,
        issued: Issued | Any,
        tls: Tls | None = None,
        host: str = NAME,
        script: Answer = good_either,
        **settings: Any,
    ) -> Backend:
        """
        A backend that answers at *host* with the certificate *issued*.

        It is trusted unless *tls* says something else.
        """
        self.net.nameResolver.names[NAME] = [ADDRESS]
        self.fakes["m"] = FakeBackend(self.net, [script])
        site = Site(self.fakes["m"], reactor=self.net, timeout=None)
        options = issued.options() if isinstance(issued, Issued) else issued
        factory = TLSMemoryBIOFactory(options, False, site, clock=self.net)
        self.net.listen(ADDRESS, 443, factory)
        tls = Tls(ca_pem=authority().root.pem) if tls is None else tls
        return self.backend("m", f"https://{host}/v1", tls=tls, **settings)

    def answered(self, backend: Backend) -> Got:
        """The answer of *backend*, which there is."""
        self.serve(backend)
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:200")
        return got

    def refused(self, backend: Backend) -> AttemptEnd:
        """The one attempt at *backend*, which fails for TLS; nothing was sent to it."""
        self.serve(backend)
        got = self.finish(self.ask())
        self.assertEqual((got.status, got.json["error"]["code"]), (502, "upstream_tls"))
        self.assertEqual(got.header("x-yallmp-route"), "m:tls")
        self.assertEqual(self.fakes["m"].requests, [])
        (attempt,) = self.events_told(AttemptEnd)
        return attempt


class TlsTests(TlsCase):
    """Who is believed."""

    def test_a_trusted_certificate(self) -> None:
        """It works, streamed too, and the record tells when the connection was there."""
        self.answered(self.secure(authority().issue(NAME)))
        got = self.finish(self.ask(stream=True))
        self.assertEqual((got.text, got.clean), ("Hello", True))
        first, second = self.events_told(Head)
        self.assertEqual((first.reused, second.reused), (False, True))
        self.assertIsNotNone(first.connected)

    def test_an_unknown_authority(self) -> None:
        """No second try, nothing sent, never without a check."""
        attempt = self.refused(self.secure(authority().issue(NAME), Tls()))
        self.assertIn("certificate verify failed", str(attempt.message))

    def test_another_authority(self) -> None:
        """``ssl_ca_file`` is the only one that is trusted then."""
        self.refused(self.secure(authority().issue(NAME), Tls(ca_pem=Authority().root.pem)))

    def test_another_name(self) -> None:
        """A certificate of somebody else."""
        self.refused(self.secure(authority().issue("other.example")))

    def test_expired(self) -> None:
        """A certificate of yesterday."""
        self.refused(self.secure(authority().issue(NAME, expired=True)))

    def test_not_checked(self) -> None:
        """``ssl_verify: false`` takes anything."""
        wrong = Authority().issue("other.example", expired=True)
        self.answered(self.secure(wrong, Tls(verify=False)))

    def test_an_address(self) -> None:
        """In place of a name, checked as an address."""
        self.answered(self.secure(authority().issue(ADDRESS), host=ADDRESS))

    def test_another_address(self) -> None:
        """A name in a certificate says nothing of an address."""
        self.refused(self.secure(authority().issue(NAME, "10.0.1.2"), host=ADDRESS))

    def test_an_address_not_checked(self) -> None:
        """It is not sent as a server's name."""
        self.answered(self.secure(authority().issue(NAME), Tls(verify=False), host=ADDRESS))

    def test_an_old_version(self) -> None:
        """TLS 1.1 is not spoken, checked or not."""
        for tls in (None, Tls(verify=False)):
            self.refused(self.secure(authority().issue(NAME).old_server(), tls))
            self.tearDown()
            self.setUp()

    def test_a_client_certificate_that_is_optional(self) -> None:
        """We have none, and that is enough."""
        options = authority().issue(NAME).options()
        options.getContext().set_verify(SSL.VERIFY_PEER, lambda *_: True)
        self.answered(self.secure(options))

    def test_a_client_certificate_that_is_required(self) -> None:
        """TLS 1.3 tells after its handshake; it is TLS that failed all the same."""
        options = authority().issue(NAME).options()
        required = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        options.getContext().set_verify(required, lambda *_: True)
        self.refused(self.secure(options))

    def test_no_tls_at_all(self) -> None:
        """A server that speaks HTTP where TLS is expected."""
        backend = self.secure(authority().issue(NAME))
        self.net.servers.pop((ADDRESS, 443)).doStop()

        class Plain(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                self.transport.loseConnection()

        self.net.listen(ADDRESS, 443, Factory.forProtocol(Plain))
        self.refused(backend)

    def test_a_file_that_is_no_certificate(self) -> None:
        """The attempt fails for TLS, and the record says why."""
        broken = b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
        attempt = self.refused(self.secure(authority().issue(NAME), Tls(ca_pem=broken)))
        self.assertIn("certificate", str(attempt.message))

    def test_the_next_backend_is_asked(self) -> None:
        """Failing TLS leads on."""
        other = self.fake("other")
        self.serve(
            self.secure(authority().issue("other.example")), other, fallbacks=[("m", ("other",))]
        )
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:tls,other:200")


class HandshakeTests(TlsCase):
    """Servers that do not get through with it."""

    def silent(self) -> Backend:
        """A server that takes the connection and says nothing."""
        backend = self.secure(authority().issue(NAME), connect_timeout=2.0)
        self.net.servers.pop((ADDRESS, 443)).doStop()
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self.net.listen(ADDRESS, 443, factory)
        return backend

    def test_a_server_that_never_shakes_hands(self) -> None:
        """``connect_timeout`` covers the handshake, and nothing is left of the connection."""
        self.serve(self.silent())
        got = self.ask()
        self.net.pass_time(1.9)
        self.assertFalse(got.over)
        self.net.pass_time(0.2)
        self.assertEqual((got.status, got.json["error"]["code"]), (504, "upstream_connect_timeout"))
        self.assertEqual([end for end in self.net.ends if end.host.port == 443], [])

    def test_a_client_that_leaves_meanwhile(self) -> None:
        """The connection is cut at once."""
        self.serve(self.silent())
        got = self.ask()
        got.leave()
        self.net.pass_time(0.1)
        self.assertEqual([end for end in self.net.ends if end.host.port == 443], [])

    def test_a_server_that_hangs_up(self) -> None:
        """In the middle of the handshake: it may work the next time."""

        class Rude(Protocol):
            def dataReceived(self, data: bytes) -> None:
                self.transport.abortConnection()

        backend = self.silent()
        self.net.servers[ADDRESS, 443].protocol = Rude
        self.serve(backend)
        got = self.finish(self.ask())
        self.assertEqual(got.header("x-yallmp-route"), "m:disconnected,m:disconnected")


class SharingTests(TlsCase):
    """Which connections are used for which backend."""

    def ask_both(self, first: Tls, second: Tls) -> int:
        """How many connections two backends need that differ in *first* and *second*."""
        one = self.secure(authority().issue(NAME), first)
        two = self.backend("n", f"https://{NAME}/v1", tls=second)
        self.serve(one, two)
        for model in "mnmn":
            self.assertEqual(self.finish(self.ask(model=model)).status, 200)
        return len([end for end in self.net.ends if end.host.port == 443])

    def test_equal_settings(self) -> None:
        """Backends on one host share connections."""
        tls = Tls(ca_pem=authority().root.pem)
        self.assertEqual(self.ask_both(tls, Tls(ca_pem=authority().root.pem)), 1)

    def test_different_settings(self) -> None:
        """A connection that was not checked never serves a backend that is to be checked."""
        self.assertEqual(self.ask_both(Tls(verify=False), Tls(ca_pem=authority().root.pem)), 2)


class ClosingTests(TlsCase):
    """The end of connections with TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.answered(self.secure(authority().issue(NAME)))
        (self.server,) = [end.protocol for end in self.net.ends if end.host.port == 443]

    def left(self) -> int:
        """How many connections to the backend are left."""
        return len([end for end in self.net.ends if end.host.port == 443])

    def test_idle(self) -> None:
        """Closed after ``upstream_idle``."""
        self.net.pass_time(29, step=1)
        self.assertEqual(self.left(), 1)
        self.net.pass_time(2, step=1)
        self.assertEqual(self.left(), 0)

    def test_a_server_that_does_not_say_goodbye(self) -> None:
        """TLS would wait for its answer for ever; we do not."""
        self.server.dataReceived = lambda data: None
        self.net.pass_time(31, step=1)
        self.assertEqual(self.left(), 0)

    def test_the_end_of_the_process(self) -> None:
        """It does not depend on what servers do."""
        self.server.dataReceived = lambda data: None
        assert self.parts is not None
        closed = self.parts.wires.close()
        self.net.pump()
        self.successResultOf(closed)
        self.assertEqual(self.left(), 0)


class Quiet(Resource):
    """A backend that answers with an empty object."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setHeader("content-type", "application/json")
        return b"{}"


class SocketTests(TestCase):
    """The same over sockets of this machine, where timing is real."""

    def setUp(self) -> None:
        resolving = ResolvingReactor(reactor, Names(reactor))
        self.wires = Wires(resolving, resolving, Contexts(), Limits)
        self.addCleanup(self.wires.close)

    def listen(self, factory: Any, issued: Issued | None = None) -> int:
        """The port on which *factory* serves, with a certificate if there is one."""
        factory.noisy = False
        if issued is None:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, factory, issued.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def asked(self, url: str, connect_timeout: float = 10.0) -> int:
        """The status that a backend at *url* answers with, its body read."""
        backend = Backend("b", "m", api_base=url, tls=Tls(ca_pem=authority().root.pem))
        wire = Wire(reactor, connect_timeout)
        outgoing = Outgoing(f"{url}/x", (), b"{}")
        response = await Upstream(self.wires.agent, reactor).send(backend, outgoing, wire)
        await collected(response, wire, 100, lambda data: data, Account())
        return int(response.code)

    async def problem(self, url: str, connect_timeout: float = 10.0) -> Reason:
        """Why a backend at *url* cannot be asked."""
        with self.assertRaises(AttemptFailed) as caught:
            await self.asked(url, connect_timeout)
        return caught.exception.problem.reason

    async def test_name_and_address(self) -> None:
        """A server that is who it should be, by both, and one that is not."""
        port = self.listen(Site(Quiet()), authority().issue("localhost", "127.0.0.1"))
        self.assertEqual(await self.asked(f"https://localhost:{port}"), 200)
        self.assertEqual(await self.asked(f"https://127.0.0.1:{port}"), 200)
        other = self.listen(Site(Quiet()), authority().issue("other.example"))
        self.assertEqual(await self.problem(f"https://localhost:{other}"), Reason.TLS)
        self.assertEqual(await self.problem(f"https://127.0.0.1:{other}"), Reason.TLS)

    async def test_another_authority(self) -> None:
        """Somebody else says who it is."""
        port = self.listen(Site(Quiet()), Authority().issue("localhost"))
        self.assertEqual(await self.problem(f"https://localhost:{port}"), Reason.TLS)

    async def test_a_server_that_never_shakes_hands(self) -> None:
        """It takes no longer than ``connect_timeout``, and the socket is closed."""
        lost: Deferred[None] = Deferred()

        class Mute(Protocol):
            def connectionLost(self, reason: Any = None) -> None:
                lost.callback(None)

        port = self.listen(Factory.forProtocol(Mute))
        reason = await self.problem(f"https://127.0.0.1:{port}", 0.2)
        self.assertEqual(reason, Reason.CONNECT_TIMEOUT)
        await lost
