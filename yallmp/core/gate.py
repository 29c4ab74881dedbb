"""
What of a stream may go on, and what the stream came to.

Before the *commit* (the first event with content) everything is held, and any failure
leads on to the next backend.  From the commit on whole events go on as they come: the
bytes of one read leave together, an event that is still incomplete waits for its rest,
so that whatever breaks the stream never leaves half an event at the client.

What an event means is the api type's affair: its inspector says what it has seen
(:mod:`yallmp.core.inspector`), the :class:`Gate` decides what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from yallmp.core.inspector import Inspector, Kind, Seen
from yallmp.core.problems import Problem, Reason
from yallmp.core.sse import MOST_EVENTS, EventTooLargeError, Parser, ServerEvent, bearable

#: Without content so far, this much commits all the same; bytes.
HELD_MAX = 64 * 1024
#: In steps of so many bytes usual events are looked for among others.
FEW = 512
#: And in steps of so many they are looked at closely, at most.
MANY = 64 * 1024
_DIVERGED = Problem(Reason.DIVERGED, "the answer differs from what the client has of the first one")


@define
class Release:
    """
    What one read led to.

    ``data`` may go to the client; ``problem`` means that the stream is broken (before
    the commit: that the attempt failed), ``done`` that it is complete.  ``alive`` tells
    of an event that shows a backend at work before it has content (a comment, a ping),
    ``content`` of one that had content.
    """

    data: bytes = b""
    problem: Problem | None = None
    done: bool = False
    alive: bool = False
    content: bool = False
    dropped: int = 0


@define
class Gate:
    """
    Follows one stream.

    :ivar error_problem: makes a problem of a backend's error object.
    :ivar hold_max: bytes without content that commit all the same.
    :ivar whole: whether only the end of the answer commits, rather than its first content.
    :ivar postscript: gives what goes out before the formal end.
    :ivar begun: whether content has come.
    """

    inspector: Inspector
    max_event_bytes: int
    error_problem: Callable[[Any], Problem]
    hold_max: int = HELD_MAX
    whole: bool = False
    postscript: Callable[[], bytes] = bytes
    begun: bool = False
    committed: bool = False
    over: bool = False
    _held: bytearray = field(factory=bytearray)
    _parser: Parser = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._parser = Parser(self.max_event_bytes, MOST_EVENTS)

    @property
    def waiting(self) -> int:
        """How many bytes wait here: for the commit, or for the rest of their event."""
        return len(self._held) + self._parser.waiting

    def feed(self, data: bytes) -> Release:
        """What may go on now that *data* has come."""
        release, out = Release(), bytearray()
        if not self.over:
            self._sift(data, out, release)
        release.data = bytes(out) + release.data
        return release

    def _sift(self, data: bytes, out: bytearray, release: Release) -> None:
        """Pass usual events on in ever larger pieces; look closely at what is between them."""
        at, step, doubt = 0, FEW, FEW
        while at < len(data) and not self.over:
            piece = data[at : _behind(data, at + step)]
            usual = self.pass_usual(piece)
            if usual:
                out += usual
                release.alive = release.content = True
                at, step, doubt = at + len(piece), 2 * step, FEW
            elif step > FEW:
                step = FEW
            else:
                piece = data[at : _behind(data, at + doubt)]
                self._look_closely(piece, out, release)
                at, doubt = at + len(piece), min(2 * doubt, MANY)

    def _look_closely(self, data: bytes, out: bytearray, release: Release) -> None:
        try:
            events = self._parser.feed(data)
        except EventTooLargeError as error:
            self._broken(release, Problem(Reason.INVALID, str(error)))
        else:
            self._follow(events, out, release)

    def pass_usual(self, data: bytes) -> bytes:
        """
        The events that *data* completes, if nothing about them needs a closer look.

        They are content, and go on as they are; :meth:`feed` would come to the same in ten
        times the time.  Empty: nothing was done, and *data* is to be fed.
        """
        if not self.committed or self.over:
            return b""
        plain = self._parser.plain(data)
        if plain is None:
            return b""
        events, lines, count = plain
        if not self.inspector.follow(lines, count):
            return b""
        self._parser.skip(events, data)
        return events

    def end(self) -> Release:
        """What follows from the body's clean end."""
        release, out = Release(), bytearray()
        self._follow([] if self.over else self._parser.close(), out, release)
        release.data = bytes(out) + release.data
        if self.over:
            return release
        if self.inspector.expects_no_more:
            return self._close(release)
        return self._broken(release, self._early_end())

    def complete(self) -> Release:
        """The formal end, for a finished answer whose backend does not send it."""
        return Release() if self.over else self._close(Release())

    def _early_end(self) -> Problem:
        if self.begun:
            message = "the stream ended before the answer was whole"
            return Problem(Reason.INCOMPLETE, message, code="upstream_incomplete")
        return Problem(Reason.INVALID, "the stream ended without content")

    def _follow(self, events: list[ServerEvent], out: bytearray, release: Release) -> None:
        for event in events:
            if self.over:
                break
            self._one(event, self.inspector.see(event), out, release)

    def _one(self, event: ServerEvent, seen: Seen, out: bytearray, release: Release) -> None:
        if seen.kind is Kind.ERROR:
            self._broken(release, self.error_problem(seen.error))
        elif seen.kind is Kind.DIFFERENT:
            self._fail(release, _DIVERGED)
        elif seen.kind is Kind.MALFORMED:
            self._malformed(seen, release)
        elif seen.kind is Kind.DONE:
            self._formal_end(_passed(event, seen), out, release)
        else:
            self._pass_on(event, seen, out, release)

    def _malformed(self, seen: Seen, release: Release) -> None:
        release.dropped += 1
        if not seen.harmless:
            self._broken(release, Problem(Reason.INVALID, "an event of the stream is not JSON"))

    def _formal_end(self, end: bytes, out: bytearray, release: Release) -> None:
        if not self.inspector.finished:
            self._broken(release, self._early_end())
            return
        self._commit(out, release)
        out += self.postscript() + end
        self._done(release)

    def _pass_on(self, event: ServerEvent, seen: Seen, out: bytearray, release: Release) -> None:
        release.alive = True
        data = _passed(event, seen)
        if self.committed:
            out += data
        else:
            self._held += data
        if len(self._held) > self.hold_max:
            self._too_much(out, release)
        elif seen.kind is Kind.CONTENT:
            self._content(out, release)

    def _too_much(self, out: bytearray, release: Release) -> None:
        """So much is not held: without content it goes on, a whole answer is too large."""
        if self.whole:
            self._broken(release, Problem(Reason.INVALID, "the answer is over the limit"))
        else:
            self._commit(out, release)

    def _content(self, out: bytearray, release: Release) -> None:
        """Content came; where none of it is to go on yet, nothing is committed."""
        release.content = self.begun = True
        if self._held and not self.whole:
            self._commit(out, release)

    def _commit(self, out: bytearray, release: Release) -> None:
        self.committed = self.begun = release.content = True
        out += self._held
        self._held.clear()

    def _broken(self, release: Release, problem: Problem) -> Release:
        """It is broken; but what comes behind a finished answer takes nothing from it."""
        if self.inspector.expects_no_more:
            return self._close(release)
        return self._fail(release, problem)

    def _fail(self, release: Release, problem: Problem) -> Release:
        release.problem = problem
        self.over = True
        return release

    def _close(self, release: Release) -> Release:
        """End an answer that is whole, although its formal end did not come."""
        out = bytearray()
        self._commit(out, release)
        release.data += bytes(out) + self.postscript() + self.inspector.closing
        return self._done(release)

    def _done(self, release: Release) -> Release:
        release.done = True
        self.over = True
        return release


def _passed(event: ServerEvent, seen: Seen) -> bytes:
    """*event* as the client gets it."""
    return bearable(event) if seen.instead is None else seen.instead


def _behind(data: bytes, at: int) -> int:
    """Where the event ends that goes on at *at*."""
    end = data.find(b"\n\n", at)
    return len(data) if end < 0 else end + 2
