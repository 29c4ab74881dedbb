"""
Requests, written as bodies of Messages.

What the API needs and others do not is seen to: ``max_tokens`` is always there; temperatures over
1 are 1; tools and formats have the form that it knows.  A request that was read from Messages is
written as it was.  :mod:`yallmp.dialects.messages_turns` writes the conversation,
:mod:`yallmp.dialects.messages_thinking` how much the model is to think.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from yallmp.dialects.conversation import Format, Request, Tool, ToolChoice
from yallmp.dialects.customs import as_function
from yallmp.dialects.losses import Losses, Written
from yallmp.dialects.messages_models import traits_of
from yallmp.dialects.messages_parts import is_plain
from yallmp.dialects.messages_thinking import thought_over
from yallmp.dialects.messages_turns import conversation_of
from yallmp.dialects.messages_words import coded_name, rest_of
from yallmp.dialects.naming import named

Body = dict[str, Any]
#: So long an answer may be where the client does not say, if the model can.
MAX_TOKENS = 32_000
#: What stands for ``json_object``, which the API does not have.
ONLY_JSON = "Answer with one JSON object and nothing else: no other words, no code fence."
#: Members of the API's own that a chat client may add to what it asks for.
_ADDED = frozenset(
    ("cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed")
)
_TIERS = {"auto": "auto", "default": "standard_only"}


def body_of(request: Request) -> Written:
    """*request* as the API has it, and what is not in it."""
    losses = Losses()
    writing = _Writing(request, losses)
    body = writing.body()
    return Written(body, tuple(losses.paths))


@frozen
class _Writing:
    """Writes one request."""

    request: Request
    losses: Losses

    def body(self) -> Body:
        """All of it."""
        request = self.request
        said = conversation_of(request, self.losses)
        system = [*said.system, *self._only_json()]
        body: Body = {"model": request.model, "max_tokens": self._max_tokens()}
        if system:
            body["system"] = system[0]["text"] if is_plain(system) else system
        body["messages"] = [{"role": each.role, "content": each.content} for each in said.messages]
        body |= self._tools() | self._limits() | self._format() | self._rest()
        self._lost()
        if request.dialect != "messages":
            thought_over(body, request, self.losses)
        else:
            body |= _own_thinking(request, body)
        return body | ({"stream": True} if request.stream else {})

    def _note(self, what: str, member: str = "") -> None:
        self.losses.note(named(self.request.dialect, what, member))

    def _max_tokens(self) -> int:
        told = self.request.max_tokens
        if told is not None:
            return told
        return min(MAX_TOKENS, traits_of(self.request.model).longest)

    def _only_json(self) -> list[Body]:
        told = self.request.format
        if told is None or told.kind != "json_object":
            return []
        self._note("format")
        return [{"type": "text", "text": ONLY_JSON}]

    def _tools(self) -> Body:
        tools = [each for each in map(self._tool, self.request.tools) if each is not None]
        choice = self._tool_choice()
        if tools:
            return {"tools": tools, **({"tool_choice": choice} if choice else {})}
        if choice and choice.get("type") in ("any", "tool"):
            self._note("tool_choice")
        return {}

    def _tool(self, tool: Tool) -> Body | None:
        if tool.kind not in ("function", "custom"):
            return self._provided(tool)
        tool = as_function(tool) if tool.kind == "custom" else tool
        written: Body = {"name": coded_name(tool.name)}
        if tool.description is not None:
            written["description"] = tool.description
        written["input_schema"] = self._schema(tool)
        if tool.strict is not None and (tool.strict or self.request.dialect == "messages"):
            written["strict"] = tool.strict
        if tool.cache is not None:
            written["cache_control"] = tool.cache
        if self.request.dialect == "messages":
            return written | dict(tool.extra)
        for name in tool.extra:
            self._note("tool", name)
        return written

    def _provided(self, tool: Tool) -> Body | None:
        """A tool of the provider's own: of another provider it cannot be had."""
        if tool.dialect == "messages":
            return dict(tool.value)
        self.losses.note("tools[]")
        return None

    def _schema(self, tool: Tool) -> Any:
        if self.request.dialect == "messages":
            return tool.schema
        schema = tool.schema if isinstance(tool.schema, dict) else {}
        return {**schema, "type": "object"}

    def _tool_choice(self) -> Body | None:
        request, choice = self.request, self.request.tool_choice
        if choice is not None and choice.kind == "own":
            return self._own_choice(choice.dialect, choice.value)
        if choice is None and request.parallel_calls is not False:
            return None
        written: Body = _chosen(choice or ToolChoice("auto"))
        if request.parallel_calls is not None and written["type"] != "none":
            written["disable_parallel_tool_use"] = not request.parallel_calls
        return written

    def _own_choice(self, dialect: str, value: Any) -> Body | None:
        if dialect == "messages":
            return dict(value)
        self._note("tool_choice")
        return None

    def _limits(self) -> Body:
        """What says how the answer is chosen and where it ends."""
        request = self.request
        told = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
        written: Body = {name: value for name, value in told.items() if value is not None}
        if request.dialect != "messages":
            self._tempered(written)
        stop = [each for each in request.stop if each.strip() or request.dialect == "messages"]
        if len(stop) < len(request.stop):
            self._note("stop")
        return written | ({"stop_sequences": stop} if stop else {})

    def _tempered(self, written: Body) -> None:
        """Leave *written* with what the model takes."""
        traits = traits_of(self.request.model)
        unwanted = set(written) if not traits.samples else set()
        if not traits.both and "temperature" in written:
            unwanted |= {"top_p"} & set(written)
        for name in sorted(unwanted):
            del written[name]
            self._note(name)
        if written.get("temperature", 0) > 1:
            written["temperature"] = 1.0
            self._note("temperature")

    def _format(self) -> Body:
        told = self.request.format
        if told is None or told.kind != "json_schema":
            return {}
        self._note_format(told)
        return {"output_config": {"format": {"type": "json_schema", "schema": told.schema}}}

    def _note_format(self, told: Format) -> None:
        members = {"name": told.name, "description": told.description}
        for name, value in members.items():
            if value is not None:
                self._note("schema", name)
        if told.strict is False:
            self._note("schema", "strict")

    def _rest(self) -> Body:
        """Who it is for, and what is called as it is here."""
        user = self.request.user
        rest: Body = {} if user is None else {"metadata": {"user_id": user}}
        return self._own_rest(rest) if self.request.dialect == "messages" else self._added(rest)

    def _own_rest(self, rest: Body) -> Body:
        extra = rest_of(self.request.extra, "output_config")
        metadata = {**extra.get("metadata", {}), **rest.get("metadata", {})}
        return rest | extra | ({"metadata": metadata} if metadata else {})

    def _added(self, rest: Body) -> Body:
        for name, value in self.request.extra.items():
            if name == "service_tier" and isinstance(value, str) and value in _TIERS:
                rest[name] = _TIERS[value]
            elif self.request.dialect == "chat" and name in _ADDED:
                rest[name] = value
            else:
                self.losses.note(name)
        return rest

    def _lost(self) -> None:
        """What the API does not have at all."""
        request = self.request
        if (request.choices or 1) > 1:
            self._note("choices")
        if request.logprobs is not None:
            self._note("logprobs")


def _chosen(choice: ToolChoice) -> Body:
    kind = {"required": "any", "named": "tool"}.get(choice.kind, choice.kind)
    name = {"name": coded_name(choice.name or "")} if kind == "tool" else {}
    return {"type": kind, **name}


def _own_thinking(request: Request, body: Body) -> Body:
    """How much to think, and how to answer, as a client of this dialect said it."""
    told, config = request.thinking, dict(request.extra.get("output_config") or {})
    config |= body.get("output_config", {})
    written: Body = {}
    if told is not None and told.enabled is not None:
        kind = "adaptive" if told.adaptive else "enabled" if told.enabled else "disabled"
        members = {"budget_tokens": told.budget, "display": told.display}
        known = {name: value for name, value in members.items() if value is not None}
        written["thinking"] = {"type": kind, **known}
    if told is not None and told.effort is not None:
        config["effort"] = told.effort
    return written | ({"output_config": config} if config else {})
