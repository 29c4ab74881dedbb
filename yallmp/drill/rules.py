"""
What good conduct is: rules over what both sides saw of a cell.

A rule is a function of :class:`Case` that gives what is wrong in a person's words, or
nothing.  ``needs_fallback`` marks those that make no sense where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from attrs import frozen

from yallmp.drill.answers import TEXT
from yallmp.drill.observed import Heard, Knock

#: A pause shorter than this is none; seconds.
_PAUSE = 0.1


@frozen
class Case:
    """What both sides saw; ``primary`` is the backend with the fault."""

    heard: Sequence[Heard]
    knocks: Sequence[Knock]
    primary: str

    @property
    def there(self) -> list[Knock]:
        """The attempts on the primary."""
        return [knock for knock in self.knocks if knock.backend == self.primary]

    @property
    def elsewhere(self) -> list[Knock]:
        """The attempts on all others."""
        return [knock for knock in self.knocks if knock.backend != self.primary]


@frozen
class Rule:
    """One rule; ``check`` gives what is wrong, if anything is."""

    check: Callable[[Case], str | None]
    needs_fallback: bool = False


def is_whole(heard: Heard) -> bool:
    """Whether the caller has the complete answer, and it looks like one."""
    return heard.looks_whole and heard.text == TEXT


def _when(wrong: bool, text: str) -> str | None:
    return text if wrong else None


def at_most(count: int) -> Rule:
    """No more attempts on the primary than *count*."""
    return Rule(
        lambda case: _when(
            len(case.there) > count,
            f"{len(case.there)} attempts on the primary; {count} would have been enough",
        )
    )


def at_least(count: int) -> Rule:
    """No fewer attempts in all than *count*."""
    return Rule(lambda case: _when(len(case.knocks) < count, "it was not tried again"))


def at_most_in(count: int, seconds: float) -> Rule:
    """No more attempts on the primary than *count* within any *seconds*."""

    def check(case: Case) -> str | None:
        times = [knock.at for knock in case.there]
        most = max((sum(a <= b <= a + seconds for b in times) for a in times), default=0)
        text = f"{most} attempts on the primary within {seconds:g} s, more than {count}"
        return _when(most > count, text)

    return Rule(check)


def asks_again(wait: float = 0.0) -> Rule:
    """
    A second attempt on the primary, no sooner than after *wait* seconds.

    Another member of a group that shares load may take it, after a pause, as well.  A
    fallback that is asked at once is none.
    """

    def check(case: Case) -> str | None:
        if len(case.knocks) < 2:
            return "it was not tried again"
        first, second = case.knocks[:2]
        pause = second.at - first.at
        if second.backend != case.primary:
            text = f"it was not tried again: {second.backend} was asked {pause:.2f} s later"
            return _when(pause < _PAUSE, text)
        return _when(pause < wait, f"asked again after {pause:.2f} s; it had to be {wait:g}")

    return Rule(check)


def leaves_within(seconds: float) -> Rule:
    """Another backend is asked within *seconds* of the request."""

    def check(case: Case) -> str | None:
        if not case.elsewhere:
            return "no other backend was asked"
        after = case.elsewhere[0].at - case.heard[0].began
        return _when(after > seconds, f"left the primary after {after:.1f} s, not {seconds:g}")

    return Rule(check, needs_fallback=True)


def whole_within(seconds: float) -> Rule:
    """The caller has everything within *seconds*."""

    def check(case: Case) -> str | None:
        longest = max(each.took for each in case.heard)
        return _when(longest > seconds, f"the answer took {longest:.1f} s, not {seconds:g}")

    return Rule(check)


def finishes_within(seconds: float) -> Rule:
    """The answer ends within *seconds* of its last content."""

    def check(case: Case) -> str | None:
        heard = case.heard[0]
        late = heard.ended - (heard.ended if heard.last is None else heard.last)
        return _when(late > seconds, f"it ended {late:.1f} s after the last token")

    return Rule(check)


def returns(down: float, within: float, most: int) -> Rule:
    """
    Back on the primary *within* seconds of its recovery, and few attempts before.

    :param down: the seconds that it fails, from its first request on.
    :param most: so many attempts on it while it fails.
    """

    def check(case: Case) -> str | None:
        well = case.there[0].at + down if case.there else down
        probes = [k for k in case.there if k.at < well]
        back = [k.at - well for k in case.there if k.at >= well]
        if len(probes) > most:
            return f"{len(probes)} attempts on the primary while it failed; {most} are enough"
        if not back:
            return "never back on the primary"
        return _when(back[0] > within, f"back on the primary after {back[0]:.0f} s")

    return Rule(check, needs_fallback=True)


def _tells_who(case: Case) -> str | None:
    asked = {knock.backend for knock in case.elsewhere}
    for each in case.heard:
        if not (each.model and each.serving):
            return "the answer does not say who gave it"
        if each.serving not in asked:
            return f"the answer says that {each.serving} gave it, which is not so"
    return None


def _backs_off(case: Case) -> str | None:
    gaps = [b.at - a.at for a, b in pairwise(case.there)]
    return _when(any(gap < _PAUSE for gap in gaps), "tried again without a pause")


#: Pauses between attempts on the primary.
backs_off = Rule(_backs_off)
#: Another backend is asked.
leaves = Rule(
    lambda case: _when(not case.elsewhere, "no other backend was asked"), needs_fallback=True
)
#: No other backend is asked.
stays = Rule(
    lambda case: _when(bool(case.elsewhere), "another backend was asked to do what was refused")
)
#: What was refused stays refused.
refuses = Rule(
    lambda case: _when(
        any(map(is_whole, case.heard)), "the caller got an answer to what a filter refused"
    )
)
#: The answer tells tokens.
tells_usage = Rule(
    lambda case: _when(not all(h.usage for h in case.heard), "the answer tells no usage")
)
#: The answer names the model, and the backend that served it.
tells_who = Rule(_tells_who)
