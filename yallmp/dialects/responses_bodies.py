"""
Requests, written as bodies of Responses.

Nothing is to be kept by the provider (``store: false``), for a client of another dialect could not
refer to it; what the model thought is asked for in the form in which it can be brought back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from yallmp.dialects.conversation import (
    Part,
    Reasoning,
    Request,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from yallmp.dialects.loose import known
from yallmp.dialects.losses import Losses, Written
from yallmp.dialects.naming import named, part_named
from yallmp.dialects.responses_parts import NAME, noted, written

JSON = Any
Body = dict[str, JSON]
_EFFORTS = {"max": "xhigh"}
_LOST = ("top_k", "stop", "choices", "logprobs")


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

    def _note(self, what: str, member: str = "") -> None:
        self.losses.note(named(self.request.dialect, what, member))

    def body(self) -> Body:
        """All of it."""
        request = self.request
        body: Body = {"model": request.model}
        items = [item for turn in request.turns for item in self._items(turn)]
        body |= {"input": items, **self._tools()}
        body |= known(
            max_output_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            user=request.user,
        )
        body |= self._format() | self._thinking()
        if request.stream:
            body["stream"] = True
        return body | self._rest()

    def _items(self, turn: Turn) -> Iterator[Body]:
        said: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Reasoning | ToolCall | ToolResult):
                yield from self._message(turn, said)
                said = []
                yield from self._item(turn, part)
            else:
                said.append(part)
        yield from self._message(turn, said)

    def _message(self, turn: Turn, parts: list[Part]) -> Iterator[Body]:
        assistant = turn.role == "assistant"
        content = []
        for part in parts:
            path = part_named(self.request.dialect, turn, part)
            value = written(part, assistant=assistant, own=self._own, path=path, losses=self.losses)
            content += [] if value is None else [value]
        if content:
            yield {"type": "message", "role": turn.role, "content": content}

    def _item(self, turn: Turn, part: Reasoning | ToolCall | ToolResult) -> Iterator[Body]:
        path = part_named(self.request.dialect, turn, part)
        if isinstance(part, ToolCall):
            yield self._call(part, path)
        elif isinstance(part, ToolResult):
            yield self._result(part, path)
        elif part.encrypted and not part.redacted:
            summary = [{"type": "summary_text", "text": each} for each in part.summary]
            hidden = {"encrypted_content": part.encrypted, **known(id=part.id)}
            yield {"type": "reasoning", "summary": summary, **hidden}
        else:
            self.losses.note(path)

    def _call(self, call: ToolCall, path: str) -> Body:
        noted(call, self._own, path, self.losses)
        head = {"call_id": call.id, "name": call.name}
        if call.custom:
            return {"type": "custom_tool_call", **head, "input": call.arguments}
        return {"type": "function_call", **head, "arguments": call.arguments or "{}"}

    def _result(self, result: ToolResult, path: str) -> Body:
        noted(result, self._own, path, self.losses)
        if result.failed:
            self.losses.note(f"{path}.is_error")
        parts = [
            written(part, assistant=False, own=self._own, path=path, losses=self.losses)
            for part in result.parts
        ]
        kept = [part for part in parts if part is not None]
        plain = len(kept) == 1 and kept[0].keys() == {"type", "text"}
        kind = "custom_tool_call_output" if result.custom else "function_call_output"
        output = kept[0]["text"] if plain else (kept or "")
        return {"type": kind, "call_id": result.id, "output": output}

    def _tools(self) -> Body:
        request = self.request
        tools = [tool for tool in map(self._tool, request.tools) if tool is not None]
        body: Body = {"tools": tools} if tools else {}
        choice = request.tool_choice
        if choice is not None and choice.kind == "own":
            body |= {"tool_choice": choice.value} if choice.dialect == NAME else {}
            if choice.dialect != NAME:
                self._note("tool_choice")
        elif choice is not None and (tools or self._own):
            kind = "custom" if choice.custom else "function"
            named_one = {"type": kind, "name": choice.name}
            body["tool_choice"] = named_one if choice.kind == "named" else choice.kind
        if request.parallel_calls is not None and (tools or self._own):
            body["parallel_tool_calls"] = request.parallel_calls
        return body

    def _tool(self, tool: Tool) -> Body | None:
        if tool.kind != "function" and tool.dialect == NAME:
            return dict(tool.value)
        if tool.kind == "custom" and tool.dialect == "chat":
            inner = tool.value.get("custom")
            return {"type": "custom", **(inner if isinstance(inner, dict) else {})}
        if tool.kind != "function":
            self._note("tools[]", tool.kind)
            return None
        noted(tool, self._own, named(self.request.dialect, "tool"), self.losses)
        described = known(description=tool.description)
        schema = {"parameters": tool.schema, "strict": tool.strict or False}
        return {"type": "function", "name": tool.name, **described, **schema}

    def _format(self) -> Body:
        told = self.request.format
        if told is None:
            return {}
        form: Body = {"type": told.kind}
        if told.kind == "json_schema":
            form |= {"name": told.name or "answer", "schema": told.schema}
            form |= known(strict=told.strict, description=told.description)
        return {"text": {"format": form}}

    def _thinking(self) -> Body:
        told = self.request.thinking
        if told is None:
            return {}
        for what in ("budget", "display"):
            if getattr(told, what) is not None:
                self._note(what)
        effort = _EFFORTS.get(told.effort or "", told.effort)
        reasoning = known(effort=effort, summary=told.summary)
        return {"reasoning": reasoning} if reasoning else {}

    def _rest(self) -> Body:
        if self._own:
            shaped = {**self.request.extra.get("text", {}), **self._format().get("text", {})}
            return {**self.request.extra, **({"text": shaped} if shaped else {})}
        for what in _LOST:
            if getattr(self.request, what) not in (None, ()):
                self._note(what)
        for name in self.request.extra:
            self.losses.note(name)
        return {"store": False, "include": ["reasoning.encrypted_content"]}
