"""
A network in memory: real clients and real servers, one clock, no sockets.

:class:`MemoryNetwork` is a reactor as far as Twisted's endpoints and HTTP code need one.
Connections behave like TCP: writes are buffered, a reader that pauses fills its peer's
buffer, a full buffer pauses the producer, a close is seen after what was written, a reset
is not.  Nothing moves until :meth:`MemoryNetwork.pump`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    UserError,
)
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IPushProducer,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

#: What a connection holds before its writer is told to pause.
BUFFER = 64 * 1024


@implementer(ITCPTransport, IPushProducer)
class End:
    """One end of a connection."""

    def __init__(self, network: MemoryNetwork, host: IPv4Address, peer: IPv4Address) -> None:
        self.network = network
        self.host, self.peer = host, peer
        self.protocol: Any = None
        self.other: End
        self.buffer = bytearray()
        self.disconnecting = False
        self.connected = True
        self.reading = True
        self.producer: Any = None
        self.producer_paused = False
        self.written = 0

    def write(self, data: bytes) -> None:
        if self.disconnecting or not self.connected:
            return
        self.buffer += data
        self.written += len(data)
        if self.producer is not None and not self.producer_paused and len(self.buffer) > BUFFER:
            self.producer_paused = True
            self.producer.pauseProducing()

    def writeSequence(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer, self.producer_paused = producer, False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        if self.connected:
            self.buffer.clear()
            self.network.lose(self, ConnectionAborted())
            self.other.buffer.clear()
            self.network.lose(self.other, ConnectionLost())

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> IPv4Address:
        return self.peer

    def getHost(self) -> IPv4Address:
        if not self.connected:  # as a TCP connection of Twisted's, whose socket is gone
            raise AttributeError("socket")
        return self.host

    def getTcpNoDelay(self) -> bool:
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def getTcpKeepAlive(self) -> bool:
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass

    def deliver(self) -> bool:
        """Move what was written to the other end; whether anything happened."""
        moved = False
        if self.buffer and self.other.reading and self.other.connected:
            data = bytes(self.buffer[:BUFFER])
            del self.buffer[: len(data)]
            self.other.protocol.dataReceived(data)
            moved = True
        if not self.buffer and self.producer is not None and self.producer_paused:
            self.producer_paused = False
            self.producer.resumeProducing()
            moved = True
        if self.disconnecting and self.connected and not self.buffer:
            self.network.lose(self, ConnectionDone())
            self.network.lose(self.other, ConnectionDone())
            moved = True
        return moved


@implementer(IHostnameResolver)
class Resolver:
    """Knows literals and the names it is told; ``None`` stands for one that never answers."""

    def __init__(self) -> None:
        self.names: dict[str, list[str] | None] = {}

    def resolveHostName(
        self,
        receiver: Any,
        name: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        resolution = _Resolution(name)
        receiver.resolutionBegan(resolution)
        known = self.names.get(name, [name] if name.replace(".", "").isdigit() else [])
        if known is not None:
            for address in known:
                receiver.addressResolved(IPv4Address("TCP", address, portNumber))
            receiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        pass


class _Connector:
    """What a client factory gets to cancel its connection with."""

    def __init__(self, factory: Any, destination: IPv4Address) -> None:
        self.factory = factory
        self.destination = destination
        self.open = True

    def getDestination(self) -> IPv4Address:
        return self.destination

    def stopConnecting(self) -> None:
        self.fail(UserError())

    def fail(self, reason: Exception) -> None:
        if self.open:
            self.open = False
            self.factory.clientConnectionFailed(self, Failure(reason))
            self.factory.doStop()


@implementer(IReactorTCP, IReactorPluggableNameResolver, IReactorTime)
class MemoryNetwork(Clock):
    """The network, its clock and its reactor in one."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()
        self.servers: dict[tuple[str, int], Any] = {}
        self.deaf: set[tuple[str, int]] = set()
        self.ends: list[End] = []
        self.connections = 0
        self._lost: list[tuple[End, Exception]] = []
        self._port = 40000

    def listen(self, host: str, port: int, factory: Any) -> None:
        """Serve *factory* at *host* and *port*."""
        factory.doStart()
        self.servers[host, port] = factory

    def close(self) -> None:
        """Stop serving; connections stay."""
        for factory in self.servers.values():
            factory.doStop()
        self.servers.clear()

    def installNameResolver(self, resolver: Any) -> Any:
        self.nameResolver = resolver

    def listenTCP(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("use listen")

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> _Connector:
        connector = _Connector(factory, IPv4Address("TCP", host, port))
        factory.doStart()
        factory.startedConnecting(connector)
        if (host, port) in self.deaf:
            self.callLater(timeout, connector.fail, error.TimeoutError())
        elif (host, port) in self.servers:
            self.callLater(0, self._connect, connector, host, port)
        else:
            self.callLater(0, connector.fail, error.ConnectionRefusedError())
        return connector

    def _connect(self, connector: _Connector, host: str, port: int) -> None:
        if not connector.open:
            return
        connector.open = False
        self._port += 1
        client_address = IPv4Address("TCP", "127.0.0.1", self._port)
        self.join(connector.factory, self.servers[host, port], client_address, (host, port))

    def join(
        self, client: Any, server: Any, client_address: IPv4Address, address: tuple[str, int]
    ) -> End:
        """Connect a protocol of each factory; the client's end."""
        server_address = IPv4Address("TCP", *address)
        near = End(self, client_address, server_address)
        far = End(self, server_address, client_address)
        near.other, far.other = far, near
        near.protocol = client.buildProtocol(server_address)
        far.protocol = server.buildProtocol(client_address)
        self.ends += [near, far]
        self.connections += 1
        far.protocol.makeConnection(far)
        near.protocol.makeConnection(near)
        return near

    def lose(self, end: End, reason: Exception) -> None:
        """*end* is told of its end at the next turn, once."""
        if end.connected:
            end.connected = False
            self._lost.append((end, reason))

    def pump(self) -> None:
        """Let everything happen that needs no time to pass."""
        while self._turn():
            pass

    def _turn(self) -> bool:
        """One turn of a reactor: first what is due, then what has come."""
        due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
        self.advance(0)
        lost, self._lost = self._lost, []
        for end, reason in lost:
            end.protocol.connectionLost(Failure(reason))
        moved = sum(end.deliver() for end in list(self.ends))
        self.ends = [end for end in self.ends if end.connected or end.other.connected]
        return bool(due or lost or moved or self._lost)

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        """Let *seconds* pass, a *step* at a time, with all that happens in them."""
        self.pump()
        for _ in range(round(seconds / step)):
            self.advance(step)
            self.pump()

    def until(self, done: Callable[[], bool], at_most: float = 2000.0, step: float = 0.05) -> float:
        """Let time pass until *done*; the seconds it took."""
        began = self.seconds()
        self.pump()
        while not done() and self.seconds() - began < at_most:
            self.advance(step)
            self.pump()
        return self.seconds() - began
