"""
How many connections and files the process may have open.

Each stream takes two descriptors, and many systems start a process with 1,024 of them.
The soft limit may be raised up to the hard one by anybody, so it is.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

#: Below this a busy proxy runs out; its owner should know.
PLENTY = 4096
_log = Logger()


def raise_limit(resource: Any) -> int:
    """
    Raise the soft limit to the hard one.

    :param resource: the standard library's module.
    :returns: what is in force afterwards; infinite is as large as it can be said.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # a hard limit that even the system does not mean
            return int(soft)
    return 2**31 if hard == resource.RLIM_INFINITY else int(hard)


def have_plenty() -> None:
    """Raise the limit where there is one, and say so if it is short all the same."""
    if resource is None:
        return
    limit = raise_limit(resource)
    if limit < PLENTY:
        _log.warn(
            "only {limit} descriptors: at most about {streams} streams at once; raise the"
            " hard limit (ulimit -Hn, LimitNOFILE)",
            limit=limit,
            streams=limit // 2,
        )
