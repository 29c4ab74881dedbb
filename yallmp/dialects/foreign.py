"""
What one provider must not get although its client brings it back: what another one said.

A conversation may have been answered by several backends, one for the other.  What a backend of
another dialect thought is sealed in it (:mod:`yallmp.dialects.sealed`); where the conversation is
translated, that is opened or noted as a loss.  Where it is passed on untouched, the provider would
take the seal for a broken signature of its own and refuse the whole request; so it is taken out
there, and nothing else is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yallmp.dialects.losses import Losses, Written
from yallmp.dialects.messages_thinking import goes_on
from yallmp.dialects.sealed import is_sealed

JSON = Any


def cleared(dialect: str, body: Mapping[str, JSON]) -> Written:
    """A request's *body* without what is sealed in it, and where that stood."""
    losses = Losses()
    clear = _CLEARING.get(dialect)
    return Written(clear(body, losses) if clear else dict(body), tuple(losses.paths))


def _responses(body: Mapping[str, JSON], losses: Losses) -> dict[str, JSON]:
    items = body.get("input")
    if not isinstance(items, list):
        return dict(body)
    return {**body, "input": [each for each in items if not _is_foreign(each, losses)]}


def _is_foreign(item: JSON, losses: Losses) -> bool:
    foreign = isinstance(item, dict) and is_sealed(item.get("encrypted_content"))
    if foreign:
        losses.note("input[].encrypted_content")
    return foreign


def _messages(body: Mapping[str, JSON], losses: Losses) -> dict[str, JSON]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return dict(body)
    left = [each for message in messages for each in _message(message, losses)]
    return _not_thinking({**body, "messages": left}, losses)


def _message(message: JSON, losses: Losses) -> list[JSON]:
    """*message*; nothing, if there is nothing else in it."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return [message]
    blocks = [block for each in content for block in _block(each, losses)]
    return [{**message, "content": blocks}] if blocks or not content else []


def _block(block: JSON, losses: Losses) -> list[JSON]:
    if not isinstance(block, dict):
        return [block]
    if is_sealed(block.get("signature")):
        losses.note("messages[].content[].thinking")
        return []
    cited = block.get("citations")
    if not isinstance(cited, list):
        return [block]
    own = [each for each in cited if not (isinstance(each, dict) and _is_sealed_page(each))]
    if len(own) == len(cited):
        return [block]
    losses.note("messages[].content[].citations")
    rest = {name: each for name, each in block.items() if name != "citations"}
    return [{**rest, "citations": own} if own else rest]


def _is_sealed_page(citation: Mapping[str, JSON]) -> bool:
    return is_sealed(citation.get("encrypted_index"))


def _not_thinking(body: dict[str, JSON], losses: Losses) -> dict[str, JSON]:
    """*body*; it does not think by a budget where its thoughts before a tool's use are gone."""
    told = body.get("thinking")
    budgeted = isinstance(told, dict) and told.get("type") == "enabled"
    if not losses.paths or not budgeted or not goes_on(body["messages"]):
        return body
    losses.note("thinking")
    return {name: each for name, each in body.items() if name != "thinking"}


_CLEARING: Mapping[str, Callable[[Mapping[str, JSON], Losses], dict[str, JSON]]] = {
    "messages": _messages,
    "responses": _responses,
}
