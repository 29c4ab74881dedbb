"""
What the models behind the Messages API differ in, as far as a request depends on it.

A client of that dialect knows its model; one of another dialect says ``reasoning_effort`` or
``temperature`` to whatever it is talking to, and some models refuse what others need.  All that is
known of a model is its name: what bears no version of Claude's (other providers speak Messages,
too) is taken for one that does as the first version of the API says.
"""

from __future__ import annotations

import re

from attrs import frozen

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


@frozen
class Traits:
    """
    What a model takes.

    :ivar adaptive: ``thinking: {type: adaptive}`` and ``output_config.effort``, rather than a
        budget (from Claude 4.6 on).
    :ivar samples: ``temperature``, ``top_p``, ``top_k`` and budgets (up to Claude 4.6).
    :ivar both: ``temperature`` and ``top_p`` at once (before Claude 4.1).
    :ivar longest: how many tokens an answer may have at most, thoughts included.
    :ivar prompted_midway: messages of the role ``system`` (from Claude 4.8 on).
    """

    adaptive: bool = False
    samples: bool = True
    both: bool = True
    prompted_midway: bool = False
    longest: int = 64_000


def traits_of(model: str) -> Traits:
    """What the model named *model* takes."""
    found = _VERSION.search(model)
    if found is None:
        return Traits()
    version = (int(found[1]), int(found[2] or 0))
    return Traits(
        adaptive=version >= (4, 6),
        samples=version < (4, 7),
        both=version < (4, 1),
        prompted_midway=version >= (4, 8),
        longest=_longest(version, "opus" in model),
    )


def _longest(version: tuple[int, int], opus: bool) -> int:
    if version < (3, 7):
        return 4096 if version < (3, 5) else 8192
    return 32_000 if opus and version < (4, 5) else 64_000
