"""
How much a model is to think, for a request that was put in another dialect.

Newer models are told an *effort* and decide for themselves; older ones, and other providers'
models behind this API, are given a *budget* of tokens.  A budget has conditions that no other
dialect knows, and they are seen to, each change noted as a loss:

- It is at least 1,024 tokens and less than ``max_tokens``, which counts thoughts and answer.  Where
  the client limits the answer, half of that is the most that may be thought; if half is too
  little, the model does not think.
- The model is not sampled otherwise: ``temperature`` and ``top_k`` are left out, ``top_p`` is 0.95
  at least.
- No tool can be forced; where one is, the model does not think.
- An answer that goes on behind the use of a tool must begin with its thoughts as they were.  Where
  the client has not brought them back, the model does not think.
"""

from __future__ import annotations

from typing import Any

from yallmp.dialects.conversation import Request, Thinking
from yallmp.dialects.losses import Losses
from yallmp.dialects.messages_models import Traits, traits_of
from yallmp.dialects.naming import named

Body = dict[str, Any]
LEAST = 1024
BUDGETS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32000,
    "max": 32000,
}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "max": "max"}
_THOUGHTS = ("thinking", "redacted_thinking")


def thought_over(body: Body, request: Request, losses: Losses) -> None:
    """Put into *body* how much is to be thought, and see to what that takes."""
    told = request.thinking
    if told is None:
        return
    traits = traits_of(request.model)
    off = told.enabled is False or told.effort == "none"
    if off:
        body["thinking"] = {"type": "disabled"}
    elif _is_forced(body) or (not told.effort and not told.budget and not told.enabled):
        _give_up(told, request, losses)
    elif traits.adaptive and (not traits.samples or told.budget is None):
        _adapt(body, told, request, traits, losses)
    else:
        _budget(body, told, request, losses)


def _give_up(told: Thinking, request: Request, losses: Losses) -> None:
    """The model does not think."""
    for what in ("effort", "budget", "summary", "display"):
        if getattr(told, what) is not None:
            losses.note(named(request.dialect, what))
    if told.effort is None and told.budget is None and told.enabled:
        losses.note(named(request.dialect, "thinking"))


def _is_forced(body: Body) -> bool:
    return body.get("tool_choice", {}).get("type") in ("any", "tool")


def _adapt(body: Body, told: Thinking, request: Request, traits: Traits, losses: Losses) -> None:
    thinking: Body = {"type": "adaptive"}
    if not traits.samples and (told.summary or request.dialect == "chat"):
        thinking["display"] = told.display or "summarized"
    body["thinking"] = thinking
    if told.budget is not None and told.effort is None:
        losses.note(named(request.dialect, "budget"))
    effort = _effort(told, traits)
    if effort is not None:
        body.setdefault("output_config", {})["effort"] = effort
    _sample_no_more(body, request, losses)


def _effort(told: Thinking, traits: Traits) -> str | None:
    if told.effort is not None:
        highest = "high" if traits.samples else "xhigh"
        return highest if told.effort == "xhigh" else _EFFORTS.get(told.effort, told.effort)
    if told.budget is None:
        return None
    return next((each for each in ("low", "medium") if told.budget <= BUDGETS[each]), "high")


def _budget(body: Body, told: Thinking, request: Request, losses: Losses) -> None:
    wanted = told.budget or BUDGETS.get(told.effort or "medium", BUDGETS["medium"])
    room = request.max_tokens or min(body["max_tokens"] + wanted, traits_of(request.model).longest)
    budget = min(wanted, room // 2)
    if budget < LEAST or goes_on(body["messages"]):
        _give_up(told, request, losses)
        return
    body["max_tokens"] = room
    if told.budget is not None and budget != told.budget:
        losses.note(named(request.dialect, "budget"))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    _sample_no_more(body, request, losses)


def goes_on(messages: list[Any]) -> bool:
    """Whether the answer goes on behind the use of a tool whose thoughts are not there."""
    if len(messages) < 2:
        return False
    before, last = _first_block(messages[-2]), _first_block(messages[-1])
    return last == "tool_result" and before not in _THOUGHTS


def _first_block(message: Any) -> Any:
    """The type of the block that *message* begins with."""
    content = message.get("content") if isinstance(message, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    return first.get("type") if isinstance(first, dict) else None


def _sample_no_more(body: Body, request: Request, losses: Losses) -> None:
    for name in ("temperature", "top_k"):
        if name in body and body[name] != (1 if name == "temperature" else None):
            del body[name]
            losses.note(named(request.dialect, name))
    if body.get("top_p", 1) < 0.95:
        body["top_p"] = 0.95
        losses.note(named(request.dialect, "top_p"))
