"""
One attempt on one backend, from sending to the last byte.

An attempt is a Deferred.  It fails with :class:`AttemptFailed` while everything can
still change, and with :class:`Broken` once the client has had content.  Cancelling it,
whoever does so and whatever it is doing, cuts the connection to the backend; where a
timer did it, the timer's problem is why it failed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.web.iweb import IResponse

from yallmp.asking import Asking, asking
from yallmp.bodies import collected
from yallmp.broken import Broken
from yallmp.core.asked import without_body
from yallmp.core.backend import Backend
from yallmp.core.call import Call, Delivered
from yallmp.core.exchange import HeaderPairs
from yallmp.core.gate import Gate
from yallmp.core.headers import for_backend, media_type
from yallmp.core.inflate import decoder
from yallmp.core.inspector import Checked, Inspector
from yallmp.core.problems import AttemptFailed, Problem, Reason, answer_problem, status_problem
from yallmp.core.seam import Seam
from yallmp.core.work import LARGE
from yallmp.downstream import Client
from yallmp.examining import examined
from yallmp.gates import gate_for
from yallmp.relay import FIRST_CONTENT_LATE, Relay, Watchdog
from yallmp.report import Report
from yallmp.tools import Surroundings
from yallmp.upstream import Outgoing, head_of
from yallmp.wholes import Examine, assembled, exploded, json_headers, well_made
from yallmp.wire import Wire

_log = Logger()
_CANCELLED = Problem(Reason.DISCONNECTED, "cancelled")
_HEAD_LATE = Problem(Reason.TIMEOUT, "no answer in time")
_NO_STATUS = Problem(Reason.PROTOCOL, "a status that HTTP does not have")
_ANSWER_LATE = Problem(Reason.TIMEOUT, "the answer was not whole in time")


@define(eq=False)
class Attempt:
    """
    One try of *backend* for *call*.

    ``repeat`` tells that no other backend was asked before, ``last`` that none is left that
    does not rest; ``seam`` is what the answer has to go on with, if another one broke.

    :ivar unspoken: whether it failed because the backend does not speak the client's dialect.
    """

    call: Call
    client: Client
    around: Surroundings
    backend: Backend
    number: int
    repeat: bool = True
    last: bool = False
    seam: Seam | None = None
    unspoken: bool = False
    _dog: Watchdog = field(init=False)
    _wire: Wire = field(init=False)
    _started: float = field(init=False)
    _report: Report = field(init=False)
    _asking: Asking = field(init=False)
    _status: int | None = None
    _body: bytes | None = None
    _committed: bool = False
    _told: bool = False
    _inspector: Inspector | None = None
    _flowed: float = 0.0
    _copied: int = 0

    def __attrs_post_init__(self) -> None:
        around, backend = self.around, self.backend
        clock = around.tools.clock
        self._started = clock.seconds()
        self._wire = Wire(clock, backend.patience.seconds("connect_timeout"))
        self._dog = Watchdog(clock, self._wire.abandon)
        tell = around.tools.tell
        self._report = Report(self.call.id, self.number, backend.name, tell, around.at)

    @property
    def lasted(self) -> float:
        """Seconds since it was sent."""
        return self.around.tools.clock.seconds() - self._started

    def give_up(self, problem: Problem) -> None:
        """Stop, as if a timer of its own had run out with *problem*."""
        self._dog.expired = problem
        self._wire.abandon()

    async def run(self) -> Delivered:
        """
        Try.

        :raises AttemptFailed: before the commit.
        :raises Broken: after it.
        """
        problem = _CANCELLED
        try:
            delivered = await self._deliver()
        except AttemptFailed as failed:
            problem = failed.problem
        except CancelledError:
            if self._dog.expired is None:
                self._report.end(
                    self._status, self._body, "cancelled", "the client or the proxy left"
                )
                raise
            problem = self._dog.expired
        except Exception:
            _log.failure(
                "attempt {number} on {name} failed", number=self.number, name=self.backend.name
            )
            problem = Problem(Reason.INVALID, "the answer could not be read")
        else:
            self._report.end(self._status, self._body, None, None)
            return delivered
        finally:
            self._dog.stop()
            self.around.tools.account.held -= self._copied
        self._wire.cut()  # there may be a body that nobody has begun to read
        self._report.end(self._status, self._body, problem.reason.value, problem.message)
        if self._committed and self._inspector is not None:
            raise Broken(problem, self._inspector.transcript, self._flowed)
        raise AttemptFailed(problem)

    async def _deliver(self) -> Delivered:
        asked = self.call.asked
        name = "first_byte_timeout" if asked.stream else "answer_timeout"
        self._watch(name, _HEAD_LATE)
        outgoing = await self._outgoing()
        response = await self.around.tools.upstream.send(self.backend, outgoing, self._wire)
        headers = self._head(response)
        decode = decoder(headers, self.call.config.limits.max_response_bytes)
        self._watch(
            "first_content_timeout" if asked.stream else name,
            FIRST_CONTENT_LATE if asked.stream else _ANSWER_LATE,
        )
        streamed = media_type(headers) == b"text/event-stream"
        if asked.stream and streamed and response.code < 300:
            return await self._relay(response, headers, decode)
        limit = self.call.config.limits.max_response_bytes
        account = self.around.tools.account
        self._body = await collected(response, self._wire, limit, decode, account)
        self._copied += len(self._body)  # it is in the account
        if len(self._body) > LARGE and response.code < 300:
            return await self._deliver_large(headers, streamed, self._body)
        return self._deliver_whole(headers, streamed)

    def _watch(self, name: str, problem: Problem) -> None:
        seconds = self.backend.patience.seconds(name, last=self.last)
        self._dog.watch(self._started + seconds, problem, self._started)

    async def _outgoing(self) -> Outgoing:
        """What is sent; told as the attempt's beginning."""
        call, backend, tools = self.call, self.backend, self.around.tools
        begun = self.seam.begun if self.seam else ""
        found = self._asking = await asking(call, backend, tools, self._wire, begun)
        target = found.api_type.target(call.asked, call.query, backend)
        headers = for_backend(call.headers, backend, repeat=self.repeat)
        outgoing = Outgoing(target, headers, found.put.body)
        self._report.begin(outgoing, found.put)
        self._copied = tools.account.copied(len(outgoing.body))
        return outgoing

    def _head(self, response: IResponse) -> HeaderPairs:
        headers = head_of(response, self._wire)
        self._status = response.code
        self._report.head(response.code, headers, self._wire)
        if not 200 <= response.code < 600:
            raise AttemptFailed(_NO_STATUS)
        return headers

    async def _relay(
        self, response: IResponse, headers: HeaderPairs, decode: Callable[[bytes], bytes]
    ) -> Delivered:
        gate = self._gate(headers)
        relay = Relay(
            gate=gate,
            client=self.client,
            wire=self._wire,
            dog=self._dog,
            clock=self.around.tools.clock,
            patience=self.backend.patience,
            started=self._started,
            born=self._born,
            decode=decode,
            open_client=lambda: self._open_stream(headers),
            heard=self._report.reads(recorded=self.call.recorded),
            extends=self._extends,
            account=self.around.tools.account,
        )
        try:
            await relay.run(response)
        finally:
            self._flowed = relay.flowed
            self._report.dropped(relay.dropped)
        self.client.finish()
        return Delivered(self.backend.name, gate.inspector.finish_reason, gate.inspector.usage)

    @property
    def _born(self) -> float:
        """When the stream began: one that goes on with another is as old as the request."""
        if self.seam is None:
            return self._started
        return self.around.tools.clock.seconds() - self.around.at() / 1000

    @property
    def _extends(self) -> bool:
        """An explicit time is final, and one that is not bounded needs no more."""
        explicit = self.backend.patience.explicit("first_content_timeout")
        return explicit is None and not self.last

    def _gate(self, headers: HeaderPairs) -> Gate:
        gate = gate_for(
            self._asking.api_type,
            self.call,
            self.backend,
            self.seam,
            self._error_problem(headers),
            self._postscript,
        )
        self._inspector = gate.inspector
        return gate

    def _error_problem(self, headers: HeaderPairs) -> Callable[[Any], Problem]:
        longest = self.call.config.router.retry_after_max
        return lambda error: answer_problem(error, headers, self.around.tools.wall(), longest)

    def _open_stream(self, headers: HeaderPairs) -> None:
        self._committed = True
        self._report.committed()
        headers = self.around.commit(200, headers)
        if not self.client.started:
            self._told = True
            self.client.begin(headers)

    def _postscript(self) -> bytes:
        """What the headers could not tell, since they were sent before."""
        return self.around.comment() if self.client.started and not self._told else b""

    def _deliver_whole(self, headers: HeaderPairs, streamed: bool) -> Delivered:
        """Check the answer in ``_body`` and send it on in the way that the client asked for."""
        body, status = self._body or b"", self._status or 0
        router = self.call.config.router
        if not 200 <= status < 300:
            self.unspoken = self._asking.is_unspoken(status, body)
            now = self.around.tools.wall()
            raise AttemptFailed(status_problem(status, headers, body, now, router.retry_after_max))
        asked, api_type = self.call.asked, self._asking.api_type
        if streamed:
            most = self.call.config.limits.max_event_bytes
            body = assembled(api_type, asked, self._gate(headers), body, most)
            headers = json_headers(headers)
        checked = well_made(api_type, asked, body, self._error_problem(headers))
        if asked.stream:
            body = exploded(api_type, asked, self._gate(headers), body)
        elif checked.body is not None:
            body = checked.body
        return self._pass_on(headers, checked, body)

    async def _deliver_large(self, headers: HeaderPairs, streamed: bool, body: bytes) -> Delivered:
        """
        The same for a large answer, which is read elsewhere meanwhile.

        The backend has done its part: how long that takes is no matter of its own times.
        """
        self._dog.stop()
        gate, tools = self._gate(headers), self.around.tools
        longest, now = self.call.config.router.retry_after_max, tools.wall()
        gate.error_problem = partial(answer_problem, headers=headers, now=now, longest=longest)
        gate.postscript = partial(bytes, self._postscript())
        work = Examine(self._asking.api_type, without_body(self.call.asked), gate, streamed)
        checked, body = await examined(tools.clerk, self._wire, work, body)
        return self._pass_on(json_headers(headers) if streamed else headers, checked, body)

    def _pass_on(self, headers: HeaderPairs, checked: Checked, body: bytes) -> Delivered:
        """Send *body*, which is a stream if one was asked for, although it did not come as one."""
        status = self._status or 0
        if self.call.asked.stream:
            self._open_stream(headers)
            self.client.write(body)
            self.client.finish()
        else:
            self.client.whole(status, self.around.commit(status, headers), body)
        return Delivered(self.backend.name, checked.finish_reason, checked.usage)
