"""
The files that a configuration is made of: itself, ``.env`` beside it, keys, certificates.

Everything is read here and understood in :mod:`yallmp.core.config`.  Relative paths become
absolute while the working directory is still the user's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from yallmp.core.config import ConfigError, Problem, parse
from yallmp.core.config.environment import dotenv
from yallmp.core.config.yamltree import MAX_BYTES
from yallmp.core.settings import Config

VARIABLE = "YALLMP_CONFIG"
DEFAULT = "config.yaml"


def find(option: str | None, environ: Mapping[str, str], cwd: str) -> str:
    """
    The configuration to read: *option*, else ``$YALLMP_CONFIG``, else ``./config.yaml``.

    It is not looked at.  A relative path stays as it was written while it leads to the same
    place from the process's own directory, so that messages show it in that way.
    """
    chosen = option or environ.get(VARIABLE) or DEFAULT
    path = os.path.join(cwd, chosen)
    return chosen if os.path.abspath(chosen) == os.path.abspath(path) else path


def load(path: str, environ: Mapping[str, str]) -> Config:
    """
    The configuration at *path*, with ``.env`` beside it below *environ*.

    :raises ConfigError: with everything that is wrong; files that cannot be read as well.
    """
    folder = os.path.dirname(os.path.abspath(path))
    text = _text(path, path)
    return parse(text, path, {**_dotenv(path, folder), **environ}, read, folder=folder)


def read(path: str) -> bytes:
    """
    The content of a regular file of at most 1 MiB.

    :raises OSError: there is none, it is something else, or it is larger.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(0, "it is not a regular file")
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(0, f"it is larger than {MAX_BYTES} bytes")
    return content


def _text(path: str, shown: str) -> str:
    try:
        return read(path).decode("utf-8-sig")
    except FileNotFoundError:
        hint = f"there is no such file; name it with -c FILE or in ${VARIABLE}"
        raise ConfigError((Problem(hint, file=shown),)) from None
    except OSError as error:
        hint = f"it cannot be read: {error.strerror or error}"
        raise ConfigError((Problem(hint, file=shown),)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError((Problem("this is not UTF-8", line=line, file=shown),)) from None


def _dotenv(path: str, folder: str) -> dict[str, str]:
    """The variables of ``.env``; none if it is not there or no file (an environment's folder)."""
    beside = os.path.join(folder, ".env")
    if not os.path.isfile(beside):
        return {}
    shown = os.path.join(os.path.dirname(path), ".env")
    values, wrong = dotenv(_text(beside, shown))
    if wrong:
        message = "this is not NAME=value"
        raise ConfigError(tuple(Problem(message, line=line, file=shown) for line in wrong))
    return values
