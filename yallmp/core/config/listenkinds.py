"""
Kinds of values that say where we listen, and with how many processes: a host, an endpoint
in Twisted's notation, a number.

An endpoint is a kind and its arguments, separated by colons: ``tcp:8000:interface=127.0.0.1``.
Arguments stand in order or by name; a backslash takes a colon its meaning
(``twisted.internet.endpoints.serverFromString``).  Whether the system lets us listen
there is found out at the start only; what can never be is found here, with its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from yallmp.core.config.kinds import text
from yallmp.core.config.reading import Reading
from yallmp.core.config.yamltree import Node

#: The arguments of each kind in their order; the first is needed.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "backlog", "interface"),
    "ssl": (
        "port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain",
        "dhParameters",
    ),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "systemd": ("domain", "index", "name"),
}  # fmt: skip
#: What each argument that is not just any text may be, with the words for it.
_FORMS = {
    "port": (r"[0-9]{1,5}", "a number from 0 to 65535"),
    "backlog": (r"[0-9]{1,9}", "a number"),
    "index": (r"[0-9]{1,9}", "a number"),
    "mode": (r"[0-7]{1,4}", "an octal number such as 660"),
    "lockfile": (r"[01]", "0 or 1"),
    "domain": (r"INET|INET6|UNIX", "INET, INET6 or UNIX"),
    "address": (r".+", "the path of a socket"),
}
_PROXIED = "haproxy"
#: More processes than this are a slip of the finger.
MAX_WORKERS = 128
#: What is said where several processes shall listen on something else.
NOT_SHAREABLE = "several workers need host and port (or a listen of the kind tcp or tcp6)"
_COLON = re.compile(r"(?<!\\):")
_EQUALS = re.compile(r"(?<!\\)=")
_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[\w-]{1,63}\.)*[\w-]{1,63}\.?")


def host(reading: Reading, node: Node) -> str | None:
    """An address, one of IPv6 with or without brackets, or a name that stands for one."""
    value = text(reading, node)
    if value is None or _is_host(value):
        return value
    reading.problem(
        node, f"{reading.shown(node)} is neither an IP address nor the name of a machine"
    )
    return None


def endpoint(reading: Reading, node: Node) -> str | None:
    """One of those of Twisted's endpoints that requests can come in by."""
    value = text(reading, node)
    problem = _endpoint_problem(value) if value is not None else None
    if problem:
        reading.problem(node, f"{reading.shown(node)} {problem}")
        return None
    return value


def private_key(reading: Reading, node: Node) -> bytes | None:
    """The private key in a file; nobody is there to be asked for a password."""
    path = text(reading, node)
    content = None if path is None else reading.content(node, path)
    if content is not None and b"PRIVATE KEY-----" not in content:
        reading.problem(node, "the file holds no private key in PEM form")
        return None
    if content is not None and b"ENCRYPTED" in content:
        reading.problem(node, "the key is encrypted; take its password away (openssl pkey)")
        return None
    return content


def workers(reading: Reading, node: Node) -> int | None:
    """The number of processes that serve: 0 is one for each core (``auto``)."""
    scalar = reading.typed(node)
    if scalar is None or scalar.value is None:
        return None
    value = worker_count(str(scalar.value))
    if value is None:
        shown = reading.shown(scalar)
        reading.problem(node, f"{shown} is neither auto nor a number from 1 to {MAX_WORKERS}")
    return value


def worker_count(word: str) -> int | None:
    """*word* as a number of processes; ``None`` if it is none."""
    if word == "auto":
        return 0
    count = int(word) if re.fullmatch("[0-9]{1,3}", word) else 0
    return count if 1 <= count <= MAX_WORKERS else None


def tcp_address(listen: str) -> tuple[str, int] | None:
    """The address and port of an endpoint that is plain TCP; ``None`` of any other."""
    kind, *parts = _COLON.split(listen)
    if kind not in ("tcp", "tcp6"):
        return None
    given = _arguments(_ARGUMENTS[kind], parts) or {}
    plain = given.get("interface", "").replace("\\:", ":")
    return plain or ("::" if kind == "tcp6" else "0.0.0.0"), int(given["port"])


def is_shareable(listen: str | None) -> bool:
    """Whether several processes can listen there; ``None`` stands for a host and a port."""
    return listen is None or tcp_address(listen) is not None


def _is_host(value: str) -> bool:
    try:
        if ":" in value:
            bare = value[1:-1] if value[0] == "[" and value[-1] == "]" else value
            return bool(IPv6Address(bare))
        if _DOTTED.fullmatch(value):
            return bool(IPv4Address(value))
    except AddressValueError:
        return False
    return _NAME.fullmatch(value) is not None


def _endpoint_problem(value: str) -> str | None:
    """What keeps *value* from being an endpoint, in words that follow it."""
    if (len(value) - len(value.rstrip("\\"))) % 2:
        return "ends in a backslash, which has nothing to escape"
    kind, *parts = _COLON.split(value.removeprefix(f"{_PROXIED}:"))
    known = _ARGUMENTS.get(kind)
    if known is None:
        kinds = ", ".join((*_ARGUMENTS, _PROXIED))
        return f"does not begin with a kind of endpoint ({kinds}), as tcp:8000 does"
    given = _arguments(known, parts)
    if given is None:
        return f"has an argument that {kind} does not have; it takes {', '.join(known)}"
    if known[0] not in given:
        return f"is no endpoint: its {known[0]} is missing"
    if kind == "systemd" and ("index" in given) == ("name" in given):
        return "needs either the index or the name of the socket"
    return _argument_problem(given)


def _arguments(known: tuple[str, ...], parts: list[str]) -> Mapping[str, str] | None:
    """*parts* by name; ``None`` if there is one too many or of another name."""
    split = [_EQUALS.split(part, maxsplit=1) for part in parts]
    in_order = [part[0] for part in split if len(part) == 1]
    named = {part[0]: part[1] for part in split if len(part) == 2}
    given = dict(zip(known, in_order, strict=False))
    fits = len(in_order) <= len(known) and set(named) <= set(known) - set(given)
    return {**given, **named} if fits else None


def _argument_problem(given: Mapping[str, str]) -> str | None:
    for name, (form, words) in _FORMS.items():
        value = given.get(name)
        if value is None:
            continue
        if not re.fullmatch(form, value) or (name == "port" and int(value) > 65535):
            return f"is no endpoint: its {name} is not {words}"
    return None
