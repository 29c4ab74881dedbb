"""
A naive client: one call, no retry, no fallback, at most 30 s between two reads.

It skips lines that are not JSON, as :mod:`yallmp.drill.heard` does.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from tests.network import MemoryNetwork
from yallmp.drill.caller import request_body
from yallmp.drill.heard import Reply
from yallmp.upstream import WholeBody

PATIENCE = 30.0


class Naive(Protocol):
    """One call; ``over`` fires with what came of it."""

    def __init__(self, network: MemoryNetwork, url: str, *, stream: bool) -> None:
        self.network, self.stream = network, stream
        self.over: Deferred[Reply] = Deferred()
        self.began = network.seconds()
        self.status, self.headers, self.parts = 0, {}, []  # type: ignore[var-annotated]
        self.timer = network.callLater(PATIENCE, self.late)
        agent = Agent(network, pool=HTTPConnectionPool(network, persistent=False))
        body = WholeBody(request_body("m", stream=stream))
        headers = Headers({"content-type": ["application/json"]})
        self.request = agent.request(b"POST", f"{url}/chat/completions".encode(), headers, body)
        self.request.addCallbacks(self.head, self.fail)

    def head(self, response: Any) -> None:
        """The head came."""
        self.timer.reset(PATIENCE)
        self.status = response.code
        kind = response.headers.getRawHeaders("content-type", [""])[0]
        self.headers = {"content-type": kind}
        response.deliverBody(self)

    def fail(self, failure: Failure) -> None:
        """No head came."""
        self.end(failure="no answer")

    def late(self) -> None:
        """Nothing for too long."""
        self.end(failure="nothing for 30 s")
        if self.transport is not None:
            self.transport.loseConnection()
        else:
            self.request.cancel()

    def dataReceived(self, data: bytes) -> None:
        self.timer.reset(PATIENCE)
        self.parts.append((self.network.seconds(), data))

    def connectionLost(self, reason: Any = None) -> None:
        clean = bool(reason.check(ResponseDone, PotentialDataLoss))
        self.end(clean=clean, failure=None if clean else "the connection broke off")

    def end(self, *, clean: bool = False, failure: str | None = None) -> None:
        """It is over, once."""
        if self.over.called:
            return
        if self.timer.active():
            self.timer.cancel()
        reply = Reply(self.began, self.network.seconds(), self.stream, self.status, self.headers,
                      tuple(self.parts), clean, failure)  # fmt: skip
        self.over.callback(reply)
