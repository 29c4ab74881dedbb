"""
Requests, written as bodies for Responses.

Nothing is kept by the backend (``store`` is false): who wants that asks it in this dialect
itself.  So its thoughts come back encrypted, and are asked for where the client wants the model
to think; models that do not think refuse to be asked for them.  A function is not strict unless
the client said so: here that is the default, elsewhere it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from yallmp.dialects.conversation import Format, Reasoning, Request, Thinking
from yallmp.dialects.loose import known
from yallmp.dialects.losses import Losses, Written
from yallmp.dialects.naming import named
from yallmp.dialects.responses_parts import NAME
from yallmp.dialects.responses_requests import LOGPROBS
from yallmp.dialects.responses_tools import ToolWriting
from yallmp.dialects.responses_turns import said_in

JSON = Any
Body = dict[str, JSON]
#: Members that mean the same in chat completions.
_SHARED = (
    "metadata", "moderation", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "safety_identifier", "service_tier",
)  # fmt: skip
_ENCRYPTED = "reasoning.encrypted_content"
#: Up to so many tokens of a budget are that effort.
_EFFORTS = ((4096, "low"), (16384, "medium"))


def body_of(request: Request) -> Written:
    """*request* as Responses have it, and what is not in it."""
    losses = Losses()
    return Written(_Writing(request, losses).body(), tuple(losses.paths))


@frozen
class _Writing:
    """Writes one request."""

    request: Request
    losses: Losses

    @property
    def _own(self) -> bool:
        return self.request.dialect == NAME

    def _note(self, what: str) -> None:
        self.losses.note(named(self.request.dialect, what))

    def body(self) -> Body:
        """All of it."""
        request = self.request
        said = said_in(request, self.losses)
        body: Body = {"model": request.model, **known(instructions=said.instructions)}
        body |= {"input": said.items, "store": False}
        body |= ToolWriting(request, self.losses).written()
        body |= self._limits() | self._texts() | self._reasoning() | self._included()
        if request.stream:
            body["stream"] = True
        return body | self._rest()

    def _limits(self) -> Body:
        request = self.request
        for what, lost in (
            ("stop", bool(request.stop)),
            ("top_k", request.top_k is not None),
            ("choices", (request.choices or 1) > 1),
        ):
            if lost:
                self._note(what)
        user = request.user
        if self._own and user == request.extra.get("safety_identifier"):
            user = None
        return known(
            parallel_tool_calls=request.parallel_calls if request.tools or self._own else None,
            max_output_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            user=user,
        )

    def _texts(self) -> Body:
        extra = self.request.extra
        more = extra.get("text") if self._own else None
        verbosity = extra.get("verbosity") if self.request.dialect == "chat" else None
        form = _form(self.request.format) if self.request.format is not None else None
        told = {**known(format=form, verbosity=verbosity), **(more or {})}
        return {"text": told} if told else {}

    def _reasoning(self) -> Body:
        thinking = self.request.thinking or Thinking()
        more = self.request.extra.get("reasoning") if self._own else None
        told = {**known(effort=self._effort(thinking), summary=_summary(thinking)), **(more or {})}
        return {"reasoning": told} if told else {}

    def _effort(self, thinking: Thinking) -> str | None:
        """The effort; a budget is one, roughly."""
        if thinking.enabled is False:
            self._note("thinking")
            return None
        if thinking.effort is not None or thinking.budget is None:
            return thinking.effort
        self._note("budget")
        return next((name for most, name in _EFFORTS if thinking.budget <= most), "high")

    def _included(self) -> Body:
        """What the answer is to tell beside the words."""
        request = self.request
        wanted = list(request.extra.get("include", ())) if self._own else []
        if not self._own and (_thinks(request.thinking) or _has_thoughts(request)):
            wanted.append(_ENCRYPTED)
        if not self._own and request.logprobs is not None:
            wanted.append(LOGPROBS)
        body = {"include": wanted} if wanted else {}
        return {**body, **known(top_logprobs=request.logprobs or None)}

    def _rest(self) -> Body:
        extra: Mapping[str, JSON] = self.request.extra
        taken = ("text", "reasoning", "include")
        if self._own:
            return {name: value for name, value in extra.items() if name not in taken}
        shared = _SHARED if self.request.dialect == "chat" else ()
        for name in extra:
            if name not in shared and not (name == "verbosity" and shared):
                self.losses.note(name)
        return {name: value for name, value in extra.items() if name in shared}


def _form(told: Format) -> Body:
    if told.kind != "json_schema":
        return {"type": told.kind}
    about = known(description=told.description, schema=told.schema, strict=told.strict)
    return {"type": told.kind, "name": told.name or "answer", **about}


def _summary(thinking: Thinking) -> str | None:
    """Whoever has the thoughts shown in another dialect gets them as a summary."""
    shown = thinking.enabled and thinking.display != "omitted"
    return thinking.summary or ("auto" if shown else None)


def _thinks(thinking: Thinking | None) -> bool:
    return thinking is not None and thinking.enabled is not False and thinking.effort != "none"


def _has_thoughts(request: Request) -> bool:
    """Whether the client brings back thoughts of this very kind."""
    return any(
        isinstance(part, Reasoning) and part.encrypted is not None and not part.redacted
        for turn in request.turns
        for part in turn.parts
    )
