"""
A streamed answer on its way from a backend to a client.

Reads go through the gate (:mod:`yallmp.core.gate`) and what it releases goes out in one
write, in the same turn of the reactor.  The client's transport paces the backend's: the
relay is its producer.  Time is watched with one timer: until the commit for the first
content, then for silence; comments and pings are life, but not for ever.  A read only
notes when it was: what that means is asked when the timer runs out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from attrs import define, evolve, field
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.web.iweb import IResponse
from zope.interface import implementer

from yallmp.bodies import Body
from yallmp.core.account import Account
from yallmp.core.backend import Patience
from yallmp.core.gate import Gate, Release
from yallmp.core.problems import AttemptFailed, Problem, Reason
from yallmp.downstream import Client
from yallmp.wire import Wire

FIRST_CONTENT_LATE = Problem(Reason.TIMEOUT, "no content in time")
_IDLE = Problem(Reason.TIMEOUT, "the stream fell silent", code="upstream_idle_timeout")
_OLD = Problem(Reason.TIMEOUT, "the stream took too long", code="stream_lifetime_exceeded")


#: A timer that runs out so little early has run out; seconds.
_NEARLY = 0.001
#: When time is up (infinite: never), for what, and since when is waited; on the clock's time.
Due = tuple[float, Problem, float]


@define(eq=False)
class Watchdog:
    """
    Cancels what it watches when time is up, and remembers why.

    Its one timer is not touched where the end only moves away, as it does with each sign of
    life: it finds that out when it runs out, and runs on.

    :ivar cancel: ends what is watched.
    """

    clock: IReactorTime
    cancel: Callable[[], None]
    expired: Problem | None = None
    _due: Callable[[], Due] | None = None
    _term: Due | None = None
    _call: IDelayedCall | None = None
    _at: float = 0.0

    def watch(self, until: float, problem: Problem, since: float) -> None:
        """
        From now on time is up at *until* (infinite: never), for *problem*.

        :param since: when the wait began; both on the clock's time.
        """
        self._due, self._term = None, (until, problem, since)
        self._arm(until)

    def attend(self, due: Callable[[], Due]) -> None:
        """
        From now on *due* says when time is up, and is asked when that may have come.

        What it says may move away at any time; where it comes nearer, this is called again.
        """
        self._due = due
        self._arm(due()[0])

    def stop(self) -> None:
        """Watch no longer, and forget who was watched."""
        self._due = None
        self._disarm()

    def _disarm(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def _arm(self, until: float) -> None:
        if self._call is not None and self._at <= until < math.inf:
            return
        self._disarm()
        if until != math.inf:
            wait = max(0.0, until - self.clock.seconds())
            self._at, self._call = until, self.clock.callLater(wait, self._look)

    def _look(self) -> None:
        """The timer ran out; whether time is up."""
        self._call = None
        due = self._term if self._due is None else self._due()
        if due is not None and due[0] - self.clock.seconds() > _NEARLY:
            self._arm(due[0])
        elif due is not None:
            self._bite(*due)

    def _bite(self, until: float, problem: Problem, since: float) -> None:
        self.expired = evolve(problem, spent=self.clock.seconds() - since)
        self.cancel()


@implementer(IPushProducer)
@define(eq=False)
class Relay:
    """
    Relays one streamed answer.

    :ivar started: when the attempt was sent, on the clock's time.
    :ivar born: when the stream began that this one is, or goes on with.
    :ivar extends: whether signs of life give the first content more time.
    :ivar decode: undoes the answer's compression.
    :ivar open_client: called at the commit, before anything is written.
    :ivar heard: called with each read, after what it led to.
    :ivar first_content: when the commit was.
    """

    gate: Gate
    client: Client
    wire: Wire
    dog: Watchdog
    clock: IReactorTime
    patience: Patience
    started: float
    born: float
    decode: Callable[[bytes], bytes]
    open_client: Callable[[], None]
    heard: Callable[[bytes], None]
    extends: bool
    account: Account
    dropped: int = 0
    first_content: float | None = None
    _body: Body = field(init=False)
    _last_content: float = 0.0
    _last_read: float = 0.0
    _attended: bool = False
    _paused: bool = False
    _paused_at: float = 0.0
    _tail: IDelayedCall | None = None
    _held: int = 0

    @property
    def flowed(self) -> float:
        """How long content flowed, from sending to the last of it; seconds."""
        return max(0.0, self._last_content - self.started)

    async def run(self, response: IResponse) -> None:
        """
        Relay the body of *response* to its end.

        :raises AttemptFailed: it failed before the commit, or broke after it.
        """
        self._body = Body(self.wire, self._take)
        response.deliverBody(self._body)
        try:
            await self._end()
        finally:
            self._stop_tail()
            self._hold(0)
            self._body.leave()
            self.client.unpace()

    async def _end(self) -> None:
        """Wait for the body's end; a cut behind a finished answer takes nothing from it."""
        try:
            await self.wire.on(self._body.ended)
        except AttemptFailed as failed:
            cut = failed.problem.reason is Reason.INCOMPLETE
            if self.gate.over or not cut or not self.gate.inspector.expects_no_more:
                raise
            self._follow(self.gate.complete(), self.clock.seconds())
        if not self.gate.over:
            self._follow(self.gate.end(), self.clock.seconds())

    def pauseProducing(self) -> None:
        """The client does not read: let the backend wait, and do not count its silence."""
        self._paused = True
        self._paused_at = self.clock.seconds()
        self._stop_tail()
        self._body.pause()

    def resumeProducing(self) -> None:
        """The client reads again."""
        now = self.clock.seconds()
        if self._paused:
            self._last_content += now - self._paused_at
        self._paused = False
        self._last_read = now
        self._attend()
        self._body.resume()
        self._await_end()

    def stopProducing(self) -> None:
        """The client is gone; its departure cancels the exchange, and with it this."""

    def _take(self, data: bytes) -> None:
        now = self._last_read = self.clock.seconds()
        try:
            text = self.decode(data)
            usual = self.gate.pass_usual(text)
            if usual:
                self._last_content = now
                self.client.write(usual)
            else:
                self._look_at(text, now)
        finally:
            self.heard(data)
        if not usual and self.gate.over:
            self._body.finish()  # last: whoever waits for the end goes on at once

    def _look_at(self, text: bytes, now: float) -> None:
        """A read that is not like all others."""
        self._follow(self.gate.feed(text), now)
        self._hold(self.gate.waiting)
        if not self._attended:
            self._attend()

    def _hold(self, size: int) -> None:
        """So much of the stream is held: for its commit, or for the rest of an event."""
        more, self._held = size - self._held, size
        self.account.enter(more, size)

    def _follow(self, release: Release, now: float) -> None:
        self.dropped += release.dropped
        if release.content:
            self._last_content = now
        if self.gate.committed and self.first_content is None:
            self._commit(now)
        self.client.write(release.data)
        self._notice(release, now)

    def _commit(self, now: float) -> None:
        self.first_content = self._last_content = now
        self.open_client()
        self.client.pace(self)

    def _notice(self, release: Release, now: float) -> None:
        if release.problem is not None:
            raise AttemptFailed(release.problem)
        if release.done:
            return
        if self.gate.inspector.expects_no_more:
            self._await_end()
        elif release.alive and not self.gate.begun:
            self._extend()

    def _await_end(self) -> None:
        """A finished answer's formal end is waited for, unless the backend is made to wait."""
        finished = self.gate.inspector.expects_no_more and not self.gate.over
        if finished and self._tail is None and not self._paused:
            tail = self.patience.seconds("tail_timeout")
            self._tail = self.clock.callLater(tail, self._complete)

    def _complete(self) -> None:
        """The answer is whole, and its formal end did not come: it gets ours."""
        self._tail = None
        self._follow(self.gate.complete(), self.clock.seconds())
        self._body.finish()

    def _stop_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None and tail.active():
            tail.cancel()

    def _extend(self) -> None:
        """A sign of life before the first content."""
        if self.extends:
            until = self.started + self.patience.seconds("ping_timeout")
            self.dog.watch(until, FIRST_CONTENT_LATE, self.started)

    def _attend(self) -> None:
        """From the first content on silence counts."""
        if self.gate.begun and not self.gate.over:
            self._attended = True
            self.dog.attend(self._due)

    def _due(self) -> Due:
        """When the stream will have been silent for too long, or has become too old."""
        seconds, explicit = self.patience.seconds, self.patience.explicit("idle_timeout")
        too_old = self.born + seconds("stream_lifetime")
        lively = self._last_read + seconds("idle_timeout")
        lull = seconds("ping_timeout") if explicit is None else explicit
        bored = self._last_content + lull
        if self._paused or min(lively, bored) > too_old:
            return too_old, _OLD, self.born
        if lively <= bored:
            return lively, _IDLE, self._last_read
        return bored, _IDLE, self._last_content
