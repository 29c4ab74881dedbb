"""
What kind of address something is, and which ones a registered backend may not have.

Whoever registers a backend chooses where this machine connects to, so some addresses are
refused: those of cloud metadata services above all, which hand out credentials to whoever
asks.  An address has many spellings (``0xa9fea9fe``, ``169.254.43518``,
``::ffff:169.254.169.254``), and some IPv6 addresses are a way to an IPv4 address
(NAT64, 6to4, Teredo …).  So a host is first read as generously as a C library does
(``inet_aton``), and then every address inside it is looked at.

A name can lead anywhere.  It is not judged here, except for the well-known names of
metadata services; the addresses that it resolves to are, each time before one is
connected to (:mod:`yallmp.names`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(IPv6Network(t) if ":" in t else IPv4Network(t) for t in texts)


#: Refused whatever the settings say; the first that matches gives the reason.
_REFUSED: tuple[tuple[str, tuple[Network, ...]], ...] = (
    ("a cloud metadata service", _networks(
        "169.254.169.254/32", "169.254.170.0/24", "100.100.100.200/32", "168.63.129.16/32",
        "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128",
    )),
    ("a link-local address", _networks("169.254.0.0/16", "fe80::/10")),
    ("a multicast address", _networks("224.0.0.0/4", "ff00::/8")),
    ("the unspecified address", _networks("0.0.0.0/8", "::/128")),
    ("a reserved address", _networks("240.0.0.0/4")),
)  # fmt: skip
_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
#: RFC 1918, RFC 4193.
_PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")
#: Not reachable from everywhere either (RFC 6598, 6890, 2544, 5737, 3849, 9637, 5180, 9602).
_SPECIAL = _networks(
    "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "2001:db8::/32", "3fff::/20", "2001:2::/48", "5f00::/16", "100::/64",
)  # fmt: skip
_LINK_LOCAL = _networks("169.254.0.0/16", "fe80::/10")

#: Names that cloud providers give to their metadata services.
_METADATA_NAMES = {
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data",
    "instance-data.ec2.internal", "metadata.tencentyun.com", "metadata.azure.internal",
}  # fmt: skip

#: Prefixes whose last 32 bits are an IPv4 address: mapped, compatible, translated (RFC 2765),
#: NAT64 (RFC 6052).
_IPV4_AT_THE_END = _networks("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")
#: Bits between the start of an RFC 6052 address and its IPv4 part, where 64 to 71 are skipped.
_NAT64_PREFIXES = (48, 56, 64, 96)

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")


def parse(host: str) -> Address | None:
    """
    The address that *host* spells, or ``None`` for a name.

    Reads what resolvers read: one to four numbers, decimal, octal or hexadecimal
    (``127.1``, ``0x7f000001``), IPv6 with brackets or a zone, full-width digits, and a dot
    at the end.
    """
    text = unicodedata.normalize("NFKC", host.translate(_DOTS)).strip()
    text = text.removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        return IPv6Address(text) if ":" in text else _numbers(text.removesuffix("."))
    except ValueError:
        return None


def _numbers(text: str) -> IPv4Address | None:
    parts = text.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    *leading, last = [_number(part) for part in parts]
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        return None
    return IPv4Address(sum(n << (24 - 8 * i) for i, n in enumerate(leading)) + last)


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    octal = text.startswith("0") and len(text) > 1
    return int(text, 8 if octal else 10)


def inside(address: Address) -> Iterator[Address]:
    """*address*, and every IPv4 address that it is a way to."""
    yield address
    if isinstance(address, IPv4Address) or address in (IPv6Address("::"), IPv6Address("::1")):
        return
    value = int(address)
    if _within(address, _IPV4_AT_THE_END) or value >> 32 & 0xFDFFFFFF == 0x5EFE:  # ISATAP
        yield IPv4Address(value & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(value >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~value & 0xFFFFFFFF)
    if address in _LOCAL_NAT64:
        yield from _behind_local_nat64(value)


def _behind_local_nat64(value: int) -> Iterator[IPv4Address]:
    """The IPv4 address under each prefix length that may be in use (RFC 6052, 2.2)."""
    without_u = (value >> 64 << 56) | (value & (1 << 56) - 1)
    for prefix in _NAT64_PREFIXES:
        found = value & 0xFFFFFFFF if prefix == 96 else without_u >> 88 - prefix & 0xFFFFFFFF
        if found >> 24:
            yield IPv4Address(found)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == net.version and address in net for net in networks)


def refusal(address: str, *, private_allowed: bool) -> str | None:
    """
    Why a registered backend may not be at *address* (an address or a name), or ``None``.

    :param private_allowed: whether it may be on a private network or on this machine.
    """
    parsed = parse(address)
    if parsed is None:
        return _refusal_of_name(address.strip().lower().rstrip("."), private_allowed)
    for each in inside(parsed):
        reason = _refusal_of(each, private_allowed)
        if reason:
            by_way = "" if each == parsed else f" (by way of {each})"
            return f"{address} is {reason}{by_way}"
    return None


def _refusal_of_name(name: str, private_allowed: bool) -> str | None:
    if name in _METADATA_NAMES:
        return f"{name} is a cloud metadata service"
    if not private_allowed and (name == "localhost" or name.endswith(".localhost")):
        return f"{name} is this machine, and admin.private_backends is false"
    return None


def _refusal_of(address: Address, private_allowed: bool) -> str | None:
    for reason, networks in _REFUSED:
        if _within(address, networks):
            return reason
    if not private_allowed and _within(address, (*_LOOPBACK, *_PRIVATE, *_SPECIAL)):
        return "a private address, and admin.private_backends is false"
    return None


def peer_address(host: str) -> Address | None:
    """The address of a peer as the socket tells it; IPv4 over IPv6 sockets is IPv4."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Whether *host*, a literal address in its usual spelling, is this machine's own."""
    address = peer_address(host)
    return address is not None and _within(address, _LOOPBACK)


@lru_cache(1024)
def is_near(host: str) -> bool:
    """Whether a peer is on this machine, on a private network or on the same link."""
    address = peer_address(host)
    return address is not None and _within(address, (*_LOOPBACK, *_PRIVATE, *_LINK_LOCAL))


def peer_key(host: str) -> str:
    """What stands for one peer when failures are counted: IPv6 peers have a whole /64."""
    address = peer_address(host)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address or host)
