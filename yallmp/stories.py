"""
One exchange under way, as its observer remembers it.

Which kind of story is told is decided at the beginning, by what is to become of it:
:class:`Story` remembers what failed, :class:`LoggedStory` is written into a request log as well.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field, frozen

from yallmp.core.escapes import escape_text
from yallmp.core.exchange import AttemptEnd, Begin, End, Event, Read, Routed
from yallmp.core.masking import Masker
from yallmp.core.record import record_name
from yallmp.core.recorded import utc
from yallmp.core.recordtext import RecordText
from yallmp.interfaces import IRecorder

#: Ends of attempts that are nobody's failure: whoever asked is gone, or we are.
_NO_FAILURE = (None, "cancelled")
#: How many rounds events wait for others; and the same where a log is kept for failures only.
WANTED, UNWANTED = 5, 10
#: The most bytes of answers that wait.
MOST_GATHERED = 64 * 1024


@frozen
class Desk:
    """
    What stories are written with.

    :ivar masker: gives the masker in force.
    """

    recorder: IRecorder
    masker: Callable[[], Masker]


@define(eq=False)
class Story:
    """
    An exchange that leaves an error log, if an attempt fails.

    :ivar model: the configured model that it led to, if it was forwarded.
    :ivar tries: its attempts that are over.
    """

    desk: Desk
    begin: Begin
    model: str | None = field(default=None, init=False)
    tries: list[AttemptEnd] = field(factory=list, init=False)
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
            self.tries.append(event)
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
    by the name that it has then.  They wait for a number of rounds, which somebody counts.
    """

    _text: RecordText = field(init=False)
    _waiting: list[Event] = field(factory=list, init=False)
    _gathered: int = field(default=0, init=False)
    _begun: str = field(default="", init=False)
    _rounds: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._text = RecordText(self.begin.bodies)
        self._waiting.append(self.begin)
        self._rounds = WANTED if self._is_kept else UNWANTED

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
            self._gather(event.body or b"")
        elif type(event) is Routed:
            self._look_at(event)

    def end(self, event: End) -> None:
        """It is over, and so is its log."""
        self._waiting.append(event)
        if self._is_kept or event.outcome != "success":
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
        recorder = self.desk.recorder
        if not self._begun:
            self._begun = self._name()
            recorder.begin(self._begun)
        data = self._taken()
        if data:
            recorder.append(self._begun, data)

    def _finish(self) -> None:
        if not self._begun:
            self.desk.recorder.whole(self._name(), self._taken())
            return
        self.desk.recorder.append(self._begun, self._taken())
        self.desk.recorder.finish(self._begun)

    def _gather(self, data: bytes) -> None:
        self._gathered += len(data)
        if self._gathered > MOST_GATHERED:
            self._write()

    def _taken(self) -> bytes:
        """The text of what has waited."""
        events, self._waiting, self._gathered = self._waiting, [], 0
        self._rounds = WANTED if self._is_kept else UNWANTED
        return self._text.add(events, self.desk.masker())
