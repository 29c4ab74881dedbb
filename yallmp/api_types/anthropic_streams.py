"""
Following streams of Messages: which event has content, which is an error, when all is said.

``message_start``, pings and blocks that are still empty say nothing; ``message_delta`` tells why
the answer ended, and ``message_stop`` ends the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from yallmp.api_types.openai_shapes import error_in
from yallmp.api_types.openai_streams import first_look, not_an_object, value_of
from yallmp.core.exchange import Usage
from yallmp.core.inspector import Kind, Seen
from yallmp.core.sse import ServerEvent, event_bytes
from yallmp.core.transcript import Transcript
from yallmp.dialects.loose import count, members, text
from yallmp.dialects.messages_usage import tokens_of

_EMPTY = Seen(Kind.EMPTY)
_CONTENT = Seen(Kind.CONTENT)
_DONE = Seen(Kind.DONE)


def usage_in(told: Mapping[str, Any]) -> Usage | None:
    """The usage that *told* is, all of the prompt counted."""
    tokens = tokens_of(told)
    if tokens is None:
        return None
    read, wrote = tokens.input, tokens.output
    total = None if read is None or wrote is None else read + wrote
    return Usage(read, wrote, total, tokens.cached)


@define
class MessageStream:
    """
    A stream of Messages.

    What was said can be gone on with as long as it is text: thoughts are signed as a whole.
    """

    finished: bool = False
    finish_reason: str | None = None
    closing: bytes = event_bytes(b'{"type": "message_stop"}', b"message_stop")
    transcript: Transcript = field(factory=Transcript)
    _usage: dict[str, Any] = field(factory=dict)
    _calling: bool = False

    @property
    def expects_no_more(self) -> bool:
        """Why the answer ended was told."""
        return self.finished

    @property
    def usage(self) -> Usage | None:
        """The usage as it was told last."""
        return usage_in(self._usage)

    def follow(self, lines: bytes, count: int) -> bool:
        """No event is usual: each has its name."""
        return False

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is."""
        look = first_look(event)
        if look is not None:
            return look
        value = value_of(event)
        if not isinstance(value, dict):
            return not_an_object(event, self._calling)
        error = error_in(value, event.name)
        if error is not None:
            return Seen(Kind.ERROR, error)
        kind = value.get("type") or event.name.decode("latin-1")
        known = _EVENTS.get(kind) if isinstance(kind, str) else None
        return _CONTENT if known is None else known(self, value)

    def began(self, value: Mapping[str, Any]) -> Seen:
        """The message began."""
        message = members(value.get("message"))
        self.transcript.id = text(message.get("id")) or None
        self._usage.update(members(message.get("usage")))
        return _EMPTY

    def opened(self, value: Mapping[str, Any]) -> Seen:
        """A block began."""
        block, at = members(value.get("content_block")), count(value.get("index")) or 0
        kind = text(block.get("type"))
        self.transcript.plain = self.transcript.plain and kind == "text"
        self.transcript.place = {"open": at, "kind": kind, "next": at + 1}
        self._calling = kind == "tool_use"
        said = text(block.get("text")) or text(block.get("thinking"))
        self._note(text(block.get("text")))
        return _CONTENT if said or kind not in ("text", "thinking") else _EMPTY

    def told(self, value: Mapping[str, Any]) -> Seen:
        """More of a block."""
        delta = members(value.get("delta"))
        if delta.get("type") == "text_delta":
            self._note(text(delta.get("text")))
        else:
            self.transcript.plain = False
        return _CONTENT

    def closed(self, value: Mapping[str, Any]) -> Seen:
        """A block ended."""
        self._calling = False
        place = self.transcript.place
        if isinstance(place, dict):
            self.transcript.place = {**place, "kind": ""}
        return _EMPTY

    def ending(self, value: Mapping[str, Any]) -> Seen:
        """Why the answer ended."""
        told = members(value.get("usage"))
        self._usage.update({name: each for name, each in told.items() if each is not None})
        reason = members(value.get("delta")).get("stop_reason")
        if reason:
            self.finished = True
            self.finish_reason = reason if isinstance(reason, str) else "unknown"
        return _CONTENT

    def over(self, value: Mapping[str, Any]) -> Seen:
        """The formal end."""
        return _DONE

    def _note(self, said: str) -> None:
        if self.transcript.plain:
            self.transcript.add("content", said)


_EVENTS: Mapping[str, Callable[[MessageStream, Mapping[str, Any]], Seen]] = {
    "message_start": MessageStream.began,
    "content_block_start": MessageStream.opened,
    "content_block_delta": MessageStream.told,
    "content_block_stop": MessageStream.closed,
    "message_delta": MessageStream.ending,
    "message_stop": MessageStream.over,
}
