"""
Twisted's own HTTP client, which stays selectable, passes what ours does.

The cases are those of failover, streams and connections, once more.
"""

from __future__ import annotations

from typing import Any

from tests import test_failover, test_resting, test_streaming, test_wires

MODULES = (test_failover, test_resting, test_streaming, test_wires)


def with_twisted(case: type[Any]) -> type[Any]:
    """*case*, with Twisted's client."""
    return type(f"Twisted{case.__name__}", (case,), {"http_client": "twisted"})


def cases() -> dict[str, type[Any]]:
    """The cases of all modules that have tests and a proxy."""
    found = [value for module in MODULES for name, value in vars(module).items()
             if name.endswith("Tests") and value.__module__ == module.__name__]  # fmt: skip
    return {f"Twisted{case.__name__}": with_twisted(case) for case in found}


for _name, _case in cases().items():
    _case.__module__ = __name__
    globals()[_name] = _case
