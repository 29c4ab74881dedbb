"""Configurations for tests: parsed, refused, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import dedent, indent

from yallmp.core.backend import Backend
from yallmp.core.config import ConfigError, parse
from yallmp.core.settings import Config

#: A file's shortest beginning: one model.
MODEL = "model_list:\n  - {model_name: m, litellm_params: {mock_response: hi}}\n"


def no_file(path: str) -> bytes:
    """There are no files."""
    raise FileNotFoundError(2, "No such file or directory")


def parsed(
    text: str,
    environ: Mapping[str, str] | None = None,
    read_file: Callable[[str], bytes] = no_file,
    api_types: tuple[str, ...] = ("openai",),
) -> Config:
    """The configuration that *text* (indented as one likes) is."""
    return parse(
        dedent(text), "c.yaml", environ or {}, read_file, folder="/etc/yallmp", api_types=api_types
    )


def problems(
    text: str,
    environ: Mapping[str, str] | None = None,
    read_file: Callable[[str], bytes] = no_file,
) -> list[str]:
    """Everything that is wrong with *text*."""
    try:
        parsed(text, environ, read_file)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def notices(config: Config, level: str = "warning") -> list[str]:
    """What is said of *config* at one level."""
    return [notice.text for notice in config.notices if notice.level == level]


def entry(params: str) -> str:
    """A file with one entry, ``m``, whose parameters are the lines *params*."""
    body = indent(dedent(params).strip("\n"), "      ")
    return f"model_list:\n  - model_name: m\n    litellm_params:\n{body}\n"


def backend(params: str, environ: Mapping[str, str] | None = None) -> Backend:
    """The one backend with the parameters *params*."""
    (found,) = parsed(entry(params), environ).backends
    return found
