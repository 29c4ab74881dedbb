"""
No spelling gets a registered backend to an address that it may not have.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from yallmp.core.addresses import inside, is_loopback, is_near, parse, peer_key, refusal


def listed(text: str) -> list[str]:
    """The words of *text*."""
    return text.split()


#: 169.254.169.254 and its like, in every spelling that leads there.
METADATA = listed("""
    169.254.169.254 2852039166 0xa9fea9fe 0XA9FEA9FE 025177524776 169.254.43518 169.16689662
    0xa9.254.169.254 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376 0251.254.0xa9.254 169.254.169.254.
    169.254.0251.0xfe 00000251.0376.0251.0376 １６９.２５４.１６９.２５４ 169。254。169。254
    169．254．169．254 169｡254｡169｡254 [::ffff:169.254.169.254] ::ffff:169.254.169.254
    ::ffff:a9fe:a9fe 0:0:0:0:0:ffff:a9fe:a9fe ::FFFF:A9FE:A9FE ::169.254.169.254 ::a9fe:a9fe
    ::ffff:0:169.254.169.254 64:ff9b::169.254.169.254 64:ff9b::a9fe:a9fe
    64:ff9b:1::169.254.169.254 64:ff9b:1:a9fe:a9:fe00:: 64:ff9b:1:a9:fe:a9fe::
    64:ff9b:1:0:a9:fea9:fe00:: 2002:a9fe:a9fe:: 2002:a9fe:a9fe::1 2001:0:a9fe:a9fe::
    2001:0:101:101:0:0:5601:5601 2001:db8::5efe:a9fe:a9fe 2001:db8::200:5efe:a9fe:a9fe
    fe80::5efe:169.254.169.254 169.254.170.2 100.100.100.200 0x646464c8 ::ffff:100.100.100.200
    168.63.129.16 2822734096 64:ff9b::168.63.129.16 2002:a83f:8110:: 192.0.0.192 192.0.192
    fd00:ec2::254 fd00:0ec2:0:0:0:0:0:0254 [fd00:ec2::254] fd00:ec2::23 fd20:ce::254
    metadata.google.internal METADATA.google.internal. metadata.goog instance-data
""")

#: Others that are never allowed.
NEVER = listed("""
    169.254.0.1 169.254.1 0xa9fe0001 fe80::1 fe80::1%eth0 [fe80::1%25eth0] febf::1
    ::ffff:169.254.0.1 224.0.0.1 239.255.255.250 ff02::1 ff0e::1 0.0.0.0 0 0x0 00 0.1 :: [::] 0::0
    0.1.2.3 ::ffff:0.0.0.0 255.255.255.255 4294967295 240.0.0.1 64:ff9b::224.0.0.1
    2002:e000:1::
""")

#: Allowed unless ``private_backends: false``.
PRIVATE = listed("""
    127.0.0.1 127.1 2130706433 0x7f000001 017700000001 ::1 [::1] ::ffff:127.0.0.1 10.0.0.1 10.1
    172.16.0.1 172.31.255.255 192.168.1.1 192.168.257 fd00::1 fc00::1 fec0::1 100.64.0.1
    64:ff9b::10.0.0.1 2002:a00:1:: 198.18.0.1 192.0.2.1 2001:db8::1
""")

#: Allowed always, addresses and names.
PUBLIC = listed("""
    1.1.1.1 8.8.8.8 0x01010101 172.32.0.1 192.167.0.1 2606:4700:4700::1111 [2606:4700:4700::1111]
    64:ff9b::1.1.1.1 64:ff9b:1::1.1.1.1 2002:101:101:: 100.128.0.1 api.openai.com example.com.
    1.2.3.4.5 256.1.1.1 08.8.8.8 4294967296 1.2.3.256 0xzz cafe metadata.example.com 1..2
""")


class RefusalTests(SynchronousTestCase):
    """What registered backends may and may not be at."""

    def test_metadata_services(self) -> None:
        """Refused in every spelling, private addresses allowed or not."""
        for host in METADATA:
            reason = refusal(host, private_allowed=True) or ""
            self.assertRegex(reason, "metadata|link-local", host)
            self.assertIsNotNone(refusal(host, private_allowed=False), host)

    def test_never(self) -> None:
        """Link-local, multicast, unspecified and reserved addresses are refused."""
        for host in NEVER:
            self.assertIsNotNone(refusal(host, private_allowed=True), host)

    def test_private(self) -> None:
        """Private networks and this machine are refused only if the settings say so."""
        for host in [*PRIVATE, "localhost", "LOCALHOST.", "a.localhost"]:
            self.assertIsNone(refusal(host, private_allowed=True), host)
            self.assertRegex(refusal(host, private_allowed=False) or "", "private_backends", host)

    def test_public(self) -> None:
        """Public addresses and names are allowed."""
        for host in PUBLIC:
            self.assertIsNone(refusal(host, private_allowed=False), host)

    def test_there_are_enough(self) -> None:
        """The lists above stay as long as the subject is wide."""
        self.assertGreaterEqual(len({*METADATA, *NEVER, *PRIVATE, *PUBLIC}), 100)

    def test_the_reason_names_the_way(self) -> None:
        """A hidden address is shown."""
        self.assertEqual(
            refusal("64:ff9b::a9fe:a9fe", private_allowed=True),
            "64:ff9b::a9fe:a9fe is a cloud metadata service (by way of 169.254.169.254)",
        )


class ParsingTests(SynchronousTestCase):
    """Spellings are read as a C library reads them."""

    spelled = st.integers(0, 2**32 - 1).flatmap(
        lambda n: st.sampled_from([str(n), hex(n), f"0{n:o}", f"00{n:o}", f"0X{n:X}"])
    )

    @given(st.lists(spelled | st.integers(0, 300).map(str), min_size=1, max_size=5))
    def test_like_inet_aton(self, parts: list[str]) -> None:
        """Any combination of numbers is the same address to us and to ``inet_aton``."""
        text = ".".join(parts)
        try:
            expected = IPv4Address(socket.inet_aton(text))
        except OSError:
            expected = None
        self.assertEqual(parse(text), expected)

    @given(st.integers(0, 2**128 - 1))
    def test_ipv6_round_trip(self, value: int) -> None:
        """Every IPv6 address is read, short or long, in brackets or not."""
        address = IPv6Address(value)
        for text in (str(address), address.exploded, f"[{address}]", f"{address}%eth0"):
            self.assertEqual(parse(text), address)
        self.assertEqual(next(inside(address)), address)

    @given(st.text(max_size=40))
    def test_any_text(self, text: str) -> None:
        """Nothing makes the reader fail."""
        refusal(text, private_allowed=False)

    def test_long_numbers(self) -> None:
        """Numbers too long to be read are no addresses."""
        self.assertIsNone(parse("1" * 10000))


class PeerTests(SynchronousTestCase):
    """What a peer's address says about it."""

    def test_loopback(self) -> None:
        """This machine, over IPv6 sockets too; other spellings do not come from sockets."""
        for host in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(host), host)
        for host in ("10.0.0.1", "::2", "localhost", "", "2130706433", "64:ff9b::7f00:1"):
            self.assertFalse(is_loopback(host), host)

    def test_near(self) -> None:
        """Private and link-local peers are near; all others, shared address space too, are not."""
        for host in ("10.1.2.3", "192.168.0.9", "fd12::1", "fe80::1%eth0", "169.254.3.4", "::1"):
            self.assertTrue(is_near(host), host)
        for host in ("1.1.1.1", "100.64.0.1", "2606:4700::1", "::ffff:8.8.8.8", "x", ""):
            self.assertFalse(is_near(host), host)

    def test_counting(self) -> None:
        """An IPv6 peer may use any address of its /64, so all of them count as one."""
        self.assertEqual(peer_key("2001:db8::1"), peer_key("2001:db8::ffff:1"))
        self.assertNotEqual(peer_key("2001:db8:0:1::1"), peer_key("2001:db8::1"))
        self.assertEqual(peer_key("::ffff:1.2.3.4"), "1.2.3.4")
