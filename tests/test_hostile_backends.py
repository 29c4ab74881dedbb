"""
Backends that break the rules, over sockets of this machine, and what either HTTP client makes
of them: which answers count, and which connections are used again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet import reactor  # noqa: TID251 - these tests use sockets
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.authority import authority
from yallmp.bodies import collected
from yallmp.certificates import Contexts
from yallmp.core.account import Account
from yallmp.core.backend import Backend, Tls
from yallmp.core.problems import AttemptFailed, Reason
from yallmp.core.settings import Limits
from yallmp.names import Names, ResolvingReactor
from yallmp.upstream import Outgoing, Upstream
from yallmp.wire import Wire
from yallmp.wires import Wires

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 2\r\n\r\nok"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FAREWELL = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#: More than the sockets of both sides hold together.
HUGE = 16 * 1024 * 1024
LARGE = 100 * 1024
#: Turns of the reactor in which a client here has surely read a small answer.
TURNS = 10
LIMITS = Limits()
SMALL_HEAD = Limits(max_response_head_bytes=2000)


class Peer(Protocol):
    """One connection of a backend; ``number`` counts them from 0, ``asked`` its requests."""

    factory: Any
    transport: Any

    def connectionMade(self) -> None:
        self.number, self.factory.made = self.factory.made, self.factory.made + 1
        self.asked, self.head, self.left, self.lost = 0, b"", 0, Deferred[None]()
        self.factory.peers.append(self)

    def dataReceived(self, data: bytes) -> None:
        """Requests do not come one behind the other here, so a read belongs to one."""
        if self.left:
            self.left -= len(data)
        else:
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if end:
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                self.head, self.left = b"", int(length) - len(body)
        if self.left or self.head:
            self.factory.begun(self)
        else:
            self.asked += 1
            self.factory.whole(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


def nothing(peer: Peer) -> None:
    """Do nothing."""


def says(*data: bytes) -> Callable[[Peer], None]:
    """Answers each whole request with *data*, the last for ever."""
    return lambda peer: peer.transport.write(data[min(peer.asked, len(data)) - 1])


@define(eq=False)
class Faulty(Factory):
    """A backend: what it does with a whole request, and when a part of one has come."""

    whole: Callable[[Peer], None] = nothing
    begun: Callable[[Peer], None] = nothing
    made: int = 0
    peers: list[Peer] = field(factory=list)
    protocol = Peer
    noisy = False


class BackendCase(TestCase):
    """With one client; :class:`TwistedBackendCase` has the other."""

    lean = True
    scheme = "http"
    timeout = 30

    def start(self, backend: Faulty, limits: Limits = LIMITS) -> None:
        """Have *backend* served."""
        self.backend = backend
        port = self.listen(backend)
        self.addCleanup(port.stopListening)
        self.wires = self.new_wires(limits)
        self.addCleanup(self.closed, backend, self.wires)
        self.url = f"{self.scheme}://127.0.0.1:{port.getHost().port}"

    def listen(self, backend: Faulty) -> Any:
        """A port at which *backend* is served."""
        return reactor.listenTCP(0, backend, interface="127.0.0.1")

    def new_wires(self, limits: Limits) -> Wires:
        """Connections of the client that is tested."""
        resolving = ResolvingReactor(reactor, Names(reactor))
        return Wires(resolving, resolving, Contexts(), lambda: limits, lean=self.lean)

    async def closed(self, backend: Faulty, wires: Wires) -> None:
        """Close what is open, on both sides."""
        await wires.close()
        for peer in backend.peers:
            if not peer.lost.called:
                peer.transport.resumeProducing()
                peer.transport.abortConnection()
            await peer.lost

    async def ask(self, size: int = 2) -> tuple[int, bytes]:
        """Status and body of the answer to a request of so many bytes."""
        self.wire = Wire(reactor, 10.0)
        backend = Backend("b", "m", api_base=self.url, tls=Tls(ca_pem=authority().root.pem))
        return await self.answer(backend, Outgoing(f"{self.url}/x", (), b"x" * size))

    async def answer(self, backend: Backend, outgoing: Outgoing) -> tuple[int, bytes]:
        """Status and body of what comes of *outgoing*."""
        response = await Upstream(self.wires.agent, reactor).send(backend, outgoing, self.wire)
        read = collected(response, self.wire, 10_000, lambda data: data, Account())
        return response.code, await read

    async def reason(self, size: int = 2) -> Reason:
        """Why there is no answer."""
        failed = await self.assertFailure(Deferred.fromCoroutine(self.ask(size)), AttemptFailed)
        reason: Reason = failed.problem.reason
        return reason

    async def after_one(self, then: Callable[[Peer], None], size: int = 2) -> Any:
        """Another request, on a connection that was used once and now does *then*."""

        def whole(peer: Peer) -> None:
            if peer.number or peer.asked == 1:
                peer.transport.write(OK)
            else:
                then(peer)

        self.start(
            Faulty(whole, lambda peer: None if peer.number or not peer.asked else then(peer))
        )
        await self.ask()
        return self.ask(size)


class LeftOverTests(BackendCase):
    """A connection is used again only if nothing of an exchange is left on it."""

    async def test_the_request(self) -> None:
        """An answer that comes before the request was read: the rest of it has nowhere to go."""
        self.start(Faulty(says(OK), _answers_at_once(OK)))
        self.assertEqual(await self.ask(HUGE), (200, b"ok"))
        self.backend.peers[0].transport.resumeProducing()
        await self.backend.peers[0].lost
        self.assertEqual(await self.ask(), (200, b"ok"))
        self.assertEqual(self.backend.made, 2)

    async def test_a_refused_body(self) -> None:
        """An error may have come while a large body lies unread in the backend's socket."""
        refusal = b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"
        self.start(Faulty(lambda peer: says(OK if peer.number else refusal)(peer)))
        self.assertEqual((await self.ask(LARGE))[0], 413)
        self.assertEqual(await self.ask(), (200, b"ok"))
        self.assertEqual(self.backend.made, 2)

    async def test_a_large_body(self) -> None:
        """One that was taken leaves its connection as it was."""
        self.start(Faulty(says(OK)))
        for _ in range(2):
            self.assertEqual(await self.ask(LARGE), (200, b"ok"))
        self.assertEqual(self.backend.made, 1)

    async def test_behind_the_answer(self) -> None:
        """Bytes that nobody asked for would be the next request's answer."""
        for more in (b"x", OK, b"\r\n" + OK):
            self.start(Faulty(says(OK + more)))
            for _ in range(2):
                self.assertEqual(await self.ask(), (200, b"ok"))
            self.assertEqual(self.backend.made, 2, more)

    async def test_while_nobody_asks(self) -> None:
        """The same, when they come later."""
        self.start(Faulty(says(OK)))
        await self.ask()
        self.backend.peers[0].transport.write(OK)
        await self.backend.peers[0].lost
        self.assertEqual(await self.ask(), (200, b"ok"))
        self.assertEqual(self.backend.made, 2)


def _answers_at_once(data: bytes) -> Callable[[Peer], None]:
    """On the first connection, an answer to the head of a request, the rest of which waits."""

    def begun(peer: Peer) -> None:
        if peer.number == 0:
            peer.transport.pauseProducing()
            peer.transport.write(data)

    return begun


class OnceMoreTests(BackendCase):
    """What was closed before we asked is asked once more; nothing else is."""

    async def test_closed(self) -> None:
        """With FIN or RST, at the request's beginning or behind it, however large it is."""
        for end in ("loseConnection", "abortConnection", "loseWriteConnection"):
            for size in (2, LARGE, HUGE):
                asked = await self.after_one(lambda peer, e=end: getattr(peer.transport, e)(), size)
                self.assertEqual(await asked, (200, b"ok"), (end, size))
                self.assertEqual((self.backend.made, self.wire.reused), (2, False))

    async def test_bytes_came(self) -> None:
        """Then the backend has begun to answer, and may have done what it was asked for."""

        def some(peer: Peer) -> None:
            peer.transport.write(b"HTTP/1.1")
            peer.transport.loseConnection()

        asked = await self.after_one(some)
        failed = await self.assertFailure(Deferred.fromCoroutine(asked), AttemptFailed)
        self.assertIs(failed.problem.reason, Reason.PROTOCOL)
        self.assertEqual(self.backend.made, 1)

    async def test_a_fresh_connection(self) -> None:
        """It was there a moment ago."""
        for size in (2, HUGE):
            self.start(Faulty(lambda peer: peer.transport.loseConnection()))
            self.assertIs(await self.reason(size), Reason.DISCONNECTED)
            self.assertEqual(self.backend.made, 1)


class FarewellTests(BackendCase):
    """Servers that say 408 to a connection that was idle, and close it."""

    async def test_crossing_the_request(self) -> None:
        """It is no answer to the request, which the server has not read."""
        self.assertEqual(await (await self.after_one(says(FAREWELL))), (200, b"ok"))
        self.assertEqual(self.backend.made, 2)

    async def test_a_real_one(self) -> None:
        """On a fresh connection, or on one that goes on, it is an answer."""
        self.start(Faulty(says(FAREWELL)))
        self.assertEqual((await self.ask())[0], 408)
        self.assertEqual(self.backend.made, 1)
        goes_on = FAREWELL.replace(b"Connection: close\r\n", b"")
        self.assertEqual((await (await self.after_one(says(goes_on))))[0], 408)
        self.assertEqual(self.backend.made, 1)


class EndlessTests(BackendCase):
    """What would never end is cut: heads, interim answers, and what comes in place of a body."""

    async def refused(self, data: bytes, piece: bytes) -> Reason:
        """Why an answer fails that is *data* and then *piece* for ever."""

        def pours(peer: Peer) -> None:
            peer.transport.write(data)
            peer.transport.registerProducer(Pouring(peer, piece), False)

        self.start(Faulty(pours), SMALL_HEAD)
        reason = await self.reason()
        await self.backend.peers[0].lost
        return reason

    async def test_heads(self) -> None:
        """One with endless fields, with an endless field, and endless interim ones."""
        for data, piece in (
            (HEAD, b"X: yyyy\r\n"),
            (HEAD + b"X: ", b"yyyyyyyy"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ):
            self.assertIs(await self.refused(data, piece), Reason.PROTOCOL, piece)

    async def test_in_place_of_a_body(self) -> None:
        """Trailers, and an extension of a chunk."""
        for data, piece in (
            (CHUNKS + b"2\r\nok\r\n0\r\n", b"X: yyyy\r\n" * 100),
            (CHUNKS + b"2\r\nok\r\n0\r\nX: ", b"y" * 1000),
            (CHUNKS + b"2;x=", b"y" * 1000),
        ):
            self.assertIs(await self.refused(data, piece), Reason.INCOMPLETE, piece)

    async def test_a_length_over_the_limit(self) -> None:
        """It is refused before anything of it has come."""
        self.start(Faulty(says(HEAD + b"Content-Length: 10001\r\n\r\n")))
        self.assertIs(await self.reason(), Reason.INVALID)
        await self.backend.peers[0].lost


class TruncationTests(BackendCase):
    """TLS tells an end from a cut: only what says goodbye is an end."""

    scheme = "https"

    def listen(self, backend: Faulty) -> Any:
        """A port with a good certificate."""
        options = authority().issue("127.0.0.1").options()
        return reactor.listenSSL(0, backend, options, interface="127.0.0.1")

    async def test_said(self) -> None:
        """A body without a length is whole when the backend says goodbye."""
        self.start(Faulty(ending(HEAD + b"\r\nok", "loseConnection")))
        self.assertEqual(await self.ask(), (200, b"ok"))

    async def test_not_said(self) -> None:
        """The same is cut if the connection only ends, with FIN or RST."""
        for end in ("loseConnection", "abortConnection"):
            self.start(Faulty(ending(HEAD + b"\r\nok", end, beneath=True)))
            self.assertIs(await self.reason(), Reason.INCOMPLETE, end)

    async def test_a_known_length(self) -> None:
        """Nothing is missing from a body that has it, said or not; from a shorter one it is."""
        for end in ("loseConnection", "abortConnection"):
            for answer in (OK, CHUNKS + b"2\r\nok\r\n0\r\n\r\n"):
                self.start(Faulty(ending(answer, end, beneath=True)))
                self.assertEqual(await self.ask(), (200, b"ok"))
            self.start(Faulty(ending(OK[:-1], end, beneath=True)))
            self.assertIs(await self.reason(), Reason.INCOMPLETE)

    async def test_idle(self) -> None:
        """One that ended without goodbye while it was idle is not asked."""
        self.start(Faulty(says(OK)))
        await self.ask()
        self.backend.peers[0].transport.transport.loseConnection()
        await self.backend.peers[0].lost
        self.assertEqual(await self.ask(), (200, b"ok"))
        self.assertEqual(self.backend.made, 2)

    async def test_left_over(self) -> None:
        """A request that has not left yet is seen beneath TLS, too."""
        self.start(Faulty(says(OK), _answers_at_once(OK)))
        self.assertEqual(await self.ask(HUGE), (200, b"ok"))
        self.assertEqual(await self.ask(), (200, b"ok"))
        self.assertEqual(self.backend.made, 2)


def ending(answer: bytes, end: str, *, beneath: bool = False) -> Callable[[Peer], None]:
    """Answers and ends the connection; *beneath* TLS, which then does not say so."""

    def whole(peer: Peer) -> None:
        peer.transport.write(answer)
        over = peer.transport.transport if beneath else peer.transport
        _after(TURNS, getattr(over, end))

    return whole


def _after(turns: int, call: Callable[[], None]) -> None:
    if turns:
        reactor.callLater(0, _after, turns - 1, call)
    else:
        call()


@define(eq=False)
class Pouring:
    """Writes the same for ever."""

    peer: Peer
    piece: bytes

    def resumeProducing(self) -> None:
        """Some more."""
        self.peer.transport.write(self.piece)

    def stopProducing(self) -> None:
        """Nobody reads it any more."""


def with_twisted(case: type[Any]) -> type[Any]:
    """*case*, with Twisted's client."""
    return type(f"Twisted{case.__name__}", (case,), {"lean": False, "__module__": case.__module__})


TwistedLeftOverTests = with_twisted(LeftOverTests)
TwistedOnceMoreTests = with_twisted(OnceMoreTests)
TwistedEndlessTests = with_twisted(EndlessTests)
TwistedTruncationTests = with_twisted(TruncationTests)
