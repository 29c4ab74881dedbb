"""
How many connections and files the process may have open.

Each stream takes two descriptors, the client's and the backend's, and many systems start a
process with 1,024 of them.  The soft limit may be raised up to the hard one by anybody, so
it is.  Where that is short all the same, no more clients are let in than can be served: one
who is told so can go elsewhere, one whose backend cannot be reached has waited in vain.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

#: What else is open: the log, the recorder, names being looked up, idle connections.
RESERVE = 100
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


def raised(resource: Any = resource) -> int:
    """Raise the limit where there is one; what is in force."""
    return 2**31 if resource is None else raise_limit(resource)


def connections_within(limit: int) -> int:
    """How many clients can be served with *limit* descriptors."""
    return max((limit - RESERVE) // 2, 1)


def room(wanted: int, resource: Any = resource) -> int:
    """
    How many clients there may be at a time, if it were for descriptors alone.

    Less than is *wanted* is said in the log.
    """
    limit = raised(resource)
    most = connections_within(limit)
    if most < wanted:
        _log.warn(
            "limits.max_connections is {wanted}, but the system allows {limit} descriptors: no"
            " more than {most} clients at a time; raise the hard limit (ulimit -Hn,"
            " LimitNOFILE=), or lower the setting",
            wanted=wanted,
            limit=limit,
            most=most,
        )
    return most
