"""
Twisted's epoll reactor with less done for each event.

- Each event is dealt with in one ``try``, without a log context around it (which names the
  connection in lines of the old logging interface; ours go without).
- What was written during an event or a timed call is sent when that is over, and epoll is
  asked only about sockets that did not take it (``yallmp.transports``).
- A turn in which no timed call is due does not look for any.
- Its time is the system's monotonic clock: one that somebody sets makes no call late or early.

All else is Twisted's.  What replaces methods of it that are not documented is little, and
Twisted's own tests of reactors are run against it (``tests/test_lightreactor.py``).
``general_settings.server.reactor: twisted`` does without.

This module exists on Linux only: importing it elsewhere is an ``ImportError``.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from twisted.internet import error, tcp
from twisted.internet.epollreactor import EPOLLIN, EPollReactor
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.internet.main import installReactor
from twisted.logger import Logger

from yallmp import transports
from yallmp.transports import WAITING

_log = Logger()
_main_loop = _log.failureHandler("Unexpected error in main loop")


class LightReactor(EPollReactor):
    """
    The reactor.

    :ivar waiting: the transports that have something to send when the turn ends.
    """

    #: Twisted's reactors tell the time of day.
    seconds = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        super().__init__()

    # The loop

    def mainLoop(self) -> None:
        """Run until stopped; the handler of errors is entered anew only after one."""
        while self._started:
            with _main_loop:
                self._run()
        _log.info("Main loop terminated.")

    def _run(self) -> None:
        while self._started:
            self.runUntilCurrent()
            timeout = self.timeout()
            self.doIteration(self.running and timeout)

    def runUntilCurrent(self) -> None:
        """Make the calls that are due, and send what they wrote."""
        if self._is_due():
            super().runUntilCurrent()
        if self.waiting:
            self._end_turn()

    def _is_due(self) -> bool:
        """Whether there may be anything to do that is no event."""
        if self.threadCallQueue or self._newTimedCalls or self._justStopped:
            return True
        calls = self._pendingTimedCalls
        return bool(calls) and (self._cancellations > 50 or calls[0].time <= self.seconds())

    def timeout(self) -> float | None:
        """How long to wait for events at most."""
        return 0 if self.waiting else super().timeout()

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and deal with each."""
        if self.waiting:
            timeout = 0
        selectables = self._selectables
        for fd, event in self._poller.poll(timeout, len(selectables)):
            selectable = selectables.get(fd)
            if selectable is not None:
                try:
                    self._deal_with(selectable, fd, event)
                except Exception:
                    _log.failure("while a connection ended")
                if self.waiting:
                    self._end_turn()

    doIteration = doPoll

    def _deal_with(self, selectable: Any, fd: int, event: int) -> None:
        if event != EPOLLIN or selectable.fileno() == -1:
            self._doReadOrWrite(selectable, fd, event)
            return
        try:
            why = selectable.doRead()
        except BaseException as problem:
            _log.failure("while reading")
            self._disconnectSelectable(selectable, problem, False)
        else:
            if why:
                self._disconnectSelectable(selectable, why, True)

    def _end_turn(self) -> None:
        """Have those send that wait for it; what this makes others write is for the next turn."""
        waiting, self.waiting = self.waiting, []
        for transport in waiting:
            if transport._writing == WAITING:
                try:
                    self._have_sent(transport)
                except Exception:
                    _log.failure("while a connection ended")

    def _have_sent(self, transport: Any) -> None:
        try:
            why = transport.send()
        except BaseException as problem:
            _log.failure("while writing")
            why = problem
        if why:
            self._disconnectSelectable(transport, why, False)

    # Who is watched

    def getWriters(self) -> list[Any]:
        """All that have something to send."""
        self._watch_those_waiting()
        return list(super().getWriters())

    def removeAll(self) -> list[Any]:
        """Forget all; those that have something to send are among them."""
        self._watch_those_waiting()
        return list(super().removeAll())

    def _watch_those_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        for transport in waiting:
            if transport._writing == WAITING:
                transport._watch()

    # Where connections come from

    def listenTCP(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """Take TCP connections."""
        return _listening(transports.Port(port, factory, backlog, interface, self))

    def connectTCP(
        self, host: Any, port: Any, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        """Make a TCP connection."""
        connector = transports.Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> IListeningPort:
        """Take UNIX connections."""
        port = transports.UNIXPort(address, factory, backlog, mode, self, wantPID)
        return _listening(port)

    def connectUNIX(
        self, address: Any, factory: Any, timeout: float = 30, checkPID: int = 0
    ) -> IConnector:
        """Make a UNIX connection."""
        connector = transports.UNIXConnector(address, factory, timeout, self, checkPID)
        connector.connect()
        return connector

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: Any, factory: Any
    ) -> IListeningPort:
        """Take connections at a socket that listens already."""
        self._check_family(addressFamily)
        if addressFamily == socket.AF_UNIX:
            port = transports.UNIXPort._fromListeningDescriptor(self, fileDescriptor, factory)
        else:
            adopt = transports.Port._fromListeningDescriptor
            port = adopt(self, fileDescriptor, addressFamily, factory)
        return _listening(port)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """Take over a connection."""
        self._check_family(addressFamily)
        if addressFamily == socket.AF_UNIX:
            return transports.UNIXServer._fromConnectedSocket(fileDescriptor, factory, self)
        adopt = transports.Server._fromConnectedSocket
        return adopt(fileDescriptor, addressFamily, factory, self)

    def _check_family(self, family: Any) -> None:
        if family not in self._supportedAddressFamilies:
            raise error.UnsupportedAddressFamily(family)


def _listening(port: tcp.Port) -> IListeningPort:
    """*port*, and it listens."""
    port.startListening()
    return port


def install() -> None:
    """Make this the process's reactor."""
    installReactor(LightReactor())
