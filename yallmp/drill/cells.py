"""
What is rehearsed: sixteen faults, and some more.

The sixteen are those of the public failover bench of 2026, in its order; what a proxy must
do about each is in ``docs/failover.md``.
"""

from __future__ import annotations

from attrs import frozen

from yallmp.drill import faults, rules
from yallmp.drill.faults import Fault
from yallmp.drill.rules import Rule

_FIRST = "set first_content_timeout: 10 and request_timeout: 30"
_IDLE = "set idle_timeout: 10"
_RESCUE = "stream_rescue must not be off"
_RETRY = "set router_settings.num_retries: 1"


@frozen
class Cell:
    """
    One fault and what is asked of the proxy meanwhile.

    ``does`` is what the backend does and ``must`` what the proxy must.  The fault is the
    primary's; ``others`` is what all other backends do.  ``requests`` are sent ``every`` so
    many seconds; a caller that waits for ``limit`` seconds gives up.  ``rules`` judge the
    conduct; ``mend`` is what may help where it was not good.
    """

    key: str
    does: str
    must: str
    fault: Fault | None
    rules: tuple[Rule, ...] = ()
    others: Fault = faults.well
    stream: bool = True
    requests: int = 1
    every: float = 0.0
    limit: float = 100.0
    wants_error: str | None = None
    mend: tuple[str, ...] = ()


SIXTEEN = (
    Cell("1", "429 with Retry-After: 2, once", "wait, then ask the same backend",
         faults.once(faults.limited_briefly), (rules.asks_again(1.8),),
         mend=("set retry_after_max: 2 or more", _RETRY)),
    Cell("2", "429 for ever", "back off, then the fallback",
         faults.LIMITED, (rules.at_most_in(4, 3.0), rules.backs_off, rules.leaves)),
    Cell("3", "500, once", "ask the same backend again",
         faults.once(faults.SERVER_ERROR), (rules.asks_again(),), mend=(_RETRY,)),
    Cell("4", "503 for ever", "a few attempts, then the fallback",
         faults.UNAVAILABLE, (rules.at_most(6), rules.leaves)),
    Cell("5", "resets before headers, once", "try again",
         faults.once(faults.resets), (rules.at_least(2),), mend=(_RETRY,)),
    Cell("6", "takes the request, says nothing", "one timeout, then the fallback",
         faults.silent, (rules.at_most(1), rules.leaves), mend=(_FIRST,)),
    Cell("7", "headers at once, first token after 20 s", "give up before 15 s, then the fallback",
         faults.late, (rules.leaves_within(15.0),), mend=(_FIRST,)),
    Cell("8", "cut after 40 of 60 tokens", "the whole answer",
         faults.cut, mend=(_RESCUE,)),
    Cell("9", "silent for 30 s after 20 tokens", "whole within 45 s, and so is the next",
         faults.stalls, (rules.whole_within(45.0),), requests=2, every=46.0,
         mend=(_IDLE, _RESCUE)),
    Cell("10", "one event is not JSON", "the whole answer", faults.malformed),
    Cell("11", "complete, but no [DONE]", "finish at once, with usage",
         faults.never_done, (rules.finishes_within(3.0), rules.tells_usage),
         mend=("set tail_timeout: 2",)),
    Cell("12", "400 context_length_exceeded", "no second try there, the fallback",
         faults.TOO_LONG, (rules.at_most(1), rules.leaves)),
    Cell("13", "400 content_policy_violation", "the error passed on, nobody else asked",
         faults.FILTERED, (rules.at_most(1), rules.stays, rules.refuses),
         wants_error=faults.REASON,
         mend=("content_policy_fallbacks lead past the filter",)),
    Cell("14", "as 8, and the fallback refuses a prefill", "the whole answer, never that 400",
         faults.cut, others=faults.no_prefill, mend=(_RESCUE,)),
    Cell("15", "503 for 60 s, then well; a request every 4 s", "all served, back within 30 s",
         faults.down_for_a_minute, (rules.returns(60.0, 30.0, 12),), requests=20, every=4.0),
    Cell("16", "503 for ever", "the answer names who served it, with usage",
         faults.UNAVAILABLE, (rules.leaves, rules.tells_who, rules.tells_usage)),
)  # fmt: skip

MORE = (
    Cell("refused", "nothing listens", "the fallback", None, (rules.leaves,)),
    Cell("half-head", "half a head, then the end", "the fallback",
         faults.half_a_head, (rules.leaves,)),
    Cell("bomb", "a compressed body of 80 MiB", "the fallback",
         faults.bomb, (rules.leaves,), stream=False),
    Cell("html", "200 with a page in HTML", "the fallback",
         faults.HTML, (rules.leaves,)),
    Cell("error-200", "200 with an error in it", "the fallback",
         faults.error_in_200, (rules.leaves,), stream=False),
    Cell("no-end", "complete, but neither [DONE] nor an end", "finish soon, with usage",
         faults.never_ends, (rules.finishes_within(5.0), rules.tells_usage),
         mend=("set tail_timeout: 2",)),
    Cell("close", "a good stream that ends with the connection", "the whole answer",
         faults.until_close),
    Cell("close-cut", "the same, but cut after 40 tokens", "the whole answer",
         faults.cut_until_close, mend=(_RESCUE,)),
    Cell("drip", "one byte a second", "the fallback, within the time for the first token",
         faults.drips, (rules.leaves_within(35.0),), mend=(_FIRST,)),
)  # fmt: skip

CELLS = (*SIXTEEN, *MORE)
