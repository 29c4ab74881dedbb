"""One request to one backend: what is sent, what failures are called, and how bodies end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import (
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH
from zope.interface import implementer

from yallmp.bodies import LINGER, Body, collected
from yallmp.certificates import CertificateError
from yallmp.core.account import Account
from yallmp.core.backend import Backend
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.endpoints import ConnectTimedOut
from yallmp.lean.agent import LeanAgent, parsed
from yallmp.lean.connection import Connection as LeanConnection
from yallmp.lean.parser import MAX_HEAD
from yallmp.lean.pool import LeanPool
from yallmp.names import AddressRefused
from yallmp.upstream import Abandonable, Outgoing, Upstream, WholeBody, head_of, problem_of
from yallmp.wire import Wire

BACKEND = Backend("b", "m", api_base="http://10.0.0.1/v1")
OUTGOING = Outgoing("http://10.0.0.1/v1/x", ((b"X-A", b"1"), (b"X-A", b"2")), b"body")


def failed(kind: Callable[[list[Failure]], Exception], *causes: Exception) -> Exception:
    """What Twisted's client raises for *causes*."""
    return kind([Failure(cause) for cause in causes])


class ProblemTests(SynchronousTestCase):
    """What the exceptions of others are called here."""

    def test_each_has_its_reason(self) -> None:
        """The rows of the decision table for what comes without an answer."""
        lost, done = error.ConnectionLost(), error.ConnectionDone()
        never, broken = ResponseNeverReceived, ResponseFailed
        alert = SSL.Error([("SSL routines", "", "alert")])
        for raised, reason in (
            (error.ConnectionRefusedError(), Reason.UNREACHABLE),
            (error.NoRouteError(), Reason.UNREACHABLE),
            (error.ConnectError(), Reason.UNREACHABLE),
            (error.DNSLookupError(), Reason.DNS),
            (AddressRefused(string="no"), Reason.DNS),
            (error.TimeoutError(), Reason.CONNECT_TIMEOUT),
            (error.TCPTimedOutError(), Reason.UNREACHABLE),
            (ConnectTimedOut("late"), Reason.CONNECT_TIMEOUT),
            (VerificationError([]), Reason.TLS),
            (CertificateError("none"), Reason.TLS),
            (alert, Reason.TLS),
            (failed(never, alert), Reason.TLS),
            (failed(never, lost), Reason.DISCONNECTED),
            (failed(never, done), Reason.DISCONNECTED),
            (failed(never, error.ConnectionAborted()), Reason.DISCONNECTED),
            (failed(RequestTransmissionFailed, lost), Reason.DISCONNECTED),
            (lost, Reason.DISCONNECTED),
            (failed(broken, done), Reason.PROTOCOL),
            (failed(broken, ValueError("not HTTP")), Reason.PROTOCOL),
            (failed(never, ValueError("not HTTP")), Reason.PROTOCOL),
            (ValueError("anything"), Reason.PROTOCOL),
        ):
            self.assertEqual(problem_of(raised).reason, reason, repr(raised))

    def test_the_message_names_the_cause(self) -> None:
        """For the record; it is never longer than a line of it should be."""
        problem = problem_of(failed(ResponseNeverReceived, error.ConnectionLost("gone")))
        self.assertTrue(problem.message.startswith("ConnectionLost: "))
        self.assertIn("gone", problem.message)
        self.assertEqual(len(problem_of(ValueError("x" * 9999)).message), 500)


class Agents:
    """Agents that do one thing after another, and what they were asked for."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.fresh: list[bool] = []
        self.requests: list[Any] = []

    def __call__(self, backend: Backend, wire: Wire, *, fresh: bool) -> Agents:
        self.fresh.append(fresh)
        wire.reused = not fresh
        return self

    def request(self, *parts: Any) -> Deferred[Any]:
        self.requests.append(parts)
        result = self.results.pop(0)
        if isinstance(result, Deferred):
            return result
        if isinstance(result, ZeroDivisionError):
            raise result
        return fail(result) if isinstance(result, Exception) else succeed(result)


class SendTests(SynchronousTestCase):
    """Sending a request."""

    def send(self, *results: Any, outgoing: Outgoing = OUTGOING) -> Deferred[Any]:
        """Send one, to agents that give *results*."""
        self.agents = Agents(*results)
        upstream = Upstream(self.agents, Clock())
        return Deferred.fromCoroutine(upstream.send(BACKEND, outgoing, Wire(Clock(), 5.0)))

    def reason(self, sent: Deferred[Any]) -> Reason:
        """Why it came to nothing."""
        problem: Problem = self.failureResultOf(sent, AttemptFailed).value.problem
        return problem.reason

    def test_what_is_sent(self) -> None:
        """The URL, the headers with repeated ones repeated, the body; nothing else."""
        answer = Response()
        self.assertIs(self.successResultOf(self.send(answer)), answer)
        ((method, url, headers, body),) = self.agents.requests
        self.assertEqual((method, url), (b"POST", b"http://10.0.0.1/v1/x"))
        self.assertEqual(list(headers.getAllRawHeaders()), [(b"X-A", [b"1", b"2"])])
        self.assertIsInstance(body, WholeBody)
        self.assertEqual(body.length, 4)

    def test_a_used_connection_that_died(self) -> None:
        """Once more on a fresh one, whatever comes of that."""
        gone = failed(ResponseNeverReceived, error.ConnectionDone())
        answer = Response()
        self.assertIs(self.successResultOf(self.send(gone, answer)), answer)
        self.assertEqual(self.agents.fresh, [False, True])
        self.assertEqual(self.reason(self.send(gone, gone, "never")), Reason.DISCONNECTED)
        self.assertEqual(self.agents.fresh, [False, True])

    def test_other_failures_on_a_used_connection(self) -> None:
        """The backend had the request: nothing is sent twice unsaid."""
        bad = failed(ResponseFailed, ValueError("not HTTP"))
        self.assertEqual(self.reason(self.send(bad, "never")), Reason.PROTOCOL)
        self.assertEqual(self.agents.fresh, [False])

    def test_an_agent_that_raises(self) -> None:
        """In place of failing later."""
        self.assertEqual(self.reason(self.send(ZeroDivisionError("x"))), Reason.PROTOCOL)

    def test_a_url_that_cannot_be_sent(self) -> None:
        """An attempt that failed, not an error of ours."""
        odd = Outgoing("http://bücher.example/x", (), b"")
        self.assertEqual(self.reason(self.send("never", outgoing=odd)), Reason.PROTOCOL)

    def test_cancelled(self) -> None:
        """It fails as cancelled, whatever the agent makes of it, and the agent is told."""
        for made in (
            error.DNSLookupError(),
            failed(ResponseNeverReceived, CancelledError()),
            None,
        ):
            told: list[Any] = []

            def cancel(d: Deferred[Any], made: Any = made, told: list[Any] = told) -> None:
                told.append(d)
                if made is not None:
                    d.errback(made)

            sent = self.send(Deferred(cancel), "never")
            sent.cancel()
            self.failureResultOf(sent, CancelledError)
            self.assertEqual((len(told), self.agents.fresh), (1, [False]))

    def test_cancelled_between_two_connections(self) -> None:
        """Also while the second one is waited for."""
        gone = failed(ResponseNeverReceived, error.ConnectionDone())
        told: list[Any] = []
        sent = self.send(gone, Deferred(told.append))
        sent.cancel()
        self.failureResultOf(sent, CancelledError)
        self.assertEqual((len(told), self.agents.fresh), (1, [False, True]))


class Connecting:
    """An endpoint that connects to nobody."""

    def connect(self, factory: Any) -> Deferred[Any]:
        """Never; cancelled, it fails as Twisted's do."""
        return Deferred(lambda d: d.errback(error.ConnectingCancelledError(None)))


class DeadConnectionTests(SynchronousTestCase):
    """A kept connection turns out to be dead, and another one is made."""

    def test_cancelled_while_connecting_again(self) -> None:
        """It is cancelled, not failed."""
        clock = Clock()
        pool, wire = LeanPool(clock, 30, 2, lambda: MAX_HEAD), Wire(clock, 5.0)
        dead = LeanConnection(lambda it: None, pool.forget)
        dead.makeConnection(StringTransport())
        uri = parsed(OUTGOING.url)
        pool.put(uri.key, dead)

        def agent_for(backend: Backend, wire: Wire, *, fresh: bool) -> Any:
            return LeanAgent(pool, lambda uri: Connecting(), wire.takes, fresh)

        upstream = Upstream(agent_for, clock)
        sent = Deferred.fromCoroutine(upstream.send(BACKEND, OUTGOING, wire))
        dead.connectionLost(Failure(error.ConnectionDone()))
        self.assertNoResult(sent)
        sent.cancel()
        self.failureResultOf(sent, CancelledError)


class AbandonableTests(SynchronousTestCase):
    """A Deferred that fails as cancelled when it is."""

    def test_what_comes_comes_through(self) -> None:
        """An answer or a failure."""
        self.assertEqual(self.successResultOf(Abandonable(succeed("answer")).outer), "answer")
        self.failureResultOf(Abandonable(fail(ValueError())).outer, ValueError)

    def test_an_answer_that_comes_all_the_same(self) -> None:
        """Nobody waits for it any more."""
        inner: Deferred[Any] = Deferred(lambda d: d.callback("late"))
        outer = Abandonable(inner).outer
        outer.cancel()
        self.failureResultOf(outer, CancelledError)


@implementer(IPushProducer)
class Connection:
    """What a wire cuts; what a body pauses."""

    def __init__(self) -> None:
        self.cuts = self.pauses = self.resumes = 0

    @property
    def transport(self) -> Connection:
        return self

    def abortConnection(self) -> None:  # noqa: N802
        self.cuts += 1

    def pauseProducing(self) -> None:
        self.pauses += 1

    def resumeProducing(self) -> None:
        self.resumes += 1


class BodyCase(SynchronousTestCase):
    """A body on a connection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire(self.clock, 5.0)
        self.connection = Connection()
        self.wire.took(self.connection)
        self.got: list[bytes] = []
        self.body = Body(self.wire, self.got.append)
        self.body.makeConnection(self.connection)

    def tearDown(self) -> None:
        self.clock.advance(LINGER)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def lose(self, reason: Exception) -> None:
        """The body ends."""
        self.body.connectionLost(Failure(reason))

    def failure(self) -> Problem:
        """Why it failed."""
        problem: Problem = self.failureResultOf(self.body.ended, AttemptFailed).value.problem
        return problem


class BodyTests(BodyCase):
    """Reading a body."""

    def test_a_clean_end(self) -> None:
        """By its length, or by the end of a connection that said nothing of one."""
        self.body.dataReceived(b"a")
        self.lose(ResponseDone())
        self.successResultOf(self.body.ended)
        self.assertEqual((self.got, self.wire.connection), ([b"a"], None))

    def test_the_end_of_the_connection_as_the_end(self) -> None:
        """HTTP has that; whether the answer is whole its content tells."""
        self.lose(PotentialDataLoss())
        self.successResultOf(self.body.ended)

    def test_cut(self) -> None:
        """Anything else is a failure."""
        self.lose(failed(ResponseFailed, error.ConnectionDone()))
        problem = self.failure()
        self.assertEqual(problem.reason, Reason.INCOMPLETE)
        self.assertEqual(problem.code, "upstream_disconnected")

    def test_refused_by_its_reader(self) -> None:
        """The connection is cut at once, and nothing more is read."""
        refusal = AttemptFailed(Problem(Reason.INVALID, "no"))

        def refuse(data: bytes) -> None:
            self.got.append(data)
            raise refusal

        self.body.take = refuse
        self.body.dataReceived(b"a")
        self.body.dataReceived(b"b")
        self.lose(error.ConnectionAborted())
        self.assertEqual(self.failure(), refusal.problem)
        self.assertEqual((self.got, self.connection.cuts), ([b"a"], 1))

    def test_cancelled(self) -> None:
        """The connection is cut; what still comes is nobody's."""
        self.body.ended.cancel()
        self.body.dataReceived(b"a")
        self.lose(error.ConnectionAborted())
        self.failureResultOf(self.body.ended, CancelledError)
        self.assertEqual((self.got, self.connection.cuts), ([], 1))

    def test_paused_and_resumed(self) -> None:
        """By its connection."""
        self.body.pause()
        self.body.resume()
        self.assertEqual((self.connection.pauses, self.connection.resumes), (1, 1))


class FinishTests(BodyCase):
    """An answer that is whole before its body ends."""

    def test_the_body_ends_soon(self) -> None:
        """The connection is kept; it flows, should it have been paused."""
        self.body.pause()
        self.body.finish()
        self.successResultOf(self.body.ended)
        self.assertEqual(self.connection.resumes, 1)
        self.body.dataReceived(b"rest")
        self.lose(ResponseDone())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.got, self.connection.cuts), ([], 0))

    def test_the_body_does_not_end(self) -> None:
        """The connection is cut."""
        self.body.finish()
        self.clock.advance(LINGER)
        self.assertEqual(self.connection.cuts, 1)
        self.lose(error.ConnectionAborted())

    def test_finished_twice_or_after_the_end(self) -> None:
        """Once is enough."""
        self.body.finish()
        self.body.finish()
        self.body.fail(AttemptFailed(Problem(Reason.INVALID)))
        self.lose(ResponseDone())
        self.assertEqual(self.connection.cuts, 0)


class Response:
    """An answer with a head and a body."""

    code = 200

    def __init__(self, *parts: bytes, end: Exception | None = None) -> None:
        self.headers = Headers({b"X-B": [b"1", b"2"]})
        self.length: Any = UNKNOWN_LENGTH
        self.parts = parts
        self.end = end or ResponseDone()

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(Connection())
        for part in self.parts:
            protocol.dataReceived(part)
        protocol.connectionLost(Failure(self.end))


class CollectedTests(SynchronousTestCase):
    """A body that is read whole."""

    def setUp(self) -> None:
        self.account = Account(200_000)

    def collect(self, response: Response, limit: int = 10) -> Deferred[bytes]:
        """Read the body of *response*, each part of it doubled."""
        wire = Wire(Clock(), 5.0)
        twice = collected(response, wire, limit, lambda data: data * 2, self.account)
        return Deferred.fromCoroutine(twice)

    def test_decoded_and_joined(self) -> None:
        """In order."""
        self.assertEqual(self.successResultOf(self.collect(Response(b"a", b"bc"))), b"aabcbc")

    def test_the_limit(self) -> None:
        """It counts what was decoded, and is not reached by what is exactly as long."""
        self.successResultOf(self.collect(Response(b"abcde")))
        over = self.failureResultOf(self.collect(Response(b"abcde", b"f")), AttemptFailed)
        self.assertEqual(over.value.problem.reason, Reason.INVALID)

    def test_cut(self) -> None:
        """Half an answer is none."""
        cut = self.collect(Response(b"a", end=error.ConnectionLost()))
        self.failureResultOf(cut, AttemptFailed)


class HeadTests(SynchronousTestCase):
    """The headers of an answer."""

    def test_repeated_ones_stay_repeated(self) -> None:
        """As pairs."""
        wire = Wire(Clock(), 5.0)
        self.assertEqual(head_of(Response(), wire), ((b"X-B", b"1"), (b"X-B", b"2")))

    def test_those_of_the_connection(self) -> None:
        """Twisted's parser keeps them apart: they come first."""

        class Parser:
            connHeaders = Headers({b"Connection": [b"x-hop"]})  # noqa: N815

        wire = Wire(Clock(), 5.0)
        wire.took(type("Http", (), {"_parser": Parser()})())
        self.assertEqual(head_of(Response(), wire)[0], (b"Connection", b"x-hop"))
