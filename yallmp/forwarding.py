"""
One request, forwarded: route, attempts, answer.

An :class:`Exchange` tries the backends of its route as the decision table says until one
answers or nothing is left, and tells what happens as it goes, the end in one ``finally``.
The client's departure, the proxy's shutdown and timeouts are one mechanism: cancelling
the Deferred of what is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from yallmp.broken import Broken
from yallmp.core.call import Call, Delivered
from yallmp.core.exchange import End, HeaderPairs, Routed
from yallmp.core.headers import for_client
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.verdicts import Stop, Try
from yallmp.course import Course
from yallmp.downstream import Client, Held
from yallmp.endings import Ending
from yallmp.relay import Watchdog
from yallmp.rescuing import Rescue
from yallmp.tools import Tools

_LATE = Problem(Reason.DEADLINE, "the deadline is spent", code="deadline_exceeded")
_log = Logger()


class AllFailed(Exception):
    """Nothing is left to try; ``problem`` is what the client is told of."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Forwarding:
    """Forwards calls, and knows which are under way."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._open: set[Exchange] = set()
        self._expected: set[Deferred[Call]] = set()
        self._waiting: list[Deferred[None]] = []

    def serve(self, call: Call, client: Client, began: float) -> Deferred[None]:
        """
        Answer *call*; cancelling what is returned ends it.

        :param began: when the request came, on the clock's time.
        """
        exchange = Exchange(call, client, self._tools, began, self._over)
        self._open.add(exchange)
        self._tools.registry.retries.active = len(self._open)
        return exchange.start()

    @contextmanager
    def expecting(self, reading: Deferred[Call]) -> Iterator[None]:
        """Wait for what *reading* comes to as well, and end it, when all is to be over."""
        self._expected.add(reading)
        try:
            yield
        finally:
            self._expected.discard(reading)
            self._look_if_idle()

    def _over(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        self._tools.registry.retries.active = len(self._open)
        if self._waiting:
            self._look_if_idle()

    def _look_if_idle(self) -> None:
        if self._open or self._expected:
            return
        waiting, self._waiting = self._waiting, []
        for d in waiting:
            d.callback(None)

    def idle(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        if not (self._open or self._expected):
            return succeed(None)
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def shut_down(self) -> None:
        """End what is under way, each with an error that says why."""
        for exchange in list(self._open):
            exchange.shut_down()
        for reading in list(self._expected):
            reading.cancel()


@define(eq=False)
class Exchange:
    """One request and all that comes of it."""

    call: Call
    client: Client
    tools: Tools
    began: float
    over: Callable[[Exchange], None]
    _course: Course = field(init=False)
    _ending: Ending = field(init=False)
    _task: Deferred[None] = field(init=False)
    _until: float = field(init=False)
    _deadline: Watchdog = field(init=False)
    _held: Held = field(init=False)
    _stopping: bool = False
    _repeating: bool = False

    def __attrs_post_init__(self) -> None:
        tools, router = self.tools, self.call.config.router
        self._course = Course(self.call, self.client, tools, self.began)
        self._ending = Ending(self.client, self.call.asked, tools.mask)
        self._until = self.began + max(router.deadline, self.call.route.request_timeout)
        self._deadline = Watchdog(tools.clock, partial(self._course.give_up, _LATE))
        self._held = Held(self.client, tools.clock, router.sse_keepalive)

    def start(self) -> Deferred[None]:
        """Begin; fires when all is over."""
        self._task = Deferred.fromCoroutine(self._run())
        return self._task

    async def _run(self) -> None:
        """Serve the call; the end is told whatever happens."""
        outcome, delivered = "upstream_error", None
        self._begin()
        try:
            delivered = await self._serve()
            outcome = "success"
        except AllFailed as failed:
            outcome = await self._refuse(failed.problem)
        except Broken as broken:
            await self._ending.break_off(broken.problem)
            outcome = "incomplete"
        except CancelledError as cancelled:
            cancelled.__traceback__ = None  # its frames hold the request, and one of them it
            outcome = await self._cancelled()
        except Exception:
            _log.failure("forwarding {id} failed", id=self.call.id)
            await self._refuse(Problem(Reason.ANSWER_ERROR, "an error of the proxy's own"))
        finally:
            self._stop()
            self._end(outcome, delivered)
            self._course.leave()
            self.over(self)

    def shut_down(self) -> None:
        """End now, with an error that says that the proxy is shutting down."""
        self._stopping = True
        self._task.cancel()

    def _begin(self) -> None:
        route, router = self.call.route, self.call.config.router
        self.tools.tell(Routed(self.call.id, route.model, route.names, route.reason))
        if self._course.resting:
            self._note_rests(self._course.resting)
        self._deadline.watch(self._until, _LATE, self.began)
        if self.call.asked.stream:
            self._held.start(router.stream_headers_after)

    def _note_rests(self, resting: frozenset[str]) -> None:
        now, breakers = self.tools.clock.seconds(), self.tools.registry.breakers
        for name in sorted(resting):
            breaker = breakers.of(name)
            self._course.note(f"{name} rests for {breaker.rest_left(now):.1f} s: {breaker.why}")

    async def _serve(self) -> Delivered:
        try:
            return await self._first_answer()
        except Broken as broken:
            self._course.broke()
            return await Rescue(self._course, self._held).run(broken)

    async def _first_answer(self) -> Delivered:
        step = self._next()
        while isinstance(step, Try):
            try:
                delivered = await self._take(step)
                if delivered is not None:
                    return delivered
                step = self._next(spare=False)
            except AttemptFailed:
                step = self._next()
        raise AllFailed(self._last_word(step))

    def _next(self, *, spare: bool = True) -> Try | Stop:
        return self._course.next(self._until - self.tools.clock.seconds(), spare=spare)

    async def _take(self, step: Try) -> Delivered | None:
        """
        Make an attempt, after its pause; an S is counted until its answer begins.

        ``None``: it was an S, and in its pause the backend began to rest.
        """
        if not step.again:
            return await self._course.attempt(step.backend, self._commit)
        self._repeat(True)
        try:
            if step.delay:
                await self._course.pause(step.delay)
            if step.backend.name in self._course.resting:
                return None
            return await self._course.attempt(step.backend, self._commit, again=True)
        finally:
            self._repeat(False)

    def _repeat(self, repeating: bool) -> None:
        self.tools.registry.retries.under_way += repeating - self._repeating
        self._repeating = repeating

    def _last_word(self, stop: Stop) -> Problem:
        if stop.late:
            return _LATE
        worst = self._course.worst()
        return evolve(worst, pointless=True) if stop.poison else worst

    def _commit(self, status: int, headers: HeaderPairs) -> HeaderPairs:
        """The first byte goes out: from now on only the answer's own times count."""
        self._deadline.stop()
        self._held.stop()
        if self._repeating:
            self._repeat(False)
        return (*for_client(headers), *self._course.headers(str(status)))

    async def _refuse(self, problem: Problem) -> str:
        """Tell the client that nothing answered; the outcome."""
        self._held.stop()
        await self._ending.refuse(problem, self._course.headers())
        shed = problem.reason in (Reason.FULL, Reason.MEMORY)
        return "shed" if shed else "upstream_error"

    async def _cancelled(self) -> str:
        if self.client.gone or not self._stopping:
            return "client_gone"
        await self._ending.shut_down(self._course.headers("shutdown"))
        return "shutdown"

    def _stop(self) -> None:
        self._deadline.stop()
        self._held.stop()

    def _end(self, outcome: str, delivered: Delivered | None) -> None:
        course = self._course
        self.tools.tell(
            End(
                self.call.id,
                course.at(),
                outcome,
                self.client.status or 499,
                self.client.sent,
                course.serving or (course.current.backend.name if course.current else None),
                course.made,
                delivered.finish_reason if delivered else None,
                delivered.usage if delivered else None,
                self._ending.said,
                course.turns,
                course.waited,
            )
        )
