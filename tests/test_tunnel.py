"""Backends behind an HTTP proxy, over sockets of this machine, with either HTTP client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet import reactor  # noqa: TID251 - these tests use sockets
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.authority import authority
from tests.test_hostile_backends import BackendCase, with_twisted
from yallmp.core.backend import Backend, Tls
from yallmp.core.problems import AttemptFailed, Reason
from yallmp.core.proxies import Proxy
from yallmp.core.settings import Limits
from yallmp.tunnel import MAX_ANSWER
from yallmp.upstream import Outgoing
from yallmp.wire import Wire

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
UNKNOWN = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"


class Echo(Resource):
    """Tells who was asked for what."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """The target and the headers that matter."""
        return b"%s %s" % (request.uri, request.getHeader("host").encode())


class Side(Protocol):
    """One side of a connection through a proxy."""

    other: Any = None
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        if self.other is not None:
            self.other.transport.abortConnection()


class Asked(Side):
    """The side that asked: what it said stands in ``factory.heads``."""

    factory: Any

    def connectionMade(self) -> None:
        self.head = b""
        self.lost: Deferred[None] = Deferred()
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:
            super().dataReceived(data)
            return
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.factory.heads.append(self.head.partition(b"\r\n\r\n")[0])
            self.factory.answers(self)

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.lost.callback(None)

    async def open(self, port: int, said: bytes) -> None:
        """Let the two speak, once *said* is on its way."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        self.other = await connectProtocol(endpoint, Side())
        self.other.other = self
        if said:
            self.transport.write(said)
        else:
            self.other.transport.write(self.head)


@define(eq=False)
class Between(Factory):
    """A proxy that does *answers* when it is asked something."""

    answers: Callable[[Any], Any]
    heads: list[bytes] = field(factory=list)
    connections: list[Any] = field(factory=list)
    protocol = Asked
    noisy = False


class ProxyCase(BackendCase):
    """With a proxy in between."""

    def through(self, answers: Callable[[Any], Any], credentials: str | None = None) -> Proxy:
        """A proxy that does *answers*."""
        self.between = Between(answers)
        port = self.listening(self.between)
        self.addCleanup(self.cut)
        return Proxy("127.0.0.1", port, credentials)

    async def cut(self) -> None:
        """Close what is open."""
        for each in self.between.connections:
            each.transport.abortConnection()
            await each.lost

    def listening(self, factory: Any, **tls: Any) -> int:
        """The port at which *factory* serves."""
        if tls:
            port = reactor.listenSSL(0, factory, tls["issued"].options(), interface="127.0.0.1")
        else:
            port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    def connect(self, to: int, said: bytes = OPEN) -> Callable[[Any], Any]:
        """What a proxy does that connects to the port *to*."""
        return lambda asked: Deferred.fromCoroutine(asked.open(to, said))

    async def through_to(self, url: str, proxy: Proxy, connect_timeout: float = 10.0) -> bytes:
        """The body of what a backend at *url* answers."""
        self.wires = self.new_wires(Limits())
        self.addCleanup(self.wires.close)
        return await self.once_more(url, proxy, connect_timeout)

    async def once_more(self, url: str, proxy: Proxy, connect_timeout: float = 10.0) -> bytes:
        """The same over connections that there are."""
        self.wire = Wire(reactor, connect_timeout)
        tls = Tls(ca_pem=authority().root.pem)
        backend = Backend("b", "m", api_base=url, proxy=proxy, tls=tls)
        outgoing = Outgoing(f"{url}/x", (), b"{}")
        return (await self.answer(backend, outgoing))[1]

    async def refused(self, said: Callable[[Any], Any], **more: Any) -> Reason:
        """Why nothing comes of it when the proxy does *said*."""
        asked = self.through_to("https://backend.example", self.through(said), **more)
        failed = await self.assertFailure(Deferred.fromCoroutine(asked), AttemptFailed)
        reason: Reason = failed.problem.reason
        return reason


class EncryptedTests(ProxyCase):
    """What is encrypted goes through a tunnel."""

    async def test_a_tunnel(self) -> None:
        """The proxy hears the name; the backend's certificate is checked; it is used again."""
        to = self.listening(Site(Echo()), issued=authority().issue("backend.example"))
        proxy = self.through(self.connect(to), "me:secret")
        url = "https://backend.example:8443"
        self.assertEqual(await self.through_to(url, proxy), b"/x backend.example:8443")
        self.assertEqual(await self.once_more(url, proxy), b"/x backend.example:8443")
        self.assertEqual(
            self.between.heads,
            [
                b"CONNECT backend.example:8443 HTTP/1.1\r\nHost: backend.example:8443\r\n%s"
                % b"Proxy-Authorization: Basic bWU6c2VjcmV0"
            ],
        )
        self.assertTrue(self.wire.reused)

    async def test_another_certificate(self) -> None:
        """Whoever the proxy leads to has to be who we want."""
        to = self.listening(Site(Echo()), issued=authority().issue("other.example"))
        self.assertIs(await self.refused(self.connect(to)), Reason.TLS)

    async def test_what_is_no_yes(self) -> None:
        """Whatever the proxy says otherwise, the backend was not reached."""
        for said in (
            UNKNOWN,
            b"HTTP/1.1 503 No\r\n\r\n",
            b"HTTP/1.1 101 No\r\n\r\n",
            b"SSH-2.0-x\r\n\r\n",
            OPEN + b"x",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * MAX_ANSWER,
        ):
            reason = await self.refused(lambda asked, s=said: asked.transport.write(s))
            self.assertIs(reason, Reason.UNREACHABLE, said[:40])
            await self.between.connections[0].lost

    async def test_it_hangs_up(self) -> None:
        """With FIN or RST."""
        for end in ("loseConnection", "abortConnection"):
            reason = await self.refused(lambda asked, e=end: getattr(asked.transport, e)())
            self.assertIs(reason, Reason.UNREACHABLE)

    async def test_it_hangs(self) -> None:
        """It takes no longer than ``connect_timeout``, and the socket is closed."""
        reason = await self.refused(lambda asked: None, connect_timeout=0.2)
        self.assertIs(reason, Reason.CONNECT_TIMEOUT)
        await self.between.connections[0].lost

    async def test_it_is_not_there(self) -> None:
        """As for a backend that is not."""
        port = reactor.listenTCP(0, Site(Echo()), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        asked = self.through_to("https://backend.example", Proxy("127.0.0.1", number))
        failed = await self.assertFailure(Deferred.fromCoroutine(asked), AttemptFailed)
        self.assertIs(failed.problem.reason, Reason.UNREACHABLE)

    async def test_nobody_waits_any_more(self) -> None:
        """The connection to the proxy is closed at once."""
        heard: Deferred[Any] = Deferred()
        proxy = self.through(heard.callback)
        asked = Deferred.fromCoroutine(self.through_to("https://backend.example", proxy))
        connection = await heard
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        await connection.lost


class PlainTests(ProxyCase):
    """What is not encrypted is asked of the proxy itself."""

    async def test_the_whole_url(self) -> None:
        """Its target is the whole URL; the connection is used again."""
        to = self.listening(Site(Echo()))
        proxy = self.through(self.connect(to, b""), "me:secret")
        said = b"http://backend.example:81/x backend.example:81"
        self.assertEqual(await self.through_to("http://backend.example:81", proxy), said)
        self.assertEqual(await self.once_more("http://backend.example:81", proxy), said)
        self.assertEqual(len(self.between.connections), 1)
        head = self.between.heads[0]
        self.assertTrue(head.startswith(b"POST http://backend.example:81/x HTTP/1.1\r\n"))
        self.assertIn(b"\r\nproxy-authorization: basic bwu6c2vjcmv0", head.lower())

    async def test_other_credentials(self) -> None:
        """It is the proxy that says 407, and no answer of the backend."""
        proxy = self.through(lambda asked: asked.transport.write(UNKNOWN))
        asked = self.through_to("http://backend.example", proxy)
        failed = await self.assertFailure(Deferred.fromCoroutine(asked), AttemptFailed)
        self.assertIs(failed.problem.reason, Reason.UNREACHABLE)

    async def test_each_way_its_own_connections(self) -> None:
        """One through a proxy is never used without, nor the other way round."""
        to = self.listening(Site(Echo()))
        url = f"http://127.0.0.1:{to}"
        through = f"{url}/x 127.0.0.1:{to}".encode()
        proxy = self.through(self.connect(to, b""))
        self.assertEqual(await self.through_to(url, proxy), through)
        outgoing = Outgoing(f"{url}/x", (), b"{}")
        self.wire = Wire(reactor, 10.0)
        answered = await self.answer(Backend("b", "m", api_base=url), outgoing)
        self.assertEqual(answered, (200, f"/x 127.0.0.1:{to}".encode()))
        self.assertEqual(await self.once_more(url, proxy), through)
        self.assertTrue(self.wire.reused)


TwistedEncryptedTests = with_twisted(EncryptedTests)
TwistedPlainTests = with_twisted(PlainTests)
