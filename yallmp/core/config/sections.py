"""
Sections of the configuration: mappings whose keys are known.

A :class:`Section` is a table of :class:`Setting`; :func:`read_section` holds a mapping
against it.  Every key is one of ours, one that is not supported yet, one of LiteLLM's that
is ignored (said once) or refused, or a mistake, for which the nearest name is proposed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from attrs import frozen

from yallmp.core.config.kinds import OFF, Kind
from yallmp.core.config.litellm import Foreign
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Map, Node

_NOTHING_FOREIGN = Foreign()


@frozen
class Setting:
    """
    One key of a section.

    ``field`` is the name its value is read into, if that is another; ``inner`` the section
    that stands under it, if one does.
    """

    key: str
    kind: Kind
    field: str = ""
    aliases: tuple[str, ...] = ()
    inner: Section | None = None

    @property
    def target(self) -> str:
        """The name that the value is read into."""
        return self.field or self.key


@frozen
class Section:
    """
    What may stand in one mapping.

    ``later`` are settings of later versions, ``elsewhere`` those that belong to another
    section, with its name; both are errors that say so.
    """

    settings: tuple[Setting, ...]
    later: tuple[str, ...] = ()
    foreign: Foreign = _NOTHING_FOREIGN
    elsewhere: Mapping[str, str] = {}

    def named(self, key: str) -> Setting | None:
        """The setting that *key* is a name of."""
        return next((s for s in self.settings if key in (s.key, *s.aliases)), None)

    def names(self) -> Iterator[str]:
        """All names of settings, for suggestions."""
        for setting in self.settings:
            yield from (setting.key, *setting.aliases)


def nested(key: str, section: Section, *aliases: str) -> Setting:
    """The setting *key*, under which *section* stands; its value is a dictionary."""
    return Setting(key, lambda r, node: read_section(r, node, section), "", aliases, section)


def read_section(reading: Reading, node: Node | None, section: Section) -> dict[str, Any]:
    """What the mapping at *node* sets, by target; what is off is ``None``."""
    values: dict[str, Any] = {}
    given: dict[str, str] = {}
    for key, child in reading.pairs(node):
        setting = section.named(key)
        if setting is None:
            _meet_stranger(reading, child, key, section)
        elif setting.key in given:
            reading.problem(child, f"is the same as {given[setting.key]}; give one of them")
        else:
            given[setting.key] = key
            value = setting.kind(reading, child)
            if value is not None:
                values[setting.target] = None if value is OFF else value
    return values


def _meet_stranger(reading: Reading, node: Node, key: str, section: Section) -> None:
    refusing, ignoring = section.foreign.refusing(key), section.foreign.ignoring(key)
    if key in section.later:
        reading.problem(node, f"{key} is not yet supported; remove it")
    elif key in section.elsewhere:
        reading.problem(node, f"{key} belongs into {section.elsewhere[key]}")
    elif refusing:
        reading.problem(node, f"{refusing} ({key} is LiteLLM's)")
    elif ignoring:
        reading.ignore(node, key, ignoring)
    else:
        close = get_close_matches(key, list(section.names()), n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        reading.problem(node, f"there is no setting of this name{hint}")


def member(node: Map, section: Section, key: str) -> Node | None:
    """The node of the setting *key* in *node*, under whichever of its names."""
    setting = section.named(key)
    names = (setting.key, *setting.aliases) if setting else (key,)
    return next((found for name in names if (found := node.get(name)) is not None), None)
