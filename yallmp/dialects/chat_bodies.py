"""
Requests, written as bodies of chat completions.

The limit of an answer is ``max_tokens``, the older name, for servers of all kinds know it; a stream
is always to tell its usage, for other dialects tell it without being asked.  A custom tool of
another dialect is offered as a function (:mod:`yallmp.dialects.customs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from yallmp.dialects.chat_messages import Messages
from yallmp.dialects.conversation import Format, Request, Tool, ToolChoice
from yallmp.dialects.customs import as_function
from yallmp.dialects.loose import known
from yallmp.dialects.losses import Losses, Written
from yallmp.dialects.naming import named

JSON = Any
Body = dict[str, JSON]
_EFFORTS = {"max": "high"}


def body_of(request: Request) -> Written:
    """*request* as chat completions have it, and what is not in it."""
    losses = Losses()
    return Written(_Writing(request, losses).body(), tuple(losses.paths))


@frozen
class _Writing:
    """Writes one request."""

    request: Request
    losses: Losses

    @property
    def _own(self) -> bool:
        return self.request.dialect == "chat"

    def _note(self, what: str, member: str = "") -> None:
        self.losses.note(named(self.request.dialect, what, member))

    def body(self) -> Body:
        """All of it."""
        request = self.request
        messages = Messages(request, self.losses).written()
        body: Body = {"model": request.model, "messages": messages}
        body |= self._tools() | self._limits() | self._format() | self._thinking()
        if request.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body | self._rest()

    def _tools(self) -> Body:
        tools = [written for written in map(self._tool, self.request.tools) if written]
        choice = self._choice(self.request.tool_choice)
        body: Body = {"tools": tools} if tools else {}
        if choice is not None and (tools or self._own):
            body["tool_choice"] = choice
        if self.request.parallel_calls is not None and (tools or self._own):
            body["parallel_tool_calls"] = self.request.parallel_calls
        return body

    def _tool(self, tool: Tool) -> Body | None:
        if tool.kind != "function" and tool.dialect == "chat":
            return dict(tool.value)
        if tool.kind == "custom":
            return self._function(as_function(tool))
        if tool.kind == "function":
            return self._function(tool)
        self._note("tools[]", tool.kind)
        return None

    def _function(self, tool: Tool) -> Body:
        inner = known(
            name=tool.name,
            description=tool.description,
            parameters=tool.schema,
            strict=tool.strict,
        )
        written: Body = {"type": "function", "function": inner}
        if self._own:
            return written | known(cache_control=tool.cache) | dict(tool.extra)
        for name in (*tool.extra, *(("cache_control",) if tool.cache is not None else ())):
            self._note("tool", name)
        return written

    def _choice(self, choice: ToolChoice | None) -> JSON:
        if choice is None:
            return None
        if choice.kind in ("auto", "none", "required"):
            return choice.kind
        if choice.kind == "named":
            kind = "custom" if choice.custom and self._own else "function"
            return {"type": kind, kind: {"name": choice.name}}
        if choice.dialect == "chat":
            return choice.value
        self._note("tool_choice")
        return None

    def _limits(self) -> Body:
        request = self.request
        body = known(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k if self._own else None,
            n=request.choices,
            user=request.user,
        )
        if request.top_k is not None and not self._own:
            self._note("top_k")
        if request.stop:
            body["stop"] = list(request.stop)
        if request.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": request.logprobs}
        return body

    def _format(self) -> Body:
        told = self.request.format
        if told is None or (told.kind == "text" and not self._own):
            return {}
        if told.kind != "json_schema":
            return {"response_format": {"type": told.kind}}
        return {"response_format": {"type": told.kind, told.kind: _schema(told, own=self._own)}}

    def _thinking(self) -> Body:
        """The effort; a budget is only what chat itself brought."""
        told = self.request.thinking
        if told is None:
            return {}
        effort = told.effort if self._own else _EFFORTS.get(told.effort or "", told.effort)
        body = known(reasoning_effort=effort)
        if self._own and told.enabled is not None:
            kind = "adaptive" if told.adaptive else ("enabled" if told.enabled else "disabled")
            body["thinking"] = {"type": kind, **known(budget_tokens=told.budget)}
        elif not self._own:
            self._unthought(told)
        return body

    def _unthought(self, told: Any) -> None:
        for what in ("budget", "summary", "display"):
            if getattr(told, what) is not None:
                self._note(what)
        if told.enabled and told.effort is None and told.budget is None:
            self._note("thinking")

    def _rest(self) -> Body:
        extra: Mapping[str, JSON] = self.request.extra
        if self._own:
            return dict(extra)
        for name in extra:
            self.losses.note(name)
        return {}


def _schema(told: Format, *, own: bool) -> Body:
    name = told.name if told.name is not None or own else "answer"
    return known(name=name, description=told.description, schema=told.schema, strict=told.strict)
