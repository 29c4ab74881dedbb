"""
The proxy's configuration: a model for each item, served by the item's backends.

Each backend has a key of its own, so that one that turns up elsewhere tells whose it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chaos import secrets
from chaos.item import Item
from chaos.upstream import Listener


def name(item: Item, number: int) -> str:
    """The model that the backend *number* of an item serves."""
    return item.id if number == 0 else f"{item.id}+{number}"


def _entry(item: Item, number: int, listener: Listener, authority: str) -> dict[str, Any]:
    spec = listener.spec
    scheme = "https" if spec.tls else "http"
    trust = {"ssl_ca_file": authority} if spec.tls else {}
    params = {
        "api_base": f"{scheme}://{spec.host}:{listener.port}/v1",
        "api_key": listener.key,
        "target_model": "m",
        **trust,
        **item.params,
        **spec.params,
    }
    return {"model_name": name(item, number), "litellm_params": params}


def models(
    item: Item, listeners: Sequence[Listener], authority: str
) -> tuple[list[dict[str, Any]], list[dict[str, list[str]]]]:
    """The entries and the fallbacks of an item."""
    entries = [_entry(item, n, each, authority) for n, each in enumerate(listeners)]
    spares = [name(item, n) for n in range(1, len(listeners))]
    return entries, [{item.id: spares}] if spares else []


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """*base* with *more* in it, section by section."""
    made = dict(base)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(made.get(key), Mapping)
        made[key] = merged(made[key], value) if both else value
    return made


def configuration(
    served: Iterable[tuple[Item, Sequence[Listener]]],
    more: Mapping[str, Any],
    *,
    workers: int,
    authority: str,
) -> dict[str, Any]:
    """The whole file; *more* are sections that an item wants otherwise."""
    parts = [models(item, listeners, authority) for item, listeners in served if listeners]
    base = {
        "model_list": [entry for entries, _ in parts for entry in entries]
        or [{"model_name": "nobody", "litellm_params": {"mock_response": "nothing"}}],
        "router_settings": {"fallbacks": [each for _, some in parts for each in some]},
        "general_settings": {
            "server": {"host": "127.0.0.1", "port": 0, "workers": workers},
            "api_keys": {"chaos": secrets.CLIENT},
            "admin_key": secrets.ADMIN,
            "drain_timeout": 10,
        },
        "logging": {"directory": "logs"},
    }
    return merged(base, more)
