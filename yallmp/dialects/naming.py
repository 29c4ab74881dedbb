"""
Where in a client's own request something stood, in the client's words.

A loss is noted by whoever writes the backend's dialect, but read by somebody who knows the
client's: a chat client lost ``stop``, not ``stop_sequences``.  A path is without numbers
(``messages[].content[].cache_control``).
"""

from __future__ import annotations

from collections.abc import Mapping

from yallmp.dialects.conversation import (
    Part,
    Reasoning,
    Refusal,
    ToolCall,
    ToolResult,
    Turn,
)

_CHAT = {
    "stop": "stop",
    "max_tokens": "max_completion_tokens",
    "choices": "n",
    "format": "response_format",
    "schema": "response_format.json_schema",
    "effort": "reasoning_effort",
    "thinking": "reasoning_effort",
    "budget": "thinking.budget_tokens",
    "display": "thinking.display",
    "parallel_calls": "parallel_tool_calls",
    "user": "user",
    "message": "messages[]",
    "part": "messages[].content[]",
    "call": "messages[].tool_calls[]",
    "result": "messages[]",
    "result part": "messages[].content[]",
    "reasoning": "messages[].reasoning_details[]",
    "refusal": "messages[].refusal",
    "tool": "tools[].function",
}
_RESPONSES = {
    "max_tokens": "max_output_tokens",
    "format": "text.format",
    "schema": "text.format",
    "effort": "reasoning.effort",
    "thinking": "reasoning",
    "budget": "reasoning.max_tokens",
    "summary": "reasoning.summary",
    "logprobs": "top_logprobs",
    "parallel_calls": "parallel_tool_calls",
    "message": "input[]",
    "part": "input[].content[]",
    "call": "input[]",
    "result": "input[]",
    "result part": "input[].output[]",
    "reasoning": "input[]",
    "refusal": "input[].content[]",
    "tool": "tools[]",
}
_MESSAGES = {
    "stop": "stop_sequences",
    "format": "output_config.format",
    "schema": "output_config.format",
    "effort": "output_config.effort",
    "budget": "thinking.budget_tokens",
    "display": "thinking.display",
    "parallel_calls": "tool_choice.disable_parallel_tool_use",
    "user": "metadata.user_id",
    "message": "messages[]",
    "part": "messages[].content[]",
    "call": "messages[].content[]",
    "result": "messages[].content[]",
    "result part": "messages[].content[].content[]",
    "reasoning": "messages[].content[]",
    "refusal": "messages[].content[]",
    "tool": "tools[]",
}
_NAMES: Mapping[str, Mapping[str, str]] = {
    "chat": _CHAT,
    "responses": _RESPONSES,
    "messages": _MESSAGES,
}


def named(dialect: str, what: str, member: str = "") -> str:
    """
    What a client of *dialect* calls *what*, or a *member* of it.

    :param what: a field of a request (``choices``), or ``message``, ``part``, ``call``,
        ``result``, ``result part``, ``reasoning``, ``refusal``, ``tool``, ``schema`` (a format's
        own members), ``effort``, ``budget``, ``summary``, ``display``.
    """
    name = _NAMES.get(dialect, _MESSAGES).get(what, what)
    return f"{name}.{member}" if member else name


def part_named(dialect: str, turn: Turn, part: Part) -> str:
    """Where *part* of *turn* stood."""
    if turn.place:
        return f"{turn.place}[]" if turn.place == "system" else turn.place
    kinds = {ToolCall: "call", ToolResult: "result", Reasoning: "reasoning", Refusal: "refusal"}
    return named(dialect, kinds.get(type(part), "part"))
