"""
Whether, by whom and how a stream that broke can be made whole.

*By comparison*: another backend answers anew, and while what it says agrees with all that
the client has, nothing is sent (:class:`Agreement`).  *By prefill*: it is asked to go on
with the text, and one that begins anew instead is found out (:class:`Repetition`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any

from attrs import define, field

from yallmp.core.asked import CHAT, COMPLETIONS, Asked
from yallmp.core.backend import Backend, Patience
from yallmp.core.jsonbody import LONG
from yallmp.core.problems import Problem, Reason
from yallmp.core.routing import Route
from yallmp.core.transcript import Transcript
from yallmp.core.verdicts import TABLE

#: So many attempts are made in all to rescue one stream.
ATTEMPTS = 2
#: ``auto`` compares requests up to so many bytes, whatever they ask for.
CHEAP = 32 * 1024
#: Seconds until something new must come: at least, at most.
SOON, AT_LAST = 30.0, 120.0
#: So many characters of a continuation are looked at before any of it goes on.
LOOKED_AT = 200
#: An overlap of so many characters is no accident, nor is all of a text half as long.
OVERLAP = 16

_OVER = ("stream_lifetime_exceeded", "proxy_shutdown")
_UNLIKELY = (Reason.AT_FAULT, Reason.CONTENT_FILTER)
_LOCAL_TOOLS = ("function", "custom")
#: With these a continuation would not be what the answer would have been.
_BINDING = ("tools", "functions", "response_format", "stop", "max_tokens", "max_completion_tokens",
            "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs",
            "grammar", "json_schema")  # fmt: skip


def may_rescue(
    broken: Backend, problem: Problem, transcript: Transcript, asked: Asked, route: Route
) -> bool:
    """Whether a stream of *broken* that broke with *problem* after *transcript* may be told on."""
    if broken.stream_rescue == "off":
        return False
    leads_on = TABLE[problem.reason].next and problem.reason not in _UNLIKELY
    if not leads_on or problem.code in _OVER or route.bound:
        return False
    return transcript.plain and _is_plain(asked)


def _is_plain(asked: Asked) -> bool:
    """Whether nothing but text in one choice was asked for."""
    get = asked.document.glance
    told = asked.endpoint.dialect or asked.endpoint is COMPLETIONS
    if not told or asked.choices != 1:
        return False
    if get("logprobs") not in (None, False) or get("web_search_options") is not None:
        return False
    tools = get("tools")
    if tools is LONG:
        return False
    return not _speaks(asked) and all(map(_is_local, tools if isinstance(tools, list) else ()))


def _speaks(asked: Asked) -> bool:
    modalities = asked.document.glance("modalities")
    spoken = isinstance(modalities, list) and "audio" in modalities
    return spoken or bool(asked.document.glance("audio"))


def _is_local(tool: Any) -> bool:
    """Whether the client itself runs *tool*."""
    if not isinstance(tool, dict):
        return False
    return tool.get("type") in _LOCAL_TOOLS or ("type" not in tool and "input_schema" in tool)


def compares(broken: Backend, asked: Asked) -> bool:
    """Whether a stream of *broken* is worth another answer to compare with."""
    if broken.stream_rescue != "auto":
        return broken.stream_rescue == "on"
    get = asked.document.glance
    temperature = get("temperature")
    settled = temperature == 0 and temperature is not False
    return settled or get("seed") is not None or len(asked.document.body) <= CHEAP


def rescue_seconds(patience: Patience, took: float) -> float:
    """How long something new may take, after a stream that had taken *took* seconds."""
    explicit = patience.explicit("rescue_timeout")
    return max(SOON, min(AT_LAST, took)) if explicit is None else explicit


def rescuers(
    route: Route, broken: Collection[str], resting: Collection[str]
) -> tuple[Backend, ...]:
    """Whom to ask, in order: those that rest after the others, the *broken* last of all."""
    return tuple(sorted(route.legs, key=lambda b: (b.name in broken, b.name in resting)))


def prefills(
    backend: Backend, sends: str, sent_before: str, asked: Asked, transcript: Transcript
) -> bool:
    """
    Whether *backend* is to go on with the text, rather than to answer anew.

    :param sends: the model that it is asked for.
    :param sent_before: the model that the broken stream was of.
    """
    if backend.prefill == "off" or asked.endpoint is not CHAT or sends != sent_before:
        return False
    fields, given = transcript.fields, dict(backend.extra_body)
    shaped = any(asked.document.glance(name) or name in given for name in _BINDING)
    enough = set(fields) == {"content"} and len(fields["content"]) >= OVERLAP // 2
    return enough and not shaped and not _is_prefilled(asked)


def _is_prefilled(asked: Asked) -> bool:
    """Whether the client itself began the answer, or may have: long messages are not read."""
    messages = asked.document.glance("messages")
    if messages is LONG:
        return True
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") == "assistant"


def may_ever_rescue(broken: Backend, asked: Asked, route: Route) -> bool:
    """Whether it is worth keeping what a stream of *broken* says: it may be told on."""
    if broken.stream_rescue == "off" or route.bound or not _is_plain(asked):
        return False
    return compares(broken, asked) or any(leg.prefill != "off" for leg in route.legs)


class Said(Enum):
    """What a piece of an answer is beside what the client has."""

    KNOWN = "known"
    NEW = "new"
    DIFFERENT = "different"


@define
class Agreement:
    """
    Compares an answer, piece by piece, with what was delivered.

    :ivar delivered: the text of each field that the client has.
    """

    delivered: Mapping[str, str]
    _at: dict[str, int] = field(factory=dict)

    @property
    def covered(self) -> bool:
        """Whether all that was delivered has been said again."""
        return all(self._at.get(name, 0) >= len(text) for name, text in self.delivered.items())

    def hear(self, texts: Mapping[str, str]) -> tuple[Said, dict[str, str]]:
        """
        What one event is that says *texts*, by field; and what of them is new.

        Only once all is covered may something be new.
        """
        if self.covered:
            return (Said.NEW, dict(texts)) if any(texts.values()) else (Said.KNOWN, {})
        news = {name: self._news(name, text) for name, text in texts.items()}
        if None in news.values():
            return Said.DIFFERENT, {}
        new = {name: text for name, text in news.items() if text}
        if new and not self.covered:
            return Said.DIFFERENT, {}
        return (Said.NEW, new) if new else (Said.KNOWN, {})

    def _news(self, name: str, text: str) -> str | None:
        """What of *text* goes beyond what was delivered; ``None`` if it differs."""
        at = self._at.get(name, 0)
        known = self.delivered.get(name, "")[at : at + len(text)]
        if not text.startswith(known):
            return None
        self._at[name] = at + len(text)
        return text[len(known) :]


@define
class Repetition:
    """
    Watches the beginning of a continuation.

    :ivar delivered: the text that it is to go on with.
    """

    delivered: str
    held: str = ""
    passed: bool = False

    def hear(self, text: str, *, over: bool = False) -> tuple[Said, str]:
        """
        What *text* is, and what may go on now; *over* tells that nothing follows.

        A continuation of nothing is none: the backend took the text for a whole answer.
        """
        if self.passed:
            return Said.NEW, text
        self.held += text
        if over and not self.held.strip():
            return Said.DIFFERENT, ""
        if len(self.held) < LOOKED_AT and not over:
            return Said.KNOWN, ""
        self.passed = True
        if repeats(self.delivered, self.held[:LOOKED_AT]):
            return Said.DIFFERENT, ""
        return Said.NEW, self.held


def repeats(delivered: str, text: str) -> bool:
    """
    Whether *text* says the start, or the tail, of *delivered* again.

    White space in front is no difference: whoever begins anew may do so on a new line.
    """
    said, begun = text.lstrip(), delivered.lstrip()
    least = min(OVERLAP, len(begun), len(said))
    if least < OVERLAP // 2:
        return False
    return (
        begun.startswith(said[:least]) or _meets(begun, said, least) or _meets(begun, text, least)
    )


def _meets(delivered: str, text: str, least: int) -> bool:
    """Whether *text* begins with at least the last *least* characters of *delivered*."""
    most = min(len(delivered), len(text))
    return any(text.startswith(delivered[-size:]) for size in range(least, most + 1))
