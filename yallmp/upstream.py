"""
One request to one backend: sending it, and reading what comes.

treq's client sends, over an ``IAgent`` made for the attempt (:mod:`yallmp.wires`).  What
Twisted and OpenSSL raise becomes a :class:`yallmp.core.problems.Problem` here and
nowhere else.  Bodies are read by :mod:`yallmp.bodies`.
"""

from __future__ import annotations

from typing import Protocol as Shape

from attrs import define, field, frozen
from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionDone,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.error import TimeoutError as TwistedTimeoutError
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.client import (
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PROXY_AUTH_REQUIRED, REQUEST_TIMEOUT
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from yallmp.certificates import CertificateError
from yallmp.core.backend import Backend
from yallmp.core.exchange import HeaderPairs
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.endpoints import ConnectTimedOut
from yallmp.lean.agent import LeanAgent
from yallmp.lean.response import LeanResponse
from yallmp.names import AddressRefused
from yallmp.wire import Wire

#: treq would make a jar for each client.
_NO_COOKIES = IndexableCookieJar()
#: Statuses that may tell of something else than the request: a connection that was idle too
#: long, and a proxy that does not know us.
_NO_ANSWERS = (REQUEST_TIMEOUT, PROXY_AUTH_REQUIRED)
_NO_WAY = Problem(Reason.UNREACHABLE, "the proxy wants other credentials (407)")
_TLS_ERRORS = (CertificateError, SSL.Error, VerificationError)


class AgentFor(Shape):
    """Where the agent of an attempt comes from; :meth:`yallmp.wires.Wires.agent` is one."""

    def __call__(self, backend: Backend, wire: Wire, *, fresh: bool) -> IAgent:
        """An agent for one attempt."""


@frozen
class Outgoing:
    """A request as it is sent."""

    url: str = field(repr=False)
    headers: HeaderPairs = field(repr=False)
    body: bytes = field(repr=False)


@implementer(IBodyProducer)
class WholeBody:
    """A body that is there already, written at once."""

    def __init__(self, body: bytes) -> None:
        self.whole = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self.whole)
        return succeed(None)

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def stopProducing(self) -> None:
        pass


class Client(HTTPClient):
    """
    treq's client without what a proxy must not do.

    No cookies, no redirects, no compression asked for; headers and URL go as they are.
    """

    def send(self, outgoing: Outgoing, wire: Wire) -> Deferred[IResponse]:
        """POST *outgoing*; fires when the answer's head is there."""
        if not isinstance(self._agent, LeanAgent):
            return Abandonable(self._requested(outgoing)).outer
        sent = self._agent.send(b"POST", outgoing.url, outgoing.headers, outgoing.body)
        return Abandonable(sent).outer if wire.connection is None else sent

    def _requested(self, outgoing: Outgoing) -> Deferred[IResponse]:
        headers = Headers()
        for name, value in outgoing.headers:
            headers.addRawHeader(name, value)
        return self._agent.request(
            b"POST",
            outgoing.url.encode("ascii"),
            headers,
            self._data_to_body_producer(outgoing.body),
        )


@define(eq=False)
class Abandonable:
    """
    Makes a cancelled Deferred fail as cancelled, whatever its makers make of it.

    Cancelling a name's resolution fails as a name that was not found, and cancelling a
    request as a response that was never received: neither is why it ended.
    """

    inner: Deferred[IResponse]
    outer: Deferred[IResponse] = field(init=False)
    _abandoned: bool = False

    def __attrs_post_init__(self) -> None:
        self.outer = Deferred(self._abandon)
        self.inner.addCallbacks(self._succeeded, self._failed)

    def _abandon(self, _: object) -> None:
        self._abandoned = True
        self.inner.cancel()

    def _succeeded(self, response: IResponse) -> None:
        if not self._abandoned:
            self.outer.callback(response)

    def _failed(self, failure: Failure) -> None:
        if not self._abandoned:
            self.outer.errback(failure)


@frozen
class Upstream:
    """Sends attempts."""

    agent_for: AgentFor
    clock: IReactorTime

    async def send(self, backend: Backend, outgoing: Outgoing, wire: Wire) -> IResponse:
        """
        The head of *backend*'s answer.

        A used connection that ends without a byte, or with the 408 of a server that closes
        what was idle, was closed before we asked: the request goes once more, on a fresh one.

        :raises AttemptFailed: there is none.
        """
        try:
            response = await wire.on(self._sent(backend, outgoing, wire))
        except CancelledError:
            raise
        except Exception as error:
            problem = problem_of(error)
            if problem.reason is not Reason.DISCONNECTED or not wire.reused:
                raise AttemptFailed(problem) from error
        else:
            if response.code not in _NO_ANSWERS or self._is_answer(backend, response, wire):
                return response
            wire.cut()
        return await self._again(backend, outgoing, wire)

    def _is_answer(self, backend: Backend, response: IResponse, wire: Wire) -> bool:
        """
        Whether a response of an unusual status is an answer to the request.

        :raises AttemptFailed: it is the proxy's, which does not let us through.
        """
        if response.code == REQUEST_TIMEOUT:
            return not (wire.reused and _closes(response, wire))
        if backend.proxy is not None:
            raise AttemptFailed(_NO_WAY)
        return True

    async def _again(self, backend: Backend, outgoing: Outgoing, wire: Wire) -> IResponse:
        wire.release()  # of the connection that is dead
        try:
            return await wire.on(self._sent(backend, outgoing, wire, fresh=True))
        except CancelledError:
            raise
        except Exception as error:
            raise AttemptFailed(problem_of(error)) from error

    def _sent(
        self, backend: Backend, outgoing: Outgoing, wire: Wire, *, fresh: bool = False
    ) -> Deferred[IResponse]:
        agent = self.agent_for(backend, wire, fresh=fresh)
        return Client(agent, _NO_COOKIES, WholeBody).send(outgoing, wire)


def _closes(response: IResponse, wire: Wire) -> bool:
    """Whether the backend says that it closes the connection."""
    return any(
        name.lower() == b"connection" and b"close" in value.lower()
        for name, value in head_of(response, wire)
    )


def head_of(response: IResponse, wire: Wire) -> HeaderPairs:
    """
    The headers of *response*, as pairs, repeated ones repeated.

    Twisted keeps those of the connection and the framing apart, in its parser: they are
    needed to know what ``Connection`` names, and for the record.
    """
    if isinstance(response, LeanResponse):
        return response.pairs
    parser = getattr(wire.connection, "_parser", None)
    kept_apart = parser.connHeaders.getAllRawHeaders() if parser is not None else ()
    named = (*kept_apart, *response.headers.getAllRawHeaders())
    return tuple((name, value) for name, values in named for value in values)


def _deepest(error: Exception) -> BaseException:
    causes = [failure.value for failure in getattr(error, "reasons", None) or ()]
    return causes[0] if causes else error


def problem_of(error: Exception) -> Problem:
    """The problem that an exception of Twisted, OpenSSL or ours stands for."""
    deepest = _deepest(error)
    return Problem(_reason(error, deepest), f"{type(deepest).__name__}: {deepest}"[:500])


def _reason(error: Exception, deepest: BaseException) -> Reason:
    if isinstance(deepest, _TLS_ERRORS):
        return Reason.TLS
    if isinstance(error, (ConnectTimedOut, TwistedTimeoutError)):
        return Reason.CONNECT_TIMEOUT
    if isinstance(error, (DNSLookupError, AddressRefused)):
        return Reason.DNS
    if isinstance(error, ConnectError):
        return Reason.UNREACHABLE
    return _reason_of_silence(error, deepest)


def _reason_of_silence(error: Exception, deepest: BaseException) -> Reason:
    """Of a connection that was there: nothing came, or something that is not HTTP."""
    if not isinstance(deepest, (ConnectionDone, ConnectionLost, ConnectionClosed)):
        return Reason.PROTOCOL
    something_came = isinstance(error, ResponseFailed) and not isinstance(
        error, ResponseNeverReceived
    )
    return Reason.PROTOCOL if something_came else Reason.DISCONNECTED
