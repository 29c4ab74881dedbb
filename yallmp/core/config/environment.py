"""
Environment variables in the values of a configuration.

``${VAR}``, ``$VAR``, ``${VAR:-default}`` and, as a whole value, LiteLLM's
``os.environ/VAR`` stand for a variable; ``$$`` is a dollar sign, and a ``$`` before
anything else is itself.  A default serves where the variable is unset or empty.  What was
inserted is never expanded again, so a key with ``$`` in it stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?:(\$)|({_NAME})|\{{({_NAME})(?::-([^}}]*))?\}}|(\{{))")
_LITELLM = re.compile(rf"os\.environ/({_NAME})")
_NESTED = re.compile(r"(?<!\$)(?:\$\$)*\$[A-Za-z_{]")

_DOTENV_LINE = re.compile(rf"(?:export\s+)?({_NAME})\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?""")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class Unexpandable(Exception):
    """A value that cannot be filled in; the message says why, and what to do."""


class Unset(Unexpandable):
    """A variable without a default is not set; ``names`` are all of that value."""

    def __init__(self, names: tuple[str, ...]) -> None:
        are = "is not set" if len(names) == 1 else "are not set"
        super().__init__(f"the environment variable {', '.join(names)} {are}")
        self.names = names


@frozen
class Reference:
    """A variable as it is asked for; ``default`` is ``None`` where none is given."""

    name: str
    default: str | None = None

    def value(self, environ: Mapping[str, str]) -> str | None:
        """What stands for it; ``None`` if it is unset and has no default."""
        if self.default is None:
            return environ.get(self.name)
        return environ.get(self.name) or self.default


def whole_reference(text: str) -> Reference | None:
    """
    The variable that *text* is, if it is one and nothing else.

    :raises Unexpandable: it is a dollar sign and something that is no variable.
    """
    litellm = _LITELLM.fullmatch(text)
    if litellm:
        return Reference(litellm[1])
    found = _REFERENCE.fullmatch(text)
    return _reference(found) if found else None


def refers(text: str) -> bool:
    """Whether *text* has anything in it that :func:`expanded` would change or refuse."""
    return "$" in text or text.startswith("os.environ/")


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """
    *text* with its variables filled in.

    >>> expanded("Bearer ${KEY} for $$5", {"KEY": "k$$1"})
    'Bearer k$$1 for $5'

    :raises Unset: a variable is not set and has no default.
    :raises Unexpandable: a reference is malformed.
    """
    whole = whole_reference(text)
    if text.startswith("os.environ/") and whole is None:
        raise Unexpandable("os.environ/ is followed by something that is no variable's name")
    references = (
        [whole] if whole else [r for m in _REFERENCE.finditer(text) if (r := _reference(m))]
    )
    missing = dict.fromkeys(r.name for r in references if r.value(environ) is None)
    if missing:
        raise Unset(tuple(missing))
    if whole:
        return whole.value(environ) or ""
    return _REFERENCE.sub(lambda match: _inserted(match, environ), text)


def _reference(match: re.Match[str]) -> Reference | None:
    dollar, bare, braced, default, opened = match.groups()
    if opened:
        raise Unexpandable(
            "${ is not closed or holds no variable's name; ${NAME} and ${NAME:-default} are "
            "what is understood, and $$ is a dollar sign"
        )
    if dollar:
        return None
    if default is not None and _NESTED.search(default):
        raise Unexpandable(f"the default of {braced} has a variable in it, which is not filled in")
    return Reference(bare or braced, None if default is None else default.replace("$$", "$"))


def _inserted(match: re.Match[str], environ: Mapping[str, str]) -> str:
    reference = _reference(match)
    return "$" if reference is None else reference.value(environ) or ""


def dotenv(text: str) -> tuple[dict[str, str], tuple[int, ...]]:
    """
    The variables of a ``.env`` file, and the lines (from 1) that are none.

    ``NAME=value``, with ``export`` before it if one likes; ``#`` starts a comment at the
    start of a line or after a blank; in double quotes ``\\n`` and the like are understood,
    in single quotes nothing is.  Values are taken as they stand, ``$`` too.
    """
    values: dict[str, str] = {}
    wrong: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _DOTENV_LINE.fullmatch(stripped)
        value = _dotenv_value(match[2]) if match else None
        if match is None or value is None:
            wrong.append(number)
        else:
            values[match[1]] = value
    return values, tuple(wrong)


def _dotenv_value(text: str) -> str | None:
    """The value of a line; ``None`` where a quotation mark does not close."""
    if not text.startswith(('"', "'")):
        return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return None
    if quoted[2] is not None:
        return quoted[2]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted[1])
