"""
Connections that send when a turn of the reactor ends, without asking whether they can.

Twisted's transports put what is written into a buffer, have the reactor watch the socket
until it can be written (a system call), send when epoll says so, and end the watching
(another one).  A socket with nothing left to send can nearly always be written.  So these
transports enter themselves in the reactor's list ``waiting``, and once an event is dealt
with, the reactor has each of them ``send``.  What was written in one turn
still leaves in one piece.  What a socket does not take waits for epoll, as ever.

All that can happen to a connection stays Twisted's: its buffers, its ``doWrite`` with
producers and closing, its ``connectionLost``.  Neither is ever called from within
``write``, so nothing surprises a protocol; and TLS, which writes to these transports or
around them, does not notice.

An error while sending is not the end yet: the other side may have answered before it
closed, and that is still to be read.  So the socket is watched, which reports it at once:
what is there is read, then the connection is lost.  The error went from the socket with
the attempt to send, and its end would now look clean; ``_broken`` keeps it in mind.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EAGAIN, ENOBUFS
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.main import CONNECTION_LOST

#: What a transport has to do with writing: nothing, it sends when the turn ends, or the
#: reactor watches its socket.
IDLE, WAITING, WATCHED = 0, 1, 2
_BYTES = {bytes}
#: More than this is sent in its pieces, if they are few.
LARGE = 64 * 1024
FEW = 16


class _Prompt(tcp.Connection):
    """What these transports have in common; it stands before one of Twisted's own."""

    reactor: Any
    full_at: int | None = None
    _writing = IDLE
    _broken = False

    def startWriting(self) -> None:
        """Send when the turn ends; where there is no connection yet, that is watched."""
        if self._writing == IDLE:
            if self.connected:
                self._writing = WAITING
                self.reactor.waiting.append(self)
            else:
                self._watch()

    def stopWriting(self) -> None:
        """There is nothing to send any more."""
        before, self._writing = self._writing, IDLE
        if before == WATCHED:
            self.reactor.removeWriter(self)

    def _isSendBufferFull(self) -> bool:
        """Whether a producer has to wait; ``full_at`` says from when on, in bytes."""
        if self.full_at is None:
            return bool(super()._isSendBufferFull())
        return len(self.dataBuffer) - self.offset + self._tempDataLen > self.full_at

    def _watch(self) -> None:
        """Have the reactor tell when the socket can be written."""
        self.reactor.addWriter(self)
        self._writing = WATCHED

    def send(self) -> BaseException | None:
        """
        Send what is there, since the turn has ended.

        :returns: why the connection has to end now, if it has.
        """
        self._writing = IDLE
        why: BaseException | None = self.doWrite()
        if why is CONNECTION_LOST:
            self._broken = True
            why = None
        if why is None and self._writing == IDLE:
            self._wait_for_the_rest()
        return why

    def _wait_for_the_rest(self) -> None:
        rest = self.dataBuffer or self._tempDataBuffer or self._broken
        if rest and self.connected and not self._aborting:
            self._watch()

    def doWrite(self) -> Any:
        """Send as Twisted does, with all that follows from it."""
        if self._broken:
            return CONNECTION_LOST
        return super().doWrite()

    def _dataReceived(self, data: bytes | None) -> Any:
        """Hand over what was read; after an error no end is a clean one."""
        why = super()._dataReceived(data)
        return CONNECTION_LOST if why is not None and self._broken else why


class _PromptTCP(_Prompt):
    """The short way for what happens nearly always; for the rest, Twisted's."""

    def doRead(self) -> Any:
        """Read once, and hand it over."""
        try:
            data = self.socket.recv(self.bufferSize)
        except OSError as error:
            return None if error.errno == EAGAIN else CONNECTION_LOST
        if data:
            self.protocol.dataReceived(data)
            return None
        return self._dataReceived(data)

    def write(self, data: bytes) -> None:
        """Send *data* when the turn ends; a producer that is too fast is paused at once."""
        usual = type(data) is bytes and data and not self.TLS and not self._writeDisconnected
        if not usual or not self.connected:
            super().write(data)
            return
        self._tempDataBuffer.append(data)
        self._tempDataLen += len(data)
        if self.dataBuffer or self._tempDataLen > self.bufferSize:
            self._maybePauseProducer()
        if self._writing == IDLE:
            self._writing = WAITING
            self.reactor.waiting.append(self)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """The same with several pieces, which are joined only where that costs little."""
        if type(iovec) not in (list, tuple) or set(map(type, iovec)) != _BYTES:
            super().writeSequence(iovec)
        elif sum(map(len, iovec)) > LARGE:
            for piece in iovec:
                self.write(piece)
        else:
            self.write(b"".join(iovec))

    def send(self) -> BaseException | None:
        """Send what is there, since the turn has ended."""
        if not self._sends_only():
            return super().send()
        self._writing = IDLE
        if not self._give():
            self._watch()
        return None

    def _sends_only(self) -> bool:
        """Whether there is nothing else to do for Twisted's ``doWrite`` than to send."""
        return not (
            self.dataBuffer
            or self.disconnecting
            or self._writeDisconnecting
            or self._aborting
            or self._broken
            or (self.producer is not None and (not self.streamingProducer or self.producerPaused))
        )

    def _give(self) -> bool:
        """Give the socket what is there; whether it took all of it."""
        pieces = self._tempDataBuffer
        if not pieces:
            return True
        if self._tempDataLen > LARGE and 1 < len(pieces) <= FEW:
            return self._give_apart(pieces)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            sent = self.socket.send(data)
        except OSError as error:
            self._broken = error.errno not in (EAGAIN, ENOBUFS)
            return False
        self._tempDataBuffer, self._tempDataLen = [], 0
        if sent < len(data):
            self.dataBuffer, self.offset = data, sent
        return not self.dataBuffer

    def _give_apart(self, pieces: list[bytes]) -> bool:
        """The same without joining them: a copy of a large body would double its memory."""
        try:
            sent = self.socket.sendmsg(pieces)
        except OSError as error:
            self._broken = error.errno not in (EAGAIN, ENOBUFS)
            return False
        while pieces and sent >= len(pieces[0]):
            sent -= len(pieces.pop(0))
        if pieces:
            self.dataBuffer, self.offset = pieces.pop(0), sent
        self._tempDataBuffer, self._tempDataLen = pieces, sum(map(len, pieces))
        return not self.dataBuffer


class Server(_PromptTCP, tcp.Server):
    """The side of a TCP connection that was called."""


class Client(_PromptTCP, tcp.Client):
    """The side of a TCP connection that called."""


class UNIXServer(_Prompt, unix.Server):
    """The side of a UNIX connection that was called."""


class UNIXClient(_Prompt, unix.Client):
    """The side of a UNIX connection that called."""


class Port(tcp.Port):
    """Takes TCP connections."""

    transport = Server


class UNIXPort(unix.Port):
    """Takes UNIX connections."""

    transport = UNIXServer


class Connector(tcp.Connector):
    """Makes TCP connections."""

    def _makeTransport(self) -> Client:
        return Client(self.host, self.port, self.bindAddress, self, self.reactor)


class UNIXConnector(unix.Connector):
    """Makes UNIX connections."""

    def _makeTransport(self) -> Any:
        return UNIXClient(self.address, self, self.reactor, self.checkPID)
