"""
Following OpenAI's streams: which event has content, which is an error, when all is said.

Chat completions and completions send chunks with ``choices``; each choice ends with a
``finish_reason``, usage may follow in a chunk without choices, and ``[DONE]`` ends the
stream.  Responses sends typed events; ``response.completed``, ``.incomplete`` or
``.failed`` ends it.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from yallmp.api_types.openai_chunks import usual_chunks
from yallmp.api_types.openai_shapes import error_in, usage_of
from yallmp.core.digits import loads
from yallmp.core.exchange import Usage
from yallmp.core.inspector import Kind, Seen
from yallmp.core.sse import ServerEvent, event_bytes
from yallmp.core.transcript import Transcript

_EMPTY = Seen(Kind.EMPTY)
_CONTENT = Seen(Kind.CONTENT)
_DONE = Seen(Kind.DONE)
#: What a line that is not JSON may not contain, if it is to be harmless.
_TELLTALES = (b'"delta"', b'"content"', b'"arguments"', b'"text"')
_PING = "ping"
#: Fields of a delta that are text of the answer.
_SPOKEN = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
_BEGINNINGS = {"response.created", "response.in_progress", "response.queued", _PING}
_ENDINGS = {"response.completed", "response.incomplete"}


def value_of(event: ServerEvent) -> Any:
    """The JSON in *event*, or ``None``."""
    try:
        return loads(event.data or b"")
    except (ValueError, RecursionError):
        return None


def not_an_object(event: ServerEvent, tool_call_open: bool) -> Seen:
    """What an event is whose data is no JSON object."""
    if event.name == b"error":
        return _plain_error(event)
    telling = any(word in event.raw for word in _TELLTALES)
    return Seen(Kind.MALFORMED, harmless=not telling and not tool_call_open)


def _plain_error(event: ServerEvent) -> Seen:
    text = (event.data or b"").decode("utf-8", "replace").strip()
    return Seen(Kind.ERROR, {"message": text or "the backend sent an error event"})


def first_look(event: ServerEvent) -> Seen | None:
    """What an event is that does not need parsing."""
    if event.data is None:
        return _plain_error(event) if event.name == b"error" else _EMPTY
    return _EMPTY if event.name == _PING.encode() else None


@define
class ChoiceStream:
    """
    A stream of chunks with ``choices``.

    :ivar choices: how many the client asked for: without ``[DONE]`` the answer is whole
        when that many have their ``finish_reason``.
    """

    choices: int = 1
    finish_reason: str | None = None
    usage: Usage | None = None
    closing: bytes = event_bytes(b"[DONE]")
    transcript: Transcript = field(factory=Transcript)
    _seen: set[int] = field(factory=set)
    _ended: set[int] = field(factory=set)
    _calling: set[int] = field(factory=set)

    @property
    def finished(self) -> bool:
        """Every choice that was seen has its ``finish_reason``, and there is at least one."""
        return bool(self._ended) and self._seen <= self._ended

    @property
    def expects_no_more(self) -> bool:
        """All choices that were asked for are finished; only usage and ``[DONE]`` may come."""
        return self.finished and len(self._ended) >= self.choices

    def see(self, event: ServerEvent) -> Seen:
        """What *event* is."""
        look = first_look(event)
        if look is not None:
            return look
        if (event.data or b"").strip() == b"[DONE]":
            return _DONE
        chunk = value_of(event)
        if not isinstance(chunk, dict):
            return not_an_object(event, tool_call_open=bool(self._calling))
        error = error_in(chunk, event.name)
        return self._chunk(chunk) if error is None else Seen(Kind.ERROR, error)

    def follow(self, lines: bytes, count: int) -> bool:
        """Take note of the usual chunks of *lines*, if they are *count* and say something."""
        usual = usual_chunks(lines, count)
        if usual is None:
            return False
        chunks, said = usual
        self._seen.add(0)
        transcript = self.transcript
        if transcript.plain:
            if transcript.id is None:
                transcript.id = next((chunk.id for chunk in chunks if chunk.id is not None), None)
            for name, text in said:
                transcript.add(name, text)
        return True

    def _chunk(self, chunk: dict[str, Any]) -> Seen:
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return self._other(chunk)
        self.usage = usage_of(chunk) or self.usage
        if not choices:
            return _CONTENT if chunk.get("usage") is not None else _EMPTY
        content = [self._choice(choice) for choice in choices]
        self._note(chunk, choices)
        return _CONTENT if any(content) else _EMPTY

    def _other(self, chunk: dict[str, Any]) -> Seen:
        """A chunk without choices: a ping, or something that nobody can go on with."""
        if chunk.get("type") == _PING:
            return _EMPTY
        self.transcript.keep(False)
        return _CONTENT

    def _note(self, chunk: dict[str, Any], choices: list[Any]) -> None:
        """Keep what was said, as long as another answer could go on with it."""
        transcript = self.transcript
        if not transcript.plain:
            return
        if transcript.id is None and isinstance(chunk.get("id"), str):
            transcript.id = chunk["id"]
        if len(choices) != 1 or not is_text(choices[0]):
            transcript.plain = False
            return
        for name, text in said_in(chunk).items():
            transcript.add(name, text)

    def _choice(self, choice: Any) -> bool:
        """Take note of one choice; whether it has content."""
        if not isinstance(choice, dict):
            return True
        index = choice.get("index")
        number = index if isinstance(index, int) else 0
        self._seen.add(number)
        if _calls_tool(choice.get("delta")):
            self._calling.add(number)
        reason = choice.get("finish_reason")
        if reason:
            self._end(number, reason if isinstance(reason, str) else "unknown")
        return bool(reason) or _says_something(choice)

    def _end(self, number: int, reason: str) -> None:
        self.finish_reason = reason
        self._ended.add(number)
        self._calling.discard(number)


def is_text(choice: Any) -> bool:
    """Whether *choice* is the only one and says nothing but text."""
    if not isinstance(choice, dict) or choice.get("index", 0) != 0:
        return False
    if choice.get("logprobs") is not None or not isinstance(choice.get("text"), str | None):
        return False
    delta = choice.get("delta")
    if delta is None:
        return choice.get("message") is None
    return isinstance(delta, dict) and all(
        (name in _SPOKEN and isinstance(value, str)) or name == "role" or not value
        for name, value in delta.items()
    )


def said_in(chunk: dict[str, Any]) -> dict[str, str]:
    """The texts of *chunk*, whose choice is one of text, by field."""
    found: dict[str, str] = {}
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            found.update(_texts(choice))
    return found


def _texts(choice: dict[str, Any]) -> dict[str, str]:
    delta = choice.get("delta")
    said = delta if isinstance(delta, dict) else {}
    found = {k: v for k, v in said.items() if k in _SPOKEN and isinstance(v, str) and v}
    text = choice.get("text")
    return {**found, "text": text} if isinstance(text, str) and text else found


def _says_something(choice: dict[str, Any]) -> bool:
    """Whether a choice has content: a text, or a delta or message that is not only a role."""
    said = [choice[key] for key in ("delta", "message") if choice.get(key) is not None]
    return bool(choice.get("text")) or any(map(_beyond_role, said))


def _beyond_role(said: Any) -> bool:
    return not isinstance(said, dict) or any(v for k, v in said.items() if k != "role")


def _calls_tool(delta: Any) -> bool:
    return isinstance(delta, dict) and bool(delta.get("tool_calls") or delta.get("function_call"))


@define
class ResponseStream:
    """A stream of the Responses API."""

    finished: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    closing: bytes = b""
    transcript: Transcript = field(factory=lambda: Transcript(plain=False))
    _calling: bool = False

    @property
    def expects_no_more(self) -> bool:
        """The event that ends the response came."""
        return self.finished

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
        return self._typed(kind, value) if isinstance(kind, str) else _CONTENT

    def _typed(self, kind: str, value: dict[str, Any]) -> Seen:
        if kind in _BEGINNINGS:
            return _EMPTY
        if kind in _ENDINGS:
            response = value.get("response")
            self.finished = True
            self.finish_reason = kind.removeprefix("response.")
            self.usage = usage_of(response) if isinstance(response, dict) else None
            return _DONE
        self._calling = _still_calling(self._calling, kind, value.get("item"))
        return _CONTENT


def _still_calling(before: bool, kind: str, item: Any) -> bool:
    """Whether a tool call is open behind an event of *kind* about *item*."""
    if kind.startswith("response.output_item."):
        what = item.get("type") if isinstance(item, dict) else None
        return kind.endswith(".added") and isinstance(what, str) and what.endswith("_call")
    return before or kind.endswith("arguments.delta")
