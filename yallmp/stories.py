"""
One exchange under way, as its observer remembers it.

Which kind of story is told is decided at the beginning, by what is to become of it:
:class:`Story` remembers what failed, :class:`LoggedStory` is written into a request log as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from yallmp.clerk_process import NotRead
from yallmp.core.escapes import escape_text
from yallmp.core.exchange import Attempt, AttemptEnd, Begin, End, Event, Read, Routed
from yallmp.core.masked import NOT_SEARCHED, Mask
from yallmp.core.masking import Masker
from yallmp.core.record import record_name
from yallmp.core.recorded import utc
from yallmp.core.recordtext import RecordText
from yallmp.core.work import LARGE
from yallmp.interfaces import IClerk, IRecorder

#: Ends of attempts that are nobody's failure: whoever asked is gone, or we are.
_NO_FAILURE = (None, "cancelled")
#: How many rounds events wait for others; and the same where a log is kept for failures only.
WANTED, UNWANTED = 5, 10
#: The most bytes of answers that wait.
MOST_GATHERED = 64 * 1024
_log = Logger()


@frozen
class Desk:
    """
    What stories are written with.

    :ivar masker: gives the masker in force.
    :ivar clerk: searches large bodies for secrets.
    """

    recorder: IRecorder
    masker: Callable[[], Masker]
    clerk: IClerk


@define(eq=False)
class Story:
    """
    An exchange that leaves an error log, if an attempt fails.

    :ivar model: the configured model that it led to, if it was forwarded.
    :ivar tries: its attempts that are over.
    :ivar is_searching: whether something is not written yet, although all may be over.
    """

    desk: Desk
    begin: Begin
    model: str | None = field(default=None, init=False)
    tries: tuple[AttemptEnd, ...] = field(default=(), init=False)
    is_searching: bool = field(default=False, init=False)
    _failures: list[AttemptEnd] = field(factory=list, init=False)

    def add(self, event: Event) -> None:
        """*event* happened, neither the first nor the last."""
        kind = type(event)
        if kind is AttemptEnd or kind is Routed:
            self._look_at(event)

    def round_over(self) -> None:
        """A moment has passed."""

    def end(self, event: End) -> None:
        """It is over."""
        if self._failures:
            self._tell_failures(self._name(), "none")

    def _look_at(self, event: Event) -> None:
        if isinstance(event, Routed):
            self.model = event.model
        elif isinstance(event, AttemptEnd):
            self.tries += (event,)
            if event.error not in _NO_FAILURE:
                self._failures.append(event)

    def _name(self) -> str:
        return record_name(self.begin, self.desk.masker())

    def _tell_failures(self, name: str, log: str) -> None:
        """Write the error log: a block for each failure."""
        model = self.begin.model or self.model
        told = [_block(self.begin.time, model, failure, log) for failure in self._failures]
        masker = self.desk.masker()
        self.desk.recorder.error(name, b"\n".join([_block_text(block, masker) for block in told]))


def _block(time: float, model: str | None, failure: AttemptEnd, log: str) -> dict[str, object]:
    return {
        "timestamp": utc(time + failure.at / 1000),
        "id": failure.id,
        "model": model,
        "backend": failure.backend,
        "attempt": failure.number,
        "error": failure.error,
        "status": failure.status,
        "message": failure.message,
        "log": log,
    }


def _block_text(block: dict[str, object], masker: Masker) -> bytes:
    return "".join([f"{key}={_one_line(value, masker)}\n" for key, value in block.items()]).encode()


def _one_line(value: object, masker: Masker) -> str:
    """*value* without secrets and line breaks; a dash if there is none."""
    return "-" if value is None else escape_text(masker.mask_text(str(value)))


@define(eq=False)
class LoggedStory(Story):
    """
    An exchange that is written into a request log, or into none if it goes well (``errors``).

    Its events wait until there is a reason to write them down; the recorder knows its log
    by the name that it has then.  They wait for a number of rounds, which somebody counts, and
    where there is a large body among them until that has been searched for secrets.
    """

    _text: RecordText = field(init=False)
    _waiting: list[Event] = field(factory=list, init=False)
    _gathered: int = field(default=0, init=False)
    _begun: str = field(default="", init=False)
    _rounds: int = field(init=False)
    _outcome: str | None = field(default=None, init=False)
    _large: list[Any] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._text = RecordText(self.begin.bodies)
        self._waiting.append(self.begin)
        self._rounds = WANTED if self._is_kept else UNWANTED
        if len(self.begin.body) > LARGE:
            self._large.append(self.begin)

    @property
    def _is_kept(self) -> bool:
        return self.begin.keep == "on" or bool(self._failures)

    def add(self, event: Event) -> None:
        """*event* happened, neither the first nor the last."""
        self._waiting.append(event)
        if type(event) is Read:
            self._gather(event.data)
        elif type(event) is AttemptEnd:
            self._look_at(event)
            if event.body is not None:
                self._note_body(event, event.body)
        elif type(event) is Routed:
            self._look_at(event)
        elif type(event) is Attempt and event.body is not None:
            self._note_body(event, event.body)

    def end(self, event: End) -> None:
        """It is over, and so is its log."""
        self._waiting.append(event)
        self._outcome = event.outcome
        self._close()

    def _close(self) -> None:
        """Write down what there is, and that it is all, as soon as that can be done."""
        if self._is_kept or self._outcome != "success":
            if self._must_wait():
                return
            self._finish()
        elif self._begun:
            self.desk.recorder.discard(self._begun)
        self._waiting = []
        if self._failures:
            name = self._begun or self._name()
            self._tell_failures(name, f"{name}.log")

    def round_over(self) -> None:
        """Write down what has waited for long enough."""
        if self._waiting:
            self._rounds -= 1
            if not self._rounds:
                self._write()

    def _write(self) -> None:
        """Write down what has waited; there will be more."""
        self._rounds = WANTED if self._is_kept else UNWANTED
        if not self._must_wait():
            self._append(self._taken())

    def _append(self, data: bytes) -> None:
        recorder = self.desk.recorder
        if not self._begun:
            self._begun = self._name()
            recorder.begin(self._begun)
        if data:
            recorder.append(self._begun, data)

    def _finish(self) -> None:
        if not self._begun:
            self.desk.recorder.whole(self._name(), self._taken())
            return
        self.desk.recorder.append(self._begun, self._taken())
        self.desk.recorder.finish(self._begun)

    def _note_body(self, event: Event, body: bytes) -> None:
        if len(body) > LARGE:
            self._large.append(event)
        self._gather(body)

    def _must_wait(self) -> bool:
        """Whether large bodies have to be searched first; then what had to wait goes on."""
        if self.is_searching or not self._large:
            return self.is_searching
        events, self._large = self._large, []
        work, clerk = Mask(self.desk.masker().known), self.desk.clerk
        searches = [clerk.ask(work, each.body).addBoth(self._searched, each) for each in events]
        if all(search.called for search in searches):
            return False
        self.is_searching = True
        DeferredList(searches).addCallback(self._go_on).addErrback(self._failed)
        return True

    def _searched(self, masked: bytes | Failure | None, event: Any) -> None:
        """What is shown of the body of *event*."""
        if isinstance(masked, Failure):
            self._say_unsearched(masked)
            masked = NOT_SEARCHED
        self._text.masked[id(event)] = event.body if masked is None else masked

    def _say_unsearched(self, failure: Failure) -> None:
        if failure.check(NotRead):
            why = failure.getErrorMessage()
            _log.error("a body of {id} is not in its record: {why}", id=self.begin.id, why=why)
        else:
            _log.failure("a body of {id} is not in its record", failure, id=self.begin.id)

    def _go_on(self, _: object) -> None:
        self.is_searching = False
        if self._outcome is None:
            self._write()
        else:
            self._close()

    def _failed(self, failure: Failure) -> None:
        _log.failure("events of {id} were not written down", failure, id=self.begin.id)

    def _gather(self, data: bytes) -> None:
        self._gathered += len(data)
        if self._gathered > MOST_GATHERED:
            self._write()

    def _taken(self) -> bytes:
        """The text of what has waited."""
        events, self._waiting, self._gathered = self._waiting, [], 0
        self._rounds = WANTED if self._is_kept else UNWANTED
        return self._text.add(events, self.desk.masker())
