"""
The configuration: a model for each kind of fault, with a backend that is well behind it.

- ``well`` is served by two backends that share the load, and has nothing faulty.
- ``connection``, ``status``, ``body``, ``stream``, ``slow`` have a faulty backend, then a good one.
- ``dying`` has one that dies and comes back, then a good one.
- ``narrow`` gives its backend two requests at a time, then comes a good one.
- ``alone`` has a faulty backend and nobody else.
- ``untold`` is the same as ``stream``, but broken streams are not rescued.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from chaos import secrets
from chaos.setting import merged
from chaos.soak.faults import FAULTS
from chaos.soak.place import Place

#: What the faulty ones get: soon given up, so that an hour sees many of them.
SHORT = {"first_byte_timeout": 1.5, "first_content_timeout": 1.5, "idle_timeout": 1.5,
         "answer_timeout": 3}  # fmt: skip
#: Models whose route has a healthy backend, in the clients' order of preference.
FAULTY = (*FAULTS, "dying", "narrow", "untold")


@frozen
class Places:
    """
    The backends.

    :ivar good: those that are well.
    :ivar faulty: those that are not, by model.
    :ivar mortal: the one that dies.
    """

    good: tuple[Place, Place]
    faulty: Mapping[str, Place]
    mortal: Place

    def __iter__(self) -> Iterator[Place]:
        """All of them."""
        return iter((*self.good, *self.faulty.values(), self.mortal))


def entry(model: str, place: Place, **more: Any) -> dict[str, Any]:
    """An entry of ``model_list``."""
    params = {"api_base": f"http://127.0.0.1:{place.port}/v1", "target_model": "m",
              "api_key": secrets.backend_key(model, place.port), **more}  # fmt: skip
    return {"model_name": model, "litellm_params": params}


def _models(places: Places) -> list[dict[str, Any]]:
    one, two = places.good
    faulty = [entry(name, place, **SHORT) for name, place in places.faulty.items()]
    return [
        entry("well", one), entry("well", two), entry("spare", one), entry("dying", places.mortal),
        entry("narrow", two, max_in_flight=2, queue_timeout=0.2), *faulty,
        entry("alone", places.faulty["connection"], **SHORT),
        entry("untold", places.faulty["stream"], stream_rescue="off", **SHORT),
    ]  # fmt: skip


def configuration(places: Places, *, workers: int, idle: float) -> dict[str, Any]:
    """The whole file."""
    return {
        "model_list": _models(places),
        "router_settings": {"fallbacks": [{name: ["spare"]} for name in FAULTY]},
        "general_settings": {
            "server": {"host": "127.0.0.1", "port": 0, "workers": workers},
            "api_keys": {"soak": secrets.CLIENT},
            "admin_key": secrets.ADMIN,
        },
        "limits": {"upstream_idle": idle},
        "logging": {"directory": "logs", "max_total_bytes": "100M"},
    }


def tidal(config: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The same with something changed, which a reload has to find."""
    mock = {"model_name": f"tide-{number % 3}", "litellm_params": {"mock_response": "hello"}}
    return merged(config, {"model_list": [*config["model_list"], mock]})
