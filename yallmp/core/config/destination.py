"""
Where a backend is and what model it is asked for.

A provider's prefix in ``model`` (``groq/llama-3.3-70b``) gives the address where none is
configured, and is taken off the name, once.  ``target_model`` is sent as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from yallmp.core.config.providers import BELOW_V1, DIALECTS, PROVIDERS
from yallmp.core.config.reading import Reading
from yallmp.core.config.schema import PARAMS
from yallmp.core.config.sections import member
from yallmp.core.config.yamltree import Map, Node, Scalar


@frozen
class Destination:
    """What was configured of it; ``node`` is the place for what concerns the whole."""

    node: Map
    values: Mapping[str, Any]

    @property
    def api_types(self) -> tuple[str, ...]:
        """How it speaks; in the first way where nothing speaks for another."""
        return self.values.get("api_types") or ("openai",)

    @property
    def provider(self) -> str:
        """What the model's name begins with, if that may be a provider."""
        before, slash, after = str(self.values.get("model", "")).partition("/")
        return before if slash and after else ""

    @property
    def sends(self) -> str | None:
        """The model's name for upstream, or ``None`` if the file names none."""
        target: str | None = self.values.get("target_model")
        model: str | None = self.values.get("model")
        if target is not None or model is None:
            return target
        known = self.provider in {"openai", *self.api_types, *PROVIDERS} and self.provider != ""
        return model.partition("/")[2] if known else model

    @property
    def api_base(self) -> str:
        """The address: the configured one, else the provider's; empty if there is neither."""
        given: str | None = self.values.get("api_base")
        if given is None:
            return PROVIDERS.get(self.provider) or ""
        bare = not urlsplit(given).path
        return f"{given}/v1" if bare and BELOW_V1 & {self.provider, *self.api_types[:1]} else given

    def place(self, key: str) -> Node:
        """Where to report what concerns *key*."""
        return member(self.node, PARAMS, key) or self.node

    def is_given(self, key: str) -> bool:
        """Whether *key* is there, be it right or wrong, or taken over from another entry."""
        if key in self.values:
            return True
        found = member(self.node, PARAMS, key)
        return found is not None and not (isinstance(found, Scalar) and found.value is None)


def check(reading: Reading, to: Destination) -> None:
    """Write down what is wrong with a destination, or worth knowing."""
    unknown = next((each for each in to.api_types if each not in reading.api_types), None)
    if unknown is not None:
        reading.problem(to.place("api_type"), _unknown_type(unknown, reading.api_types))
    elif _needs_dialect(to):
        reading.problem(to.place("model"), _wanting(to.provider, reading.api_types))
    elif _is_nowhere(reading, to):
        _tell_nowhere(reading, to)
    _tell(reading, to)


def _unknown_type(api_type: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(api_type, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"there is no api_type {api_type}; there is: {', '.join(known)}{hint}"


def _needs_dialect(to: Destination) -> bool:
    dialect = DIALECTS.get(to.provider)
    said = to.is_given("api_base") and to.is_given("target_model")
    return dialect is not None and dialect not in to.api_types and not said


def _wanting(provider: str, known: tuple[str, ...]) -> str:
    dialect = DIALECTS[provider]
    missing = (
        ""
        if dialect in known
        else f", which this version does not have (it has {', '.join(known)})"
    )
    return (
        f"{provider}/ needs api_type: {dialect}{missing}; "
        "if the backend speaks OpenAI's dialect, set api_base and target_model"
    )


def _is_nowhere(reading: Reading, to: Destination) -> bool:
    if to.api_base or "mock_response" in to.values:
        return False
    given = [to.place(key) for key in ("api_base", "mock_response") if to.is_given(key)]
    return not any(reading.excuses(node) for node in given)


def _tell_nowhere(reading: Reading, to: Destination) -> None:
    """What was meant to lead somewhere is the place to mend, if it is there."""
    empty = next((key for key in ("mock_response", "api_base") if to.is_given(key)), None)
    if empty is None:
        reading.problem(to.node, _no_address(to))
    else:
        instead = " (or remove it and set api_base)" if empty == "mock_response" else ""
        reading.problem(to.place(empty), f"is empty; give it a value{instead}")


def _no_address(to: Destination) -> str:
    if to.provider:
        known = "is a provider without a default address" if to.provider in PROVIDERS else ""
        return f"api_base is missing: {to.provider}/ {known or 'is no provider that is known here'}"
    example = to.values.get("model") or "gpt-4o"
    return f"api_base is missing (for OpenAI itself, write model: openai/{example})"


def _tell(reading: Reading, to: Destination) -> None:
    given = to.values.get("api_base")
    if given is not None and to.api_base != given:
        reading.inform(f"{to.node.path}: {to.provider} is asked at {to.api_base}")
    if given is None and _is_keyless(to):
        name = to.provider.upper().replace("-", "_")
        reading.warn(
            to.node,
            f"there is no api_key, and none is taken from the environment unless the file says "
            f"so: write api_key: ${{{name}_API_KEY}}",
        )
    if to.values.get("ssl_verify") is False:
        reading.warn(
            to.place("ssl_verify"), "certificates are not verified: anyone in between can read all"
        )


def _is_keyless(to: Destination) -> bool:
    headers = {name.lower() for name, _ in to.values.get("extra_headers", ())}
    has_key = to.is_given("api_key") or to.is_given("api_key_file") or "authorization" in headers
    return to.api_base.startswith("https:") and not has_key and not to.is_given("mock_response")
