"""
A stream that broke after its client had content of it, and how it may still become whole.

The route is asked again, at most two backends of it, the one that broke last; meanwhile
comments keep the connection alive.  What another backend says goes to the client only
from where the first one broke off, and only if it agrees with all that was said before
(:mod:`yallmp.core.rescue`).  Otherwise the client is told the truth: an error event.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from attrs import define, field

from yallmp.broken import Broken
from yallmp.core.backend import Backend
from yallmp.core.call import Delivered
from yallmp.core.exchange import HeaderPairs
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.core.rescue import (
    ATTEMPTS,
    compares,
    may_rescue,
    prefills,
    rescue_seconds,
    rescuers,
)
from yallmp.core.seam import Seam
from yallmp.core.verdicts import is_poison
from yallmp.course import Course
from yallmp.downstream import Held
from yallmp.relay import Watchdog

#: A backend, and whether it is asked by prefill.
Way = tuple[Backend, bool]

_LATE = Problem(Reason.TIMEOUT, "nothing new came in time to go on with", code="rescue_timeout")


@define(eq=False)
class Rescue:
    """
    The rescue of one stream.

    :ivar course: the attempts so far; the last of them broke.
    :ivar held: keeps the client's connection alive.
    """

    course: Course
    held: Held
    _dog: Watchdog = field(init=False)
    _asked: set[str] = field(factory=set)
    _broken: set[str] = field(factory=set)
    _before: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._before = self.course.made
        self._dog = Watchdog(self.course.tools.clock, self._late)

    async def run(self, broken: Broken) -> Delivered:
        """
        Make the stream whole.

        :raises Broken: it stays broken.
        """
        while self._is_possible(broken):
            ways = self._ways(broken)
            first = next(ways, None)
            if first is None:
                break
            self._start(broken)
            try:
                return await self._go_on(broken, chain([first], ways))
            except AttemptFailed:
                break
            except Broken as another:
                self.course.broke()
                broken = another
            finally:
                self._stop()
        raise broken

    @property
    def _made(self) -> int:
        """How many attempts were made for the rescue."""
        return self.course.made - self._before

    def _is_possible(self, broken: Broken) -> bool:
        call, tried = self.course.call, self.course.tried
        if self._made >= ATTEMPTS or is_poison(tried):
            return False
        at_fault = tried[-1].backend
        return may_rescue(at_fault, broken.problem, broken.transcript, call.asked, call.route)

    def _start(self, broken: Broken) -> None:
        last = self.course.tried[-1].backend
        seconds = rescue_seconds(last.patience, broken.flowed)
        self._dog.expired = None
        self.course.to_be_rescued()
        self.course.resume()
        now = self.course.tools.clock.seconds()
        self._dog.watch(now + seconds, _LATE, now)
        if self.held.every is not None:
            self.held.start(self.held.every)
        said = sum(map(len, broken.transcript.fields.values()))
        self.course.note(
            f"{last.name} broke off after {said} characters ({broken.problem.message});"
            f" others have {seconds:g} s to go on"
        )

    async def _go_on(self, broken: Broken, ways: Iterator[Way]) -> Delivered:
        for backend, prefill in ways:
            self._asked.add(backend.name)
            how = "prefill" if prefill else "comparison"
            self.course.note(f"{backend.name} is asked to go on, by {how}")
            seam = Seam(broken.transcript, prefill)
            try:
                return await self.course.attempt(backend, self._commit, seam=seam)
            except AttemptFailed:
                self.course.broke()
        raise AttemptFailed(broken.problem)

    def _ways(self, broken: Broken) -> Iterator[Way]:
        """Who may go on, and whether by prefill; asked for one at a time."""
        call, course = self.course.call, self.course
        at_fault = course.tried[-1].backend
        self._broken.add(at_fault.name)
        sent, transcript = call.route.sends(at_fault), broken.transcript
        for backend in rescuers(call.route, self._broken, course.resting):
            if self._dog.expired or self._made >= ATTEMPTS or is_poison(course.tried):
                return
            if backend.name in self._asked:
                continue
            prefill = prefills(backend, call.route.sends(backend), sent, call.asked, transcript)
            if prefill or compares(at_fault, call.asked):
                yield backend, prefill

    def _late(self) -> None:
        self.course.give_up(_LATE)

    def _commit(self, status: int, headers: HeaderPairs) -> HeaderPairs:
        """New text goes out: the stream flows again."""
        self._stop()
        return headers

    def _stop(self) -> None:
        self._dog.stop()
        self.held.stop()
