"""
The attempts of one exchange, one after the other, and what they mean to the rest of the
proxy: places at backends, breakers, the headers that tell the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from yallmp.attempts import Attempt
from yallmp.broken import Broken
from yallmp.core.backend import Backend
from yallmp.core.call import Call, Delivered
from yallmp.core.exchange import HeaderPairs, Note, Turn
from yallmp.core.lastword import most_useful
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.seam import Seam
from yallmp.core.telling import Word, comment_for, headers_for, words
from yallmp.core.verdicts import Stop, Tried, Try, first_step, next_step
from yallmp.downstream import Client
from yallmp.tally import Tally
from yallmp.tools import Tools

#: Called before an answer's first byte goes out, with its status and headers.
Commit = Callable[[int, HeaderPairs], HeaderPairs]
#: What is told of an attempt that answers.
_SERVED = "200"
_NOBODY: frozenset[str] = frozenset()


@define(eq=False)
class Course:
    """
    What was tried for *call*, and the attempt under way.

    :ivar began: when the request came, on the clock's time.
    :ivar made: how many attempts there were.
    :ivar current: the one under way, or the one that answered.
    :ivar serving: the backend that the client has something of, by its name.
    :ivar turns: where it did not go straight on.
    :ivar waited: milliseconds of pauses, and of waits for a place.
    """

    call: Call
    client: Client
    tools: Tools
    began: float
    tried: list[Tried] = field(factory=list)
    made: int = 0
    current: Attempt | None = None
    serving: str | None = None
    turns: tuple[Turn, ...] = ()
    waited: float = 0.0
    _turn: Deferred[None] | None = None
    _spent: Problem | None = None
    _committing: Commit | None = None
    tally: Tally = field(init=False)

    def __attrs_post_init__(self) -> None:
        tools = self.tools
        self.tally = Tally(tools.registry.breakers, tools.clock, tools.draw)

    @property
    def resting(self) -> frozenset[str]:
        """The backends of the route that rest now."""
        if not self.tools.registry.breakers.unwell:
            return _NOBODY
        return self.tally.resting(self.call.route.names)

    def next(self, left: float, *, spare: bool = True) -> Try | Stop:
        """
        What follows, with *left* seconds of the deadline; no S without *spare*.

        A backend that the request leaves by it has served it badly, and is told so.
        """
        tools, route = self.tools, self.call.route
        if not self.tried:
            return first_step(route, self.resting)
        step = next_step(
            route,
            self.tried,
            self.call.config.router,
            chance=tools.draw(),
            left=left,
            resting=self.resting,
            spare=spare and tools.registry.retries.spare,
        )
        stays = isinstance(step, Try) and step.backend == self.tried[-1].backend
        if not stays:
            self._count(self.tried[-1])
        return step

    async def attempt(
        self, backend: Backend, commit: Commit, *, again: bool = False, seam: Seam | None = None
    ) -> Delivered:
        """
        Try *backend*; what fails is noted.

        :param commit: called before the answer's first byte goes out.
        :param seam: what the answer has to go on with, if another one broke.
        :raises AttemptFailed: before the commit.
        :raises Broken: after it.
        """
        self.current, self._committing = None, commit
        if seam is None and (self.tried or backend is not self.call.route.legs[0]):
            self._turn_to("retry" if again else "fallback")
        try:
            return await self._spoken(backend, seam)
        except (AttemptFailed, Broken) as failed:
            lasted = self.current.lasted if self.current else 0.0
            self.tried.append(Tried(backend, failed.problem, lasted, again))
            self.current = None
            raise

    async def _spoken(self, backend: Backend, seam: Seam | None) -> Delivered:
        """In the client's dialect, if the backend speaks it; that it does not is no failure."""
        try:
            return await self._attempt(backend, seam)
        except AttemptFailed:
            if self.current is None or not self.current.unspoken:
                raise
            dialect, now = self.call.asked.endpoint.dialect, self.tools.clock.seconds()
            self.tools.registry.unspoken.note(backend.name, dialect, now)
            self.note(f"{backend.name} has no such path; it is asked in its own dialect instead")
            return await self._attempt(backend, seam)

    def _turn_to(self, kind: str) -> None:
        """It does not go on with the backend that it was at, or that comes first."""
        if self.tried:
            last = self.tried[-1]
            turn = Turn(kind, last.backend.name, last.problem.reason.value)
        else:
            turn = Turn(kind, self.call.route.legs[0].name, "resting")
        self.turns += (turn,)

    async def pause(self, seconds: float) -> None:
        """Wait before the backend is asked once more."""
        with self._waiting():
            await deferLater(self.tools.clock, seconds)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        began = self.at()
        try:
            yield
        finally:
            self.waited += self.at() - began

    async def _attempt(self, backend: Backend, seam: Seam | None) -> Delivered:
        self._check_time()
        turn = self.tools.slots.take(backend)
        if turn is not None:
            await self._wait(turn)
        try:
            self._check_time()
            self.made += 1
            self.tally.begin(backend.name)
            self.current = self._new(backend, seam)
            delivered = await self.current.run()
            self.tally.good(backend.name)
            return delivered
        finally:
            self.tools.slots.give(backend)

    async def _wait(self, turn: Deferred[None]) -> None:
        """Wait for a place at a backend, as long as there is time."""
        self._turn = turn
        try:
            with self._waiting():
                await turn
        except CancelledError:
            self._check_time()
            raise
        finally:
            self._turn = None

    def _check_time(self) -> None:
        if self._spent is not None:
            raise AttemptFailed(self._spent)

    def give_up(self, problem: Problem) -> None:
        """The time is over: what is under way fails with *problem*, and nothing follows it."""
        self._spent = problem
        if self.current is not None:
            self.current.give_up(problem)
        elif self._turn is not None:
            self._turn.cancel()

    def leave(self) -> None:
        """
        All is over; what is still open says nothing of its backend.

        Nothing is kept that leads back here, so that bodies are freed at once.
        """
        self.tally.leave()
        self.current = self._committing = None

    def resume(self) -> None:
        """There is new time."""
        self._spent = None

    def _new(self, backend: Backend, seam: Seam | None) -> Attempt:
        asked = (
            {backend.name, *[t.backend.name for t in self.tried]} if self.tried else {backend.name}
        )
        legs, repeat = self.call.route.legs, len(asked) == 1
        last = len(legs) == 1 or asked.union(self.resting).issuperset([b.name for b in legs])
        return Attempt(self.call, self.client, self, backend, self.made, repeat, last, seam)

    def commit(self, status: int, headers: HeaderPairs) -> HeaderPairs:
        """The attempt's first byte goes out, with *headers*: those that the client gets."""
        assert self.current is not None and self._committing is not None
        self.serving = self.current.backend.name
        self.tally.committed(self.serving)
        return self._committing(status, headers)

    def comment(self) -> bytes:
        """What our headers would say, for the end of a stream."""
        return comment_for(words(self.tried, *self._now(_SERVED)))

    def broke(self) -> None:
        """The last attempt broke after the commit: its backend is told so."""
        self._count(self.tried[-1])

    def to_be_rescued(self) -> None:
        """What broke is to be gone on with by another."""
        self._turn_to("rescue")

    def _count(self, tried: Tried) -> None:
        self.tally.failed(tried.backend.name, tried.problem, tried.lasted)

    def worst(self) -> Problem:
        """What the client is told of when nothing answered."""
        if not self.tried:
            return Problem(Reason.UNREACHABLE, "no backend is configured")
        last = self.tried[-1].problem
        ours = last.reason in (Reason.DEADLINE, Reason.MEMORY)
        return last if ours else most_useful(self.call.route, self.tried)

    def headers(self, *last: str) -> HeaderPairs:
        """Our headers; *last* is the word for an attempt that is not among the failed ones."""
        return headers_for(words(self.tried, *self._now(*last)), self.made)

    def _now(self, *last: str) -> tuple[Word, ...]:
        current = self.current
        return tuple([(current.backend.name, word) for word in last]) if current else ()

    def at(self) -> float:
        """Milliseconds since the request came."""
        return (self.tools.clock.seconds() - self.began) * 1000

    def note(self, text: str) -> None:
        """Something worth knowing, for the record."""
        self.tools.tell(Note(self.call.id, self.at(), text))
