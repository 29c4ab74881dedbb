"""
One request, forwarded: route, attempts, answer.

An :class:`Exchange` tries the backends of its route as the decision table says until one
answers or nothing is left, and tells what happens as it goes, the end in one ``finally``.
The client's departure, the proxy's shutdown and timeouts are one mechanism: cancelling
the Deferred of what is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from yallmp.api_types import API_TYPES
from yallmp.attempts import Attempt, Broken, Surroundings
from yallmp.core.backend import Backend
from yallmp.core.call import Call, Delivered
from yallmp.core.errors import ProxyError, error_body
from yallmp.core.exchange import End, Event, HeaderPairs, Routed
from yallmp.core.headers import for_client
from yallmp.core.lastword import most_useful
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.replies import Reply, error_of, event_error, fault, reply_to
from yallmp.core.verdicts import Stop, Tried, Try, next_step
from yallmp.downstream import Client, Held
from yallmp.relay import Watchdog
from yallmp.slots import Slots
from yallmp.upstream import Upstream

_LATE = Problem(Reason.DEADLINE, "the deadline is spent", code="deadline_exceeded")
_SHUTDOWN = Problem(Reason.DISCONNECTED, "the proxy is shutting down", code="proxy_shutdown")
_SAFE = " ._-/:@+#"
_log = Logger()


class AllFailed(Exception):
    """Nothing is left to try; ``problem`` is what the client is told of."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@frozen
class Tools:
    """
    What forwarding works with, made in ``tap``.

    ``wall`` gives POSIX seconds, ``draw`` random numbers (0 ≤ x < 1), ``tell`` takes
    events, ``mask`` replaces known secrets.
    """

    upstream: Upstream
    slots: Slots
    clock: IReactorTime
    wall: Callable[[], float]
    draw: Callable[[], float]
    tell: Callable[[Event], None]
    mask: Callable[[bytes], bytes]


class Forwarding:
    """Forwards calls, and knows which are under way."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._open: set[Exchange] = set()
        self._waiting: list[Deferred[None]] = []

    async def serve(self, call: Call, client: Client, began: float) -> None:
        """
        Answer *call*.

        :param began: when the request came, on the clock's time.
        """
        exchange = Exchange(call, client, self._tools, began)
        self._open.add(exchange)
        try:
            await exchange.run()
        finally:
            self._open.discard(exchange)
            self._tell_idle()

    def _tell_idle(self) -> None:
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for d in waiting:
                d.callback(None)

    def idle(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        if not self._open:
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def shut_down(self) -> None:
        """End what is under way, each with an error that says why."""
        for exchange in list(self._open):
            exchange.shut_down()


@define(eq=False)
class Exchange:
    """One request and all that comes of it."""

    call: Call
    client: Client
    tools: Tools
    began: float
    _tried: list[Tried] = field(factory=list)
    _made: int = 0
    _attempt: Attempt | None = None
    _task: Deferred[Delivered] = field(init=False)
    _deadline: Watchdog = field(init=False)
    _held: Held = field(init=False)
    _stopping: bool = False
    _said: bytes | None = None

    def __attrs_post_init__(self) -> None:
        router = self.call.config.router
        self._deadline = Watchdog(self.tools.clock, self._late)
        self._held = Held(self.client, self.tools.clock, router.sse_keepalive)

    async def run(self) -> None:
        """Serve the call; the end is told whatever happens."""
        outcome, delivered = "upstream_error", None
        self._start()
        try:
            self._task = Deferred.fromCoroutine(self._serve())
            delivered = await self._task
            outcome = "success"
        except AllFailed as failed:
            outcome = await self._refuse(failed.problem)
        except Broken as broken:
            outcome = await self._break_off(broken.problem)
        except CancelledError:
            outcome = await self._cancelled()
        except Exception:
            _log.failure("forwarding {id} failed", id=self.call.id)
            await self._refuse(Problem(Reason.ANSWER_ERROR, "an error of the proxy's own"))
        finally:
            self._stop_timers()
            self._end(outcome, delivered)

    def shut_down(self) -> None:
        """End now, with an error that says that the proxy is shutting down."""
        self._stopping = True
        self._task.cancel()

    def _start(self) -> None:
        route, router = self.call.route, self.call.config.router
        names = tuple(backend.name for backend in route.every)
        self.tools.tell(Routed(self.call.id, route.model, names, route.reason))
        self._deadline.watch(self._until(), _LATE)
        if self.call.asked.stream:
            self._held.start(router.stream_headers_after)

    def _until(self) -> float:
        """When the deadline is; a larger explicit ``request_timeout`` raises it."""
        explicit = [b.patience.request_timeout or 0.0 for b in self.call.route.every]
        return self.began + max([self.call.config.router.deadline, *explicit])

    async def _serve(self) -> Delivered:
        legs = self.call.route.legs
        step: Try | Stop = Try(legs[0]) if legs else Stop()
        while isinstance(step, Try):
            if step.delay:
                await deferLater(self.tools.clock, step.delay)
            try:
                return await self._try(step)
            except AttemptFailed as failed:
                self._note_failure(step, failed.problem)
            step = self._next()
        raise AllFailed(_LATE if step.late else self._worst())

    async def _try(self, step: Try) -> Delivered:
        await self.tools.slots.take(step.backend)
        try:
            self._made += 1
            self._attempt = self._new_attempt(step.backend)
            return await self._attempt.run()
        finally:
            self.tools.slots.give(step.backend)

    def _new_attempt(self, backend: Backend) -> Attempt:
        tools = self.tools
        around = Surroundings(
            tools.upstream, tools.clock, tools.wall, tools.tell, self._at, self._commit
        )
        asked = {t.backend.name for t in self._tried} | {backend.name}
        last = all(b.name in asked for b in self.call.route.legs)
        repeat = asked == {backend.name}
        return Attempt(self.call, self.client, around, backend, self._made, repeat, last)

    def _note_failure(self, step: Try, problem: Problem) -> None:
        lasted = self._attempt.lasted if self._attempt else 0.0
        self._attempt = None
        self._tried.append(Tried(step.backend, problem, lasted, step.again))

    def _next(self) -> Try | Stop:
        tools = self.tools
        left = self._until() - tools.clock.seconds()
        router = self.call.config.router
        return next_step(self.call.route, self._tried, router, chance=tools.draw(), left=left)

    def _worst(self) -> Problem:
        """What the client is told of when nothing answered."""
        if not self._tried:
            return Problem(Reason.UNREACHABLE, "no backend is configured")
        last = self._tried[-1].problem
        return last if last.reason is Reason.DEADLINE else most_useful(self.call.route, self._tried)

    def _late(self) -> None:
        if self._attempt is not None:
            self._attempt.give_up(_LATE)

    def _commit(self, status: int, headers: HeaderPairs) -> HeaderPairs:
        """The first byte goes out: from now on only the answer's own times count."""
        self._deadline.stop()
        self._held.stop()
        return (*for_client(headers), *self._ours(str(status)))

    def _ours(self, last: str = "") -> HeaderPairs:
        """Our headers; *last* is the word for an attempt that is not among the failed ones."""
        words = [(t.backend.name, t.problem.word) for t in self._tried]
        if last and self._attempt:
            words.append((self._attempt.backend.name, last))
        told = ",".join(f"{quote(name, _SAFE)}:{word}" for name, word in words)
        backend = words[-1][0] if words else ""
        return (
            (b"x-yallmp-backend", quote(backend, _SAFE).encode()),
            (b"x-yallmp-attempts", str(self._made).encode()),
            (b"x-yallmp-route", told.encode()),
        )

    async def _refuse(self, problem: Problem) -> str:
        """Tell the client that nothing answered; the outcome."""
        self._held.stop()
        reply = reply_to(problem, self.call.asked.model, self.tools.mask)
        if self.client.started:
            await self._last_words(error_of(reply))
        else:
            self._said = reply.body
            self._send(reply)
        return "shed" if problem.reason is Reason.FULL else "upstream_error"

    def _send(self, reply: Reply, last: str = "") -> None:
        self.client.whole(reply.status, (*reply.headers, *self._ours(last)), reply.body)

    async def _break_off(self, problem: Problem) -> str:
        """End a stream that has begun with an error event; the outcome."""
        await self._last_words(event_error(problem, self.call.asked.model, self.tools.mask))
        return "incomplete"

    async def _last_words(self, error: ProxyError) -> None:
        self._said = API_TYPES["openai"].error_event(self.call.asked, error)
        await self.client.break_off(self._said)

    async def _cancelled(self) -> str:
        if self.client.gone or not self._stopping:
            return "client_gone"
        if self.client.started:
            await self._break_off(_SHUTDOWN)
        else:
            error = fault("proxy_shutdown", self.call.asked.model, 503)
            self._said = error_body(error)
            headers = ((b"content-type", b"application/json"), (b"retry-after", b"1"))
            self._send(Reply(503, headers, self._said), last="shutdown")
        return "shutdown"

    def _stop_timers(self) -> None:
        self._deadline.stop()
        self._held.stop()

    def _at(self) -> float:
        return (self.tools.clock.seconds() - self.began) * 1000

    def _end(self, outcome: str, delivered: Delivered | None) -> None:
        self.tools.tell(
            End(
                self.call.id,
                self._at(),
                outcome,
                self.client.status or 499,
                self.client.sent,
                self._attempt.backend.name if self._attempt else None,
                self._made,
                delivered.finish_reason if delivered else None,
                delivered.usage if delivered else None,
                self._said,
            )
        )
