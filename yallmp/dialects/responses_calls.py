"""
Calls of tools in a streamed response.
"""

from __future__ import annotations

from typing import Any

from attrs import define

from yallmp.core.digits import loads
from yallmp.dialects.answer import CallBegan
from yallmp.dialects.conversation import ToolCall
from yallmp.dialects.responses_events import Place
from yallmp.dialects.responses_offers import Offers

JSON = Any


@define
class Call:
    """
    A call of a tool.

    What is turned back into something else than a function's call is told at its end: until then
    nobody knows what it is.
    """

    place: Place
    offers: Offers
    began: CallBegan
    _arguments: str = ""
    _custom: bool = False
    _later: bool = False

    def __attrs_post_init__(self) -> None:
        item = self._item("in_progress")
        self._custom = item["type"] == "custom_tool_call"
        self._later = item["type"] != "function_call" and not self.began.custom
        if not self._later:
            self.place.added(item)

    def _item(self, status: str) -> JSON:
        began = self.began
        call = ToolCall(began.id, began.name, self._arguments,
                        began.custom)  # fmt: skip
        item = self.offers.item(call, {}, own=True)
        prefix = {"function_call": "fc", "custom_tool_call": "ctc"}.get(item["type"], "call")
        about = {} if item["type"] == "custom_tool_call" else {"status": status}
        return {"id": self.place.named(prefix), **item, **about}

    @property
    def whole(self) -> bool:
        """Whether the arguments are; free text may always go on, but is not told side by side."""
        if self.began.custom:
            return True
        if not self._arguments.rstrip().endswith("}"):
            return False
        try:
            return isinstance(loads(self._arguments), dict)
        except (ValueError, RecursionError):
            return False

    def argue(self, words: str) -> None:
        """More of its arguments."""
        self._arguments += words
        if not self._later and words:
            self._tell("delta", delta=words)

    def _tell(self, kind: str, **about: JSON) -> None:
        name = "custom_tool_call_input" if self._custom else "function_call_arguments"
        item = self.place.named("ctc" if self._custom else "fc")
        self.place.events.tell(
            f"{name}.{kind}", item_id=item, output_index=self.place.number, **about
        )

    def done(self, status: str) -> JSON:
        """End it."""
        item = self._item(status)
        if self._later:
            self._told_at_once(item)
        if self._custom:
            self._tell("done", input=item["input"])
        elif item["type"] == "function_call":
            self._tell("done", arguments=item["arguments"], name=item["name"])
        return self.place.done(item)

    def _told_at_once(self, item: JSON) -> None:
        if not self._custom:
            self.place.added({**item, "status": "in_progress"})
            return
        self.place.added({**item, "input": ""})
        if item["input"]:
            self._tell("delta", delta=item["input"])
