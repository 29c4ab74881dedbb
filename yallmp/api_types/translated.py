"""
Streams whose events are passed on in another dialect.

An inspector of the backend's dialect says what each event is, as for any stream; a reader makes
deltas of it, a writer of the client's dialect writes those.  A :class:`Following` does the same
for an answer that goes on with another one: it writes only what the client does not have yet.
"""

from __future__ import annotations

from attrs import define, evolve, field

from yallmp.core.exchange import Usage
from yallmp.core.inspector import Inspector, Kind, Seen
from yallmp.core.rescue import Agreement, Repetition, Said
from yallmp.core.sse import ServerEvent, comment_bytes
from yallmp.core.transcript import Transcript
from yallmp.dialects.answer import (
    Began,
    Delta,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    Stopped,
    TextDelta,
    Told,
)
from yallmp.interfaces import Reader, Writer

_DIFFERENT = Seen(Kind.DIFFERENT)
_PING = comment_bytes(b"ping")
Spoken = TextDelta | ReasoningDelta | RefusalDelta
_SPOKEN = {TextDelta: "content", ReasoningDelta: "reasoning_content", RefusalDelta: "refusal"}
#: What says nothing that another answer would have to say again.
_SILENT = (Began, ReasoningEnd, Stopped, Told)


def field_of(delta: Delta) -> str | None:
    """The field of a transcript that the text of *delta* belongs to, if it is text."""
    return _SPOKEN.get(type(delta))


def is_plain(delta: Delta) -> bool:
    """Whether another answer could go on behind *delta*."""
    if isinstance(delta, TextDelta):
        return delta.choice == 0 and not delta.logprobs
    return field_of(delta) is not None or isinstance(delta, _SILENT)


@define
class TranslatedStream:
    """
    A stream of the backend's, passed on as one of the client's.

    :ivar inner: looks at the backend's events.
    """

    inner: Inspector
    reader: Reader
    writer: Writer
    transcript: Transcript = field(factory=Transcript)
    _ended: bool = False

    @property
    def finished(self) -> bool:
        """Whether the formal end, if it comes now, ends a whole answer."""
        return self.inner.finished

    @property
    def expects_no_more(self) -> bool:
        """Whether the answer is whole even if its formal end never comes."""
        return self.inner.expects_no_more

    @property
    def finish_reason(self) -> str | None:
        """The last finish reason that was seen, in the backend's words."""
        return self.inner.finish_reason

    @property
    def usage(self) -> Usage | None:
        """The token usage that was told."""
        return self.inner.usage

    @property
    def closing(self) -> bytes:
        """The formal end in the client's dialect, for a backend that leaves its own out."""
        return self._end()

    def follow(self, lines: bytes, count: int) -> bool:
        """No event is usual: each is written anew."""
        return False

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is, and what of it goes on."""
        seen = self.inner.see(event)
        if seen.kind not in (Kind.EMPTY, Kind.CONTENT, Kind.DONE):
            return seen
        data = b"".join(map(self._written, self.reader.read(event)))
        if seen.kind is Kind.DONE:
            data += self._end() if self.inner.finished else b""
        elif seen.kind is Kind.EMPTY and not data:
            data = event.raw if event.data is None and not event.name else _PING
        return evolve(seen, instead=data)

    def _written(self, delta: Delta) -> bytes:
        transcript = self.transcript
        if transcript.plain:
            note(transcript, delta, self.writer)
        return self.writer.write(delta)

    def _end(self) -> bytes:
        ended, self._ended = self._ended, True
        return b"" if ended else self.writer.end()


def note(transcript: Transcript, delta: Delta, writer: Writer) -> None:
    """Keep what *delta* says, as long as another answer could go on with it."""
    name = field_of(delta)
    transcript.plain = is_plain(delta)
    transcript.place, transcript.id = writer, writer.id
    if name is not None and isinstance(delta, TextDelta | ReasoningDelta | RefusalDelta):
        transcript.add(name, delta.text)


@define
class Following:
    """
    An answer that goes on with what the client has of another one.

    Until all of that was said again, or (for a continuation) until it is clear that it really goes
    on, nothing of it passes; what must not pass is never written.

    :ivar writer: stands where the client's stream stands.
    :ivar beside: compares the answer with what was delivered, or watches how it begins.
    """

    inner: Inspector
    reader: Reader
    writer: Writer
    delivered: Transcript
    beside: Agreement | Repetition
    transcript: Transcript = field(init=False)
    _flows: bool = False
    _ended: bool = False

    def __attrs_post_init__(self) -> None:
        self.transcript = self.delivered.copy()
        self.transcript.place = self.writer

    @property
    def finished(self) -> bool:
        """It goes on, or has said all again, and is whole."""
        return self._may_flow and self.inner.finished

    @property
    def expects_no_more(self) -> bool:
        """The same, even if its formal end never comes."""
        return self._may_flow and self.inner.expects_no_more

    @property
    def finish_reason(self) -> str | None:
        """The last finish reason that was seen, in the backend's words."""
        return self.inner.finish_reason

    @property
    def usage(self) -> Usage | None:
        """The token usage that was told."""
        return self.inner.usage

    @property
    def closing(self) -> bytes:
        """The formal end in the client's dialect."""
        return self._end()

    @property
    def _may_flow(self) -> bool:
        return self._flows or (isinstance(self.beside, Agreement) and self.beside.covered)

    def follow(self, lines: bytes, count: int) -> bool:
        """No event is usual: each is compared, and written anew."""
        return False

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is, and what of it is new."""
        seen = self.inner.see(event)
        if seen.kind not in (Kind.EMPTY, Kind.CONTENT, Kind.DONE):
            return seen
        data = b""
        for delta in self.reader.read(event):
            new = self._new(delta)
            if new is None:
                return _DIFFERENT
            data += b"".join(map(self._written, new))
        if seen.kind is Kind.DONE and self.finished:
            data += self._end()
        return evolve(seen, instead=data)

    def _new(self, delta: Delta) -> tuple[Delta, ...] | None:
        """What of *delta* the client is to have; ``None`` if the answer is another one."""
        if isinstance(delta, Began):
            return ()
        if isinstance(delta, Told):
            return (delta,) if isinstance(self.beside, Agreement) else ()
        if self._flows:
            return (delta,)
        if isinstance(delta, TextDelta | ReasoningDelta | RefusalDelta):
            return self._compared(delta)
        if isinstance(delta, ReasoningEnd):
            return ()
        return self._behind_text(delta)

    def _compared(
        self, delta: TextDelta | ReasoningDelta | RefusalDelta
    ) -> tuple[Delta, ...] | None:
        if not is_plain(delta):
            return None
        said, text = self._heard(self._field(delta), delta.text)
        if said is Said.DIFFERENT:
            return None
        if said is Said.KNOWN:
            return ()
        self._flows = True
        new = evolve(delta, text=text)
        return (new if isinstance(new, RefusalDelta) else evolve(new, fresh=False),)

    def _field(self, delta: Delta) -> str:
        """The field that the client has it in: reasoning has two names in chat completions."""
        name, had = field_of(delta) or "", self.delivered.fields
        renamed = name == "reasoning_content" and name not in had and "reasoning" in had
        return "reasoning" if renamed else name

    def _heard(self, name: str, text: str) -> tuple[Said, str]:
        if isinstance(self.beside, Agreement):
            said, new = self.beside.hear({name: text})
            return said, new.get(name, "")
        return self.beside.hear(text) if name == "content" else (Said.DIFFERENT, "")

    def _behind_text(self, delta: Delta) -> tuple[Delta, ...] | None:
        """What comes behind all text: the end, or what cannot be compared."""
        if self._may_flow:
            self._flows = True
            return (delta,)
        if isinstance(self.beside, Agreement) or not isinstance(delta, Stopped):
            return None
        said, text = self.beside.hear("", over=True)
        self._flows = said is Said.NEW
        return (TextDelta(text), delta) if self._flows else None

    def _written(self, delta: Delta) -> bytes:
        if self._flows and self.transcript.plain:
            note(self.transcript, delta, self.writer)
        return self.writer.write(delta)

    def _end(self) -> bytes:
        ended, self._ended = self._ended, True
        return b"" if ended else self.writer.end()
