"""
A model that is registered at run time: JSON becomes a :class:`Registration`, or a refusal.

What the file may say of a backend may be said here, with the same checks, but for two
things.  Values are literal: nothing is taken from the environment or from files.  And
whoever registers chooses an address, not a policy: nothing is taken over from another model, whose
key would go to that address, and settings that read files of this
machine, weaken TLS or lead through a proxy are refused, and so are addresses that
:mod:`yallmp.core.addresses` refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import evolve

from yallmp.core.addresses import refusal
from yallmp.core.backend import Backend
from yallmp.core.catalog import name_problem
from yallmp.core.config.entries import parse_backend
from yallmp.core.config.findings import ConfigError
from yallmp.core.errors import MissingParameter, RequestFault
from yallmp.core.registry import Registration
from yallmp.core.secretnames import is_secret_name
from yallmp.core.settings import Access

#: Settings of a backend that only the file may have.
FILE_ONLY = ("api_key_file", "ssl_ca_file", "ssl_verify", "http_proxy")
MAX_FALLBACKS = 100

_NAMES = ("model_name", "name")
_PARAMS = ("litellm_params", "model_params")
_FALLBACKS = "fallbacks"
#: A name, an IPv4 address, or an IPv6 address in brackets: nothing that readers differ about.
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def parse_registration(body: object, access: Access, now: int) -> Registration:
    """
    The registration that *body*, parsed JSON, asks for.

    :param now: when the model is registered, POSIX seconds.
    :raises RequestFault: it cannot be done; the message has everything that is wrong.
    """
    if not isinstance(body, dict):
        raise RequestFault("The body must be a JSON object.")
    model_name = _model_name(body)
    params = _params(body)
    backend = _backend(model_name, params, "litellm_params" if _one_of(body, _PARAMS) else "")
    _check_address(backend, access)
    _check_passed(backend)
    return Registration(
        backends=(evolve(backend, registered=True, created=now),),
        fallbacks=_fallbacks(model_name, body.get(_FALLBACKS)),
        source=json.dumps({"model_name": model_name, "litellm_params": params}),
    )


def _one_of(body: Mapping[str, object], spellings: tuple[str, ...]) -> str | None:
    """Which of the *spellings* of a key *body* has."""
    there = [key for key in spellings if key in body]
    if len(there) > 1:
        raise RequestFault(
            f"{there[0]!r} and {there[1]!r} mean the same; give one.", param=there[1]
        )
    return there[0] if there else None


def _model_name(body: Mapping[str, object]) -> str:
    name = body.get(_one_of(body, _NAMES) or "")
    if not isinstance(name, str) or not name:
        raise MissingParameter("'model_name' is needed: a non-empty string.", param="model_name")
    problem = name_problem(name)
    if problem:
        raise RequestFault(f"The model's name {problem}.", param="model_name")
    return name


def _params(body: Mapping[str, object]) -> dict[str, object]:
    """The backend's settings, wherever they stand; those that only the file may have refused."""
    nested = _one_of(body, _PARAMS)
    rest = {k: v for k, v in body.items() if k not in (*_NAMES, *_PARAMS, _FALLBACKS)}
    if nested is not None and rest:
        raise RequestFault(
            f"{next(iter(rest))!r} belongs inside {nested!r}.", param=next(iter(rest))
        )
    params = rest if nested is None else body[nested]
    if not isinstance(params, dict):
        raise RequestFault(f"{nested!r} must be an object.", param=nested)
    for key in (*FILE_ONLY, "extends"):
        if key in params:
            raise RequestFault(
                f"{key!r} cannot be set at run time; put this model into the configuration file.",
                param=key,
            )
    return params


def _backend(model_name: str, params: Mapping[str, object], path: str) -> Backend:
    try:
        return parse_backend(model_name, params, path=path)
    except ConfigError as error:
        problems = "; ".join(map(str, error.problems))
        raise RequestFault(f"{problems}.", param=error.problems[0].path or None) from None


def _check_address(backend: Backend, access: Access) -> None:
    if not backend.api_base:
        return
    netloc = urlsplit(backend.api_base).netloc
    host = netloc if netloc.endswith("]") else re.sub(r":[0-9]*$", "", netloc)
    if not _HOST.fullmatch(host):
        raise RequestFault("'api_base' has no plain host name or address.", param="api_base")
    why = refusal(host, private_allowed=access.private_backends)
    if why is not None:
        raise RequestFault(
            f"'api_base': {why}; a registered backend may not be there.", param="api_base"
        )


def _check_passed(backend: Backend) -> None:
    """What clients keep secret goes only where the file says so."""
    for header in backend.pass_headers:
        if is_secret_name(header):
            raise RequestFault(
                f"'pass_headers': {header!r} speaks of a secret of clients; only the"
                " configuration file may have it passed on.",
                param="pass_headers",
            )


def _fallbacks(model_name: str, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or len(names) > MAX_FALLBACKS:
        raise RequestFault(
            f"'fallbacks' must be a name or a list of up to {MAX_FALLBACKS} names.",
            param=_FALLBACKS,
        )
    for name in names:
        _check_fallback(model_name, name)
    return tuple(dict.fromkeys(names))


def _check_fallback(model_name: str, name: object) -> None:
    problem = name_problem(name) if isinstance(name, str) else "is not a string"
    if problem:
        raise RequestFault(f"A name in 'fallbacks' {problem}.", param=_FALLBACKS)
    if name == model_name:
        raise RequestFault(f"{name!r} cannot fall back to itself.", param=_FALLBACKS)
